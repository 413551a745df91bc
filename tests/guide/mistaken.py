"""A schedule of a task that is not there."""

ENTRIES = {"wrong": {"task": "twise", "schedule": 60}}
