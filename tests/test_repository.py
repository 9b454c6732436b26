"""The repository's own rules: one address, pinned packages, one direction of imports, nothing of one machine."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from need import need
from tools.book import ROOT, notebooks, repository
from tools.set_repository import carriers, set_repository, valid

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TEMPLATE = ROOT / "mamlbook" / "template"  # a project of its own, whose files import one another
MODULES = sorted(path for path in (ROOT / "mamlbook").rglob("*.py") if TEMPLATE not in path.parents)
LINES_IN_A_MODULE = 250
LINES_IN_A_FUNCTION = 45


def tracked() -> list[Path]:
    """List the text files that git tracks or would track."""
    command = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True)
    need(listed.returncode == 0, "the working tree is no git repository")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in files if path.is_file() and b"\0" not in path.read_bytes()]


# ---------------------------------------------------------------- the address


def test_the_address_is_the_same_everywhere():
    for path in [ROOT / name for name in ("_config.yml", "pyproject.toml", "README.md", "CITATION.cff")] + notebooks():
        assert repository() in path.read_text(), path


@pytest.fixture
def copied(tmp_path) -> Path:
    """Give a copy of the files that carry the address."""
    for path in [ROOT / "_toc.yml", *carriers()]:
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return tmp_path


def test_setting_the_address_changes_it_everywhere_and_back(copied):
    old, before = repository(copied), {path: path.read_text() for path in copied.rglob("*.*") if path.is_file()}
    changed = set_repository("https://github.com/someone/elsewhere.git/", copied)
    assert set(notebooks(copied)) < set(changed)
    assert repository(copied) == "https://github.com/someone/elsewhere"
    assert not [path for path in before if old.split("/", 3)[3] in path.read_text()]
    assert not set_repository("https://github.com/someone/elsewhere", copied)
    set_repository(old, copied)
    assert {path: path.read_text() for path in before} == before


@pytest.mark.parametrize(
    "url",
    ["", "mamlbook", "github.com/a/b", "https://github.com/a", "https://github.com/a/b c", "git@github.com:a/b.git"],
)
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ValueError, match=r"looks like https://github\.com/OWNER/NAME"):
        valid(url)


# ---------------------------------------------------------------- the environment


def pins() -> dict[str, str]:
    """Read the versions in requirements.txt."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    pinned = [re.fullmatch(r"([\w.-]+)==([\w.]+)", line) for line in lines if line]
    assert all(pinned), "a line of requirements.txt is not name==version"
    names = [canonicalize_name(match[1]) for match in pinned]
    assert len(names) == len(set(names))
    return dict(zip(names, (match[2] for match in pinned), strict=True))


def test_every_pin_but_torch_has_its_hashes():
    text = (ROOT / "requirements-hashes.txt").read_text().replace("\\\n", " ")
    locked = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            pin, *hashes = line.split()
            name, version = pin.split("==")
            locked[canonicalize_name(name)] = version
            assert hashes, f"{name} has no hash"
            assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", word) for word in hashes), f"a hash of {name}"
    assert locked == {name: version for name, version in pins().items() if name != "torch"}, "run make lock"


def test_the_pins_satisfy_what_the_package_asks_for():
    for requirement in map(Requirement, PROJECT["dependencies"]):
        assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)]), requirement
        assert all(part.operator == ">=" for part in requirement.specifier), "Colab's own versions must do"


def test_the_book_is_built_by_the_first_jupyter_book():
    assert pins()["jupyter-book"].startswith("1.")


def test_what_is_installed_is_what_is_pinned():
    need(Path(sys.prefix, "bin/jupyter-book").exists(), "this is not the book's environment")
    for name, version in pins().items():
        assert distribution(name).version.partition("+")[0] == version, name


def test_nothing_that_is_needed_is_left_open():
    need(Path(sys.prefix, "bin/jupyter-book").exists(), "this is not the book's environment")
    for name in pins():
        for requirement in map(Requirement, distribution(name).requires or []):
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if wanted and installed(requirement.name):
                assert canonicalize_name(requirement.name) in pins(), f"{name} needs {requirement}"


def installed(name: str) -> bool:
    """Whether a package is here; the CUDA packages that torch asks for are not, on a machine without a GPU."""
    try:
        return not name.startswith(("nvidia", "cuda", "triton")) and bool(distribution(name))
    except PackageNotFoundError:
        return False


# ---------------------------------------------------------------- the commands


def test_the_makefile_has_its_commands():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets >= {"book", "test", "lint", "notebooks", "serve", "gpu", "set-repository", "screenshot", "clean"}
    assert "second-processor" in targets


def test_the_second_processor_has_other_instructions_than_this_one_may_have():
    """The target's variables are what PyTorch reads: asked for in a fresh process, they choose its kernels."""
    makefile = (ROOT / "Makefile").read_text()
    recipe = re.search(r"^second-processor:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)[1]
    chosen = dict(re.findall(r"\b([A-Z_]+)=(\w+)", recipe))
    assert set(chosen) == {"ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA"}
    assert "--nbval --nbval-current-env book" in recipe
    command = [sys.executable, "-c", "import torch; print(torch.backends.cpu.get_cpu_capability())"]
    here, there = (
        subprocess.run(command, env=os.environ | more, capture_output=True, text=True, check=True).stdout.strip()
        for more in ({}, chosen)
    )
    assert there == ("AVX2" if here.startswith("AVX") else here), "a processor without AVX has nothing to choose"


def test_continuous_integration_runs_what_a_person_runs():
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script]).returncode == 0
    assert script.read_text().rstrip().endswith("make lint test")


def test_what_is_missing_skips_a_test_but_fails_it_on_continuous_integration(monkeypatch):
    need(True, "nothing is missing")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception):
        need(False, "no browser")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no browser"):
        need(False, "no browser")


# ---------------------------------------------------------------- nothing of one machine

FOLDERS = re.compile(rf"(?<![\w.~/-])/(?:{'|'.join(['work', 'tmp', 'root', 'home'])})/")
HOSTS = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("debian", "org"))]


def test_no_file_names_a_folder_of_one_machine_or_the_host_of_a_registry():
    for path in tracked():
        content = path.read_text()
        assert not FOLDERS.search(content), f"{path}: {FOLDERS.search(content)[0]}"
        assert not [host for host in HOSTS if host in content], path


# ---------------------------------------------------------------- the package


def test_every_folder_of_the_package_is_installed():
    installed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "mamlbook").rglob("__init__.py")}
    assert set(installed) == folders | {"mamlbook.results"}


# Each line may import from the lines above it, and a package from itself.
LAYERS = [
    {"torch_internals"},
    {
        "checks",
        "devices",
        "exact",
        "files",
        "modes",
        "network_attributes",
        "parts",
        "progress",
        "target_checks",
        "torch_compiler",
        "trees",
    },
    {"layers", "network_calls", "network_checks", "network_errors", "numerics"},
    {"networks", "stored", "tasks"},
    {"model"},
    {"inner"},
    {"meta_batch"},
    {"metagradient", "weighting"},
    {"learner"},
    {"arguments"},
    {"algorithms", "evaluation", "execution", "reinforcement"},
    {"analysis", "model_zoo", "training"},
    {"pages"},
    {"new"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
HIGHER = {"mamlbook/inner/adam.py", "mamlbook/inner/rules.py"}
IMPORTED_AS = {"pillow": "PIL"}
EVERY_NOTEBOOK_HAS = {"IPython"}
ON_REQUEST = {"nbval_tolerance"}  # a plug-in that nothing imports but a test run


def place(path: Path) -> str:
    """Name the part of the package that a module belongs to; the package's own __init__ is none."""
    parts = path.relative_to(ROOT / "mamlbook").with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def imports(path: Path) -> list[str]:
    """List what a module imports when it runs, by full dotted names; what only a type checker reads is left out."""
    names, tree = [], ast.parse(path.read_text())
    for node in tree.body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a name comes from"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


every_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))


@every_module
def test_imports_run_one_way(path):
    own = place(path)
    parts = {name.split(".")[1] for name in imports(path) if name.startswith("mamlbook.")}
    if own:
        assert {own} | parts <= set(RANK), "a new part of the package: give it its place in LAYERS"
        assert all(part == own or RANK[part] < RANK[own] for part in parts), f"{own} imports {parts}"


@every_module
def test_imports_only_what_the_package_declares(path):
    optional = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    asked = PROJECT["dependencies"] + (optional if path.stem in ON_REQUEST else [])
    declared = {canonicalize_name(Requirement(line).name) for line in asked}
    allowed = {IMPORTED_AS.get(name, name) for name in declared} | EVERY_NOTEBOOK_HAS | {"mamlbook"}
    assert {name.split(".")[0] for name in imports(path)} <= allowed | sys.stdlib_module_names


@every_module
def test_higher_is_met_in_two_modules_only(path):
    uses = any(name.split(".")[0] == "higher" for name in imports(path))
    assert uses == (str(path.relative_to(ROOT)) in HIGHER)


@every_module
def test_fits_on_a_few_screens_and_says_what_it_is(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "a module without a docstring"
    assert len(path.read_text().splitlines()) <= LINES_IN_A_MODULE
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < LINES_IN_A_FUNCTION, node.name
