"""The pages of the programming interface: every public name of the package, with what its docstring says.

``.. public:: PACKAGE`` documents the names in ``__all__`` of a package or module, or without one those that the module
itself defines. ``.. listed:: PACKAGE ...`` lists them with links. ``.. algorithms::`` is the table of algorithms.
Docstrings are written to be read in a terminal; a hook of autodoc turns their links, heads and equations into
reStructuredText.
"""

import ast
import importlib
import inspect
import pkgutil
import re
import sys

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.nodes import nested_parse_with_titles

HEAD = re.compile(r"^(Shapes|References?|Returns|Yields): +(?=\S)")
# What prose holds besides letters: a literal, a link, a name in one pair of backticks, an escaped sign.
MARKUP = re.compile(r"(?s)(``.+?``)|\[([^\]]+)\]\((https?://[^)\s]+)\)|`([^`]+)`|(\\.)")
EQUATION = re.compile(r"^\S[^.:]{0,60}? (=|<-|~) ")
SENTENCE = re.compile(r"[.:] +[A-Z]|[a-z]{3,} [a-z]{2,} [a-z]{3,}")


def public_names(module) -> list[str]:
    """List the names that a module promises, or those that it defines if it promises none."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    told = {name for scope, name in ModuleAnalyzer.for_module(module.__name__).find_attr_docs() if not scope}
    made = {
        name
        for name, thing in vars(module).items()
        if getattr(thing, "__module__", "") == module.__name__ and hasattr(thing, "__qualname__")
    }
    return [name for name in vars(module) if name in told | made and not name.startswith("_")]


def documented(package: str) -> list[tuple[str, str]]:
    """List (module, name) of what a package promises: its own names, or without any those of its modules."""
    module = importlib.import_module(package)
    if hasattr(module, "__all__") or not hasattr(module, "__path__"):
        return [(package, name) for name in public_names(module) if not inspect.ismodule(getattr(module, name))]
    inside = sorted(found.name for found in pkgutil.iter_modules(module.__path__) if not found.name.startswith("_"))
    return [pair for name in inside for pair in documented(f"{package}.{name}")]


def comment(thing: object, name: str) -> list[str]:
    """Give the lines of the docstring below the assignment of a constant, wherever in the package that is."""
    for module in [module for key, module in sys.modules.items() if key.startswith("mamlbook")]:
        if vars(module).get(name) is thing:
            found = ModuleAnalyzer.for_module(module.__name__).find_attr_docs()
            if ("", name) in found:
                return found["", name]
    return []


def entry(module: str, name: str) -> list[str]:
    """Give the reStructuredText that documents one name."""
    thing, full = getattr(importlib.import_module(module), name), f"{module}.{name}"
    if inspect.isclass(thing):
        return [f".. autoclass:: {full}", "   :members:", ""]
    if inspect.isroutine(thing):
        return [f".. autofunction:: {full}", ""]
    lines = comment(thing, name)
    rewrite(lines)
    return [f".. py:data:: {name}", f"   :module: {module}", "", *(f"   {line}" for line in lines), ""]


def rows() -> list[str]:
    """Give the table of algorithms as reStructuredText: the name, the factor that it changes, its summary."""
    from mamlbook.algorithms import ALGORITHMS

    heads = ["   * - Algorithm", "     - Factor it changes", "     - What it is"]
    lines = [".. list-table::", "   :header-rows: 1", "", *heads]
    for name, row in ALGORITHMS.items():
        make = inspect.unwrap(row.build)
        summary = inspect.getdoc(make).split("\n\n")[0].replace("\n", " ")
        text = [summary]
        rewrite(text)
        role = f":py:func:`{name} <mamlbook.algorithms.{make.__name__}>`"
        lines += [f"   * - {role}", f"     - {row.factor}", f"     - {text[0]}"]
    return [*lines, ""]


class Public(Directive):
    """Every public name of a package."""

    required_arguments = 1

    def run(self):
        """Parse what documents the names, where the directive stands."""
        return self.parsed([line for pair in documented(self.arguments[0]) for line in entry(*pair)])

    def parsed(self, lines):
        """Turn reStructuredText into nodes."""
        box = nodes.container()
        box.document = self.state.document
        nested_parse_with_titles(self.state, StringList(lines, "public names"), box)
        return box.children


class Listed(Public):
    """The names of some packages in a line, in the order of the alphabet, each with a link to what documents it."""

    optional_arguments = 9

    def run(self):
        """Parse the line, where the directive stands."""
        pairs = [pair for package in self.arguments for pair in documented(package)]
        pairs.sort(key=lambda pair: pair[1].lower())
        links = [f":py:obj:`{name} <{module}.{name}>`" for module, name in pairs]
        return self.parsed([", ".join(links)])


class Algorithms(Public):
    """The table of algorithms."""

    required_arguments = 0

    def run(self):
        """Parse the table, where the directive stands."""
        return self.parsed(rows())


def escaped(text: str) -> str:
    """Escape what reStructuredText would take for markup."""
    return re.sub(r"([*|])", r"\\\1", re.sub(r"(\w)_(?=\W|$)", r"\1\\_", text))


def prose(text: str) -> str:
    """Rewrite a paragraph: links, names in backticks, and signs that mean nothing."""
    written, end = [], 0
    for found in MARKUP.finditer(text):
        literal, words, address, name, sign = found.groups()
        markup = f"`{words} <{address}>`__" if address else f"``{name}``" if name else literal or sign
        written += [escaped(text[end : found.start()]), markup]
        end = found.end()
    return "".join([*written, escaped(text[end:])])


def raises(paragraph: str) -> str:
    """Rewrite the list of what is raised: a line for each error, what belongs to it indented."""
    entries = re.sub(r"\n {8,}", " ", paragraph).split("\n")[1:]
    pairs = (entry.strip().split(": ", 1) for entry in entries)
    return "\n".join(["**Raises:**", "", *(f"- ``{error}``: {prose(when)}" for error, when in pairs)])


def is_equation(paragraph: str) -> bool:
    """Whether a paragraph is mathematics in letters rather than a sentence."""
    return bool(EQUATION.match(paragraph)) and not SENTENCE.search(paragraph) and "``" not in paragraph


def rewrite(lines: list[str]) -> None:
    """Turn a docstring into reStructuredText, in place."""
    written = []
    for paragraph in re.split(r"\n[ \t]*\n", "\n".join(lines).strip("\n")):
        if paragraph.startswith(">>>"):
            written.append(paragraph)
        elif paragraph.startswith("Raises:\n"):
            written.append(raises(paragraph))
        elif not paragraph.startswith(" ") and not is_equation(paragraph):
            # A link may be broken over lines, and reStructuredText's is not.
            text = " ".join(line.strip() for line in paragraph.split("\n"))
            written.append(HEAD.sub(r"**\1:** ", prose(text)))
        else:
            block = inspect.cleandoc(paragraph).split("\n")
            written.append("\n".join([".. code-block:: none", "", *(f"   {line}" for line in block)]))
    lines[:] = [*"\n\n".join(written).split("\n"), ""] if written else []


def process(app, what, name, obj, options, lines):
    """Rewrite the docstring of whatever autodoc documents."""
    rewrite(lines)


def readable(app, what, name, obj, options, signature, returned):
    """Write three dots for a default that has no words of its own, or that Sphinx cannot read, such as a generator."""
    if not signature:
        return None
    signature = re.sub(r"= <.*?>(?=[,)])", "= ...", signature)
    tree = ast.parse(f"def f{signature}: pass").body[0].args
    for default in filter(None, [*tree.defaults, *tree.kw_defaults]):
        if any(isinstance(node, ast.GeneratorExp | ast.Lambda) for node in ast.walk(default)):
            signature = signature.replace(ast.get_source_segment(f"def f{signature}: pass", default), "...")
    return signature, returned


def skip(app, what, name, obj, skip, options):
    """Leave out the fields of named tuples, which say nothing."""
    return True if str(getattr(obj, "__doc__", "")).startswith("Alias for field number") else None


def setup(app):
    """Add the directives and the hooks."""
    app.add_directive("public", Public)
    app.add_directive("listed", Listed)
    app.add_directive("algorithms", Algorithms)
    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-process-signature", readable)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
