"""Result backends that libraries bring: workers find them, and look for none that the template has found."""

from tests.node import TASKS, Node
from tests.waiting import wait_until

LOOKED = """
from celery.utils.imports import load_extension_class_names
LOOKED = load_extension_class_names.cache_info().currsize

class Looked(celery.Task):
    name = "looked"

    def run(self):
        return LOOKED
"""
BACKEND = """
from celery.backends.filesystem import FilesystemBackend

class Backend(FilesystemBackend):
    def __init__(self, app, url=None, **options):
        super().__init__(app=app, url=url.replace("shelf://", "file://"), **options)
"""
SETTINGS = """
from celery_tasks.celery_config import *
result_backend = "shelf://{folder}"
"""


def test_a_worker_has_what_the_template_found_of_the_result_backends_of_libraries(node: Node) -> None:
    (node.code / "greek.py").write_text(TASKS + LOOKED)
    node.configure("looked")
    node.start()
    node.wait_until_consuming()
    assert node.send("looked") == 1


def test_a_worker_finds_a_result_backend_of_a_library_that_only_its_task_classes_lead_to(node: Node) -> None:
    library, results = node.code / "vendored", node.code / "results"
    described = library / "shelf-1.0.dist-info"
    described.mkdir(parents=True)
    results.mkdir()
    (described / "METADATA").write_text("Name: shelf\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[celery.result_backends]\nshelf = shelf:Backend\n")
    (library / "shelf.py").write_text(BACKEND)
    (node.code / "kept.py").write_text(SETTINGS.format(folder=results))
    (node.code / "greek.py").write_text(TASKS + f"sys.path.append({str(library)!r})\n")
    node.configure("alpha", CELERY_CONFIG="kept")
    node.start()
    node.wait_until_consuming()
    [task] = node.produce("print(json.dumps([worker.delay('return', 1).id]))", "alpha")
    wait_until(lambda: any(task in file.name for file in results.iterdir()))
