"""Let the book be found and shared: a description, an address and a card for each page, and what robots read."""

import re
from html import escape
from pathlib import Path

from book_site import package_folder
from docutils import nodes
from PIL import Image, ImageDraw, ImageFont

LONGEST = 160  # letters of a description; search engines show no more
WIDTH, HEIGHT, MARGIN = 1200, 630, 80  # pixels of a card, as social networks show them
SHARP = 2  # times as large while it is drawn, so that slanted lines are smooth
INK, PAPER, PALE = "#1c2b39", "#fbfaf7", "#5b6b7a"
CURVES = ("#0072b2", "#d55e00", "#009e73")

HEAD = """
<meta name="description" content="{description}" />
<meta property="og:type" content="article" />
<meta property="og:site_name" content="{book}" />
<meta property="og:title" content="{title}" />
<meta property="og:description" content="{description}" />
<meta property="og:url" content="{address}" />
<meta property="og:image" content="{card}" />
<meta name="twitter:card" content="summary_large_image" />
"""

MISSING = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>No such page: {book}</title>
    <style>
      :root {{ color-scheme: light dark }}
      body {{ font: 1.1rem/1.6 serif; max-width: 36rem; margin: 15vh auto; padding: 0 1.5rem }}
    </style>
  </head>
  <body>
    <main>
      <h1>There is no such page</h1>
      <p>It may have moved. <a href="{path}{first}.html">The first page</a> lists all chapters, and
        <a href="{path}search.html">the search</a> knows the names of the algorithms.</p>
    </main>
  </body>
</html>
"""


def set_address(app, config) -> None:
    """Take the address of GitHub Pages for the book's, unless the configuration has one."""
    owner, name = config.html_theme_options["repository_url"].rstrip("/").split("/")[-2:]
    config.html_baseurl = config.html_baseurl or f"https://{owner.lower()}.github.io/{name}/"


def description(doctree) -> str:
    """Give the first sentences of a page that have no formula, as many as a search engine shows."""
    opening = next(iter(doctree.findall(nodes.section)), nodes.section())
    for paragraph in (node for node in opening.children if isinstance(node, nodes.paragraph)):
        text = "".join("$" if isinstance(node, nodes.math) else node.astext() for node in paragraph.children)
        said = [sentence for sentence in re.split(r"(?<=[.?!])\s+", text) if "$" not in sentence]
        text = re.sub(r"\s+", " ", " ".join(said)).strip()
        if len(text) > 40:
            return text if len(text) <= LONGEST else text[: text.rfind(" ", 0, LONGEST - 1)] + "…"
    return ""


def card_of(pagename: str) -> str:
    """Give the file of a page's card."""
    return f"_static/cards/{pagename.replace('/', '-')}.png"


def describe_page(app, pagename, templatename, context, doctree):
    """Put description, address and card into the head of a page."""
    if doctree is None:
        return
    base, words = app.config.html_baseurl, {"title": plain(context["title"]), "book": app.config.html_title}
    words |= {"description": description(doctree) or f"{plain(context['title'])}: {app.config.html_title}"}
    words |= {"address": f"{base}{pagename}.html", "card": base + card_of(pagename)}
    context["metatags"] = context.get("metatags", "") + HEAD.format(**{k: escape(v) for k, v in words.items()})
    app.builder.found[pagename] = words["title"]


def plain(title: str) -> str:
    """Give a title without its HTML."""
    return re.sub(r"<[^>]+>|\\[()]", "", title).replace("&amp;", "&")


def begin(app) -> None:
    """Remember the titles of the pages as they are written."""
    app.builder.found = {}


def face(size: int, weight: str = "Regular") -> ImageFont.FreeTypeFont:
    """Give the book's own letters, of so many pixels."""
    return ImageFont.truetype(
        package_folder("font_source_serif_pro") / f"files/SourceSerifPro-{weight}.ttf", SHARP * size
    )


def draw_card(title: str, book: str) -> Image.Image:
    """Draw the card of a page: its title, the book's, and three tasks that one start is near to."""
    image = Image.new("RGB", (SHARP * WIDTH, SHARP * HEIGHT), PAPER)
    pen, large, room = ImageDraw.Draw(image), face(72, "Semibold"), SHARP * (WIDTH - 2 * MARGIN)
    lines = [""]
    for word in title.split():
        longer = f"{lines[-1]} {word}".strip()
        lines = [*lines[:-1], longer] if pen.textlength(longer, large) < room else [*lines, word]
    pen.multiline_text((SHARP * MARGIN, SHARP * (MARGIN - 16)), "\n".join(lines), INK, large, spacing=14 * SHARP)
    pen.text((SHARP * MARGIN, SHARP * (HEIGHT - MARGIN)), book, PALE, face(30), anchor="ls")
    for number, colour in enumerate(CURVES):
        lowest = WIDTH - MARGIN - 140 - 90 * number
        bowl = [(lowest + 1.4 * x, HEIGHT - MARGIN - 0.015 * x * x) for x in range(-100, 101)]
        pen.line([(SHARP * x, SHARP * y) for x, y in bowl], fill=colour, width=6 * SHARP, joint="curve")
    start = (WIDTH - MARGIN - 230, HEIGHT - MARGIN, 13)
    pen.circle([SHARP * number for number in start[:2]], SHARP * start[2], fill=INK, outline=PAPER, width=3 * SHARP)
    return image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS).quantize(64)


def write_files(app, exception) -> None:
    """Write the cards, the list of pages, what robots may read, and the page for an address that is none."""
    if exception is not None or app.builder.format != "html":
        return
    out, base, found = Path(app.outdir), app.config.html_baseurl, app.builder.found
    (out / "_static/cards").mkdir(parents=True, exist_ok=True)
    for pagename, title in found.items():
        draw_card(title, app.config.html_title).save(out / card_of(pagename), optimize=True)
    addresses = "".join(f"  <url><loc>{base}{pagename}.html</loc></url>\n" for pagename in sorted(app.env.found_docs))
    schema = "http://www.sitemaps.org/schemas/sitemap/0.9"
    (out / "sitemap.xml").write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="{schema}">\n{addresses}</urlset>\n'
    )
    (out / "robots.txt").write_text(f"User-agent: *\nAllow: /\nSitemap: {base}sitemap.xml\n")
    path = "/" + base.split("/", 3)[3]
    (out / "404.html").write_text(MISSING.format(book=app.config.html_title, path=path, first=app.config.root_doc))


def setup(app):
    """Connect the steps above to the build."""
    app.connect("config-inited", set_address)
    app.connect("builder-inited", begin)
    app.connect("html-page-context", describe_page)
    app.connect("build-finished", write_files)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
