"""A clock that the test moves."""

from dataclasses import dataclass


@dataclass(slots=True)
class ManualClock:
    """Tells ``now``, in seconds."""

    now: float = 1_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now
