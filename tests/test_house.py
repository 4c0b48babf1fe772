"""The house stands as designed: floors, heavy imports, file sizes, the manifest."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import napari_fossiledit

ROOT = Path(napari_fossiledit.__file__).parent
FLOORS = {
    "errors": 1,
    "progress": 1,
    "instances": 1,
    "io": 2,
    "perturb": 2,
    "metrics": 2,
    "volume": 2,
    "sample": 2,
    "models": 3,
    "editing": 4,
    "pipeline": 5,
    "cli": 6,
    "widgets": 6,
}
# What napari calls: sample data, readers and writers, on the widgets' floor.
CALLED = {"_sample_data", "_reader", "_writer"}
NAMED = {*FLOORS, *CALLED}
# The demo model is trained with models/, from the sample's data: the one upward call.
UPWARD_IN_FUNCTIONS = {("sample", "models")}
# Volumes and meshes are read and written by io, on the same floor; io knows nothing of them.
SIDEWAYS = {("volume", "io")}
QT = {"qtpy", "PyQt6", "PySide6", "PyQt5", "napari", "magicgui", "superqt"}


def files() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    name = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return "widgets" if name in CALLED else name


def imports(path: Path, *, module_level: bool) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = module_statements(tree) if module_level else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def module_statements(tree: ast.Module) -> list[ast.stmt]:
    """Statements that run on import: not in functions, not for type checkers only."""
    out: list[ast.stmt] = []
    todo: list[ast.stmt] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            todo.extend(node.orelse)
            continue
        out.append(node)
        for name in ("body", "orelse", "finalbody"):
            todo.extend(child for child in getattr(node, name, []) if isinstance(child, ast.stmt))
    return out


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_downhill(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    mine = FLOORS[room]
    for name in imports(path, module_level=False):
        parts = name.split(".")
        if parts[0] != "napari_fossiledit" or len(parts) < 2 or parts[1] not in NAMED:
            continue
        other = "widgets" if parts[1] in CALLED else parts[1]
        if other == room or (room, other) in UPWARD_IN_FUNCTIONS | SIDEWAYS:
            continue
        allowed = FLOORS[other] < mine or (mine == 1 and other == "errors")
        assert allowed, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_qt_and_torch_stay_on_their_floors(path: Path) -> None:
    room = room_of(path)
    heads = {name.split(".")[0] for name in imports(path, module_level=True)}
    if room != "widgets":
        assert not heads & QT
    if room not in {"models", "editing"}:
        assert "torch" not in heads
    assert not heads & {"PyQt6", "PySide6", "PyQt5"}, "Qt only through qtpy"


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_small(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= (400 if room_of(path) == "widgets" else 600)


def test_importing_brings_neither_torch_nor_qt() -> None:
    code = (
        "import sys, napari_fossiledit\n"
        "from napari_fossiledit import io, metrics, perturb, sample, volume\n"
        "heavy = {'torch', 'qtpy', 'PyQt6', 'PySide6', 'napari'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_unknown_rooms_are_no_attributes() -> None:
    with pytest.raises(AttributeError, match="no attribute 'cellar'"):
        _ = napari_fossiledit.cellar
