"""Dispatchers for the tests, and a function to publish."""

from collections.abc import Callable
from typing import Any

from app.domain.events import NULL_OBSERVER, Observer
from app.rpc.dispatcher import Dispatcher
from app.rpc.faults import Fault


def map_error(error: Exception) -> Fault | None:
    """Map errors as the service does: an error of the domain, and a missed deadline."""
    match error:
        case KeyError():
            return Fault(404, "no such item")
        case TimeoutError():
            return Fault(504, "too slow")
    return None


def publishing(
    *functions: Callable[..., Any],
    deadline: float = 5.0,
    max_calls: int = 1000,
    observer: Observer = NULL_OBSERVER,
) -> Dispatcher:
    """Return a dispatcher that publishes these functions."""
    dispatcher = Dispatcher(map_error=map_error, timeout=deadline, max_calls=max_calls, observer=observer)
    for function in functions:
        dispatcher.publish(function)
    return dispatcher


def add(a: int, b: int = 1) -> int:
    """Return the sum."""
    return a + b
