"""The rules of the house, read from the syntax trees: who imports whom, how long files are, what is where."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground import registry

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([ROOT / "app.py", *(ROOT / "playground").rglob("*.py")])
# Imports go down or stay on their floor; what is not named here (registry, training, ...) is on floor 3.
FLOORS = {
    "spec": 0,
    "capabilities": 0,
    "capabilities_translation": 0,
    "capabilities_words": 0,
    "device": 0,
    "distributed": 0,
    "graphs": 0,
    "paths": 0,
    "seeding": 0,
    "locale": 0,
    "nn": 1,
    "data": 1,
    "models": 2,
    "tabs": 4,
    "__main__": 4,
    "cli": 4,
}


def module_of(path: Path) -> str:
    """app.py -> app, playground/tabs/train.py -> playground.tabs.train."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {module_of(path): ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in SOURCES}


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that runs: what stands under ``if TYPE_CHECKING`` is for the type checker alone."""
    if isinstance(tree, ast.If) and isinstance(tree.test, ast.Name) and tree.test.id == "TYPE_CHECKING":
        return
    yield tree
    for child in ast.iter_child_nodes(tree):
        yield from executed(child)


def imports(module: str) -> set[str]:
    """Everything a module imports, in functions too; ``from a import b`` gives a.b if that is a module."""
    found: set[str] = set()
    for node in executed(TREES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} uses a relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in TREES else str(node.module) for name in names}
    return found


def importers(package: str) -> set[str]:
    """The modules that import a package or a part of it."""
    return {m for m in TREES if any(name.split(".")[0] == package for name in imports(m))}


def floor(module: str) -> int:
    """How high a module stands."""
    parts = module.split(".")
    if parts[0] == "app":
        return 5
    return FLOORS.get(parts[1], 3) if len(parts) > 1 else 0


def test_only_the_app_and_the_tabs_import_gradio():
    assert {m for m in importers("gradio") if m != "app" and not m.startswith("playground.tabs")} == set()


def test_only_figures_imports_matplotlib():
    assert importers("matplotlib") <= {"playground.figures"}


def test_models_import_only_nn_and_spec():
    for module in TREES:
        if module.startswith("playground.models."):
            ours = {name for name in imports(module) if name.split(".")[0] == "playground"}
            allowed = {"playground.nn", "playground.spec", "playground.data"}
            ours = {n for n in ours if not n.startswith(("playground.models.", "playground.data."))}
            assert ours <= allowed, module


def test_imports_go_one_way():
    for module in TREES:
        for name in imports(module) & TREES.keys():
            assert floor(name) <= floor(module), f"{module} imports {name}, which stands above it"


def test_no_circular_imports():
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for name in sorted(imports(module) & TREES.keys() - {module}):
                visit(name, (*path, module))
            done.add(module)

    for module in TREES:
        visit(module, ())


@pytest.mark.parametrize("path", [*SOURCES, *sorted((ROOT / "tests").rglob("*.py"))], ids=lambda p: p.name)
def test_files_are_short(path):
    limit = 60 if path.name == "app.py" else 300
    assert len(path.read_text(encoding="utf-8").splitlines()) <= limit


@pytest.mark.parametrize("module", TREES)
def test_functions_are_short(module):
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= 40, f"{module}.{node.name} has {length} lines"


def test_no_list_of_models_and_no_question_after_a_name():
    """A model is reached by its capabilities: outside models/ no comparison with a name, no list of names."""
    names = set(registry.names())

    def count(nodes: list[ast.expr]) -> int:
        return sum(
            isinstance(n, ast.Constant) and isinstance(n.value, str) and n.value in names for n in nodes
        )

    for module in [m for m in TREES if not m.startswith("playground.models")]:
        for node in ast.walk(TREES[module]):
            where = f"{module}, line {getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Compare):
                assert count([node.left, *node.comparators]) == 0, f"{where} compares with a model's name"
            elif isinstance(node, ast.MatchValue):
                assert count([node.value]) == 0, f"{where} matches a model's name"
            elif isinstance(node, ast.List | ast.Tuple | ast.Set):
                assert count(node.elts) < 2, f"{where} lists models"
            elif isinstance(node, ast.Dict):
                assert count([key for key in node.keys if key]) < 2, f"{where} maps models"


def test_no_test_starts_a_loop_where_a_browser_may_have_left_one():
    """`asyncio.run` fails in a thread with a loop: `app_helpers.awaited` has a thread of its own."""
    for path in sorted((ROOT / "tests").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) != "asyncio.run", f"{path.name}, line {node.lineno}"


def test_top_level_has_nothing_else():
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    top = {line.split("/")[0] for line in listed.stdout.splitlines()}
    allowed = {"app.py", "README.md", "requirements.txt", "playground", "pretrained", "tests"}
    assert {name for name in top if not name.startswith(".")} <= allowed


def test_every_pinned_requirement_is_imported():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pin) == 2 for pin in pins), "exact pins only"
    used = {name.split(".")[0] for module in TREES for name in imports(module)}
    assert {{"pillow": "PIL"}.get(name, name) for name, _ in pins} <= used


BLOCKED = """
import importlib, pkgutil, sys
blocked = set(sys.argv[1].split(","))
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocker())
"""


def run_blocked(blocked: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run a snippet in a fresh interpreter in which some packages cannot be imported."""
    command = [sys.executable, "-c", BLOCKED + code, blocked]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


def test_everything_that_trains_or_samples_imports_without_gradio():
    modules = [
        m for m in TREES if m != "app" and not m.startswith(("playground.tabs", "playground.__main__"))
    ]
    done = run_blocked("gradio", f"for name in {modules!r}: importlib.import_module(name)")
    assert done.returncode == 0, done.stderr


def test_listing_needs_no_heavy_library():
    code = "from playground import cli; sys.exit(cli.run(['list', '--json']))"
    done = run_blocked("gradio,diffusers,torchvision,torchmetrics,matplotlib", code)
    assert done.returncode == 0, done.stderr
    assert '"name"' in done.stdout
