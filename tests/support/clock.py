"""A clock that the test moves."""

from dataclasses import dataclass


@dataclass(slots=True)
class ManualClock:
    """A clock that returns ``now``, in seconds."""

    now: float = 1_000.0

    def __call__(self) -> float:
        """Return ``now``."""
        return self.now
