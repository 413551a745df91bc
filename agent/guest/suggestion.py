"""What somebody may have meant who wrote a name that is not there."""

from collections.abc import Callable, Iterable

CUTOFF = 0.6  # of difflib's similarity, from 0 to 1


def suggestion(written: str, known: Iterable[str], *, shown: Callable[[str], str] = str, cutoff: float = CUTOFF) -> str:
    """Return "Did you mean …?" for the most similar of the known names, or "" where none is; case is no difference.

    shown: how the name is to be written.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - as long to import as much else here, and most names are right

    folded = {name.casefold(): name for name in known}
    similar = get_close_matches(written.casefold(), folded, n=1, cutoff=cutoff)
    return f"Did you mean {shown(folded[similar[0]])}?" if similar else ""
