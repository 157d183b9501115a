"""Cover pictures as SVG: a motif, and the title and the artist as text.

A picture depends only on the product and the number of its cover. The motif, the palette and the layout are chosen by
the number modulo different values, so that all combinations occur about equally often.
"""

import textwrap
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

# In units of the font size. The width of a character is an upper estimate, since the viewer's fonts are unknown.
_CHAR_WIDTH = 0.6
_LINE_HEIGHT = 1.12
_ARTIST_FONT_SIZE = 30


@dataclass(frozen=True, slots=True)
class TextBlock:
    """The text of a cover: the lines of the title, the artist, and their font sizes."""

    title: tuple[str, ...]
    title_size: int
    artist: str
    artist_size: int

    @property
    def height(self) -> float:
        """The height from the top of the first line to the bottom of the last."""
        return len(self.title) * self.title_size * _LINE_HEIGHT + self.artist_size * 1.5


def draw(product: Product) -> str:
    """Return the cover picture of a product as an SVG document."""
    number = product.id if product.cover is None else product.cover
    rng = Random(number)  # noqa: S311 - a drawing, no secret
    palette = PALETTES[number % len(PALETTES)]
    motif = MOTIFS[number // 7 % len(MOTIFS)](rng, palette)
    layout = _LAYOUTS[number // 3 % len(_LAYOUTS)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}" width="{SIDE}" height="{SIDE}">'
        f"<title>{escape(product.artist)}: {escape(product.title)}</title>"
        f'<rect width="{SIDE}" height="{SIDE}" fill="{palette.ground}"/>'
        f"{layout(product, palette, motif)}</svg>"
    )


def _text_below(product: Product, palette: Palette, motif: str) -> str:
    """The motif, and the text on a band below it."""
    text = _fit_text(product, width=520, size=58)
    top = SIDE - text.height - 48
    # The band overlaps the motif by one unit: between edges that only touch, a thin line would show.
    band = f'<rect y="{top - 1:.0f}" width="{SIDE}" height="{SIDE - top:.0f}" fill="{palette.ground}"/>'
    return _crop(motif, 0, 0, SIDE, top) + band + _draw_text(text, palette, x=40, y=top + 20, family=_SANS)


def _framed(product: Product, palette: Palette, motif: str) -> str:
    """The motif in a frame, and the text below it."""
    text = _fit_text(product, width=516, size=52)
    bottom = SIDE - text.height - 56
    line = f'<rect x="42" y="{bottom + 16:.0f}" width="64" height="6" fill="{palette.accents[3]}"/>'
    return _crop(motif, 42, 42, 516, bottom - 42) + line + _draw_text(text, palette, x=42, y=bottom + 28, family=_SERIF)


def _text_above(product: Product, palette: Palette, motif: str) -> str:
    """The text, and the motif below it."""
    text = _fit_text(product, width=520, size=64)
    top = text.height + 52
    return _crop(motif, 0, top, SIDE, SIDE - top) + _draw_text(text, palette, x=40, y=26, family=_SANS)


def _labelled(product: Product, palette: Palette, motif: str) -> str:
    """The motif on the whole picture, and the text on a label in the middle."""
    text = _fit_text(product, width=380, size=50)
    height = text.height + 56
    top = (SIDE - height) / 2
    box = (
        f'<rect x="80" y="{top:.0f}" width="440" height="{height:.0f}" fill="{palette.ground}"/>'
        f'<rect x="90" y="{top + 10:.0f}" width="420" height="{height - 20:.0f}" fill="none" '
        f'stroke="{palette.ink}" stroke-width="2"/>'
    )
    return motif + box + _draw_text(text, palette, x=300, y=top + 24, family=_SERIF, anchor="middle")


def _in_disc(product: Product, palette: Palette, motif: str) -> str:
    """The motif in a disc, and the text centred below it."""
    text = _fit_text(product, width=520, size=52)
    bottom = SIDE - text.height - 44
    radius = (bottom - 34) / 2
    clip = f"disc{product.id}"
    circle = f'cx="300" cy="{34 + radius:.0f}" r="{radius:.0f}"'
    disc = f'<clipPath id="{clip}"><circle {circle}/></clipPath>'
    cropped = _crop(motif, 300 - radius, 34, 2 * radius, 2 * radius)
    rim = f'<circle {circle} fill="none" stroke="{palette.ink}" stroke-width="6"/>'
    drawn_text = _draw_text(text, palette, x=300, y=bottom + 14, family=_SERIF, anchor="middle")
    return f'{disc}<g clip-path="url(#{clip})">{cropped}</g>{rim}{drawn_text}'


_LAYOUTS: tuple[Callable[[Product, Palette, str], str], ...] = (_text_below, _framed, _text_above, _labelled, _in_disc)


def _crop(motif: str, x: float, y: float, width: float, height: float) -> str:
    """Return the motif cropped to a rectangle. A nested svg element clips its content."""
    return (
        f'<svg x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {SIDE} {SIDE}" '
        f'preserveAspectRatio="xMidYMid slice">{motif}</svg>'
    )


def _fit_text(product: Product, *, width: float, size: int) -> TextBlock:
    """Break the title into lines, and reduce the font sizes where a line would be wider than `width`."""
    title = _balance_lines(product.title, int(width / (size * _CHAR_WIDTH)))
    return TextBlock(
        title=title,
        title_size=_fit_font_size(title, width, size),
        artist=product.artist,
        artist_size=_fit_font_size((product.artist,), width, _ARTIST_FONT_SIZE),
    )


def _balance_lines(text: str, columns: int) -> tuple[str, ...]:
    """Wrap the text into the fewest lines of at most `columns` characters, of about equal length."""
    fewest = _wrap(text, columns)
    narrower = (_wrap(text, width) for width in range(1, columns))
    return next((lines for lines in narrower if len(lines) == len(fewest)), fewest)


def _wrap(text: str, columns: int) -> tuple[str, ...]:
    """Wrap the text between words. A word that is longer than `columns` has a line of its own."""
    return tuple(textwrap.wrap(text, columns, break_long_words=False, break_on_hyphens=False))


def _fit_font_size(lines: tuple[str, ...], width: float, size: int) -> int:
    return min(size, int(width / (max(map(len, lines)) * _CHAR_WIDTH)))


def _draw_text(text: TextBlock, palette: Palette, *, x: float, y: float, family: str, anchor: str = "start") -> str:
    """Return the text as SVG elements below `y`. The artist's name is fainter than the title."""
    elements = [f'<g font-family="{family}" fill="{palette.ink}" text-anchor="{anchor}">']
    for number, line in enumerate(text.title):
        base = y + text.title_size * (number * _LINE_HEIGHT + 0.86)
        elements.append(
            f'<text x="{x:.0f}" y="{base:.0f}" font-size="{text.title_size}" font-weight="700">{escape(line)}</text>'
        )
    base = y + text.height - text.artist_size * 0.3
    elements.append(
        f'<text x="{x:.0f}" y="{base:.0f}" font-size="{text.artist_size}" opacity=".82">{escape(text.artist)}</text>'
    )
    return "".join(elements) + "</g>"
