"""What a forked child must let go of, whoever forks it. Nothing is arranged before a process has something of the kind."""

import os
from collections.abc import Callable

_arranged: set[Callable[[], None]] = set()


def let_go_in_children(do: Callable[[], None]) -> None:
    """Have a function called in each child that is forked from now on; once, however often it is asked for."""
    if do not in _arranged:
        _arranged.add(do)
        os.register_at_fork(after_in_child=do)
