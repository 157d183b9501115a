"""The port of the store: what stands behind a worker's memory, shared by the workers of a machine or of many.

A store keeps bytes by key and knows nothing of what they are. It may be slow, wrong or gone: everything in it can be
found out again. So each method may raise StoreError, and whoever asks goes on without it (see
``app.store.circuit_breaker``).
"""

from typing import Protocol


class StoreError(Exception):
    """The store could not do it. The text says why, in one line."""


class Store(Protocol):
    """Bytes by key, leases, and news of what was forgotten. Each method may raise StoreError, and nothing else.

    Keys are texts of up to a few hundred characters, of any kind; values are bytes of any kind.
    """

    def get(self, key: str) -> bytes | None:
        """Return the value, or None. One whose lifetime has ended may still be returned: its reader knows its times."""

    def put(self, key: str, value: bytes, *, lifetime: float, is_positive: bool) -> None:
        """Keep the value for about ``lifetime`` seconds; where room is short, those that are not precious go first."""

    def forget(self, key: str) -> bool:
        """Drop the value, and let everybody know; return whether there was one."""

    def invalidations(self, since: str) -> tuple[str, list[str]]:
        """Return what was forgotten after the point ``since``, oldest first, and the point to ask from next time.

        Points are the store's own texts. Asked with an empty one it tells nothing but the present point.
        """

    def lease(self, key: str, token: str, seconds: float) -> bool:
        """Take the lease of a key, or prolong one that has this token; return whether it is held by the token now.

        It ends by itself after ``seconds``. It is a courtesy, not a lock: its holder may be held up for longer.
        """

    def release(self, key: str, token: str) -> None:
        """Give the lease of a key back, if it is this token's."""

    def close(self) -> None:
        """Let go of files and connections; a later call may open them again."""
