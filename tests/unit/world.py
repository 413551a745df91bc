"""A node and the processes that its decisions lead to, as an operating system would have them."""

from dataclasses import dataclass, field

from agent.decide.events import (
    Action,
    Adopt,
    Connecting,
    Consuming,
    Due,
    Exited,
    Fork,
    Forked,
    Happened,
    NodeEvent,
    Shutdown,
    Stop,
)
from agent.decide.node import Node
from agent.decide.plan import Plan, difference
from agent.decide.supervisor import handle
from tests.unit.specs import plan


@dataclass
class World:
    """A node and the processes that its actions lead to; every pid is alive until told otherwise."""

    node: Node = field(default_factory=Node)
    now: float = 0.0
    pending: list[tuple[str, int]] = field(default_factory=list)
    alive: dict[int, tuple[str, int]] = field(default_factory=dict)
    stopped: list[tuple[str, Shutdown]] = field(default_factory=list)
    next_pid: int = 100

    def handle(self, event: NodeEvent) -> tuple[Action, ...]:
        self.node, actions = handle(self.node, event, self.now)
        for action in actions:
            match action:
                case Fork(spec, generation):
                    self.pending.append((spec.queue, generation))
                case Stop(queue, pid, how):
                    assert pid in self.alive, "signalled a pid that is not ours"
                    self.stopped.append((queue, how))
        return actions

    def adopt(self, plan: Plan) -> tuple[Action, ...]:
        return self.handle(Adopt(plan, difference(self.node.plan, plan)))

    def tick(self) -> None:
        """Tell each queue of which a deadline has passed."""
        for queue in self.node.due(self.now):
            self.handle(Due(queue))

    def fork(self) -> int:
        """Answer the oldest fork request; return the pid."""
        queue, generation = self.pending.pop(0)
        self.next_pid += 1
        self.alive[self.next_pid] = (queue, generation)
        self.handle(Happened(queue, generation, Forked(self.next_pid)))
        return self.next_pid

    def report(self, pid: int, event: Connecting | Consuming) -> None:
        self.handle(Happened(*self.alive[pid], event))

    def exit(self, pid: int, status: int = -9) -> None:
        self.handle(Happened(*self.alive.pop(pid), Exited(status)))

    def consume(self) -> int:
        pid = self.fork()
        self.report(pid, Consuming())
        return pid


def serving(**concurrency: int) -> tuple[World, dict[str, int]]:
    world = World()
    world.adopt(plan(**concurrency))
    pids = {}
    for queue in sorted(concurrency):
        pids[queue] = world.consume()
    return world, pids
