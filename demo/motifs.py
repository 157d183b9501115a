"""Motifs: abstract drawings in the manner of record covers, as SVG elements that fill a square.

Each takes the chance it draws by and the palette it draws with, and answers the elements as text. They hold no words
and no ids, so any number of them may stand in one document.
"""

import math
from collections.abc import Callable, Iterable
from random import Random

from demo.palettes import Palette

#: The side of the square that a motif fills.
SIDE = 600

Motif = Callable[[Random, Palette], str]


def sun_and_waves(chance: Random, palette: Palette) -> str:
    """A low sun over swells that come closer."""
    quiet, second, third, loud = palette.accents
    middle, radius = chance.randint(190, 410), chance.randint(100, 140)
    sky = _rectangle(0, 0, SIDE, SIDE, quiet) + _circle(middle, 235, radius, loud)
    halo = f'<circle cx="{middle}" cy="235" r="{radius + 45}" fill="{loud}" opacity=".22"/>'
    swells = []
    for depth, colour in enumerate((third, second, palette.ground)):
        level, height, length = 300 + 95 * depth, chance.randint(18, 34), chance.randint(190, 320)
        phase = chance.uniform(0, math.tau)
        crest = [(x, level + height * math.sin(phase + math.tau * x / length)) for x in range(0, SIDE + 1, 12)]
        swells.append(_polygon([*crest, (SIDE, SIDE), (0, SIDE)], colour))
    return sky + halo + "".join(swells)


def rings(chance: Random, palette: Palette) -> str:
    """Rings around a point off the middle, like a record's grooves or a stone in a pond."""
    x, y = chance.choice((150, 300, 450)), chance.choice((180, 300, 420))
    step = chance.randint(36, 56)
    colours = [*palette.accents, palette.ground]
    chance.shuffle(colours)
    count = math.ceil(math.hypot(max(x, SIDE - x), max(y, SIDE - y)) / step)
    drawn = (_circle(x, y, step * ring, colours[ring % len(colours)]) for ring in range(count, 0, -1))
    return "".join(drawn)


def slanted_stripes(chance: Random, palette: Palette) -> str:
    """Stripes of uneven width, leaning to one side."""
    colours = [palette.ground, *palette.accents]
    lean, position, last = chance.choice((-240, -160, 160, 240)), -260, ""
    stripes = []
    while position < SIDE + 260:
        width = chance.choice((14, 26, 44, 70, 100))
        last = chance.choice([colour for colour in colours if colour != last])
        corners = [(position, 0), (position + width, 0), (position + width + lean, SIDE), (position + lean, SIDE)]
        stripes.append(_polygon(corners, last))
        position += width
    return _rectangle(0, 0, SIDE, SIDE, palette.ground) + "".join(stripes)


def quarters(chance: Random, palette: Palette) -> str:
    """A board of squares with quarter and half discs, after the posters of the nineteen-twenties."""
    colours = [palette.ground, *palette.accents]
    cells = chance.choice((3, 4, 4))
    size = SIDE // cells
    board = []
    for cell in range(cells * cells):
        x, y = cell % cells * size, cell // cells * size
        back, front = chance.sample(colours, 2)
        # A little too large, as the edges of neighbours that merely touch let a hair of the ground through.
        board.append(_rectangle(x, y, size + 0.5, size + 0.5, back))
        turn = f'transform="rotate({chance.choice((0, 90, 180, 270))} {x + size / 2:g} {y + size / 2:g})"'
        shape = chance.choice(
            (
                f"M{x} {y}h{size}a{size} {size} 0 0 1 {-size} {size}z",
                f"M{x} {y}h{size}a{size / 2:g} {size / 2:g} 0 0 1 {-size} 0z",
                f"M{x} {y}h{size}L{x} {y + size}z",
            )
        )
        board.append(f'<path d="{shape}" fill="{front}" {turn}/>')
    return "".join(board)


def ridges(chance: Random, palette: Palette) -> str:
    """Lines that rise to hills in the middle, each hiding what lies behind it."""
    # The loudest, or what words are written in: a paler accent would be lost as a thin line.
    colour = chance.choice((palette.accents[3], palette.ink))
    lines = []
    for level in range(150, 640, 30):
        hills = [(chance.gauss(300, 70), chance.uniform(14, 40), chance.uniform(15, 75)) for _ in range(5)]
        points = []
        for x in range(0, SIDE + 1, 8):
            rise = sum(height * math.exp(-(((x - middle) / width) ** 2)) for middle, width, height in hills)
            points.append((x, level - rise))
        lines.append(_polygon([*points, (SIDE, level + 40), (0, level + 40)], palette.ground))
        lines.append(f'<polyline points="{_points(points)}" fill="none" stroke="{colour}" stroke-width="6"/>')
    return _rectangle(0, 0, SIDE, SIDE, palette.ground) + "".join(lines)


def discs(chance: Random, palette: Palette) -> str:
    """Large translucent discs that overlap."""
    drawn = [_rectangle(0, 0, SIDE, SIDE, palette.ground)]
    turn = chance.uniform(0, math.tau)
    count = chance.choice((4, 5, 6))
    for number in range(count):
        angle = turn + math.tau * number / count
        x, y = 300 + 125 * math.cos(angle), 300 + 125 * math.sin(angle)
        colour = palette.accents[number % len(palette.accents)]
        drawn.append(
            f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{chance.randint(120, 175)}" fill="{colour}" opacity=".72"/>'
        )
    return "".join(drawn)


def mountains(chance: Random, palette: Palette) -> str:
    """Ranges one behind the other under a pale moon."""
    quiet, second, third, loud = palette.accents
    moon = _circle(chance.randint(130, 470), chance.randint(110, 170), chance.randint(48, 78), loud)
    ranges = []
    for depth, colour in enumerate((third, second, palette.ground)):
        base, x = 330 + 100 * depth, -80
        outline: list[tuple[float, float]] = [(-80, SIDE)]
        while x < SIDE + 80:
            outline.append((x, base + chance.randint(0, 40)))
            x += chance.randint(70, 120)
            outline.append((x, base - chance.randint(60, 150)))
            x += chance.randint(70, 120)
        ranges.append(_polygon([*outline, (x, SIDE)], colour))
    return _rectangle(0, 0, SIDE, SIDE, quiet) + moon + "".join(ranges)


def rays(chance: Random, palette: Palette) -> str:
    """Rays from a disc near the lower edge or the middle."""
    x, y = chance.choice((150, 300, 450)), chance.choice((300, 420))
    count = chance.choice((14, 18, 24))
    first, second, third, loud = palette.accents
    drawn = [_rectangle(0, 0, SIDE, SIDE, palette.ground)]
    for ray in range(count):
        angle, width = math.tau * ray / count, math.tau / count / 2
        ends = [(x + 900 * math.cos(angle + side), y + 900 * math.sin(angle + side)) for side in (0, width)]
        drawn.append(_polygon([(x, y), *ends], (first, second)[ray % 2]))
    drawn += [_circle(x, y, 150, palette.ground), _circle(x, y, 125, loud), _circle(x, y, 60, third)]
    return "".join(drawn)


def arches(chance: Random, palette: Palette) -> str:
    """Nested arches, two or three groups side by side."""
    colours = [*palette.accents, palette.ground]
    groups = chance.choice((1, 2, 3))
    width = SIDE // groups
    drawn = [_rectangle(0, 0, SIDE, SIDE, palette.ground)]
    for group in range(groups):
        middle, top = width * (group + 0.5), chance.randint(80, 230)
        order = chance.sample(colours[:-1], 4)
        for layer in range(5):
            radius = width * 0.47 * (1 - layer / 5)
            colour = [*order, palette.ground][layer]
            drawn.append(
                f'<path d="M{middle - radius:.0f} {SIDE}V{top + width * 0.47:.0f}a{radius:.0f} {radius:.0f} 0 0 1 '
                f'{2 * radius:.0f} 0V{SIDE}z" fill="{colour}"/>'
            )
    return "".join(drawn)


def halftone(chance: Random, palette: Palette) -> str:
    """Dots on a lattice that swell towards one or two bright places."""
    places = [(chance.randint(80, 520), chance.randint(80, 520)) for _ in range(2)]
    loud, other = palette.accents[3], palette.accents[chance.choice((1, 2))]
    drawn = [_rectangle(0, 0, SIDE, SIDE, palette.ground)]
    for cell in range(15 * 15):
        x, y = 20 + cell % 15 * 40, 20 + cell // 15 * 40
        near, far = (math.hypot(x - px, y - py) for px, py in places)
        radius = max(3.0, 25 - min(near, far) / 13)
        drawn.append(_circle(x, y, radius, loud if near < far else other))
    return "".join(drawn)


def loops(chance: Random, palette: Palette) -> str:
    """Tiles with two arcs each, turned by chance, whose ends always meet."""
    size = 100
    first, second = chance.sample(palette.accents, 2)
    paths = []
    for cell in range(36):
        x, y = cell % 6 * size, cell // 6 * size
        half = size // 2
        if chance.choice((True, False)):
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


def spectrum(chance: Random, palette: Palette) -> str:
    """Upright bars mirrored about the middle, like the picture of a sound."""
    drawn = [_rectangle(0, 0, SIDE, SIDE, palette.ground)]
    phase, length = chance.uniform(0, math.tau), chance.randint(150, 330)
    for bar in range(18):
        x = 34 + bar * 30
        height = 24 + 110 * abs(math.sin(phase + math.tau * x / length)) + chance.randint(0, 50)
        colour = palette.accents[min(3, int(height / 45))]
        drawn.append(
            f'<rect x="{x}" y="{300 - height:.0f}" width="18" height="{2 * height:.0f}" rx="9" fill="{colour}"/>'
        )
    return "".join(drawn)


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
