"""Weblate's workers under the agent, from an env file alone."""

from __future__ import annotations

import uuid

import pytest

from tests.node import is_alive
from tests.public.weblate import QUEUES, Weblate
from tests.waiting import wait_until

# A project with two components of one file each: what the first translates, the second does not.
CREATE = """
from weblate.trans.models import Component, Project, Translation, Unit
from weblate.vcs.git import LocalRepository

def entry(source, target):
    return f'msgid "{source}"\\nmsgstr "{target}"\\n\\n'

head = entry("", "").rstrip() + '\\n"Language: cs\\\\n"\\n"Content-Type: text/plain; charset=UTF-8\\\\n"\\n\\n'
project = Project.objects.create(name=NAME, slug=NAME, web="https://weblate.example/")
components = []
for slug, target in (("done", "Ahoj"), ("open", "")):
    component = Component(
        name=slug, slug=slug, project=project, vcs="local", repo="local:", branch="main",
        filemask="po/*.po", file_format="po", license="MIT",
    )
    text = head + entry("Hello", target)
    LocalRepository.from_files(component.full_path, {"po/cs.po": text.encode()})
    component.save(force_insert=True)
    components.append(component.pk)
value = [project.pk, *components]
"""
UNITS = """
from weblate.trans.models import Unit
value = Unit.objects.filter(translation__component__in={components}, translation__language__code="cs").count()
"""
PING = "from weblate.utils.tasks import ping\nvalue = ping.delay().get(timeout=120)['data_dir']"
MAIL = """
from weblate.accounts.tasks import send_mails
mail = {"address": "who@weblate.example", "subject": SUBJECT, "body": "<p>Hello</p>", "headers": {}}
value = send_mails.delay([mail]).get(timeout=120)
"""
MEMORY = """
from weblate.memory.tasks import import_memory
value = import_memory.delay({project}).get(timeout=120)
"""
REMEMBERED = """
from weblate.memory.models import Memory
value = list(Memory.objects.filter(project={project}).values_list("source", "target").distinct())
"""
TRANSLATE = """
from weblate.trans.tasks import auto_translate_component
value = auto_translate_component.delay(
    {component}, mode="translate", q="state:<translated", auto_source="others", engines=[], threshold=80, component={source}
).get(timeout=120)
"""
TARGET = """
from weblate.trans.models import Unit
value = [
    each.target
    for each in Unit.objects.filter(translation__component={component}, translation__language__code="cs", source="Hello")
]
"""
BACKUP = "from weblate.utils.tasks import database_backup\nvalue = database_backup.delay().get(timeout=300)"


def start(weblate: Weblate) -> None:
    weblate.start()
    weblate.wait_until_consuming()


def do_a_task_of_each_queue(weblate: Weblate) -> None:
    """Have a project translated, and see it done."""
    name = f"project-{uuid.uuid4().hex[:8]}"
    project, done, unfinished = weblate.python(f"NAME = {name!r}\n{CREATE}")
    units = UNITS.format(components=[done, unfinished])
    wait_until(lambda: weblate.python(units) == 2, 300, "celery reads the files")
    assert weblate.python(PING) == str(weblate.site.data)

    weblate.python(f"SUBJECT = {name!r}\n{MAIL}")
    mails = [file.read_text() for file in (weblate.site.data / "mail").iterdir()]
    assert any(name in mail for mail in mails), "notify sends mails"

    weblate.python(MEMORY.format(project=project))
    wait_until(
        lambda: weblate.python(REMEMBERED.format(project=project)) == [["Hello", "Ahoj"]], 120, "memory remembers"
    )

    weblate.python(TRANSLATE.format(component=unfinished, source=done))
    assert weblate.python(TARGET.format(component=unfinished)) == ["Ahoj"], "translate translates"

    dump = weblate.site.data / "backups" / "database.sql"
    dump.unlink(missing_ok=True)
    weblate.python(BACKUP)
    assert name in dump.read_text(), "backup dumps the database"


def test_the_check_knows_its_queues_and_says_what_does_not_hold(weblate: Weblate) -> None:
    weblate.configure()
    done = weblate.run("check", "weblate")
    assert done.returncode == 0, done.stdout
    for queue, (concurrency, _) in QUEUES.items():
        (line,) = (line for line in done.stdout.splitlines() if f" queue     {queue}: weblate." in line)
        assert line.endswith(f"(prefork, concurrency {concurrency}, the app's time limits)")
    assert "it has a beat schedule" in done.stdout
    assert "tasks are acked early" in done.stdout
    assert f"{weblate.variables['WEBLATE_BROKER']} accepts connections" in done.stdout


@pytest.mark.parametrize("preload", ["", "weblate.utils.celery"])
@pytest.mark.parametrize("broker_of_it", ["redis", "rabbitmq"])
def test_a_task_of_each_queue_is_done(weblate: Weblate, broker_of_it: str, preload: str) -> None:
    if broker_of_it == "rabbitmq":
        weblate.variables["WEBLATE_BROKER"] = weblate.url
    weblate.configure(**({"PRELOAD": preload} if preload else {}))
    start(weblate)
    assert sorted(weblate.pids()) == sorted(QUEUES)
    do_a_task_of_each_queue(weblate)
    for queue in QUEUES:  # a result is there before the task is counted
        status = weblate.wait_for(queue, lambda each: each["succeeded"] > 0, "has done a task")
        assert status["restarts"] == 0
    pids = list(weblate.pids().values())
    assert weblate.stop() == 0
    assert not any(map(is_alive, pids))


def test_a_reload_replaces_the_worker_of_the_queue_that_changed_and_no_other(weblate: Weblate) -> None:
    weblate.configure()
    start(weblate)
    before = weblate.pids()
    weblate.configure(QUEUES__notify__CONCURRENCY="3")
    done = weblate.run("reload", "weblate", "--wait", "110")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: weblate.pids()["notify"] != before["notify"], 300, "notify has a new worker")
    after = weblate.pids()
    assert {queue for queue in before if before[queue] != after[queue]} == {"notify"}
    weblate.wait_until_consuming()
    weblate.python(f"SUBJECT = 'after the reload'\n{MAIL}")
