"""Threads that an import has left running, in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

LEFT = """
import mmap, os, sys, threading
from agent.guest.threads import left_since, running
before = running()
with open(os.fsencode(sys.argv[1]), "rb") as file:
    page = mmap.mmap(file.fileno(), 1, prot=mmap.PROT_READ)
end = threading.Event()
thread = threading.Thread(target=end.wait, name="poller")
thread.start()
print(left_since(before))
end.set()
"""


def test_a_thread_is_told_of_whatever_the_names_of_mapped_files_are(tmp_path: Path) -> None:
    file = os.fsencode(tmp_path) + b"/\xff"
    with open(file, "wb") as page:
        page.write(b"x")
    done = subprocess.run([sys.executable, "-c", LEFT, file], stdout=subprocess.PIPE, text=True, check=True, timeout=30)
    assert "starts threads (poller)" in done.stdout
