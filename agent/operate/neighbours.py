"""The other instances of a node that run as the user of one: they and it are nothing secret to one another."""

from __future__ import annotations

from agent.config.instances import Folders
from agent.control.peer import user_name


def trust_domain(places: Folders, instance: str) -> str:
    """Return in one line which instances share the user of an instance, and what that means; "" where it has one of its own.

    Who the user is, the runtime folders tell, of instances that run or were killed.
    """
    user = _user(places, instance)
    others = [each for each in places.seen() if each != instance and user is not None and _user(places, each) == user]
    if user is None or not others:
        return ""
    verb = "runs" if len(others) == 1 else "run"
    return (
        f"{', '.join(others)} {verb} as {user_name(user)} too: the tasks of each can read the secrets of the others, and end "
        "them. They are one trust domain; a user for each is in deploy/systemd/README.md"
    )


def _user(places: Folders, instance: str) -> int | None:
    try:
        return places.runtime_folder(instance).stat().st_uid
    except OSError:
        return None
