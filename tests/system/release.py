"""The project on a host, as the Ansible role lays it out: a virtual environment per release, and a link to the current one.

    /opt/celery-agent/releases/0.1.0/bin/agent
    /opt/celery-agent/current -> releases/0.1.0

It is installed from a folder of wheels, without a network: dependencies as they are locked, and the tree as it is now.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from agent.version import VERSION
from tests.node import ROOT
from tests.system import chroot
from tests.system.images import Image, cached, image

RELEASE = f"/opt/celery-agent/releases/{VERSION}"
CURRENT = "/opt/celery-agent/current"
CONSUMER = "/srv/numbers/venv"  # a consumer's own environment: Celery, the library, numpy, psutil, nothing of the agent

_LOCKED = ("build.txt", "run.txt")
_PROJECT = ("agent", "celery_delivery", "pyproject.toml", "README.md", "LICENSE")

_DOWNLOAD = """
python3 -m venv /tmp/venv
pip="/tmp/venv/bin/python -m pip --quiet --disable-pip-version-check --no-cache-dir"
$pip install --require-hashes -r /run/locked/build.txt
$pip wheel --require-hashes --no-build-isolation --wheel-dir /wheels -r /run/locked/run.txt
"""

_DEPENDENCIES = f"""
install="-m pip --quiet --disable-pip-version-check install --no-index --find-links /run/wheels"
python3 -m venv {RELEASE}
{RELEASE}/bin/python $install --no-deps /run/wheels/*.whl
ln -s releases/{VERSION} {CURRENT}
python3 -m venv --system-site-packages {CONSUMER}
{CONSUMER}/bin/python $install celery psutil
"""

_PROJECT_ITSELF = f"""
install="-m pip --quiet --disable-pip-version-check install --no-index --no-deps"
{RELEASE}/bin/python $install /run/wheels/*.whl
{CONSUMER}/bin/python $install /run/wheels/celery_delivery-*.whl
"""


def node_image(folder: Path, *layers: str) -> Image:
    """Return an image with this tree installed on layers of packages; its uppermost layer is made anew in `folder`."""
    below = _with_dependencies(image("numpy", *layers))
    layer = folder / "release"
    chroot.offline(below.folders, layer, _PROJECT_ITSELF, {"wheels": project_wheels(folder)})
    return Image((layer, *below.folders), below.options)


def dependency_wheels() -> Path:
    """Return a folder of the cache with wheels of all locked run-time dependencies, for the Python of the image."""
    below = image().folders
    binds = {"locked": ROOT / "requirements"}
    make = partial(chroot.online, below, script=f"{_index()}\n{_DOWNLOAD}", binds=binds)
    return cached("wheels", (below, _locked_texts(), _DOWNLOAD), make) / "wheels"


def project_wheels(folder: Path) -> Path:
    """Return a folder with the wheels of the agent and of the library, built from this tree."""
    tree, wheels = folder / "tree", folder / "wheels"
    for name in _PROJECT:  # a copy: a build in the tree would find what earlier builds left there
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
        else:
            shutil.copy(source, tree / name)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel"),
            *(
                "--no-deps",
                "--no-build-isolation",
                "--wheel-dir",
                str(wheels),
                str(tree),
                str(tree / "celery_delivery"),
            ),
        ],
        check=True,
    )
    return wheels


def _with_dependencies(below: Image) -> Image:
    binds = {"wheels": dependency_wheels()}  # their hashes were checked when they came
    make = partial(chroot.offline, below.folders, script=_DEPENDENCIES, binds=binds)
    folder = cached("release", (below.folders, _locked_texts(), _DEPENDENCIES), make)
    return Image((folder, *below.folders), below.options)


def _index() -> str:
    """Return the shell command that has pip use the package index that this machine uses."""
    words = (sys.executable, "-m", "pip", "config", "get", "global.index-url")
    configured = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    url = os.environ.get("PIP_INDEX_URL") or configured
    return f"export PIP_INDEX_URL='{url}'" if url else ":"


def _locked_texts() -> tuple[str, ...]:
    return tuple((ROOT / "requirements" / name).read_text() for name in _LOCKED)
