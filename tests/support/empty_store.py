"""A store without values: the base class of the scripted stores in tests."""


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

    def acquire_lease(self, key: str, token: str, seconds: float) -> bool:
        """Return True: the token holds the lease."""
        return True

    def release_lease(self, key: str, token: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
