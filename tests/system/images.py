"""Debian images to boot, cached: a base made by mmdebstrap, and layers of packages on top of it, by name.

    image()                    the base
    image("broker", "docker")  Docker on RabbitMQ on the base

An image is a stack of folders, the lower ones of an overlay; a host writes into a folder of its own on top. The cache is
the user's, shared by all checkouts: a folder's name has a digest of all that went into it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.system import chroot, machine

FORMAT = 1  # raise it to have every image made anew
UNUSED = 30 * 86_400  # seconds after which an image that nobody has used is removed

_PACKAGES = (
    "ca-certificates", "dbus", "iproute2", "iputils-ping", "libpam-systemd", "netcat-openbsd", "nftables",
    "openssh-server", "procps", "python3", "python3-apt", "python3-venv", "sudo", "systemd", "systemd-sysv", "tzdata",
)  # fmt: skip
_UNITS_OFF = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "console-getty.service", "getty@tty1.service",
    "systemd-firstboot.service", "systemd-networkd-wait-online.service", "systemd-resolved.service",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Image:
    """What a host is booted from.

    folders: the overlay's lower ones, the uppermost first.
    options: of systemd-nspawn; {folder} is the host's own folder, on a tmpfs.
    """

    folders: tuple[Path, ...]
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Layer:
    """What a name adds to an image: Debian packages, then what shell commands change, then options as in Image."""

    packages: tuple[str, ...]
    afterwards: str = ":"
    options: tuple[str, ...] = ()


LAYERS = {
    # The package makes a cookie: were it common to all hosts, a cluster would be there by accident.
    "broker": Layer(("rabbitmq-server",), "rm -f /var/lib/rabbitmq/.erlang.cookie"),
    # Containers join session keyrings; on an overlay Docker could only use the slow vfs driver.
    "docker": Layer(
        ("docker.io", "iptables", "busybox-static"),
        options=("--system-call-filter=@keyring", "--bind={folder}/docker:/var/lib/docker"),
    ),
    "ufw": Layer(("ufw", "iptables")),
    # Without netbase firewalld knows no protocols and ends "successfully".
    "firewalld": Layer(("firewalld", "netbase", "python3-firewall", "python3-nftables")),
    # What makes of a host a machine of its own.
    "kernel": Layer(("linux-image-cloud-amd64", "initramfs-tools", "udev", "zstd")),
    "numpy": Layer(("python3-numpy", "libopenblas0-pthread")),
}


def image(*names: str, suite: str = machine.SUITE) -> Image:
    """Return the image that has these layers, the last one on top; what is not in the cache is made."""
    stack = Image((cached("base", (_PACKAGES, _UNITS_OFF, suite), partial(_make_base, suite)),))
    for name in names:
        layer = LAYERS[name]
        below = stack.folders[0].parent.name  # its digest has all that is below
        folder = cached(name, (below, layer), partial(_make_layer, layer, stack))
        stack = Image((folder, *stack.folders), (*stack.options, *layer.options))
    return stack


def cached(name: str, ingredients: object, make: Callable[[Path], None]) -> Path:
    """Return a folder of the cache, named after all that it is made of; `make` fills it where it is missing."""
    digest = hashlib.sha256(repr((FORMAT, ingredients)).encode()).hexdigest()[:12]
    entry = _cache() / f"{name}-{digest}"
    with _locked():
        if not entry.exists():
            _remove_unused()
            new = entry.with_name(f"new-{entry.name}")
            shutil.rmtree(new, ignore_errors=True)
            make(new / "root")
            new.rename(entry)
        os.utime(entry)
    return entry / "root"


def bootstrap(folder: Path, suite: str, packages: Sequence[str], variant: str = "apt") -> None:
    """Make a Debian in a folder that has these packages, and what a variant of mmdebstrap's has besides."""
    folder.parent.mkdir(parents=True)
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as apt:
        apt.write(machine.apt_options())
        apt.flush()
        command = [
            *machine.DIE_WITH_US, "mmdebstrap", "--quiet", "--mode=root", f"--variant={variant}", "--format=directory",
            f"--aptopt={apt.name}", f"--include={','.join(packages)}", suite, str(folder), *machine.sources(suite),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise chroot.Failed(f"mmdebstrap made no image:\n{done.stderr[-3000:]}")


def _make_base(suite: str, folder: Path) -> None:
    bootstrap(folder, suite, _PACKAGES)
    # One machine id and one pair of keys per host, not per image; nor this machine's name and resolver.
    (folder / "etc/machine-id").write_text("")
    for left in (*folder.glob("etc/ssh/ssh_host_*"), folder / "etc/resolv.conf", folder / "etc/hostname"):
        left.unlink(missing_ok=True)
    for journal in folder.glob("var/log/journal/*"):
        shutil.rmtree(journal)
    for verb, units in (("mask", _UNITS_OFF), ("enable", ("systemd-networkd.service", "ssh.service"))):
        subprocess.run(["systemctl", f"--root={folder}", "--quiet", verb, *units], capture_output=True, check=True)


def _make_layer(layer: Layer, below: Image, folder: Path) -> None:
    chroot.online(
        below.folders,
        folder,
        f"""
        printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d  # start nothing, see invoke-rc.d(8)
        chmod +x /usr/sbin/policy-rc.d
        export DEBIAN_FRONTEND=noninteractive
        apt-get -qq update
        apt-get -qq -y --no-install-recommends install {" ".join(layer.packages)}
        apt-get clean
        rm -rf /var/lib/apt/lists/* /usr/sbin/policy-rc.d
        {layer.afterwards}
        """,
    )


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "celery-agent" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _locked() -> Iterator[None]:
    """Make images one after the other: two checkouts may want the same."""
    lock = os.open(_cache() / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _remove_unused() -> None:
    for entry in _cache().iterdir():
        if entry.is_dir() and time.time() - entry.stat().st_mtime > UNUSED:
            shutil.rmtree(entry)
