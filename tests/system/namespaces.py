"""The namespaces that a lab lives in, and the one process that all of it hangs on.

When that process is killed, or the one that made it ends in whatever way, the kernel takes every process of the lab, its
mounts and its network with it. Only empty cgroups are left, which `close` removes.

Hosts see a v2 system, as in production: where the machine itself uses v1, the lab mounts the tree of v2 for itself. Controllers
that are bound to v1 are missing then, and MemoryMax=, TasksMax= and CPUQuota= are accepted and not enforced: tests of such
limits belong into a virtual machine.
"""

from __future__ import annotations

import os
import subprocess
import uuid
from pathlib import Path

from tests.node import children
from tests.system import machine
from tests.waiting import wait_until

RUN = "/run/lab"  # within: a tmpfs
CGROUPS = "/sys/fs/cgroup"

_FIRST_PROCESS = f"""
mount -t proc proc /proc
[ "$(stat --file-system --format=%T {CGROUPS})" = cgroup2fs ] || mount -t cgroup2 cgroup2 {CGROUPS}
mount -t tmpfs -o mode=755 tmpfs /run
mkdir {RUN} "$CGROUP"
eval "$SET_UP"
echo ready
exec >&-
while :; do sleep 3600 & wait $!; done
"""


class Namespaces:
    """Private namespaces of processes, mounts, network, IPC and host name."""

    def __init__(self, set_up: str, log: Path) -> None:
        """Make them, and run a shell script in them; raises machine.Unsuitable where that can't be done here."""
        self.cgroup = f"{CGROUPS}/{_own_cgroup()}celery-agent-lab-{uuid.uuid4().hex[:8]}"
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [
                    *machine.DIE_WITH_US, "unshare", "--pid", "--mount", "--net", "--ipc", "--uts", "--fork",
                    "--kill-child=SIGKILL", "--propagation=private", "bash", "-euc", _FIRST_PROCESS,
                ],
                env={**machine.ENVIRONMENT, "CGROUP": self.cgroup, "SET_UP": set_up},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )  # fmt: skip
        assert self._process.stdout is not None
        with self._process.stdout as output:
            if output.readline() != b"ready\n":
                self._process.wait()
                raise machine.Unsuitable(
                    f"no lab can be made here: {log.read_text().strip()}. "
                    "Run this as root of a whole machine, not within a container: make test"
                )
        (self.pid,) = children(self._process.pid)
        # Through these the lab's own mounts can still be reached when it is gone.
        self._cgroups = os.open(f"{self.root}{Path(self.cgroup).parent}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    @property
    def root(self) -> Path:
        """The lab's file system, as it is seen from outside."""
        return Path(f"/proc/{self.pid}/root")

    def enter(self, *command: str) -> list[str]:
        """Return a command that runs this one in all of the namespaces."""
        return ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--ipc", "--uts", "--", *command]

    def enter_network(self, *command: str) -> list[str]:
        """Return a command that runs this one on the lab's network, and dies with this process."""
        return [*machine.DIE_WITH_US, "nsenter", f"--target={self.pid}", "--net", "--", *command]

    def run(self, script: str, *arguments: str) -> None:
        """Run a shell script in all of the namespaces."""
        done = subprocess.run(
            self.enter("sh", "-euc", script, "sh", *arguments),
            env=machine.ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{script.strip()} {' '.join(arguments)}: {done.stderr}")

    def close(self) -> None:
        """Kill everything in them and remove the cgroups."""
        self._process.kill()
        self._process.wait()
        try:
            wait_until(self._is_empty, 30, "the lab's cgroups are empty")
        finally:
            os.close(self._cgroups)

    def _is_empty(self) -> bool:
        for folder, _, _ in os.walk(f"/proc/self/fd/{self._cgroups}/{Path(self.cgroup).name}", topdown=False):
            try:
                os.rmdir(folder)
            except OSError:  # its last processes are still dying
                return False
        return True


def _own_cgroup() -> str:
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    path = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    return f"{path}/" if path else ""
