"""What to do about a broker that can't be used, by the kind of fault that `agent.guest.answer.probe` names."""

from __future__ import annotations

EXPOSED = "exposed"  # reached, over a network and without TLS
UNDECLARED = "undeclared"  # a queue that is not there, where no client may declare it
UNLIKE = "unlike"  # a queue that is there with other arguments
LEFT = "left"  # tasks in the queue that a safe one of a project's own app had before
FRAGILE = "fragile"  # a release in which one message can stop all dead letters

EVICTING = "evicting"  # a Redis that may forget tasks when it is full

_ADVICE = {
    "refused": "Nothing listens there: start the broker, or correct RABBITMQ_HOST and RABBITMQ_PORT.",
    "name": "The host has no address: correct RABBITMQ_HOST, or the name service.",
    "login": "Correct RABBITMQ_USER and RABBITMQ_PWD; the user 'guest' may log in from the broker's own host only. "
    "A unit's credentials are seen by root alone, while it runs.",
    "vhost": "Create the virtual host and give the user rights in it: rabbitmqctl add_vhost and set_permissions.",
    "tls": "See docs/broker.md.",
    "silent": "No answer: is the host up, and does a firewall let this node through to the broker's port?",
    "closed": "It hung up: that port may want TLS or speak another protocol, or the broker is still starting.",
    "folder": "Make the folder, or let the agent's user write to it.",
    "other": "Look into the broker's log.",
}
# Where a project's own app names the broker.
_ADVICE_ON_APPS = {
    **_ADVICE,
    "refused": "Nothing listens there: start the broker, or correct broker_url of the app.",
    "name": "The host has no address: correct broker_url of the app, or the name service.",
    "login": "Correct user and password in broker_url of the app; RabbitMQ's 'guest' may log in from its own host only.",
    "tls": "Correct broker_use_ssl of the app, or the port in broker_url.",
}


def unreachable(broker: str, fault: str, text: str) -> str:
    """Return the line about a broker that can't be reached, with what to do."""
    return _line(broker, text, _ADVICE[fault])


def unreachable_by_app(broker: str, fault: str, text: str) -> str:
    """Return the same about a broker that a project's own app names."""
    return _line(broker, text, _ADVICE_ON_APPS[fault])


def _line(broker: str, text: str, advice: str) -> str:
    return f"{broker} can't be reached: {text.rstrip('.')}. {advice}"
