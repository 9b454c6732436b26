"""Claims that can fail, and sources that are the real ones."""

import math

import pytest
import torch

from mamlbook.metagradient import FirstOrder, Reptile
from mamlbook.pages import CheckFailed, attempt, check, intervals, show, source, table
from mamlbook.weighting import UniformWeights


def test_a_true_claim_prints_one_stable_line(capsys):
    check("close", torch.tensor(1.0001), equals=1, within=1e-3)
    check("small", 1e-9, below=1e-6)
    check("between", 0.5, above=0.1, below=0.9)
    check("so it is", True)
    assert capsys.readouterr().out == (
        "✓ close: 1 (1 within 0.001)\n✓ small: below 1e-06\n✓ between: 0.5 (below 0.9 and above 0.1)\n✓ so it is\n"
    )


@pytest.mark.parametrize(
    ("value", "bounds"),
    [
        (1.1, {"equals": 1, "within": 0.01}),
        (2.0, {"below": 1}),
        (0.0, {"above": 0}),
        (0.5, {"below": 1, "above": 0.6}),
        (False, {}),
        (math.nan, {}),
        (math.nan, {"below": 1}),
        (torch.tensor(math.nan), {"equals": 0, "within": 1}),
    ],
)
def test_a_false_claim_raises_with_its_number(value, bounds):
    number = value.item() if isinstance(value, torch.Tensor) else value
    with pytest.raises(CheckFailed, match=f"✗ claim: expected .*, got {number}"):
        check("claim", value, **bounds)


def test_equality_needs_a_distance():
    with pytest.raises(ValueError, match="within"):
        check("claim", 1.0, equals=1.0)


def test_the_source_runs_and_has_no_docstrings():
    text = source(FirstOrder)
    assert text.startswith("class FirstOrder(MetaGradient):\n    def forward")
    assert '"""' not in text
    compile(text, "page", "exec")
    assert "return batch.query(batch.solve(unroll=0).straight_through())" in text


def test_sources_are_shown_as_one_block():
    text = show(UniformWeights, Reptile).data
    assert text.startswith("```python\nclass Uniform")
    assert "class Reptile" in text
    assert text.endswith("\n```")
    folded = show(UniformWeights, Reptile, folded=True).data
    # Without the empty lines the block inside is no Markdown.
    assert folded == f"<details><summary>Show the source</summary>\n\n{text}\n\n</details>"


def test_an_exercise_judges_the_answer_and_never_raises(capsys):
    for answer in (None, ..., 1.3, 2**0.5):
        attempt("root of 2", answer, lambda x: x * x - 2, equals=0, within=1e-6)
    attempt("small", 0.1, below=0.2)
    attempt("root of 2", "1.41", lambda x: x * x - 2, equals=0, within=1e-6)
    assert capsys.readouterr().out == (
        "… root of 2: your turn\n… root of 2: your turn\n✗ root of 2: not yet\n"
        "✓ root of 2: 0 within 1e-06\n✓ small: 0.1 (below 0.2)\n"
        "✗ root of 2: not yet (TypeError: can't multiply sequence by non-int of type 'str')\n"
    )


def test_a_table_of_intervals_has_means_and_half_widths():
    seeds = torch.tensor([1.0, 2.0, 3.0])
    text = intervals(
        {"all": {"first": seeds, "second": 2 * seeds}, "none": {"first": 0 * seeds, "second": seeds}}, 2
    ).data
    # Student's t for three values is 4.303, their deviation 1.
    assert '<tr><td style="text-align: left">all</td><td>2.00 ± 2.48</td><td>4.00 ± 4.97</td></tr>' in text
    assert '<tr><td style="text-align: left">none</td><td>0.00 ± 0.00</td><td>2.00 ± 2.48</td></tr>' in text
    with pytest.raises(ValueError, match="values: expected the columns"):
        intervals({"one": {"a": seeds}, "two": {"b": seeds}})


def test_a_table_has_its_cells_and_refuses_a_row_that_does_not_fit():
    text = table(["name", "x < 1"], [["a", 1], ["b", 2.5]]).data
    assert '<tr><th style="text-align: left">name</th><th>x &lt; 1</th></tr>' in text
    rows = (f'<tr><td style="text-align: left">{name}</td><td>{x}</td></tr>' for name, x in (("a", 1), ("b", 2.5)))
    assert "\n".join(rows) in text
    named = table(["", "x"], [["10 points", 1], ["100 points", 2]]).data
    assert '<tr><td style="text-align: left">10 points</td><td>1</td></tr>' in named
    with pytest.raises(ValueError, match=r"rows: expected 2 cells in each"):
        table(["one", "two"], [["alone"]])
