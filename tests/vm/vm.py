"""A virtual machine: a Debian host with a kernel of its own, in qemu's software emulation.

Its disk is made of the very image that hosts of `tests.system` are booted from. It reaches this machine's loopback as
10.0.2.2, and nothing else knows of it. Commands go over a virtual serial port, see `guest.py`.
"""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
from pathlib import Path

from tests.system import machine
from tests.system.commands import COMMAND_TIMEOUT, Commands
from tests.system.images import Image
from tests.waiting import wait_until

THIS_MACHINE = "10.0.2.2"  # as the guest sees it
BOOT_TIMEOUT = 600.0  # seconds; 30 on an idle machine
DISK = "3G"  # a sparse file

_QEMU = "qemu-system-x86_64"
_KERNEL = "root=/dev/vda rw console=ttyS0 quiet systemd.mask=ssh.service systemd.mask=serial-getty@ttyS0.service"
_FILES = {
    "etc/systemd/network/10-wired.network": (
        "[Match]\nType=ether\n\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
    ),
    "etc/systemd/system/commands.service": (
        "[Unit]\nAfter=multi-user.target\n\n"
        "[Service]\nExecStart=/usr/bin/python3 /root/guest.py\n\n[Install]\nWantedBy=multi-user.target\n"
    ),
    "etc/hostname": "guest\n",
    "etc/hosts": f"127.0.0.1 localhost\n{THIS_MACHINE} broker\n",
}
_MAKE_DISK = """
mount -t overlay overlay -o "lowerdir=$2" "$1/root"
cp -L "$1"/root/vmlinuz "$1"/root/initrd.img "$1"
truncate -s "$3" "$1/disk"
mkfs.ext4 -q -d "$1/root" "$1/disk"
"""


class VM(Commands):
    """One virtual machine, that is off until `start`."""

    name = "guest"

    def __init__(self, image: Image, folder: Path) -> None:
        """Make its disk in a folder; raises machine.Unsuitable where this machine can't."""
        machine.check()
        if shutil.which(_QEMU) is None:
            raise machine.Unsuitable(f"{_QEMU} is missing. Run: make test-vm")
        self.console = folder / "console"
        self._folder = folder
        self._port: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        top = folder / "files"
        for path, text in _FILES.items():
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).write_text(text)
        (top / "root").mkdir(mode=0o700)
        shutil.copy(Path(__file__).with_name("guest.py"), top / "root")
        wanted = top / "etc/systemd/system/multi-user.target.wants"
        wanted.mkdir()
        (wanted / "commands.service").symlink_to("../commands.service")
        (folder / "root").mkdir()
        lower = ":".join(map(str, (top, *image.folders)))
        subprocess.run(
            [*machine.DIE_WITH_US, "unshare", "--mount", "sh", "-euc", _MAKE_DISK, "disk", str(folder), lower, DISK],
            check=True,
        )

    def start(self) -> None:
        """Switch it on; return when its units are up."""
        port = self._folder / "port"
        with self.console.open("wb") as console:
            self._process = subprocess.Popen(
                [
                    *(*machine.DIE_WITH_US, _QEMU, "-accel", "tcg,thread=multi"),
                    *("-cpu", "max", "-m", "1024", "-smp", "2"),
                    *("-nographic", "-no-reboot", "-kernel", str(self._folder / "vmlinuz")),
                    *("-initrd", str(self._folder / "initrd.img"), "-append", _KERNEL),
                    *("-drive", f"file={self._folder / 'disk'},if=virtio,format=raw,cache=unsafe"),
                    *("-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net"),
                    *("-chardev", f"socket,id=commands,path={port},server=on,wait=off", "-device", "virtio-serial"),
                    *("-device", "virtserialport,chardev=commands,name=commands"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        wait_until(port.exists, what="qemu listens")
        self._port = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._port.connect(str(port))
        try:
            state = self.attempt("systemctl", "is-system-running", "--wait", timeout=BOOT_TIMEOUT).stdout.strip()
        except TimeoutError as error:
            raise AssertionError(f"the guest did not boot:\n{self._said()}") from error
        assert state == "running", f"{state}:\n{self._said()}"

    def attempt(
        self, *command: str, text: str = "", timeout: float = COMMAND_TIMEOUT
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the guest, with `text` on its standard input."""
        assert self._port is not None
        self._port.settimeout(timeout + 10)
        self._port.sendall(json.dumps({"command": command, "text": text, "timeout": timeout}).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            received = self._port.recv(65_536)
            assert received, f"the guest is gone:\n{self._said()}"
            answer += received
        return subprocess.CompletedProcess(command, **json.loads(answer))

    def copy(self, source: Path, target: str) -> None:
        """Copy a folder with all that is in it to a place in the guest; folders above it are made."""
        tar = subprocess.run(["tar", "-C", str(source), "-c", "."], capture_output=True, check=True)
        command = 'mkdir -p "$1" && base64 -d | tar -C "$1" --no-same-owner -x'
        self.run("sh", "-euc", command, "sh", target, text=base64.b64encode(tar.stdout).decode())

    def close(self) -> None:
        """Switch it off as by its power cord; its disk goes too."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._port is not None:
            self._port.close()
        (self._folder / "disk").unlink(missing_ok=True)

    def _said(self) -> str:
        return self.console.read_text(errors="replace")[-3000:] if self.console.exists() else ""
