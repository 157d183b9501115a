"""Extraction: from the bytes of a page to the URL of its cover, by the rules of a source. Nothing here does I/O."""
