"""The summary: what went wrong is said, with its number, and never taken for a missing cover."""

import pytest

from demo.catalogue import Catalogue, draw_up
from demo.client import Answer, Round
from demo.summary import Judge, example, pages, times

SHOP = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def judge() -> Judge:
    """Who knows the sample shop's catalogue."""
    return Judge(draw_up(), SHOP)


def right_answers(catalogue: Catalogue) -> list[Answer]:
    """What a service without fault answers."""
    answers = []
    for content_id in catalogue.ids():
        product = catalogue.products.get(content_id)
        if product is None or product.cover_path is None:
            answers.append(Answer(content_id, fault=404, text="no cover"))
        else:
            answers.append(Answer(content_id, url=SHOP + product.cover_path))
    return answers


def test_right_answers_are_counted(judge: Judge) -> None:
    asked = Round(tuple(right_answers(judge.catalogue)), 1.0, (0.1,))
    assert list(judge.outcome(asked)) == [
        "292 found, 20 missing (fault 404: 12 not in the shop, 8 without a picture)",
    ]
    assert judge.wrong(asked) == []


def test_other_faults_are_named_and_counted(judge: Judge) -> None:
    """A fault that is not 404, or no answer at all, is a failure of its own line."""
    answers = right_answers(judge.catalogue)
    for place, fault in enumerate((502, 502, 503, None)):
        answers[place] = Answer(answers[place].content_id, fault=fault, text="broken")
    lines = list(judge.outcome(Round(tuple(answers), 1.0, (0.1,))))
    assert lines[1] == "4 failed: 2 x fault 502, 1 x fault 503, 1 x no answer"
    assert lines[2] == "4 not what the shop has, such as"


def test_the_cover_of_another_record_is_wrong(judge: Judge) -> None:
    """A URL alone is not enough: it has to be the record's own."""
    answers = right_answers(judge.catalogue)
    found = [answer for answer in answers if answer.url is not None]
    swapped = Answer(found[0].content_id, url=found[1].url)
    assert judge.is_right(found[0])
    assert not judge.is_right(swapped)
    assert judge.wrong(Round((swapped,), 1.0, (1.0,))) == [swapped]


def test_a_cover_for_what_does_not_exist_is_wrong(judge: Judge) -> None:
    assert not judge.is_right(Answer(judge.catalogue.missing[0], url=f"{SHOP}/multimedia/audio_cd_covers/1.jpg"))


def test_numbers_are_said_in_words() -> None:
    """Times and pages as the summary has them."""
    answers = (Answer(1, url="u"), Answer(2, fault=404, text="no cover"))
    assert times(Round(answers, 1.5, (0.3, 1.2))) == "1.50 s in all; a call 750 ms at the median, 1.20 s at most"
    assert times(Round(answers, 0.0124, (0.0124,))) == "12.4 ms for the call, 6.2 ms per id"
    assert pages(2, 2) == "the shop served 2 pages: one per id"
    assert pages(3, 2) == "the shop served 3 pages for 2 ids"
    assert pages(0, 2) == "the shop served no page"
    assert [example(answer) for answer in answers] == ["1 -> u", "2 -> fault 404: no cover"]
