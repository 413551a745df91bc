"""The chapter Canvas: signatures and primitives."""

import json

from celery import chain, chord, chunks, group
from celery.canvas import Signature, xmap, xstarmap

from tests.guide.fleet import Fleet, refused, told
from tests.guide.rows import of

row = of("Canvas")
NEEDED = "WorkflowError: A chord, or a group with a step behind it, needs results in Redis or a database"


@row("signatures: s, signature(), by name")
def signatures(fleet: Fleet) -> None:
    assert fleet.app.tasks["add"].s(1, 2).delay().get(timeout=60) == 3
    assert fleet.get(fleet.app.signature("twice", (1,))) == 2


@row("partials, clone(), set()")
def partials(fleet: Fleet) -> None:
    partial = fleet.app.tasks["add"].s(1)
    assert partial.delay(2).get(timeout=60) == 3
    assert partial.clone((5,)).set(countdown=0).delay().get(timeout=60) == 6


@row("immutable: si, immutable=True")
def immutable(fleet: Fleet) -> None:
    assert fleet.get(chain(fleet.s("add", 1), fleet.app.signature("twice", (5,), immutable=True))) == 10


@row("a signature as JSON, and back")
def as_json(fleet: Fleet) -> None:
    sent = chain(fleet.s("add", 1), fleet.s("twice"))
    assert fleet.get(Signature.from_dict(json.loads(json.dumps(sent)), app=fleet.app)) == 2


@row("~signature")
def inverted(fleet: Fleet) -> None:
    assert ~fleet.s("twice", 1) == 2


@row("chain, |")
def chains(fleet: Fleet) -> None:
    assert fleet.get(chain(fleet.s("add", 1, 2), fleet.s("twice"), fleet.s("add", 10))) == 16
    assert fleet.get(fleet.s("add", 1) | fleet.s("twice") | fleet.s("twice")) == 4


@row("chain()(…), parent results")
def parents(fleet: Fleet) -> None:
    sent = chain(fleet.s("add", 1, 2), fleet.s("twice"))()
    assert sent.get(timeout=60) == 6
    assert sent.parent.get(timeout=60) == 3


@row("a chain whose step fails")
def failing_chain(fleet: Fleet) -> None:
    file = fleet.file()
    sent = chain(fleet.s("add", -1), fleet.s("twice"))
    sent.link_error(fleet.s("note", file=file))
    assert fleet.told(sent) == "ValueError: negative"
    assert len(fleet.lines(file, 1)) == 1


@row("group")
def groups(fleet: Fleet) -> None:
    assert fleet.get(group(fleet.s("add", 1), fleet.s("twice", 2))) == [1, 4]
    assert fleet.get(group(chain(fleet.s("add", 1), fleet.s("twice")), fleet.s("twice", 2))) == [2, 4]


@row("GroupResult: join, iterate, completed_count, ready")
def group_results(fleet: Fleet) -> None:
    sent = group(fleet.s("twice", number) for number in range(3)).apply_async()
    assert sent.join(timeout=60) == [0, 2, 4]
    assert (sent.ready(), sent.successful(), sent.completed_count()) == (True, True, 3)
    assert [each.get(timeout=60) for each in sent] == [0, 2, 4]


@row("GroupResult.save, restore")
def saved(fleet: Fleet) -> None:
    sent = group(fleet.s("twice", number) for number in range(3)).apply_async()
    if fleet.counts:
        sent.save()
        assert fleet.app.GroupResult.restore(sent.id).get(timeout=60) == [0, 2, 4]
    else:
        refused(sent.save, "NotImplementedError")


@row("a group in which one fails")
def failing_group(fleet: Fleet) -> None:
    assert fleet.told(group(fleet.s("add", -1), fleet.s("twice", 2))) == "ValueError: negative"


@row("a group's link and link_error")
def group_links(fleet: Fleet) -> None:
    file = fleet.file()
    sent = group(fleet.s("add", -1), fleet.s("twice", 2))
    sent.link_error(fleet.s("note", file=file))
    fleet.told(sent)
    assert len(fleet.lines(file, 1)) == 1


@row("chain, group, chain: a group as a step")
def group_as_step(fleet: Fleet) -> None:
    assert fleet.get(chain(fleet.s("add", 1), group(fleet.s("twice"), fleet.s("add", 2)))) == [2, 3]


@row("chord, group | task")
def chords(fleet: Fleet) -> None:
    for sent in (
        chord([fleet.s("add", 1), fleet.s("twice", 2)], fleet.s("add")),
        group(fleet.s("add", 1), fleet.s("twice", 2)) | fleet.s("add"),
    ):
        if fleet.counts:
            assert fleet.get(sent) == 5
        else:
            refused(sent.delay, NEEDED)


@row("chord(header)(body)")
def called_chord(fleet: Fleet) -> None:
    sent = chord([fleet.s("add", 1), fleet.s("twice", 2)])
    if fleet.counts:
        assert sent(fleet.s("add")).get(timeout=60) == 5
    else:
        refused(lambda: sent(fleet.s("add")), NEEDED)


@row("chords in chords and chains")
def nested_chords(fleet: Fleet) -> None:
    inner = chord([fleet.s("twice", 1), fleet.s("add", 2)], fleet.s("add"))
    sent = chord([inner, fleet.s("twice", 2)], chain(fleet.s("add"), fleet.s("twice")))
    if fleet.counts:
        assert fleet.get(sent) == 16
    else:
        refused(sent.delay, NEEDED)


@row("a chord in which one fails, ChordError")
def failing_chord(fleet: Fleet) -> None:
    file = fleet.file()
    body = fleet.s("add")
    body.link_error(fleet.s("note", file=file))
    sent = chord([fleet.s("add", -1), fleet.s("twice", 2)], body)
    if fleet.counts:
        result = sent.delay()
        said = told(lambda: result.get(timeout=60))
        assert said.startswith(("ChordError: Dependency", "ValueError: negative")), said
        assert repr(result.get(timeout=60, propagate=False)).startswith("ChordError")
        assert len(fleet.lines(file, 1)) == 1
    else:
        refused(sent.delay, NEEDED)


@row("map, starmap")
def maps(fleet: Fleet) -> None:
    assert fleet.get(xmap(fleet.s("twice"), [1, 2], app=fleet.app)) == [2, 4]
    assert fleet.get(xstarmap(fleet.s("add"), [(1, 2), (3, 4)], app=fleet.app)) == [3, 7]


@row("chunks, chunks().group(), skew()")
def chunked(fleet: Fleet) -> None:
    parts = chunks(fleet.s("twice"), [(1,), (2,), (3,)], 2, app=fleet.app)
    assert fleet.get(parts) == [[2, 4], [6]]
    assert fleet.get(parts.group()) == [[2, 4], [6]]
    assert fleet.get(parts.group().skew(start=0, stop=1)) == [[2, 4], [6]]


@row("a result's graph")
def graph(fleet: Fleet) -> None:
    sent = chain(fleet.s("add", 1), fleet.s("twice")).delay()
    sent.get(timeout=60)
    said = told(lambda: len(list(sent.graph)))
    assert said.startswith("nothing: "), said
