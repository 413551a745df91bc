"""What becomes of a task that ends its process each time, for its caller and its operator, and where nothing is promised."""

from collections import Counter

from tests.integration.dead_letters import letters
from tests.node import Node
from tests.projects import Project
from tests.waiting import wait_until

POOLS = ("solo", "threads", "prefork")
ASK = """
try:
    worker.apply_async(("abort",), task_id="ends").get(timeout=60)
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""
LATE = """
import os
from celery import Celery

app = Celery("proj", broker=os.environ["BROKER"])
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=8, result_backend="rpc://")

@app.task
def touch(path, word, is_deadly):
    with open(path, "a") as file:
        file.write(f"{word}\\n")
    if is_deadly:
        os.abort()
    return path
"""


def test_its_caller_and_its_operator_are_told_why_and_sent_again_it_begins_anew(node: Node) -> None:
    node.configure("alpha", DEFAULTS__POOL="prefork", DEFAULTS__MAX_DEATHS="2")
    node.start()
    kind, text = node.produce(ASK, "alpha")
    why = "its process ended 2 times while it ran: Worker exited prematurely: signal 6 (SIGABRT)"
    assert (kind, why in text) == ("WorkerLostError", True)
    (letter,) = wait_until(lambda: letters(node), what="it is a dead letter")
    assert (letter["id"], letter["reason"], why in letter["text"]) == ("ends", "crashes", True)
    assert letter["deaths"] == 2
    assert "Task alpha[ends] is not run again. It becomes a dead letter" in node.log.read_text()
    assert node.run("dead-letters", "magic", "replay", "ends").returncode == 0
    # Were the former deaths held against it, it would not run.
    wait_until(lambda: node.log.read_text().count("signal 6 (SIGABRT) Job") >= 4, 60, "it has run twice more")
    (letter,) = wait_until(lambda: letters(node), 60, "it is a dead letter again")
    assert (letter["reason"], letter["deaths"]) == ("crashes", 4)


def test_on_a_classic_queue_of_an_app_it_runs_three_times_on_each_pool_and_not_for_ever(project: Project) -> None:
    """Its broker counts no deliveries: what the agent knows is all there is."""
    (project.code / "proj.py").write_text(LATE)
    pools = {f"QUEUES__{pool}__POOL": pool for pool in POOLS}
    project.configure(
        *(f"+{pool}" for pool in POOLS), **pools, DEFAULTS__CONCURRENCY="2", QUEUES__solo__CONCURRENCY="1"
    )
    project.start()
    project.wait_until_consuming()
    code = f"""
from proj import touch
value = {{}}
sent = {{}}
for pool in {POOLS}:
    path = "{project.code}/" + pool
    sent[pool] = [touch.apply_async((path, f"{{n}}", n == 30), queue=pool) for n in range(100)]
for pool, results in sent.items():
    deadly = results.pop(30)
    [each.get(timeout=60) for each in results]
    try:
        deadly.get(timeout=60)
    except Exception as error:
        value[pool] = [type(error).__name__, str(error)]
"""
    told = project.python(code)
    log = project.log.read_text()
    for pool in POOLS:
        kind, text = told[pool]
        assert (kind, text.partition(":")[0]) == ("WorkerLostError", "its process ended 3 times while it ran")
        runs = Counter((project.code / pool).read_text().split())
        assert runs["30"] == 3
        assert runs.keys() == {str(number) for number in range(100)}
        assert any("is not run again" in line and str(project.code / pool) in line for line in log.splitlines())
        wait_until(lambda pool=pool: project.broker.messages(pool, project.vhost) == 0, 30, "the queue is empty")  # type: ignore[misc]
