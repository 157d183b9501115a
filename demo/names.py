"""Names for what does not exist: artists, titles, tracks, put together from words by chance.

Whoever draws a name hands in the chance, so the same chance draws the same names.
"""

from random import Random


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FIRST_NAMES = _words(
    "Ada Bruno Clio Dario Edda Faye Goran Hedda Ilya Juno Kasimir Léonie Milo Nadja Otto Petra Zoë Søren"
)
_SURNAME_HEADS = _words("Ves Tam Orr Kel Bran Lun Quil Ist Dov Zer Nim Pel Sor Wex Yar")
_SURNAME_TAILS = _words("drik selby lund ovar iero mond ette kova holt ara inen wick")
_QUALITIES = _words(
    "Borrowed Paper Tidal Clockwork Amber Second-hand Northbound Patient Unfolded Copper Lamplit Weightless Feral "
    "Sunday Distant Gilded Reluctant Painted Slow Electric"
)
_BANDS = _words(
    "Barometers Cartographers Weathervanes Ferrymen Aqueducts Understudies Almanacs Turnstiles Sextants Beekeepers "
    "Lamplighters Orchards Herons Staircases Umbrellas"
)
_MATTERS = _words("Salt Smoke Amber Rain Rust Honey Ash Chalk Velvet Snow Iron Linen Cedar Tin Ink Clay")
_THINGS = _words(
    "Harbour Meridian Attic Compass Orchard Carousel Lighthouse Corridor Glasshouse Postcard Tramline Horizon Pendulum "
    "Window Ladder Archipelago Observatory Telegram Bicycle Avenue"
)
_PLACES = ("Ostermere", "Valdrift", "Kestrel Bay", "Lower Anwick", "Hotel Meridian", "Platform Nine", "the Salt Flats")
_OPENINGS = _words("Before After Under Beyond Leaving Counting Finding Dear Almost Against")


def surname(chance: Random) -> str:
    """A family name, such as Keldrik."""
    return chance.choice(_SURNAME_HEADS) + chance.choice(_SURNAME_TAILS)


def person(chance: Random) -> str:
    """A first and a family name."""
    return f"{chance.choice(_FIRST_NAMES)} {surname(chance)}"


def artist(chance: Random) -> str:
    """A singer, a band, a duo or an ensemble."""
    forms = (
        lambda: person(chance),
        lambda: person(chance),
        lambda: f"The {chance.choice(_QUALITIES)} {chance.choice(_BANDS)}",
        lambda: " & ".join(f"{head}{chance.choice(_SURNAME_TAILS)}" for head in chance.sample(_SURNAME_HEADS, 2)),
        lambda: f"{surname(chance)} {chance.choice(('Trio', 'Quartet', 'Ensemble', 'Orchestra'))}",
    )
    return chance.choice(forms)()


def title(chance: Random) -> str:
    """The title of a record; some have characters that HTML and XML want escaped."""
    forms = (
        lambda: f"{chance.choice(_QUALITIES)} {chance.choice(_THINGS)}",
        lambda: f"{chance.choice(_QUALITIES)} {chance.choice(_MATTERS)}",
        lambda: f"{chance.choice(_MATTERS)} {chance.choice(_THINGS)}",
        lambda: f"The {chance.choice(_THINGS)} of {chance.choice(_MATTERS)}",
        lambda: f"The {chance.choice(_QUALITIES)} {chance.choice(_THINGS)}",
        lambda: " & ".join(chance.sample(_MATTERS, 2)),
        lambda: f"{chance.choice(_OPENINGS)} the {chance.choice(_THINGS)}",
        lambda: f"{chance.choice(_OPENINGS)} {chance.choice(_MATTERS)}",
        lambda: " > ".join(chance.sample(_THINGS, 2)),
        lambda: f"{chance.choice(('Letters from', 'Live in', 'Waltz for', 'Return to'))} {chance.choice(_PLACES)}",
        lambda: f"“{chance.choice(_THINGS)}” & {chance.choice(('Other Songs', 'More', 'Fifteen Others'))}",
        lambda: chance.choice(_THINGS),
    )
    return chance.choice(forms)()


def track(chance: Random) -> str:
    """The title of a track."""
    forms = (
        lambda: f"{chance.choice(_OPENINGS)} {chance.choice(_MATTERS)}",
        lambda: f"{chance.choice(_OPENINGS)} the {chance.choice(_THINGS)}",
        lambda: f"{chance.choice(_QUALITIES)} {chance.choice(_THINGS)}",
        lambda: f"{chance.choice(_THINGS)} in {chance.choice(_MATTERS)}",
    )
    return chance.choice(forms)()
