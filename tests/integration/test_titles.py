"""What `ps` shows of an instance's processes."""

import psutil

from tests.node import Node


def test_each_process_says_what_it_is_with_queue_and_generation(node: Node) -> None:
    node.configure_pools({"alpha": "prefork", "beta": "solo"}, QUEUES__alpha__CONCURRENCY="2")
    node.start()
    node.wait_until_consuming()
    assert node.run("status").returncode == 0  # so that the sampler runs
    assert node.process is not None
    children = psutil.Process(node.process.pid).children(recursive=True)
    titles = [" ".join(each.cmdline()).rstrip() for each in children]
    assert all(title.startswith("celery-agent ") for title in titles), titles
    assert titles.count("celery-agent pool process alpha.1 of magic") == 2
    assert {
        "celery-agent sampler",
        "celery-agent template of magic",
        "celery-agent worker alpha.1 of magic",
        "celery-agent worker beta.1 of magic",
    } <= set(titles)
