"""Django's settings of the shop; those that begin with CELERY_ are Celery's."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "only for trying out")
USE_TZ = True
INSTALLED_APPS = ["shop.orders", "shop.reports"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", BASE_DIR / "shop.sqlite3"),
        "OPTIONS": {"timeout": 20},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CELERY_BROKER_URL = os.environ.get("SHOP_BROKER", "amqp://guest:guest@localhost//")
CELERY_RESULT_BACKEND = os.environ.get("SHOP_RESULTS", "redis://localhost/1")
CELERY_TASK_ROUTES = {
    "shop.orders.tasks.*": {"queue": "orders"},
    "shop.reports.tasks.*": {"queue": "reports"},
    "send_mail": {"queue": "mail"},
}
CELERY_TASK_SERIALIZER = "json"
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_BEAT_SCHEDULE = {"daily report": {"task": "shop.reports.tasks.daily", "schedule": 86_400.0}}
