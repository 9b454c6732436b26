"""One letter, one meaning: every letter of a page's formulas stands on the notation page, which says what it means."""

import ast
import importlib
import inspect
import re
import unicodedata

import pytest

from mamlbook import MetaGradient, Solver, Transform, Weighting, inner, metagradient, weighting
from tools.book import ROOT, notebooks
from tools.notebooks import load

NOTATION = ROOT / "book/appendix/notation.md"
GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi"
COMMANDS = {f"\\{name}" for name in (*GREEK.split(), *GREEK.title().split(), "omega", "Omega", "ell")}
VARIANTS = {f"\\var{name}": f"\\{name}" for name in ("epsilon", "theta", "phi", "rho", "sigma", "pi", "kappa")}

# What a letter of the first table cannot be in a docstring. Between words most letters cannot be told from words, so
# that no more than this is decided.
MISUSES = {
    "the Hessian H, or a curvature h, as a function of inputs": r"(?<![\w'^])[Hh](?:_\w+)?\([xX]",
    "the Hessian H, or a curvature h, as a number of steps": r"\^\{?[Hh]\b",
    "the number K of support points as a function of inputs": r"(?<![\w'^])K\([xX]",
    "the number K of support points as a matrix": r"\(K \+ lam\b",
    "another letter than K for how many points X has": r"f_theta\(X\)(?s:.*)\b[nNM]\b|\b[nNM]\b(?s:.*)f_theta\(X\)",
}

every_notebook = pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)


def of_formula(formula: str) -> set[str]:
    """Give the letters of a formula: no words, no names of functions, no decorations."""
    formula = re.sub(r"\\\\\[[^]]*\]|\\(?:begin|end)\{[^}]*\}", " ", formula)
    formula = re.sub(r"\\(?:text|mathrm|operatorname)(?![A-Za-z])\s*(?:\{[^{}]*\}|[A-Za-z])", " ", formula)
    # Letters of another type are letters of their own, such as the E of an expectation.
    found = {f"\\{kind} {letter}" for kind, letter in re.findall(r"\\(mathbb|mathcal)\s*\{?([A-Za-z])", formula)}
    formula = re.sub(r"\\(?:mathbb|mathcal)\s*\{?[A-Za-z]", " ", formula)
    commands = re.findall(r"\\[A-Za-z]+", formula)
    found |= COMMANDS & {VARIANTS.get(command, command) for command in commands}
    return found | set(re.findall(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", " ", formula)))


def of_words(words: str) -> set[str]:
    """Give the Greek letters that stand between words; a Latin one cannot be told from a word there."""
    names = (unicodedata.name(character, "") for character in words)
    greek = [re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (\w+)", name) for name in names]
    found = {one[2].lower() if one[1] == "SMALL" else one[2].title() for one in greek if one}
    return {f"\\{name.replace('lamda', 'lambda').replace('Lamda', 'Lambda')}" for name in found}


def letters(source: str) -> set[str]:
    """Give the letters of a text: those of its formulas, and the Greek ones between its words."""
    source = re.sub(r"^( *)(```|~~~).*?^\1\2|`[^`\n]+`", " ", source, flags=re.MULTILINE | re.DOTALL)
    formulas = re.findall(r"\$\$(.+?)\$\$|(?<!\\)\$([^$\n]+?)\$", source, re.DOTALL)
    words = re.sub(r"\$\$.+?\$\$|(?<!\\)\$[^$\n]+?\$", " ", source, flags=re.DOTALL)
    return of_words(words).union(*(of_formula(display or inline) for display, inline in formulas))


def rows(heading: str) -> list[list[str]]:
    """Give the rows of the first table under a heading of the notation page, cell by cell."""
    section = NOTATION.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.split("\n") if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def everywhere() -> set[str]:
    """Give the letters that mean one thing on all pages."""
    return set().union(*(letters(first) for first, *_ in rows("Letters")))


def on_some_pages() -> list[tuple[str, str]]:
    """List the letters that mean something on named pages only, each with the name of such a page."""
    return [
        (letter, page)
        for first, _, pages in rows("Letters of some pages")
        for letter in letters(first)
        for page in re.findall(r"\]\(\.\./\w+/([\w-]+)\.ipynb\)", pages)
    ]


def used(path) -> set[str]:
    """Give the letters of a page."""
    return letters("\n\n".join(cell.source for cell in load(path).cells if cell.cell_type == "markdown"))


@every_notebook
def test_every_letter_of_a_page_is_on_the_notation_page(path):
    own = {letter for letter, page in on_some_pages() if page == path.stem}
    assert not used(path) - everywhere() - own


@every_notebook
def test_a_letter_that_is_said_to_be_on_a_page_is_there(path):
    own = {letter for letter, page in on_some_pages() if page == path.stem}
    assert not own - used(path)


def test_a_letter_has_one_meaning_on_each_page():
    named = on_some_pages()
    assert not {letter for letter, _ in named} & everywhere()
    assert sorted(named) == sorted(set(named)), "a letter twice on one page"
    assert {page for _, page in named} <= {path.stem for path in notebooks()}
    assert not everywhere() - set().union(*map(used, notebooks())), "a letter that no page uses"


def test_the_table_of_the_formula_names_every_part():
    named = {}
    for _, folder, names in rows("The formula"):
        module = importlib.import_module(folder.strip("`/").replace("/", "."))
        found = re.findall(r"`(\w+)`", names)
        assert found
        assert set(found) <= set(module.__all__)
        named.setdefault(module, []).extend(found)
    for module in (inner, metagradient, weighting):
        public = {name: getattr(module, name) for name in module.__all__}
        classes = {name: thing for name, thing in public.items() if inspect.isclass(thing)}
        kinds = (Solver, Transform, MetaGradient, Weighting)
        parts = {name for name, one in classes.items() if issubclass(one, kinds) and one not in kinds}
        assert parts
        assert not parts - set(named[module])
        assert len(named[module]) == len(set(named[module]))


def docstrings() -> dict[str, str]:
    """Give every docstring of the package, by the file and the name of what it describes."""
    found = {}
    for path in sorted((ROOT / "mamlbook").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (words := ast.get_docstring(node)):
                found[f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"] = words
    return found


def misused(words: str) -> list[str]:
    """Name what a docstring makes of the letters of the first table, and should not."""
    return [use for use, pattern in MISUSES.items() if re.search(pattern, words)]


def test_docstrings_keep_to_the_letters_of_all_pages():
    told = docstrings()
    assert len(told) > 500
    assert not {place: uses for place, words in told.items() if (uses := misused(words))}


@pytest.mark.parametrize(
    ("words", "uses"),
    [
        ("f_theta(x) + k(x, X) (k(X, X) + lam K I)^-1 (Y - f_theta(X)),  k(x, x') = <z(x), z(x')> + 1", 0),
        ("H v = grad <g(phi), v>;  r = 1 - alpha h,  h (1 - alpha h)^(2S);  1 / (2 (mu / K + lam));  (B, n, d)", 0),
        ("k(x, x') = <h_theta(x), h(x')> + 1", 1),
        ("f_theta(x) + H(x, X) (Theta(X, X) + lam K I)^-1 (Y - f_theta(X))", 1),
        ("k(x, X) (K + lam I)^-1", 1),
        ("K(x, X) a", 1),
        ("k(x, X) (k(X, X) + lam n I)^-1 (Y - f_theta(X))", 1),
        ("(I - exp(-t Theta / n))\n(Y - f_theta(X))", 1),
        ("(theta - w_b^H) / beta", 1),
        ("w_b^{h+1} = w_b^h - beta grad L_b", 1),
    ],
)
def test_a_misused_letter_is_found(words, uses):
    assert len(misused(words)) == uses


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (r"$\phi_b^{s+1} = \phi_b^{s} - \alpha\,\nabla L_b^{\mathrm{support}}$", {r"\phi", r"\alpha", "L", "b", "s"}),
        (r"$\bar h\,\hat F'(2Kn)$", {"h", "F", "K", "n"}),
        (r"$\mathbb E_{\mathcal T}[L]$, $\mathrm d\phi/\mathrm{d}x$", {r"\mathbb E", r"\mathcal T", "L", r"\phi", "x"}),
        (
            "$$\n\\begin{aligned}\na &= 1\n\\\\[1ex]\n\\varepsilon &= \\text{words}\n\\end{aligned}\n$$",
            {"a", r"\epsilon"},
        ),
        (r"$\operatorname{tr} H$ and `$x$`" "\n\n```text\n$y$\n```", {"H"}),
        ("Turn λ, and Θ; it costs 3 S.", {r"\lambda", r"\Theta"}),
    ],
)
def test_the_letters_of_a_text(source, found):
    assert letters(source) == found
