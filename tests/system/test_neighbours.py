"""Two instances under the real unit: a task of one can read, signal, reload and move nothing of the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from tests.node import ROOT
from tests.system.fleet import Fleet
from tests.system.release import CURRENT
from tests.system.service import Service

AGENT = f"{CURRENT}/bin/agent"
REFUSALS = ("EACCES", "EPERM", "EROFS", "ENOENT", "ESRCH")  # the last two: it is hidden, see ProtectProc=

FILES = ("environ", "mem", "maps", "cmdline", "auxv", "syscall", "stack", "io", "status", "cgroup")
LINKS = ("cwd", "exe", "root", "fd/0")
FOLDERS = ("fd", "task", "root", "cwd", "map_files")
SIGNALS = ("0", "signal.SIGTERM", "signal.SIGKILL", "signal.SIGSTOP", "signal.SIGHUP")

# By what is tried: an expression of hostile_tasks.py about the other instance, its process {pid}, its cgroup {group}, and
# {leaf}, that of its worker.
EACH_PROCESS = {
    **{f"read /proc/PID/{name}": f"read('/proc/{{pid}}/{name}')" for name in FILES},
    **{f"follow /proc/PID/{name}": f"os.readlink('/proc/{{pid}}/{name}')" for name in LINKS},
    **{f"list /proc/PID/{name}": f"os.listdir('/proc/{{pid}}/{name}')" for name in FOLDERS},
    **{f"send {name}": f"os.kill({{pid}}, {name})" for name in SIGNALS},
    "signal its group": "os.killpg({pid}, signal.SIGTERM)",
    "queue a signal by a descriptor": "signal.pidfd_send_signal(os.pidfd_open({pid}), signal.SIGTERM)",
    "take a descriptor": "call('syscall', 438, os.pidfd_open({pid}), 0, 0)",
    "attach to it": "call('ptrace', 0x4206, {pid}, 0, 0)",
    "read its memory": "peek({pid})",
    "change its limits": "resource.prlimit({pid}, resource.RLIMIT_NOFILE, (3, 3))",
    "change its priority": "os.setpriority(os.PRIO_PROCESS, {pid}, 19)",
    "bind it to a CPU": "os.sched_setaffinity({pid}, [0])",
    "pull it into the own cgroup": "write(own_group() + '/cgroup.procs', '{pid}')",
    "push it into another one of its own": "write('{group}/cgroup.procs', '{pid}')",
}
ONCE = {
    "read its env file": "read('/etc/celery-agent/magic.env')",
    "read its password's source": "read('/etc/celery-agent/magic.password')",
    "read its credential": "read('/run/credentials/celery-agent@magic.service/RABBITMQ_PWD')",
    "list its credentials": "os.listdir('/run/credentials/celery-agent@magic.service')",
    "list the env files": "os.listdir('/etc/celery-agent')",
    **{
        f"list {folder}": f"os.listdir('{folder}/celery-agent/magic')"
        for folder in ("/run", "/var/lib", "/var/cache", "/var/log")
    },
    "read what its task has written": "read('/var/lib/celery-agent/magic/result')",
    "take its lock": "write('/run/celery-agent/magic/lock', 'x')",
    "write into its runtime folder": "os.mkdir('/run/celery-agent/magic/own')",
    "put a folder beside its": "os.mkdir('/run/celery-agent/own')",
    "move its runtime folder": "os.rename('/run/celery-agent/magic', '/run/celery-agent/other')",
    "connect to its control socket": "connect('/run/celery-agent/magic/control.sock')",
    "ask its status": f"command('{AGENT}', 'status', 'magic')",
    "reload it": f"command('{AGENT}', 'reload', 'magic')",
    "run it a second time": f"command('{AGENT}', 'run', 'magic')",
    **{
        f"have systemd {verb} it": f"command('systemctl', '{verb}', '--no-ask-password', 'celery-agent@magic')"
        for verb in ("stop", "reload", "restart", "kill", "freeze")
    },
    "read the journal": "[read(str(each)) for each in Path('/var/log/journal').rglob('*.journal')]",
    "join its cgroup": "write('{group}/cgroup.procs', str(os.getpid()))",
    "freeze its worker": "write('{leaf}/cgroup.freeze', '1')",
    "kill its worker": "write('{leaf}/cgroup.kill', '1')",
    "limit its worker": "write('{leaf}/cgroup.max.descendants', '0')",
    "put a cgroup into its": "os.mkdir('{group}/own')",
    "change the release": f"write('{CURRENT}/bin/agent', '#')",
    "put a file into the release": f"os.mkdir('{CURRENT}/own')",
}


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The instance `magic`, at work, and `numbers`, which hosts the hostile task; and where magic's processes are."""

    magic: Service
    numbers: Service
    pids: frozenset[int]
    cgroup: str
    leaf: str


@pytest.fixture(scope="module")
def neighbours(fleet: Fleet) -> Iterator[Neighbours]:
    magic, node = fleet.magic, fleet.node
    magic.configure("Magic")
    node.write("/srv/numbers/hostile_tasks.py", (ROOT / "tests/system/hostile_tasks.py").read_text())
    numbers = Service(node, "numbers", replace(fleet.numbers.code, module="hostile_tasks"))
    numbers.configure("Attack", PYTHON=numbers.code.python)
    for service in (magic, numbers):
        service.systemctl("start")
    assert magic.send("Magic", 1, 2, 3) == 6
    owner = node.run("stat", "--format=%u:%g", "/var/lib/celery-agent/magic").strip()
    node.run("install", "-m640", "/etc/hostname", "/var/lib/celery-agent/magic/result")
    node.run("chown", owner, "/var/lib/celery-agent/magic/result")
    cgroup = f"/sys/fs/cgroup{magic.show('ControlGroup')}"
    worker = magic.queue("unique_magic_task")["pid"]
    leaf = "/sys/fs/cgroup" + node.run("cat", f"/proc/{worker}/cgroup").strip().partition("::")[2]
    yield Neighbours(magic, numbers, frozenset(magic.pids()), cgroup, leaf)
    for service in (magic, numbers):
        service.reset()


def attacked(neighbours: Neighbours, code: str, pid: int = 0) -> str:
    """Have a task of `numbers` try something; return what came of it, or "" where it was refused."""
    values = {"{pid}": str(pid), "{group}": neighbours.cgroup, "{leaf}": neighbours.leaf}
    for name, value in values.items():
        code = code.replace(name, value.replace("\\", r"\\"))  # systemd's names of slices have some
    what, text = neighbours.numbers.send("Attack", code)
    return "" if what == "refused" and text.startswith(REFUSALS) else f"{what}: {text}"


@pytest.mark.parametrize("what", ONCE)
def test_another_instance_is_kept_from_a_task_that_would(neighbours: Neighbours, what: str) -> None:
    assert attacked(neighbours, ONCE[what]) == ""
    assert is_unharmed(neighbours)


@pytest.mark.parametrize("what", EACH_PROCESS)
def test_each_process_of_another_instance_is_kept_from_a_task_that_would(neighbours: Neighbours, what: str) -> None:
    assert {attacked(neighbours, EACH_PROCESS[what], pid) for pid in neighbours.pids} == {""}
    assert is_unharmed(neighbours)


def is_unharmed(neighbours: Neighbours) -> bool:
    """Say whether `magic` runs as it did: the same processes where they were, and nothing has reloaded or stopped it."""
    return (
        neighbours.pids <= neighbours.magic.pids() and neighbours.magic.show("StatusText") == "consuming from 1 queue"
    )


def test_processes_of_another_instance_are_kept_from_its_user_where_they_are_not_hidden_too(
    neighbours: Neighbours,
) -> None:
    host, user = neighbours.magic.host, ("runuser", "-u", neighbours.numbers.user, "--")
    for pid in neighbours.pids:
        for name in ("environ", "mem", "maps", "fd/0", "root/run/credentials/celery-agent@magic.service/RABBITMQ_PWD"):
            done = host.attempt(*user, "cat", f"/proc/{pid}/{name}")
            assert done.returncode == 1, name
            assert done.stderr.endswith(("Permission denied\n", "Input/output error\n")), done.stderr


def test_an_operator_may_ask_both_and_read_the_secrets_of_none(neighbours: Neighbours) -> None:
    host, olga = neighbours.magic.host, ("runuser", "-u", "olga", "--")
    said = host.run(*olga, AGENT, "status")
    assert "magic: running, consuming from 1 queue" in said
    assert "numbers: running, consuming from 1 queue" in said
    assert host.run(*olga, AGENT, "reload", "numbers") == "numbers: 1 unchanged\n"
    for path in ("/etc/celery-agent/magic.env", "/etc/celery-agent/numbers.env", "/var/lib/celery-agent/magic/result"):
        assert host.attempt(*olga, "cat", path).stderr.endswith("Permission denied\n")


def test_who_is_in_the_group_of_one_instance_may_ask_that_one_alone(neighbours: Neighbours) -> None:
    host, mike = neighbours.magic.host, ("runuser", "-u", "mike", "--")
    host.run("useradd", "--groups", neighbours.magic.user, "mike")
    assert host.run(*mike, AGENT, "status", "magic").startswith("magic: running")
    assert host.run(*mike, "cat", neighbours.magic.env_file)
    refused = host.attempt(*mike, AGENT, "reload", "numbers")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.endswith("be root, or in the group celery-agent\n")
