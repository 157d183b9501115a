"""The catalogue: what the sample shop has, drawn up by chance from a fixed seed.

Every run, and every process of a run, gets the same catalogue: the shop sells from it, and the demo's client knows from
it what the right answers are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from demo import names

PRODUCTS = 300
WITHOUT_COVER = 8
MISSING = 12

_SEED = 2010
_GENRES = ("Chamber pop", "Ambient", "Jazz", "Folk", "Electronica", "Post-rock", "Chanson", "Modern classical", "Surf")
_LABELS = ("Blue Kettle", "Halfmoon Press", "Tenth Floor", "Gramophone Street", "Little Ferry", "Paper Boat Discs")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Track:
    """One track: its title and its length in seconds."""

    title: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Product:
    """One record of the shop.

    `price` is in roubles; `cover` is the number in its cover's path, None where the shop has no picture of it.
    """

    id: int
    title: str
    artist: str
    price: int
    year: int
    genre: str
    label: str
    cover: int | None
    tracks: tuple[Track, ...]

    @property
    def page_path(self) -> str:
        """Where the shop shows the product."""
        return f"/context/detail/id/{self.id}"

    @property
    def cover_path(self) -> str | None:
        """Where the shop keeps the cover; None without one."""
        return None if self.cover is None else f"/multimedia/audio_cd_covers/{self.cover}.jpg"

    @property
    def thumb_path(self) -> str | None:
        """Where the shop keeps the cover's small picture for its lists; None without one."""
        return None if self.cover is None else f"/multimedia/thumbs/{self.cover}.jpg"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All products by id, and some ids that no product has."""

    products: Mapping[int, Product]
    missing: tuple[int, ...]

    def ids(self) -> list[int]:
        """Every id to ask for, the missing ones strewn among the others, always in the same order."""
        everything = [*self.products, *self.missing]
        _chance(_SEED + 1).shuffle(everything)
        return everything


def draw_up() -> Catalogue:
    """The catalogue of the sample shop."""
    chance = _chance(_SEED)
    ids = _different(lambda: _id(chance), PRODUCTS + MISSING)
    # A cover's number cannot be told from the product's id: who wants it has to read the page.
    covers: list[int | None] = [*_different(lambda: chance.randint(1_000_000_000, 1_000_999_999), PRODUCTS)]
    for bare in chance.sample(range(PRODUCTS), WITHOUT_COVER):
        covers[bare] = None
    titles = _different(lambda: names.title(chance), PRODUCTS)
    sold = zip(ids[:PRODUCTS], titles, covers, strict=True)
    products = [_product(chance, content_id, title, cover) for content_id, title, cover in sold]
    return Catalogue({product.id: product for product in products}, tuple(ids[PRODUCTS:]))


def _product(chance: Random, content_id: int, title: str, cover: int | None) -> Product:
    return Product(
        id=content_id,
        title=title,
        artist=names.artist(chance),
        price=chance.randrange(149, 990, 10),
        year=chance.randint(1962, 2010),
        genre=chance.choice(_GENRES),
        label=chance.choice(_LABELS),
        cover=cover,
        tracks=tuple(Track(names.track(chance), chance.randint(95, 520)) for _ in range(chance.randint(9, 14))),
    )


def _id(chance: Random) -> int:
    """An id of five to eight digits, each length as likely as the others, as a shop that grew for years has them."""
    digits = chance.randint(5, 8)
    return chance.randrange(10 ** (digits - 1), 10**digits)


def _different(draw: Callable[[], T], count: int) -> list[T]:
    """The first `count` different values that `draw` gives."""
    drawn: dict[T, None] = {}
    while len(drawn) < count:
        drawn[draw()] = None
    return list(drawn)


def _chance(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - made-up records, no secrets
