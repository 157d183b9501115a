"""Cover pictures: a motif with the title and the artist set over it, as SVG text.

The number of a cover decides all of it, so a picture looks the same whenever it is drawn. Each number has its motif,
palette and setting by what is left of it after division: every combination comes up about as often as any other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from random import Random

from demo.catalogue import Product
from demo.motifs import MOTIFS, SIDE
from demo.palettes import PALETTES, Palette

CONTENT_TYPE = "image/svg+xml"

_SANS = "Futura, 'Avenir Next', 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
_SERIF = "Georgia, 'Times New Roman', 'Liberation Serif', serif"

# The width of a letter in units of the size of the type, on the safe side: which font a viewer has is not known here.
_LETTER = 0.6
_LEADING = 1.12
_ARTIST_SIZE = 30


@dataclass(frozen=True, slots=True)
class Lettering:
    """The words of a cover as lines of type."""

    title: tuple[str, ...]
    title_size: int
    artist: str
    artist_size: int

    @property
    def height(self) -> float:
        """From the top of the first line to the foot of the last."""
        return len(self.title) * self.title_size * _LEADING + self.artist_size * 1.5


def draw(product: Product) -> str:
    """The cover picture of a product as an SVG document."""
    number = product.id if product.cover is None else product.cover
    chance = Random(number)  # noqa: S311 - a drawing, no secret
    palette = PALETTES[number % len(PALETTES)]
    art = MOTIFS[number // 7 % len(MOTIFS)](chance, palette)
    setting = _SETTINGS[number // 3 % len(_SETTINGS)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}" width="{SIDE}" height="{SIDE}">'
        f"<title>{escape(product.artist)}: {escape(product.title)}</title>"
        f'<rect width="{SIDE}" height="{SIDE}" fill="{palette.ground}"/>'
        f"{setting(product, palette, art)}</svg>"
    )


def _foot(product: Product, palette: Palette, art: str) -> str:
    """The art above, the words on a band along the foot."""
    words = _lettering(product, width=520, size=58)
    top = SIDE - words.height - 48
    # A unit of overlap: two edges on one line let a hair of the page through.
    band = f'<rect y="{top - 1:.0f}" width="{SIDE}" height="{SIDE - top:.0f}" fill="{palette.ground}"/>'
    return _window(art, 0, 0, SIDE, top) + band + _type(words, palette, x=40, y=top + 20, family=_SANS)


def _frame(product: Product, palette: Palette, art: str) -> str:
    """The art in a frame of the ground's colour, the words beneath it."""
    words = _lettering(product, width=516, size=52)
    bottom = SIDE - words.height - 56
    line = f'<rect x="42" y="{bottom + 16:.0f}" width="64" height="6" fill="{palette.accents[3]}"/>'
    return _window(art, 42, 42, 516, bottom - 42) + line + _type(words, palette, x=42, y=bottom + 28, family=_SERIF)


def _head(product: Product, palette: Palette, art: str) -> str:
    """The words on top, the art beneath them."""
    words = _lettering(product, width=520, size=64)
    top = words.height + 52
    return _window(art, 0, top, SIDE, SIDE - top) + _type(words, palette, x=40, y=26, family=_SANS)


def _label(product: Product, palette: Palette, art: str) -> str:
    """The art all over, the words on a label in the middle."""
    words = _lettering(product, width=380, size=50)
    height = words.height + 56
    top = (SIDE - height) / 2
    box = (
        f'<rect x="80" y="{top:.0f}" width="440" height="{height:.0f}" fill="{palette.ground}"/>'
        f'<rect x="90" y="{top + 10:.0f}" width="420" height="{height - 20:.0f}" fill="none" '
        f'stroke="{palette.ink}" stroke-width="2"/>'
    )
    return art + box + _type(words, palette, x=300, y=top + 24, family=_SERIF, anchor="middle")


def _medallion(product: Product, palette: Palette, art: str) -> str:
    """The art in a disc, the words centred beneath it."""
    words = _lettering(product, width=520, size=52)
    bottom = SIDE - words.height - 44
    radius = (bottom - 34) / 2
    clip = f"disc{product.id}"
    circle = f'cx="300" cy="{34 + radius:.0f}" r="{radius:.0f}"'
    disc = f'<clipPath id="{clip}"><circle {circle}/></clipPath>'
    window = _window(art, 300 - radius, 34, 2 * radius, 2 * radius)
    rim = f'<circle {circle} fill="none" stroke="{palette.ink}" stroke-width="6"/>'
    type_ = _type(words, palette, x=300, y=bottom + 14, family=_SERIF, anchor="middle")
    return f'{disc}<g clip-path="url(#{clip})">{window}</g>{rim}{type_}'


_SETTINGS: tuple[Callable[[Product, Palette, str], str], ...] = (_foot, _frame, _head, _label, _medallion)


def _window(art: str, x: float, y: float, width: float, height: float) -> str:
    """The art cropped to a rectangle; an inner svg element crops by itself."""
    return (
        f'<svg x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {SIDE} {SIDE}" '
        f'preserveAspectRatio="xMidYMid slice">{art}</svg>'
    )


def _lettering(product: Product, *, width: float, size: int) -> Lettering:
    """The words broken into lines and sized so that they stay within `width`."""
    lines = _lines(product.title, int(width / (size * _LETTER)))
    return Lettering(
        lines, _fitting(lines, width, size), product.artist, _fitting((product.artist,), width, _ARTIST_SIZE)
    )


def _lines(text: str, letters: int) -> tuple[str, ...]:
    """The text broken between words into the fewest lines of at most `letters`, none much shorter than the others."""
    fewest = _broken(text, letters)
    narrower = (_broken(text, width) for width in range(1, letters))
    return next((lines for lines in narrower if len(lines) == len(fewest)), fewest)


def _broken(text: str, letters: int) -> tuple[str, ...]:
    """The text broken between words, each line taking what it can; a longer word has a line of its own."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= letters:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return tuple(lines)


def _fitting(lines: tuple[str, ...], width: float, size: int) -> int:
    return min(size, int(width / (max(map(len, lines)) * _LETTER)))


def _type(words: Lettering, palette: Palette, *, x: float, y: float, family: str, anchor: str = "start") -> str:
    """The words as text elements below `y`; the artist's name is set lighter than the title."""
    drawn = [f'<g font-family="{family}" fill="{palette.ink}" text-anchor="{anchor}">']
    for number, line in enumerate(words.title):
        base = y + words.title_size * (number * _LEADING + 0.86)
        drawn.append(
            f'<text x="{x:.0f}" y="{base:.0f}" font-size="{words.title_size}" font-weight="700">{escape(line)}</text>'
        )
    base = y + words.height - words.artist_size * 0.3
    drawn.append(
        f'<text x="{x:.0f}" y="{base:.0f}" font-size="{words.artist_size}" opacity=".82">{escape(words.artist)}</text>'
    )
    return "".join(drawn) + "</g>"
