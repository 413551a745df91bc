"""An app with make_safe, whose users have the rights that `agent topology` prints and no others: all that it promises works."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import administration
from tests.adopting import LINE, Adopted
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until

ROLES = ("node", "web", "ops")


class Narrow(Adopted):
    """The project, whose users of the broker have their passwords in files."""

    def user(self, role: str) -> str:
        return f"{role}-{self.vhost}"

    def file(self, role: str) -> Path:
        return self.config / f"{role}.password"

    def work_as(self, role: str) -> None:
        """Have what is started from now on be of a role."""
        self.variables["BROKER"] = self.url.replace("guest:guest", f"{self.user(role)}:secret")

    def give_rights(self) -> None:
        """Have the broker import what the command prints."""
        for role in ROLES:
            self.file(role).write_text("secret\n")
        passwords = [f"--password-file={self.user(role)}={self.file(role)}" for role in ROLES]
        others = ["--producer", self.user("web"), "--operator", self.user("ops")]
        path = self.config / "definitions.json"
        path.write_text(self.run("topology", "magic", "--definitions", *others, *passwords).stdout)
        self.broker.control("import_definitions", str(path))

    def letters(self, *arguments: str, role: str = "ops") -> str:
        """Return what the desk says to a user of the broker."""
        login = ("--user", self.user(role), "--password-file", str(self.file(role)))
        done = self.run("dead-letters", "magic", *arguments, *login)
        return done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: Path, broker: RabbitMQ, vhost: str) -> Iterator[Narrow]:
    project = Narrow(tmp_path, broker, vhost)
    project.write()
    project.work_as("node")
    project.configure("mail", "celery")
    project.give_rights()
    yield project
    project.close()
    for role in ROLES:
        administration.delete_user(broker, project.user(role))


@pytest.mark.rabbitmq_4
def test_all_that_make_safe_promises_works_with_the_rights_that_are_printed(project: Narrow) -> None:
    project.write("")
    project.work_as("web")
    project.python("import proj\nvalue = proj.mail.delay().id")  # with the old settings, to the old queue
    project.write(LINE)
    project.work_as("node")
    project.start()
    project.wait_until_consuming()
    project.work_as("web")
    project.python("import proj\nvalue = [proj.mail.delay().id, proj.again.delay().id]")
    unknown = project.python("import proj\nvalue = proj.app.send_task('again', [1]).id")
    wait_until(lambda: len(project.noted("run")) == 2, 60, "both are run, one after a delay")
    wait_until(lambda: project.broker.messages("celery.safe.dead", project.vhost) == 1, 60, "there is a dead letter")
    project.work_as("node")
    assert (
        "mail: 1 moved; 0 wait in the old queue mail, which is deleted"
        in project.run("move-queue", "magic", "mail", "--delete").stdout
    )
    wait_until(lambda: len(project.noted("run")) == 3, 60, "what was moved is run")
    checked = project.run("check", "magic")
    assert checked.returncode == 0, checked.stdout
    assert "1 dead letter in celery.safe.dead" in checked.stdout
    assert json.loads(project.letters("--json"))["letters"][0]["id"] == unknown
    assert "1 replayed" in project.letters("replay", "--all")
    wait_until(lambda: project.broker.messages("celery.safe.dead", project.vhost) == 1, 60, "it is one again")
    assert "1 purged" in project.letters("purge", "--yes")
    log = project.log.read_text()
    assert "ACCESS_REFUSED" not in log
    assert "refused" not in log
