"""What makes a task class a contract: its `run` is defined in the package that contracts are kept in.

An implementation is a subclass whose `run` is defined elsewhere.
"""

from dataclasses import dataclass

import celery

from celery_delivery.errors import ContractError


@dataclass(frozen=True, slots=True)
class Contracts:
    """The contracts of one package; `package` is its dotted name, "" where there is none."""

    package: str

    @classmethod
    def beside(cls, settings: str) -> "Contracts":
        """Return the contracts of the package that a settings module belongs to."""
        return cls(settings.rpartition(".")[0])

    def has(self, task: type[celery.Task]) -> bool:
        """Say whether a task class is a contract: whether nobody has implemented its `run`."""
        return self.holds(getattr(task.run, "__module__", ""))  # some decorators leave none

    def of(self, task: type[celery.Task]) -> type[celery.Task] | None:
        """Return the contract that a task class implements, itself where it is one, or None where there is none."""
        for base in task.__mro__:
            defined = vars(base).get("run")
            if defined is not None and self.holds(getattr(defined, "__module__", "")):
                return base
        return None

    def implementation_of(self, contract: type[celery.Task]) -> type[celery.Task] | None:
        """Return the one implementation of a contract that this process has defined, or None where there is none.

        Raises ContractError where there are several: which one is meant can't be known.
        """
        found = sorted(self._most_derived(contract) - {contract}, key=path)
        if len(found) > 1:
            raise ContractError(
                f"{path(contract)} has several implementations here: {', '.join(map(path, found))}; "
                "pass the one to use to create_worker_from"
            )
        return found[0] if found else None

    def holds(self, module: str) -> bool:
        """Say whether a module is of the package."""
        return bool(self.package) and f"{module}.".startswith(f"{self.package}.")

    def _most_derived(self, task: type[celery.Task]) -> set[type[celery.Task]]:
        derived = {each for subclass in task.__subclasses__() for each in self._most_derived(subclass)}
        implementations = {each for each in derived if not self.has(each)}
        return implementations or {task}


def queue_of(task: type[celery.Task]) -> str:
    """Return the queue of a task class: its name, unless it sets Celery's own `queue`, as classes that share one do.

    Raises TypeError for what is no task class with a name.
    """
    if not (isinstance(task, type) and issubclass(task, celery.Task)):
        raise TypeError(f"{task!r} is no task class: pass a subclass of celery.Task")
    if not isinstance(task.name, str) or not task.name:
        raise TypeError(f"{path(task)} has no name: set `name` in the class")
    return getattr(task, "queue", None) or task.name


def unimplemented(contract: type[celery.Task]) -> type[celery.Task]:
    """Return the contract as producers use it; if a worker runs it all the same, it fails instead of returning None."""

    def run(self: celery.Task, *args: object, **kwargs: object) -> object:
        raise NotImplementedError(
            f"task {contract.name!r} was run by its contract {path(contract)}: "
            "the consumer must host a subclass that implements run"
        )

    run.__module__ = contract.__module__  # so that it is not taken for an implementation
    return type(contract.__name__, (contract,), {"__module__": contract.__module__, "run": run})


def path(task: type[celery.Task]) -> str:
    """Return where a task class is defined, as "module:Class"."""
    return f"{task.__module__}:{task.__qualname__}"
