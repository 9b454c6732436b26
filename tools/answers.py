"""Which numbers the judge of each exercise accepts: asked of the judge itself, and kept for the built book.

python -m tools.answers                   ask again where the code of a judge has changed
python -m tools.answers variants/cost     ask the judges of this page alone, changed or not

The answers lie in ``book/answers.json``, each with a fingerprint of the code that it comes from: the exercise, its
solution and whatever they need of the page. The build of the book compares the two, so that neither can change alone.
"""

import argparse
import ast
import contextlib
import functools
import hashlib
import io
import itertools
import json
import symtable
import time
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from types import FunctionType

import nbformat

from mamlbook.files import replacing
from tools.book import ROOT, is_setup, notebooks

FILE = ROOT / "book/answers.json"
SCAN = 3.0  # seconds for one judge, in search of what it accepts beside the solution


@functools.cache
def bound(node) -> set[str]:
    """List the names that a statement makes, or whose things it changes; not those inside a function of its own."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Store) else set()
    if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
        return {part.id for part in ast.walk(node.value) if isinstance(part, ast.Name)}
    if isinstance(node, ast.Lambda | ast.GeneratorExp | ast.ListComp | ast.SetComp | ast.DictComp):
        return set()
    return set().union(*map(bound, ast.iter_child_nodes(node)))


@functools.cache
def used(node) -> set[str]:
    """List the names that a piece of code takes from the page: not its arguments and what it makes for itself."""

    def outer(scope) -> set[str]:
        page = scope.get_type() == "module"
        own = {one.get_name() for one in scope.get_symbols() if (one.is_referenced() if page else one.is_global())}
        return own.union(*map(outer, scope.get_children()))

    return outer(symtable.symtable(ast.unparse(node), "page", "exec"))


def changed(node, silent: set[str]) -> set[str]:
    """List the names in calls whose result nothing takes, and which therefore may change what they are given."""
    found = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Expr) and isinstance(part.value, ast.Call):
            whole = part.value.func
            while isinstance(whole, ast.Attribute | ast.Call):
                whole = whole.value if isinstance(whole, ast.Attribute) else whole.func
            if not (isinstance(whole, ast.Name) and whole.id in silent):
                found |= used(part)
    return found


def needed(statements: list[ast.stmt], wanted: set[str]) -> list[ast.stmt]:
    """Keep of a page's statements those that the wanted names come from, read from the last one up.

    A call changes a tensor or a network, but no function and no module, and nothing that the pages' own tools show.
    """
    functions, imports = (ast.FunctionDef, ast.ClassDef), (ast.Import, ast.ImportFrom)
    shown = [one for one in statements if isinstance(one, ast.ImportFrom) and one.module.startswith("mamlbook.pages")]
    silent = {"print", "display"}.union(*map(bound, shown))
    given = set().union(*(bound(one) for one in statements if isinstance(one, (*functions, *imports))))
    later: set[str] = set()  # what kept functions take from the page when they are called, whenever that is
    while True:
        live, kept = wanted | later, []
        for one in reversed(statements):
            if bound(one) & live or (changed(one, silent) - given) & live:
                kept.insert(0, one)
                live -= bound(one) - later if makes_anew(one) else set()
                live |= used(one)
        more = later.union(*(used(one) for one in kept if isinstance(one, functions)))
        if more == later:
            return kept
        later = more


def makes_anew(node) -> bool:
    """Whether a statement makes its names anew, whatever was behind them before."""
    if isinstance(node, ast.Assign):
        return not any(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets)
    return isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom)


def attempts(source: str) -> list[ast.Call]:
    """List the calls of ``attempt`` that stand by themselves in a cell."""
    values = [one.value for one in ast.parse(source).body if isinstance(one, ast.Expr)]
    return [call for call in values if isinstance(call, ast.Call) and used(call.func) == {"attempt"}]


@dataclass
class Exercise:
    """An exercise: its cell's place, the call that judges, the call with the solution, and what both stand on."""

    page: str
    cell: int
    judge: ast.Call
    solved: ast.Call
    statements: list[ast.stmt]
    texts: list[str]

    @property
    def claim(self) -> str:
        """What the judge says of a right answer."""
        return ast.literal_eval(self.judge.args[0])

    @property
    def bounds(self) -> dict[str, float]:
        """What the judge asks of its number."""
        return {word.arg: ast.literal_eval(word.value) for word in self.judge.keywords}

    @property
    def fingerprint(self) -> str:
        """What changes with the code that decides the answer."""
        calls = [ast.unparse(call) for call in (self.judge, self.solved)]
        return hashlib.sha256("\n".join([*self.texts, *calls]).encode()).hexdigest()[:16]

    @property
    def may_be_a_number(self) -> bool:
        """Whether the solution is neither written out as text or truth, nor a function or a class of the reader's."""
        value = self.solved.args[1]
        if isinstance(value, ast.Name):
            made = [one for one in self.statements if value.id in bound(one)]
            if made and isinstance(made[-1], ast.FunctionDef | ast.ClassDef):
                return False
            value = made[-1].value if made and isinstance(made[-1], ast.Assign) else ast.Constant(0)
        written = [part.value for part in ast.walk(value) if isinstance(part, ast.Constant)]
        return not isinstance(value, ast.Name) and not any(isinstance(one, str | bool) for one in written)

    def run(self) -> dict:
        """Run what judge and solution stand on, and give the names."""
        names = {"__name__": "exercise"}
        with contextlib.redirect_stdout(io.StringIO()):
            for one in self.statements:
                exec(compile(ast.Module([one], []), self.page, "exec"), names)
        for name, value in names.items():  # a judge may train: once is enough
            if isinstance(value, FunctionType) and value.__module__ == "exercise":
                names[name] = remembering(value)
        return names

    def said(self, answer, names: dict) -> str:
        """Give the line that the judge prints of an answer."""
        given = [self.judge.args[0], ast.Name("_answer", ast.Load()), *self.judge.args[2:]]
        tree = ast.fix_missing_locations(ast.Expression(ast.Call(self.judge.func, given, self.judge.keywords)))
        with contextlib.redirect_stdout(io.StringIO()) as out:
            eval(compile(tree, self.page, "eval"), names, {"_answer": answer})
        return out.getvalue().strip()

    def solution(self, names: dict):
        """Give the answer of the solution."""
        return eval(compile(ast.Expression(self.solved.args[1]), self.page, "eval"), names)


def remembering(function):
    """Give a function that does not compute the same twice for plain numbers."""
    known = functools.cache(function)

    @functools.wraps(function)
    def remembered(*arguments, **options):
        plain = not options and all(isinstance(one, Real) for one in arguments)
        return known(*arguments) if plain else function(*arguments, **options)

    return remembered


def exercises(path: Path) -> list[Exercise]:
    """List the exercises of a page."""
    cells = nbformat.read(path, as_version=4).cells
    page = path.relative_to(path.parents[1]).with_suffix("").as_posix()
    texts: dict[ast.stmt, str] = {}  # the statements so far
    found = []
    for place, cell in enumerate(cells):
        if cell.cell_type != "code" or is_setup(cell):
            continue
        texts |= {one: ast.get_source_segment(cell.source, one) for one in ast.parse(cell.source).body}
        if (judges := attempts(cell.source)) and "hide-cell" not in cell.metadata.get("tags", []):
            after = cells[place + 1].source if place + 1 < len(cells) else ""
            (judge,) = judges
            same = [call for call in attempts(after) if ast.unparse(call.args[0]) == ast.unparse(judge.args[0])]
            if not same:
                raise ValueError(f"{page}: expected a solution right after {ast.unparse(judge)}, with the same words")
            solution = {one: ast.get_source_segment(after, one) for one in ast.parse(after).body}
            mine = set().union(*map(used, [*judge.args[2:], judge.func, *(word.value for word in judge.keywords)]))
            chosen = needed([*texts, *solution], mine | used(same[-1].args[1]))
            both = texts | solution
            found.append(Exercise(page, place, judge, same[-1], chosen, [both[one] for one in chosen]))
    return found


# ---------------------------------------------------------------- which numbers are accepted


def edge(accepts, inside: float, sign: int) -> float | None:
    """Give the last accepted number on the way from one that is accepted, to the last bit, or None if there is none."""
    step, outside = 1e-12 * max(1.0, abs(inside)), None
    while outside is None:
        if step > 1e9:
            return None
        there = inside + sign * step
        if accepts(there):
            inside, step = there, 16 * step
        else:
            outside = there
    while inside != (middle := (inside + outside) / 2) != outside:
        inside, outside = (middle, outside) if accepts(middle) else (inside, middle)
    return inside


def intervals(accepts, answer: float) -> list[list[float | None]]:
    """List the intervals of accepted numbers, the one of the answer first."""
    found = [[edge(accepts, answer, -1), edge(accepts, answer, 1)]]
    shares = [0, -1, 0.5, 2, -2, 0.1, 10, -0.5, 3]
    sizes = [sign * 10 ** (power / 8) for power in range(-24, 33) for sign in (1, -1)]
    begun = time.monotonic()
    for other in [*(share * answer for share in shares), *range(-5, 41), *sizes, *near(answer)]:
        if time.monotonic() - begun > SCAN:
            break
        if not any(within(other, *one) for one in found) and accepts(other):
            found.append([edge(accepts, other, -1), edge(accepts, other, 1)])
    return found


def near(answer: float):
    """List numbers around an answer and around its opposite."""
    return [sign * answer * (1 + k / 50) for k in range(-49, 50) for sign in (1, -1)]


def within(number: float, low: float | None, high: float | None) -> bool:
    """Whether a number lies in an interval, whose ends belong to it; an end that is None is nowhere."""
    return (low is None or low <= number) and (high is None or number <= high)


def accepted(exercise: Exercise, names: dict) -> list[list[list[float | None]]] | None:
    """List for each number of the answer the intervals that the judge accepts, or give None if no such list says it."""
    answer = exercise.solution(names)
    several = isinstance(answer, tuple | list)
    numbers = list(answer) if several else [answer]
    if len(numbers) == several or not all(isinstance(n, Real) and not isinstance(n, bool) for n in numbers):
        return None

    def right(values) -> bool:
        given = [int(value) if float(value).is_integer() else value for value in values]
        return exercise.said(tuple(given) if several else given[0], names).startswith("✓")

    if not right(numbers):
        raise ValueError(f"{exercise.page}: {exercise.claim!r}: the judge refuses the solution, {answer!r}")
    found = []
    for place, number in enumerate(numbers):
        found.append(intervals(lambda x, at=place: right([*numbers[:at], x, *numbers[at + 1 :]]), float(number)))
    # Several numbers can be judged one by one only if every choice of accepted ones is accepted.
    ends = [[end for end in one[0] if end is not None] or [number] for one, number in zip(found, numbers, strict=True)]
    return found if all(right(corner) for corner in itertools.product(*ends)) else None


def measured(exercise: Exercise) -> dict:
    """Ask a judge, and give what is kept of its answers."""
    accepts = accepted(exercise, exercise.run()) if exercise.may_be_a_number else None
    return {"claim": exercise.claim, "code": exercise.fingerprint, "accepts": accepts}


def kept() -> dict[str, list[dict]]:
    """Read what is kept, by page."""
    return json.loads(FILE.read_text("utf-8")) if FILE.is_file() else {}


def stale(page: str, found: list[Exercise], known: list[dict]) -> list[str]:
    """Say for which exercises of a page what is kept comes from other code than the page has."""
    pairs = itertools.zip_longest([one.fingerprint for one in found], [one["code"] for one in known])
    return [f"{page}, exercise {number}" for number, (new, old) in enumerate(pairs, 1) if new != old]


def main() -> None:
    """Ask the judges of the pages named, or those whose code has changed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*")
    named = parser.parse_args().pages
    known, pages = kept(), {}
    for path in notebooks():
        found = exercises(path)
        if not found or (named and found[0].page not in named):
            continue
        page, old = found[0].page, {one["code"]: one for one in known.get(found[0].page, [])}
        pages[page] = []
        for one in found:
            begun = time.monotonic()
            again = named or one.fingerprint not in old
            pages[page].append(measured(one) if again else old[one.fingerprint])
            if again:
                print(
                    f"{page}: {one.claim}: {pages[page][-1]['accepts']} ({time.monotonic() - begun:.1f} s)", flush=True
                )
        write({**known, **pages})
    if not named:
        write(pages)  # without pages that are no more


def write(pages: dict[str, list[dict]]) -> None:
    """Keep what the judges said, an exercise a line."""
    lines = [
        f' "{page}": [\n' + ",\n".join(f"  {json.dumps(one, ensure_ascii=False)}" for one in ones) + "\n ]"
        for page, ones in sorted(pages.items())
    ]
    with replacing(FILE) as temporary:
        temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


if __name__ == "__main__":
    main()
