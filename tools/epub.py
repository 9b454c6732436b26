"""Bind the built book into one EPUB: chapters with formulas as MathML, still figures, and all answers at the end.

python -m tools.epub                            the whole book, to _build/model-agnostic-meta-learning.epub
python -m tools.epub --pages variants/reptile   some of its pages
"""

import mimetypes
import re
import uuid
import zipfile
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import yaml
from tqdm import tqdm

from tools.book import ROOT
from tools.print_form import BUILD, HTML, PrintForm, command

TARGET = BUILD / "model-agnostic-meta-learning.epub"

# What paper does not show is taken out; what only a browser understands becomes what every reader of EPUB understands.
PLAIN = """files => {
    const article = document.querySelector('article');
    article.querySelectorAll('figure.mamlbook-figure').forEach(figure => {
        figure.querySelectorAll('.mb-live, .mb-note').forEach(part => part.remove());
        figure.removeAttribute('data-mounted');
    });
    article.querySelectorAll('mjx-container').forEach(box => {
        const formula = box.querySelector('mjx-assistive-mml > math');
        if (box.getAttribute('display') === 'true') formula.setAttribute('display', 'block');
        box.replaceWith(formula);
    });
    const gone = [...article.querySelectorAll('*')].filter(part =>
        !part.closest('math, svg') && getComputedStyle(part).display === 'none');
    gone.forEach(part => part.remove());
    article.querySelectorAll('script, style, button, input, select, textarea, .headerlink, .copybtn')
        .forEach(part => part.remove());
    article.querySelectorAll('details').forEach(part => {
        part.querySelector('summary')?.remove();
        const box = document.createElement('div');
        box.append(...part.childNodes);
        part.replaceWith(box);
    });
    article.querySelectorAll('label, fieldset, legend').forEach(part => part.replaceWith(...part.childNodes));
    const kept = ['id', 'class', 'href', 'src', 'alt', 'colspan', 'rowspan', 'scope', 'start'];
    article.querySelectorAll('*').forEach(part => {
        if (part.closest('svg')) return;
        const formula = part.closest('math');
        [...part.attributes].forEach(({ name }) => {
            const goes = formula ? /^(class|data-|style)/.test(name) : !kept.includes(name);
            if (goes) part.removeAttribute(name);
        });
    });
    article.querySelectorAll('a[href]').forEach(link => {
        const { href, hash, protocol } = new URL(link.href);
        const file = files[href.slice(0, href.length - hash.length)];
        if (file) link.setAttribute('href', file + hash);
        else if (protocol === 'file:') link.replaceWith(...link.childNodes);
    });
    article.querySelectorAll('img').forEach(picture => picture.setAttribute('src', picture.src));
    const sections = [...article.querySelectorAll('section[id]')].filter(part => part.querySelector(':scope > h2'))
        .map(part => [part.id, part.querySelector(':scope > h2').textContent.trim()]);
    return [[...article.childNodes].map(part => new XMLSerializer().serializeToString(part)).join(''), sections];
}"""

CHAPTER = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="en" xml:lang="en">
<head><title>{title}</title><link rel="stylesheet" type="text/css" href="style.css"/></head>
<body>{body}</body>
</html>
"""
CONTAINER = """<?xml version="1.0" encoding="utf-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="book/content.opf" media-type="application/oebps-package+xml"/></rootfiles>
</container>
"""
PACKAGE = """<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="identifier" xml:lang="en">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:identifier id="identifier">urn:uuid:{identifier}</dc:identifier>
<dc:title>{title}</dc:title><dc:creator>{author}</dc:creator><dc:language>en</dc:language>
<dc:date>{year}</dc:date><meta property="dcterms:modified">{now}</meta>
</metadata>
<manifest>{items}</manifest>
<spine>{spine}</spine>
</package>
"""
STYLE = """
body { line-height: 1.5 }
pre, code { font-family: monospace; font-size: 0.85em }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: 0.4em 0.6em; border-left: 0.2em solid #bbb }
.cell_output pre { border-left-color: #eee }
img { max-width: 100%; height: auto }
figure { margin: 1em 0 }
figcaption, .mb-title { font-size: 0.9em }
table { border-collapse: collapse; font-size: 0.85em }
th, td { padding: 0.2em 0.5em; border-bottom: 1px solid #ccc; text-align: left; vertical-align: top }
.admonition { margin: 1em 0; padding: 0 0.8em; border: 1px solid #bbb; border-radius: 0.3em }
.admonition-title { font-weight: bold }
.answer-mark { font-style: italic }
"""
COLOURED = 'html[data-theme="light"] '


class Chapter(NamedTuple):
    """A page of the book in an EPUB: its name, title, XHTML, sections, and what its answers say."""

    name: str
    title: str
    body: str
    sections: list[tuple[str, str]]
    answers: list[tuple[str, str]]


class Binder(PrintForm):
    """A browser that turns pages of the book into XHTML, with the pictures that they show."""

    def __init__(self, browser, names: list[str], html: Path = HTML):
        super().__init__(browser, html)
        self.files = {(html / f"{name}.html").as_uri(): file_of(name) for name in names}
        self.pictures: dict[str, bytes] = {}

    def chapter(self, name: str, number: int) -> Chapter:
        """Take one page without its answers."""
        self.open(name)
        title, answers = self.title(), self.take_answers(number)
        body, sections = self._taken()
        for place in range(1, len(answers) + 1):
            mark = f"(Answer {number}.{place} at the end)"
            link = f'<a id="mark-{number}-{place}" href="answers.xhtml#answer-{number}-{place}">{mark}</a>'
            body = body.replace(mark, link)
        return Chapter(name, title, body, [tuple(section) for section in sections], answers)

    def answers(self, chapters: list[Chapter]) -> str:
        """Write all answers, page by page, each with the way back."""
        parts = ["<h1>Answers</h1>"]
        for number, chapter in enumerate(chapters, 1):
            if chapter.answers:
                parts.append(f"<h2>{number}  {escape(chapter.title)}</h2>")
            for place, (question, text) in enumerate(chapter.answers, 1):
                back = f"{(self.html / chapter.name).as_uri()}.html#mark-{number}-{place}"
                head = f'<a href="{back}">{number}.{place}</a>  {escape(question)}'
                parts.append(f'<p id="answer-{number}-{place}"><strong>{head}</strong></p><div>{text}</div>')
        self.open(chapters[0].name)
        self.page.evaluate("body => { document.querySelector('article').innerHTML = body }", "\n".join(parts))
        return self._taken()[0]

    def _taken(self) -> tuple[str, list[list[str]]]:
        body, sections = self.page.evaluate(PLAIN, self.files)
        body = re.sub(r'(<img\b[^>]*?\bsrc=")([^"]*)"', self._picture, body)
        return body, sections

    def _picture(self, match: re.Match) -> str:
        """Keep a picture beside the chapters; one that is part of the page becomes a file as well."""
        address = match[2].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
        if address.startswith("data:image/svg+xml,"):
            data, suffix = unquote(address.partition(",")[2]).encode(), ".svg"
        else:
            file = Path(url2pathname(urlsplit(address).path))
            data, suffix = file.read_bytes(), file.suffix
        name = f"{uuid.uuid5(uuid.NAMESPACE_URL, data.hex()).hex}{suffix}"
        self.pictures[name] = data
        return f'{match[1]}{name}"'


def file_of(name: str) -> str:
    """Give the file of a page inside the EPUB."""
    return name.removeprefix("book/").replace("/", "-") + ".xhtml"


def with_links_that_end(chapters: dict[str, str]) -> dict[str, str]:
    """Take the place out of a link to a part of a chapter that the EPUB does not have."""
    places = {file: set(re.findall(r'\bid="([^"]+)"', text)) for file, text in chapters.items()}

    def mended(match: re.Match) -> str:
        return match[0] if unquote(match[2]) in places[match[1]] else f'href="{match[1]}"'

    return {file: re.sub(r'href="([\w-]+\.xhtml)#([^"]+)"', mended, text) for file, text in chapters.items()}


def contents(chapters: list[Chapter]) -> str:
    """Write the navigation: every chapter with its sections."""
    lines = []
    for chapter in chapters:
        file = file_of(chapter.name)
        within = "".join(f'<li><a href="{file}#{escape(at)}">{escape(said)}</a></li>' for at, said in chapter.sections)
        below = f"<ol>{within}</ol>" if within else ""
        lines.append(f'<li><a href="{file}">{escape(chapter.title)}</a>{below}</li>')
    lines.append('<li><a href="answers.xhtml">Answers</a></li>')
    return f'<nav epub:type="toc"><h1>Contents</h1><ol>{"".join(lines)}</ol></nav>'


def colours(html: Path) -> str:
    """The colours of code on a light page, from the built book."""
    lines = (html / "_static/pygments.css").read_text().splitlines()
    return "\n".join(line.removeprefix(COLOURED) for line in lines if line.startswith(f"{COLOURED}.highlight ."))


def package(config: dict, files: dict[str, str | bytes], order: list[str]) -> str:
    """Write what the EPUB consists of, and in which order it is read."""
    items, kinds = [], {".xhtml": "application/xhtml+xml", ".svg": "image/svg+xml", ".css": "text/css"}
    for number, (name, content) in enumerate(files.items()):
        kind = kinds.get(Path(name).suffix) or mimetypes.guess_type(name)[0]
        has = ["nav"] if name == "contents.xhtml" else []
        has += ["mathml"] if name.endswith(".xhtml") and "<math" in str(content) else []
        has += ["svg"] if name.endswith(".xhtml") and "<svg" in str(content) else []
        said = f' properties="{" ".join(has)}"' if has else ""
        items.append(f'<item id="item{number}" href="{name}" media-type="{kind}"{said}/>')
    places = {name: number for number, name in enumerate(files)}
    return PACKAGE.format(
        identifier=uuid.uuid5(uuid.NAMESPACE_URL, config["repository"]["url"]),
        title=escape(config["title"]),
        author=escape(config["author"]),
        year=config["copyright"],
        now=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        items="\n".join(items),
        spine="".join(f'<itemref idref="item{places[name]}"/>' for name in order),
    )


def write(browser, names: list[str], target: Path = TARGET, html: Path = HTML) -> Path:
    """Bind these pages of the built book."""
    config, binder = yaml.safe_load((ROOT / "_config.yml").read_text()), Binder(browser, names, html)
    chapters = [binder.chapter(name, number) for number, name in enumerate(tqdm(names, "binding", unit="page"), 1)]
    bodies = {file_of(chapter.name): (chapter.title, chapter.body) for chapter in chapters}
    bodies["answers.xhtml"] = ("Answers", binder.answers(chapters))
    front = f"<h1>{escape(config['title'])}</h1><p>{escape(config['author'])}, {config['copyright']}</p>"
    texts = {file: CHAPTER.format(title=escape(title), body=body) for file, (title, body) in bodies.items()}
    texts = {
        "front.xhtml": CHAPTER.format(title=escape(config["title"]), body=front),
        "contents.xhtml": CHAPTER.format(title="Contents", body=contents(chapters)),
        **with_links_that_end(texts),
    }
    files = {**texts, "style.css": STYLE + colours(html), **binder.pictures}
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as bound:
        bound.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)  # first and plain, to be recognised
        bound.writestr("META-INF/container.xml", CONTAINER)
        bound.writestr("book/content.opf", package(config, files, list(texts)))
        for name, content in files.items():
            bound.writestr(f"book/{name}", content)
    return target


def main(words: list[str] | None = None) -> None:
    """Bind the whole book, or the pages named."""
    command("tools.epub", __doc__.splitlines()[0], TARGET, write, words)


if __name__ == "__main__":
    main()
