"""The catalogue: the same in every process, with unique ids and covers."""

import subprocess
import sys

from demo.catalogue import MISSING, PRODUCTS, WITHOUT_COVER, build_catalogue
from tests.demo import ROOT


def test_every_process_generates_the_same_catalogue() -> None:
    """Also with another hash seed. The shop and the client rely on it."""
    program = "from demo.catalogue import draw_up; print(repr(draw_up()))"
    other = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == repr(build_catalogue())


def test_ids_are_unique_and_have_five_to_eight_digits() -> None:
    ids = build_catalogue().ids()
    assert len(set(ids)) == len(ids) == PRODUCTS + MISSING
    assert all(10_000 <= content_id <= 99_999_999 for content_id in ids)


def test_missing_ids_have_no_product() -> None:
    catalogue = build_catalogue()
    assert len(catalogue.missing) == MISSING
    assert not set(catalogue.missing) & set(catalogue.products)


def test_covers_are_unique() -> None:
    """No two records share a cover, and some have none."""
    covers = [product.cover_path for product in build_catalogue().products.values()]
    paths = [path for path in covers if path is not None]
    assert len(set(paths)) == len(paths) == PRODUCTS - WITHOUT_COVER
