"""A private PostgreSQL: at a Unix socket in a folder, as a user that may do nothing else, without a port."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from pathlib import Path

from tests.waiting import wait_until

USER = "postgres"  # of Debian's package; the server refuses root
PROGRAMS = Path("/usr/lib/postgresql")


class Postgres:
    """One server, and the superuser that it knows."""

    def __init__(self, folder: Path) -> None:
        """Make the files of a server in a folder that all may pass through; nothing is started."""
        is_root = os.getuid() == 0
        self.user = USER if is_root else pwd.getpwuid(os.getuid()).pw_name
        # It ends with the process that has started it: a server overwrites its environment, by which a run finds the others.
        self._as_user = ["setpriv", "--pdeathsig", "INT"]
        self.folder = folder
        self._programs = max(PROGRAMS.iterdir(), key=lambda each: int(each.name)) / "bin"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        if is_root:
            own = pwd.getpwnam(USER)
            os.chown(folder, own.pw_uid, own.pw_gid)
            self._as_user += ["--reuid", USER, "--regid", USER, "--clear-groups"]
        self._run("initdb", "-D", str(folder / "data"), "-A", "trust", "-E", "UTF8", "--no-sync")

    def start(self, database: str) -> None:
        """Start the server, and make a database."""
        options = [
            "-D",
            str(self.folder / "data"),
            "-k",
            str(self.folder),
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
        ]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*self._as_user, str(self._programs / "postgres"), *options], cwd="/", stdout=log, stderr=log
            )
        wait_until((self.folder / ".s.PGSQL.5432").exists, 60, "PostgreSQL listens")
        wait_until(self._answers, 60, "PostgreSQL answers")
        self._run("createdb", "-h", str(self.folder), database)

    def close(self) -> None:
        """End the server, and with it all connections."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # a fast shutdown
            self._process.wait(60)

    def _answers(self) -> bool:
        command = [str(self._programs / "pg_isready"), "-q", "-h", str(self.folder)]
        return subprocess.run(command, check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._as_user, str(self._programs / program), *arguments],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
