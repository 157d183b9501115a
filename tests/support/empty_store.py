"""A store that keeps nothing: the base of the stores that tests script."""


class EmptyStore:
    """A store that is always empty and grants every lease."""

    def get(self, key: str) -> bytes | None:
        """Return None."""
        return None

    def put(self, key: str, value: bytes, *, lifetime: float, is_positive: bool) -> None:
        """Keep nothing."""

    def forget(self, key: str) -> bool:
        """Return False: the key was not known."""
        return False

    def invalidations(self, since: str) -> tuple[str, list[str]]:
        """Return no invalidation."""
        return since, []

    def lease(self, key: str, token: str, seconds: float) -> bool:
        """Grant the lease."""
        return True

    def release(self, key: str, token: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
