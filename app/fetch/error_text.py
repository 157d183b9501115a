"""Text of origin servers that becomes part of an error message."""

_MAX_LENGTH = 200


def printable_line(text: str) -> str:
    """Return ``text`` as one line of at most 200 printable characters: a response could contain control characters."""
    return "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))[:_MAX_LENGTH]
