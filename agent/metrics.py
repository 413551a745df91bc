"""Memory and CPU of processes, as the kernel tells them."""

from __future__ import annotations

from pathlib import Path

import psutil

from agent.status import Sample


def sample(pid: int) -> Sample | None:
    """Return what a process and its descendants use together, or None where it is gone."""
    return _sum(_with_descendants(pid))


def sample_one(pid: int) -> Sample | None:
    """Return what a process uses by itself, or None where it is gone."""
    return _sum([pid])


def _sum(pids: list[int]) -> Sample | None:
    memory, cpu, processes = 0, 0.0, 0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            times = process.cpu_times()
            # PSS: pages shared with the template are divided among the workers, so that the queues' figures add up to
            # what the node really pays. RSS would count them once for each worker.
            memory += process.memory_full_info().pss
        except psutil.Error:  # it ended meanwhile
            continue
        cpu += times.user + times.system
        processes += 1
    return Sample(memory, round(cpu, 2), processes) if processes else None


def _with_descendants(pid: int) -> list[int]:
    # psutil's children() reads all of /proc for each call: 50 workers would cost 50 such scans.
    found = [pid]
    for each in found:
        try:
            found += [int(child) for child in Path(f"/proc/{each}/task/{each}/children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
