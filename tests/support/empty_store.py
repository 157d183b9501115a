"""A store without values: the base class of the scripted stores in tests."""

from app.store.base import Entry, Look


class EmptyStore:
    """A store that is always empty and grants every lease."""

    def get(self, key: str) -> bytes | None:
        """Return None."""
        return None

    def put(self, key: str, value: bytes, *, lifetime: float, is_positive: bool) -> None:
        """Do nothing."""

    def forget(self, key: str) -> bool:
        """Return False: there was no value."""
        return False

    def invalidations(self, since: str) -> tuple[str, list[str]]:
        """Return the same cursor and no keys."""
        return since, []

    def renew_lease(self, key: str, token: str, seconds: float) -> bool:
        """Return True: the token holds the lease."""
        return True

    def look(self, key: str, token: str, seconds: float, now: float) -> Look:
        """Return no record and the lease."""
        return Look(None, has_lease=True, purge_number=0)

    def settle(self, key: str, token: str, entry: Entry | None, purge_number: int) -> bool:
        """Store nothing."""
        return True

    def close(self) -> None:
        """Do nothing."""
