"""The unit's files: they load without a word, they confine, and what they allow is what Celery needs."""

from collections.abc import Callable, Iterator

import pytest

from tests.system.fleet import DEPLOY, Fleet
from tests.system.release import CURRENT
from tests.system.service import Service
from tests.waiting import wait_until

OWN = tuple(f"{folder}/celery-agent/numbers" for folder in ("/run", "/var/lib", "/var/cache", "/var/log"))
DROP_INS = sorted(path.name for path in (DEPLOY / "dropins").iterdir())
ANY = "celery-agent@any.service"
SCRAPE = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9808/metrics').read().decode())"
UP = 'celery_agent_up{agent="numbers"} 1\n'


@pytest.fixture(scope="module")
def numbers(fleet: Fleet) -> Iterator[Service]:
    """The instance numbers, running: prefork, psutil and numpy, in an environment of its own."""
    service = fleet.numbers
    service.configure("Spectrum", "Try", PYTHON=service.code.python, DEFAULTS__CONCURRENCY="2")
    service.systemctl("start")
    yield service
    service.reset()


def test_systemd_has_nothing_to_say_about_the_files(fleet: Fleet) -> None:
    done = fleet.node.attempt("systemd-analyze", "verify", ANY, "celery-agent.target")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", DROP_INS)
def test_systemd_has_nothing_to_say_about_a_drop_in(fleet: Fleet, name: str) -> None:
    folder = f"/run/systemd/system/{ANY}.d"
    fleet.node.write(f"{folder}/tried.conf", (DEPLOY / "dropins" / name).read_text())
    done = fleet.node.attempt("systemd-analyze", "verify", ANY)
    fleet.node.run("rm", "-r", folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_agent_at_work_with_prefork_psutil_and_numpy_is_exposed_below_two(
    numbers: Service, measured: Callable[[str], None]
) -> None:
    found = numbers.send("Spectrum", 300)
    assert found == {"largest": pytest.approx(300), "parent": "spectrum", "memory": True, "cpus": True}
    done = numbers.host.attempt("systemd-analyze", "security", "--no-pager", "--threshold=19", numbers.unit)
    measured(done.stdout.splitlines()[-1].strip("→ "))
    assert done.returncode == 0, done.stdout


def test_metrics_are_told_by_a_user_of_their_own_and_as_a_file(numbers: Service) -> None:
    node, folder, units = numbers.host, "/var/lib/prometheus/node-exporter", "/etc/systemd/system"
    names = ("celery-agent-metrics.service", "celery-agent-textfile.service", "celery-agent-textfile.timer")
    node.run("install", "-m644", *(f"/root/deploy/{name}" for name in names), units)
    node.run("install", "--directory", folder)
    node.run("systemctl", "daemon-reload")
    done = node.attempt("systemd-analyze", "verify", "celery-agent-metrics.service", "celery-agent-textfile.timer")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    node.run("systemctl", "start", "celery-agent-metrics", "celery-agent-textfile.timer")
    try:
        wait_until(lambda: UP in node.attempt(f"{CURRENT}/bin/python", "-c", SCRAPE).stdout, 60, "a scrape is answered")
        wait_until(lambda: UP in node.attempt("cat", f"{folder}/celery-agent.prom").stdout, 60, "the file is written")
    finally:
        node.run("systemctl", "stop", "celery-agent-metrics", "celery-agent-textfile.timer")


@pytest.mark.parametrize("place", [*OWN, "/tmp"])
def test_tasks_can_write_into_the_folders_of_their_instance(numbers: Service, place: str) -> None:
    assert numbers.send("Try", "write", f"{place}/file") == "done"


@pytest.mark.parametrize("place", ["/etc/celery-agent", "/home", "/opt/celery-agent", "/srv/open", "/usr", "/var/lib"])
def test_tasks_can_write_nowhere_else(numbers: Service, place: str) -> None:
    numbers.host.run("install", "--directory", "--mode=1777", "/srv/open")
    wanted = "Read-only file system" if place == "/srv/open" else "Permission denied"
    assert numbers.send("Try", "write", f"{place}/file") in (wanted, "Read-only file system")


def test_tasks_see_no_home_of_anybody_and_no_other_instance_s_credentials(fleet: Fleet, numbers: Service) -> None:
    assert numbers.send("Try", "list", "/root") == "Permission denied"
    fleet.magic.configure("Magic")
    fleet.magic.systemctl("start")
    try:
        folder = f"/run/credentials/{fleet.magic.unit}"
        assert fleet.node.run("ls", folder) == "RABBITMQ_PWD\n"
        assert numbers.send("Try", "list", folder) == "Permission denied"
    finally:
        fleet.magic.reset()


def test_a_whole_run_leaves_files_in_the_instance_s_folders_alone(fleet: Fleet) -> None:
    service, node = fleet.numbers, fleet.node
    service.reset()
    service.configure("Spectrum", "Try", PYTHON=service.code.python)
    node.write("/marker", "")
    service.systemctl("start")
    service.send("Spectrum", 50)
    service.send("Try", "write", f"{OWN[1]}/result")
    mine = node.run("find", "/run", "/dev/shm", "/tmp", "-user", service.user, "-not", "-type", "d").splitlines()
    assert mine
    assert [path for path in mine if not path.startswith(OWN)] == []
    service.systemctl("reload")
    service.systemctl("stop")
    others = ["-not", "-path", "/var/log/journal/*", "-not", "-path", "*/__pycache__/*"]  # these are of producers
    changed = node.run("find", "/", "-xdev", "-newer", "/marker", "-type", "f", *others)
    assert sorted(changed.splitlines()) == [f"{OWN[1]}/{name}" for name in ("numbers.counts", "result")]
    assert node.run("find", "/run", "/dev/shm", "/tmp", "-user", service.user) == ""


def test_the_firewall_drop_in_lets_tasks_reach_the_site_and_nothing_else(fleet: Fleet) -> None:
    service, elsewhere = fleet.numbers, "203.0.113.1"
    fleet.lab.run("ip", "address", "replace", f"{elsewhere}/32", "dev", "br0")
    service.reset()
    service.configure("Try", PYTHON=service.code.python)
    service.systemctl("start")
    assert service.send("Try", "connect", elsewhere) == "Connection refused"
    service.drop_in("site-firewall", (DEPLOY / "dropins" / "site-firewall.conf").read_text())
    service.systemctl("restart")
    try:
        assert service.send("Try", "connect", "broker") == "done"
        assert service.send("Try", "connect", elsewhere) == "TimeoutError"
    finally:
        service.reset()


def test_an_agent_serves_with_the_gpu_drop_in(fleet: Fleet) -> None:
    service = fleet.numbers
    service.reset()
    fleet.node.run("groupadd", "--force", "--system", "render")  # udev's, which is where there are devices
    service.configure("Spectrum", PYTHON=service.code.python)
    service.drop_in("gpu", (DEPLOY / "dropins" / "gpu.conf").read_text())
    service.systemctl("start")
    try:
        assert service.send("Spectrum", 10)["largest"] == pytest.approx(10)
    finally:
        service.reset()
