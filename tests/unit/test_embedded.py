"""The embedded broker: which folder a setting means, and who may use it."""

from __future__ import annotations

import os
import re
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection, Exchange, Message, Queue
from kombu.asynchronous import Hub
from kombu.asynchronous.timer import Timer

from celery_delivery.broker.embedded import folder, make, url
from celery_delivery.errors import SettingError


def test_without_the_setting_there_is_none() -> None:
    assert folder({"CELERY_TASKS_BROKER": ""}) is None
    assert folder({}) is None


def test_its_folder_is_one_per_user_unless_it_is_named() -> None:
    assert folder({"CELERY_TASKS_BROKER": "embedded"}) == Path(tempfile.gettempdir()) / f"celery-tasks-{os.getuid()}"
    assert folder({"CELERY_TASKS_BROKER": "embedded:///srv/broker"}) == Path("/srv/broker")


@pytest.mark.parametrize("setting", ["embed", "embedded:", "embedded://", "embedded://broker", "EMBEDDED", "memory://"])
def test_another_setting_is_refused(setting: str) -> None:
    with pytest.raises(SettingError) as refused:
        folder({"CELERY_TASKS_BROKER": setting})
    assert str(refused.value) == (
        f"CELERY_TASKS_BROKER is {setting!r}, but must be 'embedded' or 'embedded:///absolute/folder'; "
        "unset it to use RabbitMQ"
    )


def test_its_folders_are_this_user_s_alone(tmp_path: Path) -> None:
    make(tmp_path / "below" / "broker")
    made = [tmp_path / "below" / "broker", *(tmp_path / "below" / "broker").iterdir()]
    assert len(made) == 4
    assert {stat.S_IMODE(each.stat().st_mode) for each in made} == {0o700}


def test_its_url_says_where_messages_are(tmp_path: Path) -> None:
    broker = url({"CELERY_TASKS_BROKER": f"embedded://{tmp_path}/broker"})
    assert broker == f"embedded://{tmp_path}/broker"
    with Connection(broker) as connection:
        queue = connection.SimpleQueue("letters")
        queue.put("to whom it may concern")
        assert len(list((tmp_path / "broker" / "queues").iterdir())) == 1
        assert queue.get(timeout=5).payload == "to whom it may concern"
        queue.close()


def test_a_worker_s_loop_takes_all_that_is_there_and_may_be_fetched_without_waiting(tmp_path: Path) -> None:
    hub = Hub(timer=Timer())
    turn = hub.create_loop()
    taken: list[Message] = []
    with Connection(url({"CELERY_TASKS_BROKER": f"embedded://{tmp_path}/broker"})) as connection:
        assert (
            connection.transport.implements.asynchronous
        )  # else Celery takes another loop, which waits through signals
        queue = connection.SimpleQueue("parcels")
        for number in range(4):
            queue.put(number)
        queue.consumer.qos(prefetch_count=3)
        queue.consumer.on_message = taken.append
        queue.consumer.consume()
        connection.register_with_event_loop(hub)
        for _ in range(4):
            next(turn)
        assert len(taken) == 3
        assert not hub._ready, "the loop waits for what is acked"
        taken[0].ack()
        next(turn)
        assert {each.payload for each in taken} == {0, 1, 2, 3}  # of one millisecond, in any order
        queue.close()
    hub.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError) as refused:
        make(tmp_path / "file" / "broker")
    assert str(refused.value) == (
        f"the embedded broker's folder {tmp_path}/file/broker can't be made (Not a directory): "
        "name another with CELERY_TASKS_BROKER=embedded:///folder"
    )


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder in which everybody may make something, as in /tmp."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = Path(folder)
        path.chmod(0o1777)
        yield path


def test_a_folder_in_tmp_is_made_there(shared: Path) -> None:
    make(shared / "broker")
    make(shared / "broker")


@pytest.mark.parametrize("where", ["broker", "broker/queues", "broker/results", "on the way"])
def test_another_user_s_folder_is_refused_for_root_too(shared: Path, where: str) -> None:
    place = shared / ("on the way/broker" if where == "on the way" else "broker")
    (shared / where).mkdir(parents=True, mode=0o700)
    os.chown(shared / where, 1000, 1000)
    assert refusal(place) == f"{shared / where} belongs to another user (uid 1000)"


@pytest.mark.parametrize("where", ["broker", "broker/queues", "broker/control", "on the way"])
def test_a_link_is_refused_and_nothing_is_written_through_it(shared: Path, where: str) -> None:
    place = shared / ("on the way/broker" if where == "on the way" else "broker")
    (shared / "aim").mkdir()
    (shared / where).parent.mkdir(exist_ok=True)
    (shared / where).symlink_to(shared / "aim")
    assert refusal(place) == f"{shared / where} is a link"
    assert list((shared / "aim").iterdir()) == []


@pytest.mark.parametrize(("where", "mode"), [("broker", 0o770), ("broker/queues", 0o1777), ("on the way", 0o777)])
def test_a_folder_that_others_may_change_is_refused(shared: Path, where: str, mode: int) -> None:
    place = shared / ("on the way/broker" if where == "on the way" else "broker")
    (shared / where).mkdir(parents=True)
    (shared / where).chmod(mode)
    assert refusal(place) == f"{shared / where} can be changed by others (mode {mode:o})"


def refusal(place: Path) -> str:
    """Return why a folder is refused."""
    with pytest.raises(SettingError) as refused:
        make(place)
    found = re.fullmatch(r"the embedded broker's folder (.*) is refused: (.*)\. Name one that .*", str(refused.value))
    assert found is not None
    assert found[1] == str(place)
    return found[2]


def test_no_host_is_missed_in_its_url(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Connection(url({"CELERY_TASKS_BROKER": f"embedded://{tmp_path}"})) as connection:
        connection.connect()
        assert str(tmp_path) in connection.as_uri()
    assert caplog.text == ""


class Stalling:
    """Has whatever writes a file stand still in the middle of it, until it may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stands, self.may_go_on = threading.Event(), threading.Event()
        stock = Path.write_text

        def write_text(path: Path, text: str) -> int:
            path.touch()
            self.stands.set()
            self.may_go_on.wait(10)
            return stock(path, text)

        monkeypatch.setattr(Path, "write_text", write_text)


def test_a_message_is_not_seen_before_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = url({"CELERY_TASKS_BROKER": f"embedded://{tmp_path}/broker"})
    with Connection(broker) as sender, Connection(broker) as taker:
        letters, taken = sender.SimpleQueue("whole-letters"), taker.SimpleQueue("whole-letters")
        stalling = Stalling(monkeypatch)
        sending = threading.Thread(target=letters.put, args=("to whom it may concern",))
        sending.start()
        assert stalling.stands.wait(10)
        with pytest.raises(taken.Empty):
            taken.get_nowait()
        stalling.may_go_on.set()
        sending.join()
        assert taken.get(timeout=5).payload == "to whom it may concern"
        assert [each.name for each in (tmp_path / "broker" / "queues").iterdir()] == []


def test_the_bindings_of_an_exchange_are_not_seen_before_they_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = url({"CELERY_TASKS_BROKER": f"embedded://{tmp_path}/broker"})
    with Connection(broker) as first, Connection(broker) as second:
        stalling = Stalling(monkeypatch)
        binding = threading.Thread(target=first.SimpleQueue, args=("bound-letters",))
        binding.start()
        assert stalling.stands.wait(10)
        assert second.default_channel.get_table("bound-letters") == []
        stalling.may_go_on.set()
        binding.join()
        assert [each.queue for each in second.default_channel.get_table("bound-letters")] == ["bound-letters"]


def test_what_two_bind_at_once_is_bound(tmp_path: Path) -> None:
    broker = url({"CELERY_TASKS_BROKER": f"embedded://{tmp_path}/broker"})
    exchange = Exchange("many-letters")

    def bind(queue: str) -> None:
        with Connection(broker) as connection:
            Queue(queue, exchange, queue, channel=connection.default_channel).declare()

    names = [f"queue{number}" for number in range(16)]
    threads = [threading.Thread(target=bind, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Connection(broker) as connection:
        assert sorted(each.queue for each in connection.default_channel.get_table("many-letters")) == sorted(names)
