"""Text from origin servers in error messages."""

_MAX_LENGTH = 200


def printable_line(text: str) -> str:
    """Return ``text`` as one line of at most 200 characters. Unprintable characters become question marks."""
    return "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))[:_MAX_LENGTH]
