"""The end of a threads pool: while its tasks run to their ends, heartbeats go out, and acks as soon as there are some.

Stock Celery's loop stands still meanwhile, unlike with processes. The broker cuts the connection after two heartbeats, the acks
are lost, and each of the tasks runs again.
"""

import threading
from collections.abc import Callable

from celery.concurrency import prefork
from kombu.asynchronous import get_event_loop

TURN = 0.5  # seconds between two looks at timers and acks, as in Celery's prefork pool


def drain(stop: Callable[[], None]) -> None:
    """Have a pool stop, which returns when its last task has ended, and do the loop's work until then.

    This thread is the connection's own, and goes on with it; another waits.
    """
    waiting = threading.Thread(target=stop, name="drain", daemon=True)
    waiting.start()
    while waiting.is_alive():
        waiting.join(TURN)
        hub = get_event_loop()
        if hub is not None:  # the embedded broker's worker has none
            hub.fire_timers()
            prefork._run_ready_callbacks(hub)  # acks, and nothing else
