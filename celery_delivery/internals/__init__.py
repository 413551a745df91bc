"""What this library leans on inside Celery, kombu, py-amqp and billiard, and on which of their releases it was measured.

Each mend names what it needs. Where one of its names is gone, or a package is of another release, the mend is off: the stock
behaviour stays, and the log says so once. Without those of REQUIRED less would be promised than was asked for, such as a
message sent unconfirmed: an app of the safe profile is refused instead.

A name is "module:path". Below a function it is a name that the function's code uses: attributes of instances are found so.
Behind it stands of which releases of its package it is needed, where not of all: "since 5.7", "before 5.7".
"""

from celery_delivery.internals import client, crashes, pool, worker
from celery_delivery.internals.mend import Mend

REQUIRED = (client.CONFIRMS, client.SHARED_CONNECTIONS, client.OWN_SETTINGS)
REQUIRED_OF_OTHERS = (*REQUIRED, client.ADOPTED)  # of apps that were made by others
OPTIONAL = tuple(
    each
    for room in (worker, pool, crashes, client)
    for each in vars(room).values()
    if isinstance(each, Mend) and each not in REQUIRED_OF_OTHERS
)
