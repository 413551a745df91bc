"""Memory and CPU of processes, as the kernel tells them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from agent.decide.status import Sample

FRESH = 5.0  # seconds; PSS costs the kernel a walk through all of a process's pages, 1 ms a worker


class Sampler:
    """Samples at most FRESH seconds old, so that whoever asks often does not pay each time."""

    def __init__(self) -> None:
        self._samples: dict[int, tuple[float, Sample]] = {}

    def sample(self, own: int, workers: Iterable[int]) -> dict[int, Sample]:
        """Return what the agent alone and each worker with its descendants use, by pid; who is gone is left out."""
        now = time.monotonic()
        fresh = {}
        for pid, tree in ((own, [own]), *((worker, None) for worker in workers)):
            known = self._samples.get(pid)
            if known is not None and now - known[0] < FRESH:
                fresh[pid] = known
            elif (taken := _sum(tree or with_descendants(pid))) is not None:
                fresh[pid] = (now, taken)
        self._samples = fresh
        return {pid: taken for pid, (_, taken) in fresh.items()}


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


def with_descendants(pid: int) -> list[int]:
    """Return the pids of a process and of all that it and they have started."""
    # psutil's children() reads all of /proc for each call: 50 workers would cost 50 such scans.
    found = [pid]
    for each in found:
        try:
            found += [int(child) for child in Path(f"/proc/{each}/task/{each}/children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
