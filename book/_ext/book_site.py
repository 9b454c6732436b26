"""Keep the built book free of anything that is loaded from elsewhere, and readable by assistive technology."""

import importlib.util
import re
import shutil
from pathlib import Path

from fontTools import subset
from sphinx.errors import ExtensionError

# The package of this name carries 24 MB of MathJax; a page loads one script and its fonts, 1.6 MB. A page with a
# formula that points at code loads 3 kB more, which give a class to a part of it.
MATHJAX_PACKAGE = "sphinx-mathjax-offline"
MATHJAX_PARTS = ["tex-chtml.js", "output/chtml/fonts/woff-v2", "input/tex/extensions/html.js"]

# The book's letters, from packages too. A face that was cut down may not keep its name, so these are "Book Serif" and
# "Book Sans". English and Greek are kept whole, of the rest what a page has.
FONTS = {"font_source_serif_pro": "BookSerif", "font_source_sans_pro": "BookSans"}
FACES = ["Regular", "It", "Semibold"]
WHOLE = {*range(0x20, 0x7F), *range(0x391, 0x3CA)}
FEATURES = ["kern", "liga", "ccmp", "mark", "mkmk", "lnum", "tnum"]  # the last two are asked for by tables
ESCAPED = re.compile(r"\\u([0-9a-f]{4})")  # how the data of a figure has a letter

# docutils writes a list role without list items, which a screen reader announces as an empty list.
CITATIONS = re.compile(r'<div role="list" class="citation-list">')
# myst-nb calls every folded cell by one name, which hides the words that can be seen.
FOLDED = re.compile(r'<summary aria-label="[^"]*">')

# The theme's fold of the pages below another has a picture for a name.
NAMELESS = '<summary><span class="toctree-toggle"'

# Sphinx, docutils and the theme each say it.
VIEWPORT = re.compile(r'<meta name="viewport"[^>]*>\s*')

# A script of the theme says whether a page is light or dark, and its buttons need scripts. Without one a page is light,
# a menu opens where the keyboard or the pointer is, and what would do nothing is not there.
UNDECIDED = re.compile(r'(<html [^>]*data-theme=)"auto"')
NO_SCRIPTS = """
<noscript><style>
  .btn-fullscreen-button, .sidebar-toggle, .copybtn, .theme-switch-button { display: none !important }
  .dropdown:is(:focus-within, :hover) > .dropdown-menu { display: block }
</style></noscript>
"""


def package_folder(name: str) -> Path:
    """Give the folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ExtensionError(f"The package {name} is missing; install what requirements.txt lists.")
    return Path(spec.origin).parent


def is_thebe(asset) -> bool:
    """Whether a script or style sheet belongs to thebe, whose inline script fails when it is put in twice."""
    body = (getattr(asset, "attributes", None) or {}).get("body") or ""
    return "THEBE_JS_URL" in body or "sphinx-thebe" in str(getattr(asset, "filename", asset) or "")


def clean_page(app, pagename, templatename, context, doctree):
    """Drop thebe from a page, mend the role of its bibliography, and let folded cells be called what they say."""
    for assets in ("script_files", "css_files"):
        context[assets] = [asset for asset in context.get(assets, []) if not is_thebe(asset)]
    if context.get("body"):
        context["body"] = CITATIONS.sub('<div class="citation-list">', context["body"])
        context["body"] = FOLDED.sub("<summary>", context["body"])


def serve_without_scripts(app, pagename, templatename, context, doctree):
    """Say in the head of a page what it is like where scripts do not run."""
    context["metatags"] = context.get("metatags", "") + NO_SCRIPTS


def mend_pages(out: Path) -> None:
    """Say on each page that it is light, until the theme's script knows better, and only once how wide it is.

    The fold in the list of all pages gets a name that can be read out.
    """
    for path in out.rglob("*.html"):
        page = UNDECIDED.sub(r'\1"light"', path.read_text("utf-8"), count=1)
        if first := VIEWPORT.search(page):
            page = page[: first.end()] + VIEWPORT.sub("", page[first.end() :])
        named = NAMELESS.replace("<summary>", '<summary><span class="visually-hidden">The pages below</span>')
        path.write_text(page.replace(NAMELESS, named), "utf-8")


def copy_mathjax(target: Path) -> None:
    """Copy the part of MathJax that a page loads."""
    source = package_folder(MATHJAX_PACKAGE) / "static/mathjax"
    for part in MATHJAX_PARTS:
        (target / part).parent.mkdir(parents=True, exist_ok=True)
        if (source / part).is_dir():
            shutil.copytree(source / part, target / part, dirs_exist_ok=True)
        else:
            shutil.copy(source / part, target / part)


def letters(out: Path) -> set[int]:
    """List the letters that some page has."""
    texts = [path.read_text("utf-8") for path in out.rglob("*.html")]
    found = {ord(letter) for text in texts for letter in set(text)}
    return WHOLE | found | {int(code, 16) for text in texts for code in set(ESCAPED.findall(text))}


def write_fonts(target: Path, wanted: set[int]) -> None:
    """Write the faces that book.css names, cut down to the letters that are wanted."""
    target.mkdir(parents=True, exist_ok=True)
    options = subset.Options(flavor="woff", layout_features=FEATURES, name_IDs=[0, 13, 14])
    for package, name in FONTS.items():
        files = package_folder(package) / "files"
        shutil.copy(files / "LICENSE.txt", target / f"{name}-LICENSE.txt")
        for face in FACES:
            (source,) = files.glob(f"Source*Pro-{face}.ttf")
            font = subset.load_font(source, options)
            subsetter = subset.Subsetter(options)
            subsetter.populate(unicodes=wanted)
            subsetter.subset(font)
            subset.save_font(font, target / f"{name}-{face}.woff", options)


def add_assets(app, exception):
    """Put MathJax and the fonts beside the pages."""
    if exception is None and app.builder.format == "html":
        static = Path(app.outdir) / "_static"
        mend_pages(Path(app.outdir))
        copy_mathjax(static / "mathjax")
        write_fonts(static / "fonts", letters(Path(app.outdir)))


def setup(app):
    """Connect the steps above to the build."""
    app.connect("html-page-context", clean_page, priority=900)  # after every extension that adds scripts
    app.connect("html-page-context", serve_without_scripts, priority=950)  # after the page is described
    app.connect("build-finished", add_assets)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
