"""A deadline that may be extended during the wait that it limits."""


class Deadline:
    """The time until which a lookup may wait for a slot, and a description of what the lookup waits for.

    ``at`` is a time of the clock that the waiting code uses. That code reads ``at`` again whenever it wakes up, so an
    extension takes effect during the wait. ``waiting_for`` describes the present step for error messages, for example
    ``"a slot of shop.example"``. It is empty if no step has begun.
    """

    __slots__ = ("at", "waiting_for")

    def __init__(self, at: float) -> None:
        self.at = at
        self.waiting_for = ""

    def extend(self, at: float) -> None:
        """Move the deadline to ``at`` if ``at`` is later."""
        self.at = max(self.at, at)
