"""A consumer's own virtual environment."""

import subprocess
import sys
from pathlib import Path

OURS = ("celery_agent", "celery_delivery", "celery_tasks", "psutil", "pydantic", "sdnotify")
ROOT = Path(__file__).parents[1]


def environment_with_celery(folder: Path) -> Path:
    """Make a virtual environment with Celery and our library beside it, and nothing else of ours; return its interpreter.

    What is installed beside the tests is there by links: nothing is fetched.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site_packages,) = folder.glob("lib/python3*/site-packages")
    # What comes first on the path counts: where tests run with another release of Celery, there are several such folders.
    installed = {
        entry.name: entry
        for place in reversed(sys.path)
        if Path(place).name == site_packages.name
        for entry in Path(place).iterdir()
    }
    for name, entry in installed.items():
        # A .pth file would put our editable installs on the path.
        if not name.startswith((*OURS, "__editable__")) and entry.suffix != ".pth":
            (site_packages / name).symlink_to(entry)
    (site_packages / "celery_delivery").symlink_to(ROOT / "celery_delivery")
    return folder / "bin" / "python"
