#!/usr/bin/env python3
"""Makes a broker's definitions those that are declared, and says what was different; `--look` changes nothing.

Standard input is one JSON object:

    vhost         the fleet's virtual host
    users         {name: password}
    sources       names of those who declare topology and rights: the nodes
    definitions   {source: [RabbitMQ definitions of queues, exchanges, bindings, policies, permissions, topic_permissions]}
    folder        where SOURCE.json has what a source that is not among these declared before

Standard output is one JSON object: {"changes": [line, …], "conflicts": [line, …]}. What exists is compared field by field
with what is declared, so that a second run finds nothing to do; what nobody declared is left alone, except for users that
bear our tag and for `guest`. A queue can't be changed while it lives: one that differs is a conflict, exit status 1, and
then nothing is changed at all.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

TAG = "celery-agent"  # the users that this program made, and may remove
HASHING = "rabbit_password_hashing_sha256"

# What tells two objects of a kind apart, in the order in which they can be made.
KEYS = {
    "vhosts": ("name",),
    "users": ("name",),
    "permissions": ("vhost", "user"),
    "topic_permissions": ("vhost", "user", "exchange"),
    "policies": ("vhost", "name"),
    "queues": ("vhost", "name"),
    "exchanges": ("vhost", "name"),
    "bindings": ("vhost", "source", "destination_type", "destination", "routing_key"),
}
FIXED = ("queues", "exchanges")  # can't be changed, only made
RIGHTS = ("permissions", "topic_permissions")
DEADLINE = 120  # seconds for one answer of the broker; an import on a busy one takes some
NOTHING = {"configure": "^$", "write": "^$", "read": "^$"}


def wanted(declared, there):
    """Return the definitions that are declared, by kind and key."""
    vhost, users = declared["vhost"], declared["users"]
    kinds = {kind: {} for kind in KEYS}
    kinds["vhosts"][vhost,] = {"name": vhost}
    for name, password in users.items():
        kinds["users"][name,] = {
            "name": name,
            "tags": [TAG],
            "hashing_algorithm": HASHING,
            "password_hash": _password_hash(password, there["users"].get((name,), {}).get("password_hash")),
        }
    for definitions in declared["definitions"]:
        for kind, keys in KEYS.items():
            for each in definitions.get(kind, []):
                key = _key(each, keys)
                kinds[kind][key] = _both(kinds[kind].get(key, each), each) if kind in RIGHTS else each
    for name in users:  # without any rights it could not even log in, and a probe could not say why
        if (vhost, name) not in there["permissions"]:
            kinds["permissions"].setdefault((vhost, name), {"vhost": vhost, "user": name, **NOTHING})
    return kinds


def difference(want, there):
    """Return what to import, the users to remove, the changes as lines and the conflicts as lines."""
    imports, changes, conflicts = {}, [], []
    for kind, objects in want.items():
        for key, each in objects.items():
            found = there[kind].get(key)
            differing = sorted(field for field in each if found is not None and _differs(each[field], found.get(field)))
            if found is not None and not differing:
                continue
            line = f"{kind[:-1]} {' '.join(filter(None, map(str, key)))}"
            if found is not None and kind in FIXED:
                fields = "; ".join(f"{field} is {found.get(field)}, not {each[field]}" for field in differing)
                conflicts.append(f"{line}: {fields}. Let its tasks finish, delete it, and run this again.")
                continue
            imports.setdefault(kind, []).append(each)
            changes.append(f"{line}: {'new' if found is None else 'other ' + ', '.join(differing)}")
    removed = [
        name
        for (name,), user in there["users"].items()
        if (name,) not in want["users"] and (TAG in _tags(user) or name == "guest")
    ]
    return imports, removed, [*changes, *(f"user {name}: removed" for name in removed)], conflicts


def _both(one, other):
    """Return permissions of one user that allow what either allows: a producer's queues are declared by several nodes."""
    if one == other:
        return one
    both = dict(one)
    for right in NOTHING.keys() & one.keys():
        patterns = {pattern for each in (one, other) for pattern in each[right].split("$|^")}
        patterns = sorted({pattern.removeprefix("^").removesuffix("$") for pattern in patterns} - {""})
        both[right] = "^" + "$|^".join(patterns) + "$" if patterns else NOTHING[right]
    return both


def declarations(declared):
    """Return all definitions of all sources, those of former runs too."""
    found = []
    for source in declared["sources"]:
        path = pathlib.Path(declared["folder"], f"{source}.json")
        if source in declared["definitions"]:
            found += declared["definitions"][source]
        elif path.exists():
            found += json.loads(path.read_text())
    return found


def _differs(wanted_value, found_value):
    if found_value is None:
        return bool(wanted_value)  # what is not set is not exported
    if isinstance(found_value, str) and isinstance(wanted_value, list):
        return wanted_value != found_value.split(",")  # tags, as RabbitMQ before 3.9 wrote them
    return wanted_value != found_value


def _tags(user):
    tags = user.get("tags", [])
    return tags.split(",") if isinstance(tags, str) else tags


def _password_hash(password, found):
    """Return what RabbitMQ keeps of a password: the one that is there where it is the same password, else a new one."""
    if found:
        salt = base64.b64decode(found)[:4]
        if _salted(salt, password) == found:
            return found
    return _salted(os.urandom(4), password)


def _salted(salt, password):
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _key(each, keys):
    return tuple(each.get(key) for key in keys)


def _there():
    exported = json.loads(_rabbitmqctl("export_definitions", "-", "--format", "json"))
    return {kind: {_key(each, keys): each for each in exported.get(kind, [])} for kind, keys in KEYS.items()}


def _import(definitions):
    """Have the broker take definitions, out of a file that its user may read: RabbitMQ 4.0 never returns from stdin (13157)."""
    with tempfile.TemporaryDirectory(prefix="celery-agent-") as folder:
        path = pathlib.Path(folder, "definitions.json")
        path.touch(mode=0o640)  # it has hashes of passwords
        for each, mode in ((folder, 0o750), (path, 0o640)):
            shutil.chown(each, group="rabbitmq")
            os.chmod(each, mode)
        path.write_text(json.dumps(definitions))
        _rabbitmqctl("import_definitions", str(path), "--format", "json")


def _rabbitmqctl(*arguments):
    command = ["rabbitmqctl", "--silent", *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=DEADLINE
        )
    except subprocess.TimeoutExpired:
        sys.exit(f"rabbitmqctl {arguments[0]}: no answer in {DEADLINE} s; look into the broker's log")
    if done.returncode:
        sys.exit(f"rabbitmqctl {arguments[0]}: {done.stdout.strip()} {done.stderr.strip()}")
    return done.stdout


def main():
    """Look, and act unless told only to look."""
    there, declared = _there(), json.load(sys.stdin)
    want = wanted({**declared, "definitions": declarations(declared)}, there)
    imports, removed, changes, conflicts = difference(want, there)
    if not conflicts and "--look" not in sys.argv[1:]:
        if imports:
            _import(imports)
        for name in removed:
            _rabbitmqctl("delete_user", name)
    print(json.dumps({"changes": changes, "conflicts": conflicts}))
    return 1 if conflicts else 0


if __name__ == "__main__":
    sys.exit(main())
