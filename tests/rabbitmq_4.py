"""RabbitMQ 4 and Valkey, of Debian 13: scripts in a folder, for tests to take in place of this machine's own servers.

    python -m tests.rabbitmq_4 FOLDER
    TEST_RABBITMQ=FOLDER pytest …
    TEST_REDIS=FOLDER/valkey-server pytest …

They run in a Debian of their own, which is made once, with this machine's network, processes and /tmp.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.rabbitmq import DEBIAN_S
from tests.system import machine
from tests.system.images import bootstrap, cached

SUITE = "trixie"
_PACKAGES = ("rabbitmq-server", "valkey-server")
_VALKEY = Path("/usr/bin/valkey-server")
_SCRIPT = """\
#!/bin/sh
exec unshare --mount --propagation private sh -euc '
    mount -t proc proc {root}/proc
    mount --rbind /dev {root}/dev
    mount --rbind /tmp {root}/tmp
    exec chroot {root} {program} "$@"' sh "$@"
"""


def write_scripts(folder: Path) -> None:
    """Write the scripts into a folder; raises Unsuitable, or chroot.Failed, where their Debian can't be made."""
    machine.check()
    root = cached("rabbitmq-4", (SUITE, _PACKAGES), lambda new: bootstrap(new, SUITE, _PACKAGES, "essential"))
    folder.mkdir(parents=True, exist_ok=True)
    for program in (_VALKEY, *(DEBIAN_S / each.name for each in root.joinpath(DEBIAN_S.relative_to("/")).iterdir())):
        script = folder / program.name
        script.write_text(_SCRIPT.format(root=root, program=program))
        script.chmod(0o755)


if __name__ == "__main__":
    write_scripts(Path(sys.argv[1]))
