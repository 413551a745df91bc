"""The chapters Security, Optimizing, Debugging, Concurrency, Testing, Extending and Configuration."""

import socket

from tests.guide.fleet import Fleet, refused, told
from tests.guide.rows import of


@of("Security")("accept_content")
def accept(fleet: Fleet) -> None:
    assert fleet.app.conf.accept_content == ["json"]


@of("Security")("message signing, serializer auth")
def signing(fleet: Fleet) -> None:
    refused(lambda: fleet.s("twice", 1).apply_async(serializer="auth"), "")


@of("Security")("broker_use_ssl")
def tls(fleet: Fleet) -> None:
    assert "TLS" in fleet.check(RABBITMQ_TLS="1")  # which this broker does not speak


@of("Optimizing")("broker_pool_limit")
def pool_limit(fleet: Fleet) -> None:
    assert fleet.app.conf.broker_pool_limit == 10


@of("Optimizing")("worker_prefetch_multiplier, worker_disable_prefetch, -O fair")
def prefetch(fleet: Fleet) -> None:
    assert fleet.app.conf.worker_prefetch_multiplier == 1


@of("Debugging")("celery.contrib.rdb")
def debugger(fleet: Fleet) -> None:
    sent = fleet.s("debugged").delay()
    port = int(fleet.log("second", "Ready to connect: telnet 127.0.0.1").split()[-1])
    with socket.create_connection(("127.0.0.1", port), 60) as session:
        session.settimeout(60)
        for command in ("answer = 'mended'", "continue"):
            while b"(Pdb)" not in (said := session.recv(4096)):
                assert said, "the debugger has hung up"
            session.sendall(f"{command}\n".encode())
    assert sent.get(timeout=60) == "mended"


@of("Concurrency")("prefork, threads, solo")
def pools(fleet: Fleet) -> None:
    pids = {fleet.get(fleet.s("look", "pid"))["pid"] for _ in range(2)}
    assert (fleet.queue("left").pid in pids) == (fleet.pool != "prefork")


@of("Concurrency")("gevent, eventlet")
def green(fleet: Fleet) -> None:
    assert "prefork, threads, solo" in fleet.check(DEFAULTS__POOL="gevent").replace("'", "").replace(" or ", ", ")


EAGER = """
from celery_delivery.apps import create_app_from
from tests.guide import right
app = create_app_from([right.Twice], SETTINGS)
app.conf.task_always_eager = True
print(app.tasks["twice"].delay(2).get())
"""


@of("Testing")("task_always_eager")
def eager(fleet: Fleet) -> None:
    assert fleet.alone(EAGER) == "4\n"


STUBBED = """
from celery_delivery.apps import create_app_from
from celery_delivery.testing import StubBroker
from tests.guide import right
with StubBroker() as broker:
    app = create_app_from(list(right.TASKS), SETTINGS)
    sent = app.tasks["twice"].delay(2)
    broker.work(app)
    print(sent.get())
"""


@of("Testing")("celery.contrib.pytest: celery_app, celery_worker")
def fixtures(fleet: Fleet) -> None:
    assert fleet.alone(STUBBED) == "4\n"


@of("Extending")("boot steps")
def bootsteps(fleet: Fleet) -> None:
    fleet.hear("bootstep")


@of("Extending")("Request, a class of requests for a task")
def custom_request(fleet: Fleet) -> None:
    assert fleet.told(fleet.s("known_errors", "value", 1)) == "ValueError: value"
    fleet.hear("own request")


@of("Configuration")("a project's own settings")
def own_settings(fleet: Fleet) -> None:
    assert fleet.app.conf.result_extended
    assert told(lambda: fleet.app.conf.no_such_setting).startswith("AttributeError")
