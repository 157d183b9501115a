"""An observer that remembers what it was told."""

from collections.abc import Callable
from functools import partial
from typing import Any

from app.domain.events import Observer

_EVENTS = frozenset(name for name in vars(Observer) if not name.startswith("_"))


class RecordingObserver(Observer):
    """``heard`` lists what it was told: each time the event's name and its arguments."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def __getattribute__(self, name: str) -> Any:
        return partial(self._hear, name) if name in _EVENTS else super().__getattribute__(name)

    def arguments_of(self, event: str) -> list[list[Any]]:
        """Return the arguments of each event of this name."""
        return [arguments for name, *arguments in self.events if name == event]

    def _hear(self, event: str, *arguments: Any) -> Callable[[], None]:
        self.events.append((event, *arguments))
        return lambda: self.events.append((f"{event} again", *arguments))
