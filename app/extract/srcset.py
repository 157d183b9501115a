"""The ``srcset`` attribute of images (WHATWG, 4.8.4.2.1)."""

import re

MAX_SRCSET = 65_536  # characters; real ones may contain a dozen data: URLs

#: A URL, and its descriptor up to the next comma, unless a comma ends the URL.
_CANDIDATE = re.compile(r"([^\s,]\S*)(?:(?<!,)\s+([^,]*))?")
_SIZE = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)


def largest_image(srcset: str) -> str:
    """Return the URL with the largest width or density, the first one of equals, or "" if there is none."""
    if len(srcset) > MAX_SRCSET:
        return ""
    largest = max(_CANDIDATE.finditer(srcset), key=_size_of, default=None)
    return largest[1].rstrip(",") if largest is not None else ""


def _size_of(candidate: re.Match[str]) -> float:
    size = _SIZE.match(candidate[2] or "")
    return float(size[0]) if size is not None else 1.0
