"""What this machine must be for hosts to be booted on it, and what it has to lend to them: its package sources, its CAs.

Whatever is missing fails the tests with the one command that helps: nothing here is skipped.
"""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
from pathlib import Path

SUITE = "bookworm"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PROGRAMS = ("ip", "mmdebstrap", "nft", "nsenter", "ssh", "ssh-keygen", "systemd-nspawn", "unshare")

# What programs in a lab and its hosts see, whoever runs the tests.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
}

# Put before a command that must not outlive the process that started it.
DIE_WITH_US = ("setpriv", "--pdeathsig", "KILL")


class Unsuitable(RuntimeError):
    """This machine can't boot test hosts; the message ends with the command that changes it."""


def check() -> None:
    """Return where hosts can be booted here; raises Unsuitable."""
    if os.geteuid() != 0:
        raise Unsuitable("booting test hosts takes namespaces and mounts, and so root. Run: sudo make test")
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing or not Path(KEYRING).exists():
        raise Unsuitable(f"{', '.join(missing) or KEYRING} is missing. Run: scripts/prepare-tests")
    if "\toverlay\n" not in Path("/proc/filesystems").read_text():
        done = subprocess.run(["modprobe", "overlay"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unsuitable("the kernel has no overlay file system. Run: modprobe overlay")


def sources(suite: str = SUITE) -> tuple[str, ...]:
    """Return this machine's own sources of Debian 12 as lines of a sources.list, for another suite where one is named.

    Raises Unsuitable where it has none.
    """
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = [line.split() for line in targets.stdout.splitlines()]
    lines = [
        f"deb [signed-by={KEYRING}] {uri} {suite}{release.removeprefix(SUITE)} main"
        for uri, release, component in found
        if component == "main" and release in (SUITE, f"{SUITE}-updates", f"{SUITE}-security")
    ]
    if not any(f" {suite} " in line for line in lines):
        raise Unsuitable(
            f"apt has no source of Debian 12 to make hosts from. Run: echo 'deb [signed-by={KEYRING}] "
            f"http://deb.debian.org/debian {SUITE} main' > /etc/apt/sources.list.d/{SUITE}.list"
        )
    return tuple(dict.fromkeys(lines))


def apt_options() -> str:
    """Return the apt.conf lines that tell how this machine reaches its sources."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True)
    return "".join(f"{line}\n" for line in dump.stdout.splitlines() if re.match(r"Acquire::https?::Proxy\b", line))


def certificates() -> Path:
    """Return the file of the authorities that this machine trusts, its own ones included."""
    return Path(os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile or "/dev/null")
