"""What a cell has printed is split into sentences, which a narrow screen may break, and columns, which it may not."""

import re

import pytest

from site_extension import site_extension

nodes = pytest.importorskip("docutils.nodes")


@pytest.fixture(scope="module")
def extension():
    """Give the module of the site that sees to narrow screens."""
    return site_extension("small_screens")


PRINTED = "rate   error\n0.1     2.50\n✓ the error is small: 0.1 (below 0.2)\n… your turn\nafter ten steps: [1, 2]"


def test_columns_and_sentences_are_parted(extension):
    found = extension.parts(PRINTED)
    assert [columns for _, columns in found] == [True, False, False]
    assert "\n".join(text for text, _ in found) == PRINTED
    assert extension.parts("one line") == [("one line", False)]
    assert extension.parts("Model(\n  net)") == [("Model(\n  net)", True)]


def applied(extension, name, *children):
    """Give a document of these nodes after a transform."""
    from docutils.frontend import get_default_settings
    from docutils.utils import new_document

    document = new_document("page", get_default_settings())
    document += children
    getattr(extension, name)(document).apply()
    return document


def test_a_stream_becomes_its_parts(extension):
    stream = nodes.literal_block(PRINTED, PRINTED, classes=["output", "stream"])
    code = nodes.literal_block("a   b", "a   b")
    blocks = list(applied(extension, "Streams", stream, code).findall(nodes.literal_block))
    assert [block["classes"] for block in blocks] == [["output", "stream", "columns"], *2 * [["output", "stream"]], []]
    assert [block.astext() for block in blocks] == [text for text, _ in extension.parts(PRINTED)] + ["a   b"]
    assert all(block.rawsource == block.astext() for block in blocks), "else Sphinx does not highlight it"
    said = nodes.literal_block("", "✓ they differ by: below 1e-12", classes=["output", "stream"])
    assert "1e\N{NON-BREAKING HYPHEN}12" in applied(extension, "Streams", said).astext()


def test_a_number_keeps_its_unit_and_its_interval(extension):
    title = nodes.section("", nodes.title("", "About 95 % of it"), ids=["about"])
    code = nodes.paragraph("", "", nodes.literal("", "3 % 2"))
    prose = nodes.paragraph("", "It is 95 % or 1.5 ± 0.2 of all, not ± −3.")
    document = applied(extension, "Numbers", title, code, prose)
    assert document.astext().count("\N{NO-BREAK SPACE}") == 4
    assert "95\N{NO-BREAK SPACE}% or 1.5\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}0.2 of" in document.astext()
    assert "About 95 % of it" in document.astext()
    assert "3 % 2" in document.astext()


def test_a_formula_keeps_the_signs_around_it(extension):
    prose = nodes.paragraph(
        "", "", nodes.Text("It is ("), nodes.math("", "a"), nodes.Text("), or "), nodes.math("", "b")
    )
    prose += [nodes.Text(", "), nodes.math("", "c"), nodes.Text(" and so on.")]
    document = applied(extension, "Formulas", prose)
    assert document.astext() == "It is (a), or b, c and so on."
    pieces = [node.astext() for node in document.findall(nodes.inline) if extension.UNBROKEN in node["classes"]]
    assert pieces == ["(a),", "b,"]


def test_a_printed_table_keeps_its_numbers_whole(extension):
    html = '<table class="table"><tr><td title="1 ± 2">waves within 10 % of it</td><td>1 ± 2</td></tr></table>'
    table, other = nodes.raw("", html, format="html"), nodes.raw("", "<p>1 ± 2</p>", format="html")
    found = applied(extension, "Numbers", table, other)
    space = "\N{NO-BREAK SPACE}"
    assert found[0].astext() == html.replace("10 %", f"10{space}%").replace(">1 ± 2", f">1{space}±{space}2")
    assert found[1].astext() == "<p>1 ± 2</p>"


def table(*rows):
    """Give a table of these rows, the first of them its heads."""
    made = [nodes.row("", *(nodes.entry("", nodes.paragraph("", cell)) for cell in row)) for row in rows]
    group = nodes.tgroup("", nodes.thead("", made[0]), nodes.tbody("", *made[1:]), cols=len(rows[0]))
    return nodes.table("", group)


def test_a_table_of_sentences_has_its_heads_in_each_cell(extension):
    long = "a sentence that is longer than what a column of a narrow screen can hold"
    heads = ("Said", "Verdict", "Number")
    document = applied(
        extension, "Tables", table(heads, ("one", "true", long), ("a part", "", "")), table(heads, ("1", "2", "3"))
    )
    cards, numbers = document.findall(nodes.table)
    assert cards["classes"] == ["cards"]
    assert numbers["classes"] == []
    names = [node.astext() for node in cards.findall(nodes.inline) if extension.HEADED in node["classes"]]
    assert names == ["Verdict: ", "Number: "]
    assert not list(numbers.findall(nodes.inline))


def test_a_table_of_cards_says_its_roles(extension):
    parts = '<thead><tr class="row-odd"><th class="head">a</th></tr></thead><tbody><tr><td>b</td></tr></tbody></table>'
    context = {"body": f'<table class="cards table">{parts}<table class="table">{parts}'}
    extension.name_parts(None, "page", "page.html", context, None)
    cards, plain = context["body"].split("</table>")[:2]
    roles = re.findall(r'<(\w+) role="(\w+)"', cards)
    expected = ["table table", "thead rowgroup", "tr row", "th columnheader", "tbody rowgroup", "tr row", "td cell"]
    assert [" ".join(role) for role in roles] == expected
    assert plain == f'<table class="table">{parts}'.removesuffix("</table>")
