"""The built book, page by page in a real browser."""

import shutil

import pytest
import yaml

from site_check import code_problems, disk_problems, open_page, page_problems
from tools.book import ROOT, pages

PAGES = pages()
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())

SABOTAGE = {
    "external request": '<img alt="elsewhere" src="https://example.invalid/elsewhere.png">',
    "no alt text": '<img src="../_static/favicon.svg">',
    "broken link": '<a href="nowhere.html">nowhere</a>',
    "broken anchor": '<a href="#nowhere">nowhere</a>',
    "404": '<img alt="missing" src="missing.png">',
    "console": "<script>console.error('told')</script>",
    "script error": "<script>throw new Error('thrown')</script>",
    "formula not drawn": '<p class="math">\\(\\nosuchmacro\\)</p>',
    "color-contrast": '<p style="color: #999; background: #aaa">grey on grey</p>',
    "scrolls sideways": '<div style="width: 1200px">wide</div>',
}


@pytest.mark.parametrize("name", PAGES)
def test_page(name, base, built, browser):
    problems = page_problems(browser, base, built, name)
    assert not problems, "\n".join(problems)


def test_every_kind_of_code_can_be_read(base, built, browser):
    problems = code_problems(browser, base, built, PAGES[0], PAGES)
    assert not problems, "\n".join(problems)


def test_code_that_cannot_be_read_is_found(spoiled, serve, browser):
    style = "<style>.highlight .k { color: #999 !important; background: #aaa }</style>"
    file = spoiled / f"{PAGES[0]}.html"
    file.write_text(file.read_text().replace("</head>", f"{style}</head>"))
    assert any("color-contrast" in batch for batch in code_problems(browser, serve(spoiled), spoiled, PAGES[0], PAGES))


@pytest.mark.parametrize("name", ["index", *PAGES])
def test_page_opened_as_a_file(name, built, browser):
    problems = disk_problems(browser, built, name)
    assert not problems, "\n".join(problems)


def test_the_address_of_the_book_leads_to_its_first_page(base, built, browser):
    page, problems = open_page(browser, base, "index")
    assert page.url == f"{base}{PAGES[0]}.html"
    assert not problems
    page.context.close()
    own = (built / "index.html").read_text()
    assert f"<title>{CONFIG['title']}</title>" in own
    assert 'rel="icon"' in own
    assert f'<a href="{PAGES[0]}.html">' in own


def test_every_page_can_be_opened_on_colab(built):
    address = CONFIG["repository"]["url"].split("/", 3)[3]
    for name in PAGES:
        if (ROOT / f"{name}.ipynb").is_file():
            link = f"https://colab.research.google.com/github/{address}/blob/main/{name}.ipynb"
            assert link in (built / f"{name}.html").read_text()


def test_the_book_carries_only_the_parts_of_mathjax_that_a_page_loads(built):
    size = sum(file.stat().st_size for file in (built / "_static/mathjax").rglob("*") if file.is_file())
    assert size < 2_000_000


@pytest.fixture
def spoiled(built, tmp_path):
    """Give a copy of the built book with a page that has every fault."""
    copy = tmp_path / "html"
    shutil.copytree(built, copy, ignore=shutil.ignore_patterns("*.map", "locales"))
    text = (copy / f"{PAGES[0]}.html").read_text()
    page = text.replace("</article>", "\n".join(SABOTAGE.values()) + "</article>")
    assert page != text
    (copy / "book/spoiled.html").write_text(page)
    return copy


def test_every_fault_is_found(spoiled, serve, browser):
    problems = page_problems(browser, serve(spoiled), spoiled, "book/spoiled")
    missed = [kind for kind in SABOTAGE if not any(kind in batch for batch in problems)]
    assert not missed, "\n".join(problems)


def test_an_external_request_is_found_in_a_file(spoiled, browser):
    assert any("external request" in batch for batch in disk_problems(browser, spoiled, "book/spoiled"))
