"""Let predictions, quizzes and exercises ask for an answer before they explain, and keep the score in the browser.

Predictions and quizzes are ``<details class="answer">`` under the headings ``Predict first`` and ``Quiz``, and stay
that without scripts and on paper. ``answering.js`` puts buttons beside the sentences of a quiz; the first word of an
explanation, True or False, is what it judges by. Under an exercise whose answer is a number it puts a field, and
``judged.js`` judges. It has to know how many answers each page asks for.
"""

import json
import re
from pathlib import Path

from judged import numeric
from sphinx.errors import ExtensionError

SCRIPT, JUDGE = "answering.js", "judged.js"
HEADING = re.compile(r"^## (.*)$", re.MULTILINE)
ANSWER = re.compile(r'<details class="answer">\s*<summary>(.*?)</summary>\s*(.*?)\s*</details>', re.DOTALL)
JUDGED = re.compile(r"(True|False)\b")


def sentences(path: Path) -> list[tuple[str, bool]]:
    """List the sentences of a page's quiz, and whether each is true."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    prose = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    sections = HEADING.split(prose)
    found = []
    for heading, text in zip(sections[1::2], sections[2::2], strict=True):
        for sentence, explanation in ANSWER.findall(text) if heading.strip() == "Quiz" else []:
            judged = JUDGED.match(explanation)
            if judged is None:
                raise ExtensionError(
                    f"{path.name}, quiz: expected True or False as the first word of the explanation of "
                    f"{sentence!r}, got {explanation[:30]!r}"
                )
            found.append((sentence, judged[1] == "True"))
    return found


def count(app):
    """Count the answers that every page asks for once."""
    pages = {name: Path(app.env.doc2path(name)) for name in sorted(app.env.found_docs)}
    read = {name: path for name, path in pages.items() if path.suffix == ".ipynb"}
    totals = {name: len(sentences(path)) + len(numeric(path)) for name, path in read.items()}
    app.env.quizzes = {name.removeprefix("book/"): number for name, number in totals.items() if number}


def hand_over(app, pagename, templatename, context, doctree):
    """Give a page of the book the script and what it has to know."""
    if doctree is None or not pagename.startswith("book/"):
        return
    path = Path(app.env.doc2path(pagename))
    exercises = list(numeric(path).values()) if path.suffix == ".ipynb" else []
    known = {"page": pagename.removeprefix("book/"), "totals": app.env.quizzes, "exercises": exercises}
    text = json.dumps(known, separators=(",", ":")).replace("<", r"\u003c")
    context["body"] += f'<script type="application/json" id="quizzes">{text}</script>'
    for script in [JUDGE, SCRIPT] if exercises else [SCRIPT]:
        app.add_js_file(script, loading_method="defer")


def setup(app):
    """Connect both to the build."""
    app.connect("env-before-read-docs", lambda app, env, names: count(app))
    app.connect("html-page-context", hand_over)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
