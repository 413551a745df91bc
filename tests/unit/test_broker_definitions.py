"""What the broker role finds different between a broker and what is declared, and what it does about it."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.node import ROOT

PROGRAM = str(ROOT / "deploy/ansible/roles/broker/files/definitions.py")
role = SimpleNamespace(**runpy.run_path(PROGRAM))

QUEUE = {"name": "q", "vhost": "v", "durable": True, "arguments": {"x-queue-type": "quorum"}}


def nothing() -> dict[str, dict[Any, Any]]:
    return {kind: {} for kind in role.KEYS}


def declared(*definitions: dict[str, Any], users: dict[str, str] | None = None) -> dict[str, Any]:
    return {"vhost": "v", "users": users or {}, "definitions": definitions}


def rights(user: str, **patterns: str) -> dict[str, Any]:
    return {"permissions": [{"user": user, "vhost": "v", **role.NOTHING, **patterns}]}


def imported(kinds: dict[str, dict[Any, Any]]) -> dict[str, dict[Any, Any]]:
    """Return what a broker has after it was told what is wanted."""
    return {
        kind: {key: json.loads(json.dumps(each)) for key, each in objects.items()} for kind, objects in kinds.items()
    }


def test_what_was_imported_is_not_different() -> None:
    want = role.wanted(declared({"queues": [QUEUE]}, rights("u", read="^q$"), users={"u": "secret"}), nothing())
    there = imported(want)
    again = role.wanted(declared({"queues": [QUEUE]}, rights("u", read="^q$"), users={"u": "secret"}), there)
    assert role.difference(again, there) == ({}, [], [], [])


def test_a_password_that_changed_is_found_although_it_is_kept_salted() -> None:
    there = imported(role.wanted(declared(users={"u": "secret"}), nothing()))
    _, _, changes, _ = role.difference(role.wanted(declared(users={"u": "other"}), there), there)
    assert changes == ["user u: other password_hash"]


def test_a_user_without_rights_gets_none_and_one_with_rights_keeps_them() -> None:
    want = role.wanted(declared(users={"u": "secret"}), nothing())
    assert want["permissions"]["v", "u"]["read"] == "^$"
    there = nothing()
    there["permissions"]["v", "u"] = {"user": "u", "vhost": "v", **role.NOTHING, "read": "^q$"}
    assert role.wanted(declared(users={"u": "secret"}), there)["permissions"] == {}


def test_rights_that_several_declare_for_one_user_are_all_of_theirs() -> None:
    one, other = rights("p", write="^(a|b)$"), rights("p", write="^(c)$", configure="^(r.*)$")
    for order in ((one, other), (other, one), (one, other, one)):
        found = role.wanted(declared(*order), nothing())["permissions"]["v", "p"]
        assert found["write"] == "^(a|b)$|^(c)$"
        assert found["configure"] == "^(r.*)$"
        assert found["read"] == "^$"


def test_rights_to_topics_that_several_declare_are_all_of_theirs_too() -> None:
    topics = [{"user": "p", "vhost": "v", "exchange": "delays", "write": f"^({each})$", "read": "^$"} for each in "ab"]
    found = role.wanted(declared(*({"topic_permissions": [each]} for each in topics)), nothing())
    assert found["topic_permissions"]["v", "p", "delays"]["write"] == "^(a)$|^(b)$"
    assert found["topic_permissions"]["v", "p", "delays"]["read"] == "^$"


def test_a_queue_of_another_kind_is_a_conflict() -> None:
    there = nothing()
    there["queues"]["v", "q"] = {**QUEUE, "arguments": {}}
    imports, _, _, conflicts = role.difference(role.wanted(declared({"queues": [QUEUE]}), there), there)
    assert "queues" not in imports
    assert conflicts[0].startswith("queue v q: arguments is {}, not {'x-queue-type': 'quorum'}.")


def test_only_our_own_users_and_guest_are_removed() -> None:
    there = nothing()
    for name, tags in (("ours", [role.TAG]), ("theirs", ["administrator"]), ("guest", ["administrator"])):
        there["users"][name,] = {"name": name, "tags": tags}
    _, removed, changes, _ = role.difference(role.wanted(declared(), there), there)
    assert removed == ["ours", "guest"]
    assert "user ours: removed" in changes


def test_what_rabbitmq_leaves_out_of_an_export_is_not_different() -> None:
    there = nothing()
    exchange = {"name": "e", "vhost": "v", "type": "direct"}
    there["exchanges"]["v", "e"] = exchange
    wanted = {"exchanges": [{**exchange, "internal": False, "arguments": {}}]}
    assert role.difference(role.wanted(declared(wanted), there), there)[3] == []


@pytest.mark.parametrize(("declared_now", "found"), [({"one": [{"a": 1}]}, [{"a": 1}, {"b": 2}]), ({}, [{"b": 2}])])
def test_what_others_declared_before_still_counts(
    tmp_path: Path, declared_now: dict[str, Any], found: list[Any]
) -> None:
    (tmp_path / "two.json").write_text('[{"b": 2}]')
    (tmp_path / "gone.json").write_text('[{"c": 3}]')
    given = {"sources": ["one", "two"], "definitions": declared_now, "folder": str(tmp_path)}
    assert role.declarations(given) == found
