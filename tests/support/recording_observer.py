"""An observer that records the events that it receives."""

from collections.abc import Callable
from functools import partial
from typing import Any

from app.domain.events import Observer

_EVENTS = frozenset(name for name in vars(Observer) if not name.startswith("_"))


class RecordingObserver(Observer):
    """``events`` lists the events in order, each as a tuple of its name and its arguments.

    The counter that an event returns records the same event when it is called, with " again" after the name.
    """

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def __getattribute__(self, name: str) -> Any:
        return partial(self._record, name) if name in _EVENTS else super().__getattribute__(name)

    def arguments_of(self, event: str) -> list[list[Any]]:
        """Return the arguments of each event with this name."""
        return [arguments for name, *arguments in self.events if name == event]

    def _record(self, event: str, *arguments: Any) -> Callable[[], None]:
        self.events.append((event, *arguments))
        return lambda: self.events.append((f"{event} again", *arguments))
