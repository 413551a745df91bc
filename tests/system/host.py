"""One booted host of a lab: systemd as PID 1, a root file system and an address of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from pathlib import Path

from tests.node import children
from tests.system import machine
from tests.system.commands import COMMAND_TIMEOUT, Commands
from tests.system.images import Image
from tests.system.namespaces import RUN, Namespaces
from tests.waiting import wait_until

BOOT_TIMEOUT = 180.0  # seconds; a host boots in 1.3, RabbitMQ takes 10 more, and the machine may be busy
LONGEST_NAME = 12  # IFNAMSIZ, less "vb-"
ENTERED = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")

_OVERLAY = """
mkdir -p "$1/upper" "$1/work" "$1/root" "$1/docker"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
"""

# Without a systemd of the machine's own nspawn does not reboot a host by itself: it ends, with 133.
_BOOT = """
mkdir -p "$CGROUP"
echo $$ >"$CGROUP/cgroup.procs"
status=133
while [ $status = 133 ]; do
    status=0
    systemd-nspawn "$@" || status=$?
done
exit $status
"""


class Host(Commands):
    """A host that was added to a lab; see `tests.system.lab.Lab.add`."""

    def __init__(self, name: str, address: str, address6: str, image: Image, lab: Namespaces, console: Path) -> None:
        """Prepare the host's file system; it is not booted."""
        assert len(name) <= LONGEST_NAME, f"{name}: its network interface would have another name"
        self.name = name
        self.address = address
        self.address6 = address6
        self.console = console
        self._lab = lab
        self._folder = f"{RUN}/{name}"
        self._options = tuple(option.format(folder=self._folder) for option in image.options)
        self._process: subprocess.Popen[bytes] | None = None
        lab.run(_OVERLAY, self._folder, ":".join(map(str, image.folders)))
        self.write("/etc/hostname", f"{name}\n")
        self.write("/etc/machine-id", f"{uuid.uuid4().hex}\n", mode=0o444)
        self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/etc/ssh/ssh_host_ed25519_key")

    @property
    def is_running(self) -> bool:
        """Whether the host has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Switch the host on; see `wait_until_booted`."""
        options = [
            "--quiet", "--boot", f"--directory={self._folder}/root", f"--machine={self.name}", f"--hostname={self.name}",
            "--network-bridge=br0", "--settings=no", "--register=no", "--keep-unit", "--resolv-conf=off",
            "--timezone=off", "--link-journal=no", "--console=read-only",
            "--system-call-filter=bpf",  # IPAddressDeny= and the device policy of cgroup v2 are made of it
            *self._options,
        ]  # fmt: skip
        with self.console.open("ab") as console:
            self._process = subprocess.Popen(
                self._lab.enter("bash", "-euc", _BOOT, "boot", *options),
                env={**machine.ENVIRONMENT, "CGROUP": f"{self._lab.cgroup}/{self.name}"},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )

    def wait_until_booted(self) -> str:
        """Return "running", or "degraded" where a unit failed, once all units that are started at boot are up."""

        def state() -> str | None:
            if not self.is_running:
                raise AssertionError(f"{self.name} did not boot:\n{self._said()}")
            words = ("systemctl", "is-system-running", "--wait")
            found = self.attempt(*words).stdout.strip() if self.pid() is not None else ""
            return found if found in ("running", "degraded") else None

        found = wait_until(state, BOOT_TIMEOUT, f"{self.name} has booted; its console is {self.console}")
        assert found is not None
        return found

    def stop(self) -> None:
        """Switch the host off in an orderly way."""
        os.kill(self._nspawn(), signal.SIGTERM)
        self._wait_until_off()

    def crash(self) -> None:
        """Cut the power: no process of the host gets to do anything any more, nor does its kernel close connections."""
        pid = self.pid()
        self._lab.run("ip link set $1 down", f"vb-{self.name}")  # the other end of host0
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        self._wait_until_off()

    def reboot(self) -> str:
        """Reboot the host the way an operator does; return what `wait_until_booted` does."""
        before = self.pid()
        self.attempt("systemctl", "reboot")
        wait_until(lambda: not Path(f"/proc/{before}").exists(), BOOT_TIMEOUT, f"{self.name} went down")
        return self.wait_until_booted()

    def pid(self) -> int | None:
        """Return the number, on this machine, of the host's PID 1; another one after each boot."""
        try:
            found = children(self._nspawn())
            return next((pid for pid in found if Path(f"/proc/{pid}/comm").read_text() == "systemd\n"), None)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None

    def attempt(
        self, *command: str, text: str = "", timeout: float = COMMAND_TIMEOUT
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the host, or in its file system while it is off, with `text` on its standard input."""
        return subprocess.run(
            self._enter(*command),
            env=machine.ENVIRONMENT,
            input=text,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def copy(self, source: Path, target: str) -> None:
        """Copy a file or a folder with all that is in it to a place in the host; folders above it are made."""
        tar = subprocess.run(["tar", "-C", str(source.parent), "-c", source.name], capture_output=True, check=True)
        command = 'mkdir -p "$1" && tar -C "$1" --no-same-owner --strip-components=1 -x'
        subprocess.run(self._enter("sh", "-euc", command, "sh", target), input=tar.stdout, check=True)

    def _enter(self, *command: str) -> list[str]:
        if not self.is_running:
            return self._lab.enter("chroot", f"{self._folder}/root", *command)
        pid = self.pid()
        assert pid is not None, f"{self.name} is not up:\n{self._said()}"
        return ["nsenter", f"--target={pid}", *ENTERED, "--", *command]

    def _nspawn(self) -> int:
        assert self._process is not None
        (loop,) = children(self._process.pid)  # nsenter > bash > systemd-nspawn > systemd
        (nspawn,) = children(loop)
        return nspawn

    def _wait_until_off(self) -> None:
        assert self._process is not None
        self._process.wait(BOOT_TIMEOUT)

    def _said(self) -> str:
        return self.console.read_text(errors="replace")[-3000:] if self.console.exists() else ""
