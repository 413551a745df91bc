"""An instance of kind app, as the example inventory has it: a Django project with an environment of its own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.node import ROOT
from tests.system.site import Site
from tests.waiting import wait_until

SHOP = ROOT / "examples/existing"
QUEUES = ["celery", "mail", "orders", "reports"]
# As the instance's own user, with the environment that its workers have.
MANAGE = """
set -a; . /etc/celery-agent/shop.env; RABBITMQ_PWD_FILE=/run/manage/password
cd $CELERY_AGENT_PATH; exec $CELERY_AGENT_PYTHON manage.py "$@"
"""
CHECK_OUT = """
from shop.orders.models import Order
from shop.orders.tasks import check_out
order = Order.objects.create(article="book", amount=2)
check_out(order.pk)
print(order.pk)
"""
STATE = "from shop.orders.models import Order; print(Order.objects.get(pk={}).state)"


def manage(site: Site, *arguments: str) -> str:
    """Return what a command of the project prints."""
    node = site.hosts["node3"]
    node.run("install", "-d", "-m", "755", "/run/manage")
    node.run("install", "-o", "celery-shop", "-m", "400", "/etc/celery-agent/shop.password", "/run/manage/password")
    return node.run("runuser", "-u", "celery-shop", "--", "sh", "-euc", MANAGE, "sh", *arguments).strip()


@pytest.fixture(scope="module")
def site(empty: Site, tmp_path_factory: pytest.TempPathFactory) -> Site:
    wheels = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    more = "async-timeout"  # for redis on Debian 12's Python 3.11.2, which may be older than ours
    subprocess.run([*pip, "wheel", "--wheel-dir", wheels, more, "-r", SHOP / "requirements.txt"], check=True)
    empty.add("broker1", "brokers")
    empty.add("node3", "nodes")
    settings = empty.inventory / "host_vars/node3.yml"
    example = settings.read_text().replace("{{ inventory_dir }}/../../..", str(ROOT))
    settings.write_text(example.replace("/requirements.txt", f'/requirements.txt"\n    wheels: "{wheels}'))
    empty.boot()
    empty.provision()
    manage(empty, "migrate", "--run-syncdb", "--verbosity", "0")
    return empty


def test_each_queue_of_the_app_has_its_worker_and_its_tasks_are_run(site: Site) -> None:
    status = site.status("node3", "shop")
    assert status["app"] == "shop.celery:app"
    assert [each["queue"] for each in status["queues"]] == QUEUES
    order = manage(site, "shell", "--verbosity", "0", "--command", CHECK_OUT)
    paid = ("shell", "--verbosity", "0", "--command", STATE.format(order))
    wait_until(lambda: manage(site, *paid) == "paid", 60, "the chain over two queues is done")


def test_a_second_run_changes_nothing_and_it_is_as_declared(site: Site) -> None:
    assert site.provision().changes == []
    site.provision("verify")
    assert site.provision("site", "--check", "--diff").changes == []


def test_its_user_has_rights_to_the_app_s_names_in_a_vhost_of_its_own_alone(site: Site) -> None:
    control = ("rabbitmqctl", "--silent", "list_user_permissions", "shop.node3", "--formatter", "json")
    rights = {each["vhost"]: each for each in json.loads(site.hosts["broker1"].run(*control))}
    assert rights["celery"] == {"vhost": "celery", "configure": "^$", "write": "^$", "read": "^$"}
    assert "orders" in rights["shop"]["configure"]
    assert ".*" not in rights["shop"]["read"].split("|")
    assert set(rights) == {"celery", "shop"}


def test_verify_tells_a_right_that_is_missing_a_queue_without_a_worker_and_an_env_file_that_was_changed(
    site: Site,
) -> None:
    broker, node = site.hosts["broker1"], site.hosts["node3"]
    broker.run("rabbitmqctl", "--silent", "set_permissions", "-p", "shop", "shop.node3", ".*", ".*", ".*")
    assert "permission shop shop.node3: other configure, read, write" in site.play("verify").words
    site.provision("broker")
    node.run("systemctl", "stop", "celery-agent@shop")
    assert site.play("verify").status != 0
    node.run("systemctl", "start", "celery-agent@shop")
    node.run("sed", "-i", "s/CELERY_AGENT_APP=.*/CELERY_AGENT_APP=shop:app/", "/etc/celery-agent/shop.env")
    assert "/etc/celery-agent/shop.env of node3 is not what the inventory says." in site.play("verify").words
    site.provision("agent")
    site.provision("verify")


def test_new_requirements_are_a_new_environment_and_one_that_fails_touches_nothing(
    site: Site, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def environments() -> list[str]:
        return site.hosts["node3"].run("ls", "/opt/celery-agent/environments/shop").split()

    (before,) = environments()
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("no-such-package\n")
    wheels = {"wheels": str(tmp_path)}
    environment = {"code_environments": {"shop": {"requirements": str(requirements), **wheels}}}
    played = site.play("agent", "--extra-vars", json.dumps(environment))
    assert played.status != 0
    assert "code_environments.shop of node3, Install what it requires: ERROR:" in played.words
    assert before in site.hosts["node3"].run("cat", "/etc/celery-agent/shop.env")
    shutil.copy(SHOP / "requirements.txt", requirements)
    with requirements.open("a") as file:
        file.write("# another\n")
    environment["code_environments"]["shop"]["wheels"] = str(tmp_path_factory.getbasetemp() / "wheels0")
    site.provision("agent", "--extra-vars", json.dumps(environment))
    assert before not in site.hosts["node3"].run("cat", "/etc/celery-agent/shop.env")
    assert [each["state"] for each in site.status("node3", "shop")["queues"]] == ["consuming"] * len(QUEUES)


def test_a_file_of_requirements_that_is_not_there_is_told_before_anything_is_changed(site: Site) -> None:
    wrong = {"code_environments": {"shop": {"requirements": "/nowhere/requirements.txt"}}}
    played = site.play("agent", "--extra-vars", json.dumps(wrong))
    assert (
        "code_environments.shop of node3: /nowhere/requirements.txt must be a file on this controller" in played.words
    )
    assert set(played.changed.values()) == {0}
