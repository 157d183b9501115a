"""The summary: failures and incorrect results are counted, and not mistaken for missing covers."""

import pytest

from demo.catalogue import Catalogue, build_catalogue
from demo.client import Result, Run
from demo.summary import ResultChecker, format_pages, format_result, format_times

SHOP = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def checker() -> ResultChecker:
    """A checker with the sample shop's catalogue."""
    return ResultChecker(build_catalogue(), SHOP)


def correct_results(catalogue: Catalogue) -> list[Result]:
    """Return the results of a service that works."""
    results = []
    for content_id in catalogue.ids():
        product = catalogue.products.get(content_id)
        if product is None or product.cover_path is None:
            results.append(Result(content_id, fault=404, text="no cover"))
        else:
            results.append(Result(content_id, url=SHOP + product.cover_path))
    return results


def test_correct_results_are_counted(checker: ResultChecker) -> None:
    run = Run(tuple(correct_results(checker.catalogue)), 1.0, (0.1,))
    assert list(checker.summarise(run)) == [
        "292 found, 20 missing (fault 404: 12 not in the shop, 8 without a picture)",
    ]
    assert checker.incorrect(run) == []


def test_other_faults_are_named_and_counted(checker: ResultChecker) -> None:
    """Faults other than 404 and missing responses have their own line."""
    results = correct_results(checker.catalogue)
    for index, fault in enumerate((502, 502, 503, None)):
        results[index] = Result(results[index].content_id, fault=fault, text="broken")
    lines = list(checker.summarise(Run(tuple(results), 1.0, (0.1,))))
    assert lines[1] == "4 failed: 2 x fault 502, 1 x fault 503, 1 x no response"
    assert lines[2] == "4 incorrect, for example:"


def test_the_cover_of_another_record_is_incorrect(checker: ResultChecker) -> None:
    """The URL must be that of the record's own cover."""
    results = correct_results(checker.catalogue)
    found = [result for result in results if result.url is not None]
    swapped = Result(found[0].content_id, url=found[1].url)
    assert checker.is_correct(found[0])
    assert not checker.is_correct(swapped)
    assert checker.incorrect(Run((swapped,), 1.0, (1.0,))) == [swapped]


def test_a_cover_for_a_missing_id_is_incorrect(checker: ResultChecker) -> None:
    missing_id = checker.catalogue.missing[0]
    assert not checker.is_correct(Result(missing_id, url=f"{SHOP}/multimedia/audio_cd_covers/1.jpg"))


def test_times_pages_and_results_are_formatted() -> None:
    results = (Result(1, url="u"), Result(2, fault=404, text="no cover"))
    assert format_times(Run(results, 1.5, (0.3, 1.2))) == "1.50 s in all; per call 750 ms (median), 1.20 s (maximum)"
    assert format_times(Run(results, 0.0124, (0.0124,))) == "12.4 ms for the call, 6.2 ms per id"
    assert format_pages(2, 2) == "the shop served 2 pages: one per id"
    assert format_pages(3, 2) == "the shop served 3 pages for 2 ids"
    assert format_pages(0, 2) == "the shop served no pages"
    assert [format_result(result) for result in results] == ["1 -> u", "2 -> fault 404: no cover"]
