"""The first thing that runs in the user's interpreter: makes the folder of this file importable there, and no more.

    python -P …/agent/guest/launch.py <module>

The folder becomes the package `celery_agent_guest`: a user's own package `agent` keeps its name, and nothing else that
is installed for the agent is seen by user code. Then `main()` of the package's module is called.
"""

import gc
import importlib
import importlib.util
import sys
from pathlib import Path

PACKAGE = "celery_agent_guest"


def launch(module: str) -> object:
    """Call `main` of one of the package's modules and return what it returns; no garbage is collected until that wants it."""
    gc.disable()  # what is imported stays, and a tenth of the CPU would go into looking at it
    folder = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(
        PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder} is no package")
    package = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = package
    spec.loader.exec_module(package)
    return importlib.import_module(f"{PACKAGE}.{module}").main()


if __name__ == "__main__":
    sys.exit(launch(sys.argv[1]))  # type: ignore[arg-type]
