"""Shell scripts run in an image; what they write becomes a folder, the image's next layer."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.system import machine

_SCRIPT = """
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$UPPER,workdir=$WORK" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount -t tmpfs tmpfs "$ROOT/run"
mount -t tmpfs tmpfs "$ROOT/tmp"
mount --bind /dev "$ROOT/dev"
while read -r folder name; do
    [ -n "$folder" ] || continue
    mkdir "$ROOT/run/$name"
    mount --bind "$folder" "$ROOT/run/$name"
done <<<"$BINDS"
if [ -n "$CERTIFICATES" ]; then
    mount --bind "$CERTIFICATES" "$ROOT/etc/ssl/certs/ca-certificates.crt"
    cat /etc/resolv.conf >"$ROOT/run/resolv.conf"
    ln -s /run/resolv.conf "$ROOT/etc/resolv.conf"
    trap 'rm "$ROOT/etc/resolv.conf"' EXIT
fi
printf '%s' "$SCRIPT" | chroot "$ROOT" sh -eu
"""


class Failed(RuntimeError):
    """A script in an image failed; the message has what it printed last."""


def online(lower: Sequence[Path], folder: Path, script: str, binds: Mapping[str, Path] | None = None) -> None:
    """Run a script with this machine's network, resolver and authorities; `folder` is made and takes what it writes.

    binds: folders of this machine by the name that they have below /run of the image.
    """
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    _run(lower, folder, script, binds or {}, (), {"CERTIFICATES": str(machine.certificates()), **proxies})


def offline(lower: Sequence[Path], folder: Path, script: str, binds: Mapping[str, Path] | None = None) -> None:
    """Run a script that can reach nothing; otherwise as `online`."""
    _run(lower, folder, script, binds or {}, ("--net",), {"CERTIFICATES": ""})


def _run(
    lower: Sequence[Path],
    folder: Path,
    script: str,
    binds: Mapping[str, Path],
    namespaces: Sequence[str],
    variables: Mapping[str, str],
) -> None:
    beside = {name: folder.with_name(f"{folder.name}.{name}") for name in ("work", "root")}
    for each in (folder, *beside.values()):
        shutil.rmtree(each, ignore_errors=True)
        each.mkdir(parents=True)
    done = subprocess.run(
        [
            *machine.DIE_WITH_US,
            "unshare",
            "--mount",
            "--pid",
            *namespaces,
            "--fork",
            "--kill-child",
            "bash",
            "-euc",
            _SCRIPT,
        ],
        env={
            **machine.ENVIRONMENT,
            **variables,
            "LOWER": ":".join(map(str, lower)),
            "UPPER": str(folder),
            "WORK": str(beside["work"]),
            "ROOT": str(beside["root"]),
            "BINDS": "".join(f"{path} {name}\n" for name, path in binds.items()),
            "SCRIPT": script,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    for each in beside.values():
        shutil.rmtree(each, ignore_errors=True)
    if done.returncode:
        raise Failed(f"a script in an image failed with exit status {done.returncode}:\n{done.stdout[-3000:]}")
