"""Who may ask an instance beside its own user and group: one group more, by an access list (acl(5)) of its folder and socket.

The instance's own group can't be that one: who is in it may read the env file. Nor may its user be in the operators' group,
for a task could then ask all other instances. By an access list an owner lets in a group that they are not in themselves.
"""

from __future__ import annotations

import grp
import os
import struct
from pathlib import Path

_NAME = "system.posix_acl_access"
_HEADER = struct.Struct("<I")  # linux/posix_acl_xattr.h
_ENTRY = struct.Struct("<HHI")  # tag, permissions, user or group
_VERSION = 2
_OWNER, _GROUP, _NAMED_GROUP, _MASK, _OTHERS = 0x01, 0x04, 0x08, 0x10, 0x20
_NOBODY = 0xFFFFFFFF


def let_in(path: Path, group: int) -> None:
    """Allow a group, by its number, what the file's own group is allowed; raises OSError where it can't be, as for a link."""
    mode = path.lstat().st_mode
    own, shared, others = mode >> 6 & 7, mode >> 3 & 7, mode & 7
    entries = (
        (_OWNER, own, _NOBODY),
        (_GROUP, shared, _NOBODY),
        (_NAMED_GROUP, shared, group),
        (_MASK, shared, _NOBODY),
        (_OTHERS, others, _NOBODY),
    )
    listed = _HEADER.pack(_VERSION) + b"".join(_ENTRY.pack(*entry) for entry in entries)
    os.setxattr(path, _NAME, listed, follow_symlinks=False)


def groups_of(path: Path) -> tuple[str, ...]:
    """Return the names of the groups to be in for a file: those that were let in, or else its own; none without a name."""
    try:
        listed = os.getxattr(path, _NAME)[_HEADER.size :]
        let_in = [who for tag, _, who in _ENTRY.iter_unpack(listed) if tag == _NAMED_GROUP]
    except (OSError, struct.error):  # it has no access list
        let_in = []
    try:
        return tuple(grp.getgrgid(group).gr_name for group in let_in or [path.stat().st_gid])
    except (OSError, KeyError):
        return ()
