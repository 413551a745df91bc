"""Whether an implementation keeps its contract, as `agent check` looks at it."""

import celery

from celery_delivery.contract.contracts import Contracts, path
from celery_delivery.contract.fit import check_implementation
from celery_delivery.errors import ContractError


def check_contract(implementation: type[celery.Task]) -> None:
    """Raise ContractError where a task class does not keep the contract that it inherits, or inherits none.

    The contract is the class furthest up that defines `run`; what else is in its package is a contract, too.
    """
    defining = [each for each in implementation.__mro__ if "run" in vars(each) and each is not celery.Task]
    if defining[-1:] in ([], [implementation]):
        raise ContractError(
            f"{path(implementation)} inherits from no contract: let it inherit from one of celery_tasks"
        )
    check_implementation(implementation, Contracts.beside(defining[-1].__module__))
