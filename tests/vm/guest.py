"""Runs in the virtual machine, as root: takes commands as lines of JSON from a virtual serial port, and answers."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

PORT = Path("/dev/virtio-ports/commands")


def main() -> None:
    while not PORT.exists():
        time.sleep(0.1)
    with PORT.open("r+b", buffering=0) as port:
        pending = b""
        while True:
            received = port.read(65_536)
            if not received:  # nobody is at the other end yet
                time.sleep(0.1)
                continue
            *lines, pending = (pending + received).split(b"\n")
            for line in lines:
                port.write(answer(json.loads(line)))


def answer(request: dict[str, Any]) -> bytes:
    try:
        done = subprocess.run(
            request["command"],
            input=request["text"],
            capture_output=True,
            text=True,
            timeout=request["timeout"],
            check=False,
        )
        value = {"returncode": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
    except (OSError, subprocess.TimeoutExpired) as error:
        value = {"returncode": 127, "stdout": "", "stderr": str(error)}
    return json.dumps(value).encode() + b"\n"


if __name__ == "__main__":
    main()
