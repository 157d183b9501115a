"""A deadline that may be extended while somebody waits for it."""


class Deadline:
    """The time until which a lookup may wait for a slot, and what it waits for at present.

    ``at`` is a time of the clock that the waiting code uses. Code that waits reads it again whenever it wakes up, so an
    extension takes effect during the wait. ``waiting_for`` describes the present step for error messages, for example
    ``"a slot of shop.example"``; empty if no step has begun.
    """

    __slots__ = ("at", "waiting_for")

    def __init__(self, at: float) -> None:
        self.at = at
        self.waiting_for = ""

    def extend(self, at: float) -> None:
        """Move the deadline to ``at``, if that is later."""
        self.at = max(self.at, at)
