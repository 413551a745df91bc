"""The queues for results that messages on their way name: what is done where the broker has none of them, or refuses one."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from amqp.exceptions import AccessRefused, NotFound

from celery_delivery.sending.outgoing import Outgoing


def renew_replies(messages: Sequence[Outgoing]) -> None:
    """Take another queue for results, instead of those that were declared: in a cluster their node may be down.

    RabbitMQ 4.0 does not say so, but takes a declaration that is not waited for, and drops the results.
    """
    for message in messages:
        if message.replies is not None:
            message.replies.renew(message.reply_queue or message.options.get("reply_to"))


def is_about_replies(messages: Sequence[Outgoing], error: Exception) -> bool:
    """Say whether an error is about a queue for results alone, and the tasks can be sent with another, or none.

    In a cluster such a queue lives on one node, and can't be declared while that node is down. A worker may lack the right.
    """
    text = str(error)
    refused = [each for each in messages if each.reply_queue and each.reply_queue in text]
    match error:
        case NotFound():
            renew_replies(refused)
        case AccessRefused() if refused and refused[0].replies.goes_without():
            for message in messages:
                message.replies = None
        case _:
            return False
    for message in refused:
        message.keeps(text, error)
    return bool(refused)


def delete_queues(names: Sequence[str], connection: Any) -> None:
    """Delete queues, over a channel of their own.

    RabbitMQ 3.10 refuses to delete a queue whose node is down, and ignores what comes behind it. They are deleted one at a time
    then; a queue that is refused goes when its `expires` is over. RabbitMQ 4.0 deletes such a queue like the others.
    """
    first, *others = names
    channel = connection.channel()
    try:
        channel.queue_delete(first)
        for name in others:
            channel.queue_delete(name, nowait=True)
        if others:
            channel.queue_delete(first)  # answered when all the others are done: the process may end then
    except NotFound:
        for name in names:
            with suppress(NotFound):  # after which amqp has opened the channel again
                channel.queue_delete(name)
