"""A task means harm to the agent, with all that its worker has open: no other queue notices."""

from tests.node import Node

HOSTILE = """
import ctypes, errno, json, os, socket, stat, struct, zlib
import celery

PUNCH_HOLE = 3

def harm_page(descriptor):
    attempts = []
    for attempt in (
        lambda: os.ftruncate(descriptor, 0),
        lambda: os.ftruncate(descriptor, 2**30),
        lambda: os.truncate(f"/proc/self/fd/{descriptor}", 1),
        lambda: os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_TRUNC),
    ):
        try:
            attempt()
            attempts.append("done")
        except OSError as error:
            attempts.append(errno.errorcode[error.errno])
    ctypes.CDLL(None).fallocate(descriptor, PUNCH_HOLE, ctypes.c_long(0), ctypes.c_long(16384))
    text = b"[" * 10_000
    os.pwrite(descriptor, struct.pack("<II", len(text), zlib.crc32(text)) + text, 0)
    return attempts

def harm_socket(descriptor):
    with socket.socket(fileno=os.dup(descriptor)) as link:
        for words in (b"", b"[" * 60_000, b"{", json.dumps({"message": "Consuming", "queue": 5}).encode(), b"") * 50:
            try:
                link.send(words, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except OSError:
                pass
    return 1

def make(task_name):
    class Task(celery.Task):
        name = task_name

        def run(self, what):
            if what != "harm":
                return what
            pages, links = [], 0
            for name in os.listdir("/proc/self/fd"):
                target = os.readlink(f"/proc/self/fd/{name}") if os.path.lexists(f"/proc/self/fd/{name}") else ""
                if target.startswith("/memfd:celery-agent-scoreboard"):
                    pages += harm_page(int(name))
                elif target.startswith("socket:"):
                    with socket.socket(fileno=os.dup(int(name))) as link:
                        mine = (link.family, link.type) == (socket.AF_UNIX, socket.SOCK_SEQPACKET)
                    links += harm_socket(int(name)) if mine else 0
            return [pages, links]
    return Task

Alpha, Beta = map(make, ["alpha", "beta"])
"""


def test_a_task_that_harms_what_the_worker_shares_with_the_agent_costs_no_other_queue(node: Node) -> None:
    (node.code / "greek.py").write_text(HOSTILE)
    node.configure("alpha", "beta", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    agent, before = node.status()["pid"], node.pids()
    pages, links = node.send("alpha", "harm")
    assert (set(pages), links) == ({"EPERM"}, 1)  # the page is sealed
    assert "report-not-understood" in node.log.read_text()
    assert node.send("beta", "return") == "return"
    node.wait_for("alpha", lambda queue: queue["consuming"], "is consumed from, by whichever worker")
    assert node.send("alpha", "return") == "return"
    assert (node.status()["pid"], node.pids()["beta"]) == (agent, before["beta"])
