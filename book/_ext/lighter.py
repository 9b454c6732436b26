"""Make a reader's first visit light: no icon, letter or script that no page has, which were 0.9 MB of 1.5.

The theme brings two thousand icons three times, as a script, as rules of style and as fonts; the index of the search on
every page, for a search as one types that is switched off; and the maps of its scripts.
"""

import re
from pathlib import Path

from fontTools import subset

# An icon in the script: its name, its size, its other names, its place in the font, its outline.
DRAWN = re.compile(r'"?([a-z0-9-]+)"?:\[\d+,\d+,(\[[^\]]*\]),"[0-9a-f]+",(?:"[^"]*"|\["[^"]*","[^"]*"\])\],?')
# An icon in the style sheet, by all its names.
LETTERED = re.compile(r'(?:\.fa-[a-z0-9-]+:before,?)+\{content:"[^"]*"\}')
USED = re.compile(r"\bfa-([a-z0-9-]+)")
# A letter of the icons' fonts, as it is or escaped.
LETTER = re.compile(r"[\ue000-\uf8ff]|\\[ef][0-9a-f]{3}\b")
SOURCE = re.compile(r'src:url\(([^)]*/(fa-[a-z0-9-]+))\.woff2\) format\("woff2"\),url\([^)]*\) format\("truetype"\)')


# On the page of the search they stand elsewhere.
SEARCH = re.compile(r'\s*<script src="[^"]*(?:searchtools|language_data|searchindex)\.js[^"]*"></script>')


def used(out: Path) -> set[str]:
    """List the icons that a page or one of the book's scripts names."""
    readers = [*out.rglob("*.html"), *(path for path in out.rglob("*.js") if path.name != "fontawesome.js")]
    return {name for path in readers for name in USED.findall(path.read_text("utf-8"))}


def cut_script(script: Path, names: set[str]) -> None:
    """Leave in the script the icons of these names, which may be a second name."""

    def kept(icon: re.Match) -> str:
        return icon[0] if names & {icon[1], *re.findall(r'"([^"]+)"', icon[2])} else ""

    script.write_text(DRAWN.sub(kept, script.read_text("utf-8")), "utf-8")


def cut_style(sheet: Path, names: set[str]) -> set[int]:
    """Leave in the style sheet the icons of these names, and give the letters that it still asks of the fonts."""
    text = LETTERED.sub(lambda rule: rule[0] if names & set(USED.findall(rule[0])) else "", sheet.read_text("utf-8"))
    sheet.write_text(SOURCE.sub(r'src:url(\1.woff) format("woff")', text), "utf-8")
    return {int(letter[1:], 16) if letter[0] == "\\" else ord(letter) for letter in LETTER.findall(text)}


def cut_font(font: Path, letters: set[int]) -> None:
    """Write these letters of a font in the place of all, and drop its other forms."""
    options = subset.Options(flavor="woff", notdef_outline=True)
    whole = subset.load_font(font, options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=letters)
    subsetter.subset(whole)
    subset.save_font(whole, font.with_suffix(".woff"), options)
    for suffix in (".ttf", ".woff2"):
        font.with_suffix(suffix).unlink()


def cut_pages(out: Path) -> None:
    """Take the index of the search out of all pages but its own."""
    for page in out.rglob("*.html"):
        if page.name != "search.html":
            page.write_text(SEARCH.sub("", page.read_text("utf-8")), "utf-8")


def cut(app, exception) -> None:
    """Cut pages, script, style sheet and fonts down once all pages are written."""
    if exception is None and app.builder.format == "html":
        out, static = Path(app.outdir), Path(app.outdir) / "_static"
        cut_pages(out)
        names = used(out)
        cut_script(static / "scripts/fontawesome.js", names)
        letters = cut_style(static / "styles/pydata-sphinx-theme.css", names)
        for font in (static / "vendor/fontawesome/webfonts").glob("*.ttf"):
            cut_font(font, letters)
        for sources in static.rglob("*.map"):
            sources.unlink()


def setup(app):
    """Connect it to the end of the build."""
    app.connect("build-finished", cut)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
