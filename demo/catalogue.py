"""The catalogue of the sample shop, generated at random from a fixed seed.

Every process gets the same catalogue. The shop serves it, and the demo compares the service's results with it.
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
    """One track of a record."""

    title: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Product:
    """One record of the shop.

    `price` is in roubles. `cover` is the number in the path of its cover, or None if the shop has no picture of it.
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
        """The path of the product's page."""
        return f"/context/detail/id/{self.id}"

    @property
    def cover_path(self) -> str | None:
        """The path of the cover, or None without one."""
        return None if self.cover is None else f"/multimedia/audio_cd_covers/{self.cover}.jpg"

    @property
    def thumb_path(self) -> str | None:
        """The path of the thumbnail for lists, or None without a cover."""
        return None if self.cover is None else f"/multimedia/thumbs/{self.cover}.jpg"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All products by id, and `missing`: some ids that no product has."""

    products: Mapping[int, Product]
    missing: tuple[int, ...]

    def ids(self) -> list[int]:
        """All ids to look up, missing ones included, in an order that is random but always the same."""
        ids = [*self.products, *self.missing]
        _new_rng(_SEED + 1).shuffle(ids)
        return ids


def build_catalogue() -> Catalogue:
    """Generate the catalogue of the sample shop."""
    rng = _new_rng(_SEED)
    ids = _draw_unique(lambda: _draw_id(rng), PRODUCTS + MISSING)
    # The number of a cover does not follow from the product's id, so that a client has to read the page.
    covers: list[int | None] = [*_draw_unique(lambda: rng.randint(1_000_000_000, 1_000_999_999), PRODUCTS)]
    for index in rng.sample(range(PRODUCTS), WITHOUT_COVER):
        covers[index] = None
    titles = _draw_unique(lambda: names.title(rng), PRODUCTS)
    fields = zip(ids[:PRODUCTS], titles, covers, strict=True)
    products = [_product(rng, content_id, title, cover) for content_id, title, cover in fields]
    return Catalogue({product.id: product for product in products}, tuple(ids[PRODUCTS:]))


def _product(rng: Random, content_id: int, title: str, cover: int | None) -> Product:
    return Product(
        id=content_id,
        title=title,
        artist=names.artist(rng),
        price=rng.randrange(149, 990, 10),
        year=rng.randint(1962, 2010),
        genre=rng.choice(_GENRES),
        label=rng.choice(_LABELS),
        cover=cover,
        tracks=tuple(Track(names.track(rng), rng.randint(95, 520)) for _ in range(rng.randint(9, 14))),
    )


def _draw_id(rng: Random) -> int:
    """Draw an id of five to eight digits. Each length is equally likely, as in a shop that has grown for years."""
    digits = rng.randint(5, 8)
    return rng.randrange(10 ** (digits - 1), 10**digits)


def _draw_unique(draw: Callable[[], T], count: int) -> list[T]:
    """Call `draw` until it has returned `count` different values; return these in order."""
    values: dict[T, None] = {}
    while len(values) < count:
        values[draw()] = None
    return list(values)


def _new_rng(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - made-up records, no secrets
