"""Random names of artists, records and tracks, put together from lists of words.

The caller passes the random number generator, so that a seed always yields the same names.
"""

from random import Random


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FIRST_NAMES = _words(
    "Ada Bruno Clio Dario Edda Faye Goran Hedda Ilya Juno Kasimir Léonie Milo Nadja Otto Petra Zoë Søren"
)
_SURNAME_HEADS = _words("Ves Tam Orr Kel Bran Lun Quil Ist Dov Zer Nim Pel Sor Wex Yar")
_SURNAME_TAILS = _words("drik selby lund ovar iero mond ette kova holt ara inen wick")
_ADJECTIVES = _words(
    "Borrowed Paper Tidal Clockwork Amber Second-hand Northbound Patient Unfolded Copper Lamplit Weightless Feral "
    "Sunday Distant Gilded Reluctant Painted Slow Electric"
)
_BANDS = _words(
    "Barometers Cartographers Weathervanes Ferrymen Aqueducts Understudies Almanacs Turnstiles Sextants Beekeepers "
    "Lamplighters Orchards Herons Staircases Umbrellas"
)
_MATERIALS = _words("Salt Smoke Amber Rain Rust Honey Ash Chalk Velvet Snow Iron Linen Cedar Tin Ink Clay")
_NOUNS = _words(
    "Harbour Meridian Attic Compass Orchard Carousel Lighthouse Corridor Glasshouse Postcard Tramline Horizon Pendulum "
    "Window Ladder Archipelago Observatory Telegram Bicycle Avenue"
)
_PLACES = ("Ostermere", "Valdrift", "Kestrel Bay", "Lower Anwick", "Hotel Meridian", "Platform Nine", "the Salt Flats")
_OPENING_WORDS = _words("Before After Under Beyond Leaving Counting Finding Dear Almost Against")


def surname(rng: Random) -> str:
    """Return a family name, such as Keldrik."""
    return rng.choice(_SURNAME_HEADS) + rng.choice(_SURNAME_TAILS)


def person(rng: Random) -> str:
    """Return a first name and a family name."""
    return f"{rng.choice(_FIRST_NAMES)} {surname(rng)}"


def artist(rng: Random) -> str:
    """Return the name of a singer, a band, a duo or an ensemble."""
    patterns = (
        lambda: person(rng),
        lambda: person(rng),
        lambda: f"The {rng.choice(_ADJECTIVES)} {rng.choice(_BANDS)}",
        lambda: " & ".join(f"{head}{rng.choice(_SURNAME_TAILS)}" for head in rng.sample(_SURNAME_HEADS, 2)),
        lambda: f"{surname(rng)} {rng.choice(('Trio', 'Quartet', 'Ensemble', 'Orchestra'))}",
    )
    return rng.choice(patterns)()


def title(rng: Random) -> str:
    """Return the title of a record. Some contain characters that must be escaped in HTML and XML."""
    patterns = (
        lambda: f"{rng.choice(_ADJECTIVES)} {rng.choice(_NOUNS)}",
        lambda: f"{rng.choice(_ADJECTIVES)} {rng.choice(_MATERIALS)}",
        lambda: f"{rng.choice(_MATERIALS)} {rng.choice(_NOUNS)}",
        lambda: f"The {rng.choice(_NOUNS)} of {rng.choice(_MATERIALS)}",
        lambda: f"The {rng.choice(_ADJECTIVES)} {rng.choice(_NOUNS)}",
        lambda: " & ".join(rng.sample(_MATERIALS, 2)),
        lambda: f"{rng.choice(_OPENING_WORDS)} the {rng.choice(_NOUNS)}",
        lambda: f"{rng.choice(_OPENING_WORDS)} {rng.choice(_MATERIALS)}",
        lambda: " > ".join(rng.sample(_NOUNS, 2)),
        lambda: f"{rng.choice(('Letters from', 'Live in', 'Waltz for', 'Return to'))} {rng.choice(_PLACES)}",
        lambda: f"“{rng.choice(_NOUNS)}” & {rng.choice(('Other Songs', 'More', 'Fifteen Others'))}",
        lambda: rng.choice(_NOUNS),
    )
    return rng.choice(patterns)()


def track(rng: Random) -> str:
    """Return the title of a track."""
    patterns = (
        lambda: f"{rng.choice(_OPENING_WORDS)} {rng.choice(_MATERIALS)}",
        lambda: f"{rng.choice(_OPENING_WORDS)} the {rng.choice(_NOUNS)}",
        lambda: f"{rng.choice(_ADJECTIVES)} {rng.choice(_NOUNS)}",
        lambda: f"{rng.choice(_NOUNS)} in {rng.choice(_MATERIALS)}",
    )
    return rng.choice(patterns)()
