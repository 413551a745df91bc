"""The dead-letter desk's half beside user code: reads the dead-letter queues of an instance, and does what it is told.

A letter stays in its queue until it is acked, and it is acked after the broker has confirmed that it is back in its task
queue, or when it is to be purged. Reading is done by fetching without an ack: when the channel closes, whichever way this
process ends, the broker has every letter again that was not acked. Meanwhile nobody else sees them; and a quorum queue
returns many letters in any order (seen: 1,502 of 3,000 out of place), so that theirs is the order of their deaths.

    {"read": 500}                                     now and then, a sign of life
    {"letter": {…}}                                   each one that was asked for, with its content where that was, too
    {"unknown": "id"}                                 no letter has that id; nothing is done then
    {"ambiguous": {"given": "id", "ids": [id, …]}}    several have an id that begins so; nothing is done then
    {"acted": {"id": …, "queue": …}}                  it is back in its task queue, or purged
    {"failed": {"broker": …, "fault": …, "text": …}}  no further; what was told before stands. A fault of the broker's is
                                                      one of `probe`'s, else ""
    {"finished": true}
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from math import isfinite
from typing import Any

from amqp import Message
from amqp.exceptions import AccessRefused, NotFound
from celery import Celery

from celery_delivery.broker.urls import brokers, is_embedded
from celery_delivery.sending.confirms import Answer, Confirms
from celery_delivery.settings.profile import is_safe
from celery_delivery.topology.queues import dead_letter_queue

from ..dead_letter import DeadLetter, Done
from ..values import dataclass
from .importing import Emit
from .kinds import NO_LETTERS, by_broker_s_name, name_at_broker, of_contracts
from .letters import headers_again, headers_of, is_readable, letter_of, traceback_of
from .reading import ANSWER_TIMEOUT, Refused, connected, failure, rights

QUIET = 5.0  # seconds without a letter that was announced
MOST_PUSHED = 65_535  # letters; basic.qos holds the count in 16 bits
SIGN_OF_LIFE = 500  # letters
WINDOW = 20  # letters on their way at a time: as many are in both queues, at most, where a replay is killed


@dataclass(frozen=True, slots=True)
class Held:
    """A letter that was fetched and not acked, with the message and the channel it came by."""

    letter: DeadLetter
    raw: Any
    channel: Any


def take(step: Mapping[str, Any], apps: Mapping[str, Celery], emit: Emit) -> None:
    """Read the dead letters of a queue, or all, and list, show, replay or purge those that are wanted.

    step: `action`; `queue`, or null for all; `ids`, or null for all; `before`, seconds since 1970 for what died last before, or
    null; `login`, as of `connected`.
    """
    hosted, apps = apps, by_broker_s_name(apps)
    wanted = step["queue"]
    if not apps or (wanted in hosted and name_at_broker(wanted, hosted[wanted]) not in apps):
        emit({"failed": {"broker": "", "fault": "", "text": NO_LETTERS}})
        return
    queues = sorted(apps) if wanted is None else [name_at_broker(wanted, hosted[wanted])] if wanted in hosted else []
    app = apps[queues[0]] if queues else next(iter(apps.values()))
    try:
        for app in of_contracts(apps).values():
            _check(app)
        with ExitStack() as stack:
            held = []
            for app, own in _alike(queues, apps):
                connection = stack.enter_context(connected(app, step["login"]))
                held += [each for queue in own for each in _read(connection, queue, apps, emit)]
            held.sort(key=lambda each: (each.letter.last or 0.0, each.letter.first or 0.0))
            chosen = held if step["ids"] is None else _chosen(held, step["ids"], emit)
            _ACTIONS[step["action"]]([each for each in chosen if _died_before(each.letter, step["before"])], emit)
    except Exception as error:  # whatever a broker or the network does is the finding
        emit(failure(app, error))
    else:
        emit({"finished": True})


def _alike(queues: Sequence[str], apps: Mapping[str, Celery]) -> Iterator[tuple[Celery, list[str]]]:
    """Yield the queues of each broker, with an app that has it: a project's own may have another than contracts."""
    found: dict[tuple[str, ...], list[str]] = {}
    for queue in queues:
        found.setdefault(brokers(apps[queue]), []).append(queue)
    for own in found.values():
        yield apps[own[0]], own


def _check(app: Celery) -> None:
    if is_embedded(brokers(app)[0]):
        raise Refused("The embedded broker keeps no dead letters: it promises nothing.")
    if not is_safe(app.conf):
        raise Refused(
            f"CELERY_TASKS_DELIVERY={app.conf.get('delivery_profile')} keeps no dead letters; the profile safe does."
        )


def _read(connection: Any, queue: str, apps: Mapping[str, Celery], emit: Emit) -> Iterator[Held]:
    """Yield what is in the dead-letter queue of a task queue; nothing where that was never declared."""
    name = dead_letter_queue(queue)
    channel = connection.channel()
    channel.auto_decode = False  # bodies stay bytes: a letter may name an encoding that takes hours
    try:
        count = channel.queue_declare(name, passive=True).message_count
        for number, raw in enumerate(_fetched(channel, name, count), 1):
            yield Held(letter_of(raw, queue, apps), raw, channel)
            if number % SIGN_OF_LIFE == 0:
                emit({"read": number})
    except NotFound:
        return
    except AccessRefused as error:
        raise Refused(f"This user may not read {name!r}: name one who may, with --user and --password-file.") from error


def _fetched(channel: Any, name: str, count: int) -> Iterator[Any]:
    """Yield the messages of a queue: first as they are pushed, then one by one until there is none.

    Each message that is asked for costs a quorum queue a write: 10,000 of them took a busy machine 70 s. But only an
    answer that there is none tells that these are all.
    """
    pushed: deque[Any] = deque()
    channel.basic_qos(0, MOST_PUSHED, False)
    tag = channel.basic_consume(name, callback=pushed.append)
    wanted = min(count, MOST_PUSHED)
    try:
        while wanted > 0:
            if not pushed:
                channel.connection.drain_events(timeout=QUIET)
            while pushed:
                wanted -= 1
                yield pushed.popleft()
    except TimeoutError:  # somebody else has the rest
        pass
    channel.basic_cancel(tag)
    yield from pushed
    while (raw := channel.basic_get(name)) is not None:
        yield raw


def _chosen(held: Sequence[Held], ids: Sequence[str], emit: Emit) -> list[Held]:
    """Return what has the ids, or ids that begin so; none at all where one is not there, or not clear."""
    known = dict.fromkeys(each.letter.id for each in held)
    wanted: set[str] = set()
    clear = True
    for given in ids:
        found = [given] if given in known else [each for each in known if each.startswith(given)]
        if not found:
            emit({"unknown": given})
        elif len(found) > 1:
            emit({"ambiguous": {"given": given, "ids": found}})
        clear = clear and len(found) == 1
        wanted.update(found)
    return [each for each in held if each.letter.id in wanted] if clear else []


def _died_before(letter: DeadLetter, time: float | None) -> bool:
    return time is None or (letter.last is not None and letter.last < time)


def _list(chosen: Sequence[Held], emit: Emit) -> None:
    for each in chosen:
        emit({"letter": _plain(asdict(each.letter))})


def _show(chosen: Sequence[Held], emit: Emit) -> None:
    for each in chosen:
        content = {"headers": headers_of(each.raw), "body": each.raw.body, "traceback": traceback_of(each.raw)}
        emit({"letter": _plain({**asdict(each.letter), **content})})


def _replay(chosen: Sequence[Held], emit: Emit) -> None:
    """Send letters back, a few at a time on their way, and ack each that is confirmed."""
    for start in range(0, len(chosen), WINDOW):
        window = chosen[start : start + WINDOW]
        sent = [(each, _send(each)) for each in window if is_readable(each.raw)]
        refusals = []
        for each, tag in sent:
            letter, confirms = each.letter, Confirms.of(each.channel)
            with rights(letter.queue):
                confirms.wait(tag, time.monotonic() + ANSWER_TIMEOUT)
            answer = confirms.answer(tag)
            if answer is Answer.TAKEN:
                each.channel.basic_ack(each.raw.delivery_tag)
                emit({"acted": asdict(Done(letter.id, letter.queue))})
            else:
                refusals.append(f"{letter.id} stays: {_REFUSALS[answer].format(repr(letter.queue))}")
        if refusals:
            raise Refused(refusals[0])
    for each in chosen:
        if not is_readable(each.raw):
            raise Refused(f"{each.letter.id} stays: {each.letter.text}. It can be shown, and purged.")


def _send(each: Held) -> int:
    """Publish a letter to its task queue; return the tag that its confirm will have.

    Without user_id: the broker takes none but that of who sends.
    """
    letter, confirms = each.letter, Confirms.of(each.channel)
    properties = {**each.raw.properties, "application_headers": headers_again(headers_of(each.raw), letter)}
    properties.pop("user_id", None)
    with rights(letter.queue):
        each.channel.basic_publish(
            Message(each.raw.body, **properties), exchange=letter.queue, routing_key=letter.queue, mandatory=True
        )
    return confirms.last


def _purge(chosen: Sequence[Held], emit: Emit) -> None:
    for each in chosen:
        each.channel.basic_ack(each.raw.delivery_tag)
        emit({"acted": asdict(Done(each.letter.id, each.letter.queue))})


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; what it has no word for, such as a time or bytes, as text."""
    match value:
        case Mapping():
            return {_plain_text(name): _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case str() | int() | None:
            return value
        case float() if isfinite(value):
            return value
    return _plain_text(value)


def _plain_text(value: Any) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


_REFUSALS = {
    Answer.NACKED: "queue {} refuses, it is full or most of its nodes are away.",
    Answer.RETURNED: "exchange {} leads to no queue. Start a worker of it, which declares it.",
}
_ACTIONS = {"list": _list, "show": _show, "replay": _replay, "purge": _purge}
