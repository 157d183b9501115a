"""Motifs: abstract drawings in the style of record covers, as SVG elements that fill a square.

Each motif is a function of a random number generator and a palette that returns the elements as text. The elements
contain no text and no ids, so that one document can contain any number of them.
"""

import math
from collections.abc import Callable, Iterable
from random import Random

from demo.palettes import Palette

#: The side length of the square that a motif fills.
SIDE = 600

Motif = Callable[[Random, Palette], str]


def sun_and_waves(rng: Random, palette: Palette) -> str:
    """A low sun over rows of waves."""
    muted, second, third, vivid = palette.accents
    middle, radius = rng.randint(190, 410), rng.randint(100, 140)
    sky = _rectangle(0, 0, SIDE, SIDE, muted) + _circle(middle, 235, radius, vivid)
    halo = f'<circle cx="{middle}" cy="235" r="{radius + 45}" fill="{vivid}" opacity=".22"/>'
    waves = []
    for depth, colour in enumerate((third, second, palette.ground)):
        level, height, length = 300 + 95 * depth, rng.randint(18, 34), rng.randint(190, 320)
        phase = rng.uniform(0, math.tau)
        crest = [(x, level + height * math.sin(phase + math.tau * x / length)) for x in range(0, SIDE + 1, 12)]
        waves.append(_polygon([*crest, (SIDE, SIDE), (0, SIDE)], colour))
    return sky + halo + "".join(waves)


def rings(rng: Random, palette: Palette) -> str:
    """Concentric rings around a point off the centre."""
    x, y = rng.choice((150, 300, 450)), rng.choice((180, 300, 420))
    step = rng.randint(36, 56)
    colours = [*palette.accents, palette.ground]
    rng.shuffle(colours)
    count = math.ceil(math.hypot(max(x, SIDE - x), max(y, SIDE - y)) / step)
    shapes = (_circle(x, y, step * ring, colours[ring % len(colours)]) for ring in range(count, 0, -1))
    return "".join(shapes)


def slanted_stripes(rng: Random, palette: Palette) -> str:
    """Slanted stripes of random widths."""
    colours = [palette.ground, *palette.accents]
    slant, position, last = rng.choice((-240, -160, 160, 240)), -260, ""
    stripes = []
    while position < SIDE + 260:
        width = rng.choice((14, 26, 44, 70, 100))
        last = rng.choice([colour for colour in colours if colour != last])
        corners = [(position, 0), (position + width, 0), (position + width + slant, SIDE), (position + slant, SIDE)]
        stripes.append(_polygon(corners, last))
        position += width
    return _rectangle(0, 0, SIDE, SIDE, palette.ground) + "".join(stripes)


def quarters(rng: Random, palette: Palette) -> str:
    """A grid of squares with quarter discs, half discs and triangles."""
    colours = [palette.ground, *palette.accents]
    cells = rng.choice((3, 4, 4))
    size = SIDE // cells
    tiles = []
    for cell in range(cells * cells):
        x, y = cell % cells * size, cell // cells * size
        background, foreground = rng.sample(colours, 2)
        # Half a unit too large: between tiles that only touch, a thin line of the background would show.
        tiles.append(_rectangle(x, y, size + 0.5, size + 0.5, background))
        rotation = f'transform="rotate({rng.choice((0, 90, 180, 270))} {x + size / 2:g} {y + size / 2:g})"'
        shape = rng.choice(
            (
                f"M{x} {y}h{size}a{size} {size} 0 0 1 {-size} {size}z",
                f"M{x} {y}h{size}a{size / 2:g} {size / 2:g} 0 0 1 {-size} 0z",
                f"M{x} {y}h{size}L{x} {y + size}z",
            )
        )
        tiles.append(f'<path d="{shape}" fill="{foreground}" {rotation}/>')
    return "".join(tiles)


def ridges(rng: Random, palette: Palette) -> str:
    """Lines with peaks in the middle, each covering those behind it."""
    # The most vivid accent or the text colour: a paler accent would be invisible as a thin line.
    colour = rng.choice((palette.accents[3], palette.ink))
    lines = []
    for level in range(150, 640, 30):
        hills = [(rng.gauss(300, 70), rng.uniform(14, 40), rng.uniform(15, 75)) for _ in range(5)]
        points = []
        for x in range(0, SIDE + 1, 8):
            rise = sum(height * math.exp(-(((x - middle) / width) ** 2)) for middle, width, height in hills)
            points.append((x, level - rise))
        lines.append(_polygon([*points, (SIDE, level + 40), (0, level + 40)], palette.ground))
        lines.append(f'<polyline points="{_points(points)}" fill="none" stroke="{colour}" stroke-width="6"/>')
    return _rectangle(0, 0, SIDE, SIDE, palette.ground) + "".join(lines)


def discs(rng: Random, palette: Palette) -> str:
    """Large translucent discs that overlap."""
    shapes = [_rectangle(0, 0, SIDE, SIDE, palette.ground)]
    start = rng.uniform(0, math.tau)
    count = rng.choice((4, 5, 6))
    for number in range(count):
        angle = start + math.tau * number / count
        x, y = 300 + 125 * math.cos(angle), 300 + 125 * math.sin(angle)
        colour = palette.accents[number % len(palette.accents)]
        shapes.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{rng.randint(120, 175)}" fill="{colour}" opacity=".72"/>')
    return "".join(shapes)


def mountains(rng: Random, palette: Palette) -> str:
    """Mountain ranges, one behind the other, under a moon."""
    muted, second, third, vivid = palette.accents
    moon = _circle(rng.randint(130, 470), rng.randint(110, 170), rng.randint(48, 78), vivid)
    ranges = []
    for depth, colour in enumerate((third, second, palette.ground)):
        base, x = 330 + 100 * depth, -80
        outline: list[tuple[float, float]] = [(-80, SIDE)]
        while x < SIDE + 80:
            outline.append((x, base + rng.randint(0, 40)))
            x += rng.randint(70, 120)
            outline.append((x, base - rng.randint(60, 150)))
            x += rng.randint(70, 120)
        ranges.append(_polygon([*outline, (x, SIDE)], colour))
    return _rectangle(0, 0, SIDE, SIDE, muted) + moon + "".join(ranges)


def rays(rng: Random, palette: Palette) -> str:
    """Rays around a disc."""
    x, y = rng.choice((150, 300, 450)), rng.choice((300, 420))
    count = rng.choice((14, 18, 24))
    first, second, third, vivid = palette.accents
    shapes = [_rectangle(0, 0, SIDE, SIDE, palette.ground)]
    for ray in range(count):
        angle, width = math.tau * ray / count, math.tau / count / 2
        ends = [(x + 900 * math.cos(angle + side), y + 900 * math.sin(angle + side)) for side in (0, width)]
        shapes.append(_polygon([(x, y), *ends], (first, second)[ray % 2]))
    shapes += [_circle(x, y, 150, palette.ground), _circle(x, y, 125, vivid), _circle(x, y, 60, third)]
    return "".join(shapes)


def arches(rng: Random, palette: Palette) -> str:
    """Nested arches in one to three groups side by side."""
    colours = [*palette.accents, palette.ground]
    groups = rng.choice((1, 2, 3))
    width = SIDE // groups
    shapes = [_rectangle(0, 0, SIDE, SIDE, palette.ground)]
    for group in range(groups):
        middle, top = width * (group + 0.5), rng.randint(80, 230)
        order = rng.sample(colours[:-1], 4)
        for layer in range(5):
            radius = width * 0.47 * (1 - layer / 5)
            colour = [*order, palette.ground][layer]
            shapes.append(
                f'<path d="M{middle - radius:.0f} {SIDE}V{top + width * 0.47:.0f}a{radius:.0f} {radius:.0f} 0 0 1 '
                f'{2 * radius:.0f} 0V{SIDE}z" fill="{colour}"/>'
            )
    return "".join(shapes)


def halftone(rng: Random, palette: Palette) -> str:
    """A grid of dots that grow towards two points."""
    centres = [(rng.randint(80, 520), rng.randint(80, 520)) for _ in range(2)]
    vivid, other = palette.accents[3], palette.accents[rng.choice((1, 2))]
    shapes = [_rectangle(0, 0, SIDE, SIDE, palette.ground)]
    for cell in range(15 * 15):
        x, y = 20 + cell % 15 * 40, 20 + cell // 15 * 40
        first, second = (math.hypot(x - cx, y - cy) for cx, cy in centres)
        radius = max(3.0, 25 - min(first, second) / 13)
        shapes.append(_circle(x, y, radius, vivid if first < second else other))
    return "".join(shapes)


def loops(rng: Random, palette: Palette) -> str:
    """Tiles with two arcs each, rotated at random; the ends of the arcs always meet."""
    size = 100
    first, second = rng.sample(palette.accents, 2)
    paths = []
    for cell in range(36):
        x, y = cell % 6 * size, cell // 6 * size
        half = size // 2
        if rng.choice((True, False)):
            paths.append(f"M{x + half} {y}a{half} {half} 0 0 1 {-half} {half}")
            paths.append(f"M{x + size} {y + half}a{half} {half} 0 0 0 {-half} {half}")
        else:
            paths.append(f"M{x + half} {y}a{half} {half} 0 0 0 {half} {half}")
            paths.append(f"M{x} {y + half}a{half} {half} 0 0 1 {half} {half}")
    lines = "".join(paths)
    return _rectangle(0, 0, SIDE, SIDE, palette.ground) + "".join(
        f'<path d="{lines}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
        for colour, width in ((first, 46), (palette.ground, 26), (second, 12))
    )


def spectrum(rng: Random, palette: Palette) -> str:
    """Vertical bars mirrored about the middle, like an audio level meter."""
    shapes = [_rectangle(0, 0, SIDE, SIDE, palette.ground)]
    phase, length = rng.uniform(0, math.tau), rng.randint(150, 330)
    for bar in range(18):
        x = 34 + bar * 30
        height = 24 + 110 * abs(math.sin(phase + math.tau * x / length)) + rng.randint(0, 50)
        colour = palette.accents[min(3, int(height / 45))]
        shapes.append(
            f'<rect x="{x}" y="{300 - height:.0f}" width="18" height="{2 * height:.0f}" rx="9" fill="{colour}"/>'
        )
    return "".join(shapes)


MOTIFS: tuple[Motif, ...] = (
    sun_and_waves,
    rings,
    slanted_stripes,
    quarters,
    ridges,
    discs,
    mountains,
    rays,
    arches,
    halftone,
    loops,
    spectrum,
)


def _rectangle(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{colour}"/>'


def _circle(x: float, y: float, radius: float, colour: str) -> str:
    return f'<circle cx="{x:g}" cy="{y:g}" r="{radius:.1f}" fill="{colour}"/>'


def _polygon(points: Iterable[tuple[float, float]], colour: str) -> str:
    return f'<polygon points="{_points(points)}" fill="{colour}"/>'


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
