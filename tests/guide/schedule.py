"""The periodic tasks that the instance `second` sends."""

import os
from datetime import timedelta

from celery.schedules import crontab, schedule

TICKS = os.environ.get("GUIDE_TICKS", "")
ENTRIES = {
    "each second": {"task": "tick", "schedule": 1, "args": (f"{TICKS}.number",)},
    "timedelta": {"task": "tick", "schedule": timedelta(seconds=1), "kwargs": {"file": f"{TICKS}.timedelta"}},
    "schedule": {"task": "tick", "schedule": schedule(1.0), "args": (f"{TICKS}.schedule",), "options": {"expires": 60}},
    "crontab": {"task": "tick", "schedule": crontab(hour=6, minute=30), "args": (f"{TICKS}.crontab",)},
}
