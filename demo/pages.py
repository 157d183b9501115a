"""The HTML pages of the sample shop, with the size and the clutter of real product pages.

A product's page contains the path of its cover once, in the large picture. The thumbnails of other products are in
another directory. A pattern for cover paths therefore matches the product's own cover, or nothing on a page without a
picture.
"""

from collections.abc import Iterable
from html import escape
from pathlib import Path
from random import Random

from demo import names
from demo.catalogue import Catalogue, Product

SHOP = "Tonkiosk"

_STYLE = Path(__file__).with_name("shop.css").read_text(encoding="utf-8")

_DEPARTMENTS = {
    "Music": "Chamber pop|Ambient|Jazz|Folk|Electronica|Post-rock|Chanson|Modern classical|Surf|Soundtracks|Box sets",
    "Books": "Novels|Poetry|Detective stories|Travel|Cookery|Art and architecture|Science|Dictionaries|Sheet music",
    "Films": "Comedies|Dramas|Documentaries|Animation|Silent films|Concerts|Series|For children|Westerns",
    "Electronics": "Players|Headphones|Turntables|Amplifiers|Radios|Cables and adapters|Cleaning and care|Batteries",
    "Gifts": "Calendars|Posters|Mugs|Postcards|Board games|Vouchers|Wrapping paper|Music boxes",
    "Help": "How to order|Delivery|Payment|Returns|Points of collection|Gift vouchers|Your orders|Contact|Careers",
}
_SENTENCES = (
    "I ordered this on a Tuesday and have listened to little else since.",
    "The first side opens quietly, and the rest keeps what it promises.",
    "Recorded close to the microphone: one hears the chair, the pedals and the rain at the window.",
    "The booklet is printed on heavy paper and has the words of all songs.",
    "Track four alone is worth the price.",
    "Not as bold as their second record, but warmer and better played.",
    "The delivery took three days, and the case arrived without a scratch.",
    "My neighbour knocked, and asked what it was called.",
    "Somewhat too long in the middle; the last three pieces make up for it.",
    "The remastering brings out the bass, which was buried on the first pressing.",
    "For long train rides, and for kitchens in winter.",
    "If you liked the concert recording, you will miss the applause here, and nothing else.",
    "A friend gave it to me, and this copy is for another friend.",
    "I had expected more brass & fewer strings.",
    "The singer counts in at the start of every piece, and one waits for it by the end.",
    "Bought for the cover, kept for the music.",
    "There is a clarinet in it that I would follow anywhere.",
    "The shop sent the wrong disc first, apologised, and let me keep it.",
    "It sounds as if it had been recorded at night, with the lamps on.",
    "Play it loud once, then quietly for the rest of the year.",
    "The liner notes give the tuning of every string, for those who want to play along.",
    "My children dance to the second track and fall asleep on the ninth.",
    "Cheaper here than in the shop at the corner, which I regret a little.",
    "On good speakers the room seems to have one wall fewer.",
)


def product_page(product: Product, catalogue: Catalogue) -> str:
    """Return the page of one product."""
    rng = Random(product.id)  # noqa: S311 - filler, no secrets
    heading = f"{escape(product.artist)}. {escape(product.title)}"
    others = rng.sample([other for other in catalogue.products.values() if other != product], 30)
    return _document(
        f"{heading} — buy at {SHOP}",
        f'<p class="crumbs"><a href="/">{SHOP}</a> / <a href="/">Music</a> / {escape(product.genre)}</p>'
        f"<h1>{heading}</h1>"
        f'<section class="product">{_cover_image(product)}{_details(product)}{_purchase(product, rng)}</section>'
        f"<h2>Tracks</h2>{_tracks(product)}"
        f"<h2>About this record</h2>{_paragraphs(rng, 3, 8)}"
        f"<h2>Customers' reviews</h2>{_reviews(rng, 32)}"
        f"<h2>Customers who bought this also bought</h2>{_product_list(others[:20])}"
        f"<h2>Recently viewed</h2>{_product_list(others[20:])}",
    )


def missing_page(path: str) -> str:
    """Return the page of a 404 response."""
    return _document(
        f"Not found — {SHOP}",
        f"<h1>We could not find this page</h1><p>There is nothing at <code>{escape(path)}</code>: "
        f'the product may no longer be sold. <a href="/">All records</a></p>',
    )


def index_page(catalogue: Catalogue) -> str:
    """Return the front page, which lists every product with its thumbnail."""
    products = catalogue.products.values()
    return _document(f"{SHOP} — records by post", f"<h1>{len(products)} records by post</h1>{_product_list(products)}")


def _document(title: str, main: str) -> str:
    """Return a complete document. `title` and `main` are HTML and not escaped again."""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n{_HEADER}\n"
        f'<div class="page">\n{_ASIDE}\n<main>{main}</main>\n</div>\n{_FOOTER}\n</body>\n</html>\n'
    )


def _links(labels: Iterable[str]) -> str:
    return "<ul>" + "".join(f'\n<li><a href="/">{escape(label)}</a></li>' for label in labels) + "\n</ul>"


_HEADER = (
    f'<header><a class="name" href="/">{SHOP}</a><form action="/" method="get">'
    '<input type="search" name="text" aria-label="Search" placeholder="Artist, title, label">'
    " <button>Find</button></form>"
    f"<nav>{_links([*_DEPARTMENTS, 'New', 'Charts', 'Second hand', 'Basket'])}</nav></header>"
)
_ASIDE = (
    "<aside>"
    + "".join(f"<h2>{department}</h2>{_links(parts.split('|'))}" for department, parts in _DEPARTMENTS.items())
    + "</aside>"
)
_FOOTER = (
    f"<footer>{_links(_DEPARTMENTS['Help'].split('|'))}"
    f"<p>{SHOP} is a sample shop. Nothing in it exists, and nothing can be bought.</p></footer>"
)


def _cover_image(product: Product) -> str:
    if product.cover_path is None:
        return '<div class="nopicture">no picture yet</div>'
    alt = escape(f"{product.artist}: {product.title}")
    return f'<img src="{product.cover_path}" width="300" height="300" alt="{alt}">'


def _details(product: Product) -> str:
    rows = {
        "Artist": product.artist,
        "Title": product.title,
        "Label": product.label,
        "Year": product.year,
        "Genre": product.genre,
        "Format": "Audio CD, jewel case",
        "Playing time": _format_duration(sum(track.seconds for track in product.tracks)),
        "Item number": product.id,
    }
    cells = "".join(
        f'\n<tr><th scope="row">{name}</th><td>{escape(str(value))}</td></tr>' for name, value in rows.items()
    )
    return f"<table>{cells}\n</table>"


def _purchase(product: Product, rng: Random) -> str:
    return (
        f'<form class="buy" action="/" method="get"><span class="price">{product.price} ₽</span>'
        f"<p>In stock: {rng.randint(1, 40)}. Sent within {rng.randint(1, 5)} days.</p>"
        "<button>Into the basket</button></form>"
    )


def _tracks(product: Product) -> str:
    rows = "".join(
        f"\n<tr><td>{number}</td><td>{escape(track.title)}</td><td>{_format_duration(track.seconds)}</td></tr>"
        for number, track in enumerate(product.tracks, 1)
    )
    header = "".join(f'<th scope="col">{label}</th>' for label in ("No.", "Title", "Length"))
    return f'<table class="tracks"><tr>{header}</tr>{rows}\n</table>'


def _paragraphs(rng: Random, count: int, sentences: int) -> str:
    return "".join(f"\n<p>{escape(' '.join(rng.sample(_SENTENCES, sentences)))}</p>" for _ in range(count))


def _reviews(rng: Random, count: int) -> str:
    reviews = []
    for _ in range(count):
        stars = rng.randint(2, 5)
        reviews.append(
            f'\n<article class="review"><h3>{escape(names.track(rng))} '
            f'<span class="stars">{"★" * stars}{"☆" * (5 - stars)}</span></h3>'
            f"<small>{escape(names.person(rng))}, {rng.randint(1, 28)}.{rng.randint(1, 12):02}.2010</small>"
            f"{_paragraphs(rng, 2, 7)}</article>"
        )
    return "".join(reviews)


def _product_list(products: Iterable[Product]) -> str:
    cells = (
        f'\n<li><a href="{product.page_path}">{_thumbnail(product)}'
        f"{escape(product.artist)}. {escape(product.title)}</a><b>{product.price} ₽</b></li>"
        for product in products
    )
    return f'<ul class="products">{"".join(cells)}\n</ul>'


def _thumbnail(product: Product) -> str:
    if product.thumb_path is None:
        return '<span class="nopicture">no picture yet</span>'
    return f'<img src="{product.thumb_path}" width="140" height="140" loading="lazy" alt="">'


def _format_duration(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02}"
