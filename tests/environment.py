"""A consumer's own virtual environment."""

import subprocess
import sys
import sysconfig
from pathlib import Path

OURS = ("celery_agent", "celery_delivery", "celery_tasks", "psutil", "pydantic", "sdnotify")
ROOT = Path(__file__).parents[1]


def environment_with_celery(folder: Path) -> Path:
    """Make a virtual environment with Celery and our library beside it, and nothing else of ours; return its interpreter.

    What is installed beside the tests is there by links: nothing is fetched.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site_packages,) = folder.glob("lib/python3*/site-packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        # A .pth file would put our editable installs on the path.
        if not entry.name.startswith((*OURS, "__editable__")) and entry.suffix != ".pth":
            (site_packages / entry.name).symlink_to(entry)
    (site_packages / "celery_delivery").symlink_to(ROOT / "celery_delivery")
    return folder / "bin" / "python"
