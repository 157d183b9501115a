"""Tests of the demo: its parts, and the whole program."""

from pathlib import Path

from demo.catalogue import Product, Track

ROOT = Path(__file__).parent.parent.parent

#: A record whose texts would break a document that does not escape them.
SPECIAL_CHARACTERS = Product(
    id=7,
    title="<Salt> & \"Smoke\" 'n' </title>",
    artist="A&B <script>",
    price=1,
    year=1999,
    genre="Jazz & <more>",
    label="L<&>",
    cover=123,
    tracks=(Track("1 < 2 & 3", 61),),
)
