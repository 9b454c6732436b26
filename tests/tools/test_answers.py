"""What is kept of the judges: from the code of today, right at its edges, and for every exercise that asks a number."""

import ast
import math

import pytest

from tools.answers import Exercise, accepted, edge, exercises, intervals, kept, needed, stale
from tools.book import ROOT, notebooks


def test_what_is_kept_comes_from_the_code_of_today():
    known = kept()
    found = {one[0].page: one for one in map(exercises, notebooks()) if one}
    assert known.keys() == found.keys()
    assert [line for page, ones in found.items() for line in stale(page, ones, known[page])] == []
    claims = {page: [one.claim for one in ones] for page, ones in found.items()}
    assert {page: [one["claim"] for one in ones] for page, ones in known.items()} == claims
    assert sum(one["accepts"] is not None for ones in known.values() for one in ones) >= 35


def test_the_statements_that_a_judge_stands_on_are_found():
    lines = [
        "from mamlbook.pages import check",
        "net = 1",
        "net = 2",
        "other = net + 1",
        "def f(x): return x * later",
        "later = 3",
        "check('said', net)",
        "train(net)",
        "picture = draw(net)",
    ]
    kept = [ast.unparse(one) for one in needed(ast.parse("\n".join(lines)).body, {"f", "net"})]
    assert kept == ["net = 2", "def f(x):\n    return x * later", "later = 3", "train(net)"]


def test_the_edges_are_found_to_the_last_bit():
    def accepts(x):
        return 0.1 <= x < 0.3

    assert edge(accepts, 0.2, -1) == 0.1
    assert edge(accepts, 0.2, 1) == math.nextafter(0.3, 0)
    assert edge(lambda x: x > 2, 3.0, 1) is None
    assert edge(lambda x: x == 5, 5.0, 1) == 5.0


def test_a_judge_may_accept_what_is_far_from_the_solution():
    found = intervals(lambda x: abs(x * x - 4) < 0.1, 2.0)
    assert len(found) == 2
    assert found[0][0] < 2 < found[0][1]
    assert found[1][0] < -2 < found[1][1]


def exercise(judge, answer):
    """Give an exercise whose judge is this expression."""
    source = f"def attempt(claim, answer, judge): print('✓' if judge(answer) else '✗')\nattempt('so', ..., {judge})"
    statement, call = ast.parse(source).body
    solved = ast.parse(f"attempt('so', {answer}, {judge})").body[0].value
    return Exercise("some/page", 0, call.value, solved, [statement], [source])


def test_several_numbers_are_judged_one_by_one_only_where_that_says_it_all():
    box = exercise("lambda pair: max(abs(pair[0] - 1), abs(pair[1] - 3)) <= 0.5", "(1, 3)")
    assert accepted(box, box.run()) == [[pytest.approx([0.5, 1.5])], [pytest.approx([2.5, 3.5])]]
    disc = exercise("lambda pair: (pair[0] - 1) ** 2 + (pair[1] - 3) ** 2 <= 1", "(1, 3)")
    assert accepted(disc, disc.run()) is None


def test_a_solution_that_its_judge_refuses_is_an_error():
    wrong = exercise("lambda x: x == 2", "3")
    with pytest.raises(ValueError, match=r"some/page: 'so': the judge refuses the solution, 3"):
        accepted(wrong, wrong.run())


def test_other_code_is_seen():
    (one, *_) = exercises(ROOT / "book/variants/cost.ipynb")
    before = one.fingerprint
    one.texts[-1] += " "
    assert one.fingerprint != before
    assert stale("p", [one], [{"code": before}]) == ["p, exercise 1"]
    assert stale("p", [], [{"code": before}]) == ["p, exercise 1"]
