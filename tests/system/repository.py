"""A Debian repository for hosts that reach no other: packages with all that they need beyond the base image, cached."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.system import chroot
from tests.system.images import cached, image

PORT = 8000


def repository(*packages: str) -> Path:
    """Return a folder with a flat repository: served by HTTP it is `deb [trusted=yes] http://HOST:PORT ./`."""
    base = image()

    def make(folder: Path) -> None:
        written = folder.with_name("written")
        chroot.online(
            base.folders,
            written,
            f"""
            export DEBIAN_FRONTEND=noninteractive
            apt-get -qq update
            apt-get -qq -y --no-install-recommends --download-only -o APT::Keep-Downloaded-Packages=true \
                install {" ".join(packages)}
            """,
        )
        folder.mkdir()
        for package in (written / "var/cache/apt/archives").glob("*.deb"):
            shutil.move(package, folder)
        shutil.rmtree(written)
        entries = "\n".join(_entry(package) for package in sorted(folder.iterdir()))
        (folder / "Packages").write_text(entries)

    return cached("repository", (packages, base.folders[0].parent.name), make)


def _entry(package: Path) -> str:
    control = subprocess.run(["dpkg-deb", "--field", package], capture_output=True, text=True, check=True).stdout
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    return f"{control}Filename: ./{package.name}\nSize: {package.stat().st_size}\nSHA256: {digest}\n"
