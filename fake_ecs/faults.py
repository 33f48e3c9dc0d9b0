"""What a back end can be told to do wrong: answers that do not fit, that are late, or that never come."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(kw_only=True)
class Fault:
    """One order for the next calls of an operation, or upgrades of a channel."""

    times: int | None
    """How many more; ``None``: until cleared."""


@dataclass(kw_only=True)
class WrongAnswer(Fault):
    """Answer this, whatever was asked. ECS has not taken the call."""

    status: int
    body: bytes
    content_type: str = "application/x-amz-json-1.1"


@dataclass(kw_only=True)
class NoAnswer(Fault):
    """Keep the connection and say nothing. ECS has not taken the call."""


@dataclass(kw_only=True)
class LostAnswer(Fault):
    """Drop the connection before the answer. ``taken``: ECS has the call all the same."""

    taken: bool


@dataclass(kw_only=True)
class LateAnswer(Fault):
    """Do all as usual, and answer after a while."""

    delay_s: float


class Faults:
    """Orders by operation; ``*`` stands for every operation of the API. The oldest order goes first."""

    def __init__(self) -> None:
        self._orders: dict[str, list[Fault]] = {}

    def order(self, operation: str, fault: Fault) -> None:
        self._orders.setdefault(operation, []).append(fault)

    def clear(self, operation: str | None = None) -> None:
        """``None``: all orders."""
        if operation is None:
            self._orders.clear()
        else:
            self._orders.pop(operation, None)

    def next(self, operation: str) -> Fault | None:
        """The order for this call, which is used up by it."""
        for key in (operation, "*") if operation not in {"ACS", "TCS"} else (operation,):
            for fault in self._orders.get(key, []):
                if fault.times is None:
                    return fault
                fault.times -= 1
                if fault.times <= 0:
                    self._orders[key].remove(fault)
                return fault
        return None
