"""The tree keeps its shape: tests mirror modules, core and model stay pure, every module says what it is for."""

from __future__ import annotations

import ast
import json
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "ecscope"
UNIT = ROOT / "tests" / "unit"

PROVED_ELSEWHERE: dict[str, tuple[str, str]] = {
    "control/app.py": ("contract/control/test_agents.py", "it only builds: what it builds is proved together"),
    "up/local.py": ("e2e/test_up.py", "it orders the life of two processes, which only processes can prove"),
    "agent/membership.py": ("contract/ecs/test_membership.py", "it only builds: what it builds is proved together"),
}
"""Module → (test file that proves it instead, why a unit test would prove nothing)."""

PURE = ("agent/core", "control/core", "model")
PURE_IMPORTS = {
    "__future__", "abc", "bisect", "collections", "copy", "dataclasses", "datetime", "decimal", "enum", "fnmatch",
    "functools", "hashlib", "heapq", "ipaddress", "itertools", "json", "math", "msgspec", "operator", "re", "string",
    "types", "typing",
}  # fmt: skip
"""What ``core`` and ``model`` may import besides themselves: nothing with a side effect."""
PURE_WIRE = {"control/core": ("ecscope.wire.task_definition", "ecscope.wire.task_payload", "ecscope.wire.acs_payload")}
"""What of ``wire``, which is as pure, they may use: for the control plane, what a task definition is."""
CLOCK_CALLS = {"now", "utcnow", "today"}


def modules() -> list[Path]:
    """Every module with content, relative to the package; what make generates is not ours to test."""
    found = (path for path in SOURCE.rglob("*.py") if path.name != "_build.py" and path.read_text().strip())
    return sorted(path.relative_to(SOURCE) for path in found)


def unit_tests() -> list[Path]:
    return sorted(path.relative_to(UNIT) for path in UNIT.rglob("test_*.py") if path != Path(__file__))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def has_logic(tree: ast.Module) -> bool:
    """Whether any function outside of a ``Protocol`` does something; declarations have nothing to prove."""
    protocols = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).startswith("Protocol") for base in node.bases)
        for child in ast.walk(node)
    }
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return any(does_something(function) for function in functions if id(function) not in protocols)


def does_something(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(
        not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        and not isinstance(statement, ast.Pass)
        for statement in function.body
    )


def is_tested_by(module: Path, test: Path) -> bool:
    """``core/decide.py`` by ``core/test_decide.py``, or by ``core/test_decide_<aspect>.py``."""
    return test.parent == module.parent and (
        test.stem == f"test_{module.stem}" or test.stem.startswith(f"test_{module.stem}_")
    )


@pytest.mark.parametrize("module", modules(), ids=str)
def test_each_module_with_logic_has_its_unit_test(module: Path) -> None:
    if str(module) in PROVED_ELSEWHERE:
        elsewhere, reason = PROVED_ELSEWHERE[str(module)]
        assert (ROOT / "tests" / elsewhere).is_file(), f"{elsewhere} is said to prove {module}, and does not exist"
        assert reason
        assert not any(is_tested_by(module, test) for test in unit_tests()), (
            f"{module} has its unit test: drop the exception"
        )
    elif module.name != "__init__.py" and has_logic(parsed(SOURCE / module)):
        assert any(is_tested_by(module, test) for test in unit_tests()), (
            f"write tests/unit/{module.parent / ('test_' + module.name)}, or say in PROVED_ELSEWHERE what proves it"
        )


def test_exceptions_name_modules_that_exist() -> None:
    assert set(PROVED_ELSEWHERE) <= {str(module) for module in modules()}


@pytest.mark.parametrize("test", unit_tests(), ids=str)
def test_each_unit_test_has_its_module(test: Path) -> None:
    assert any(is_tested_by(module, test) for module in modules()), (
        f"no module of src/ecscope is tested by tests/unit/{test}"
    )


@pytest.mark.parametrize("module", [m for m in modules() if str(m).startswith(PURE)], ids=str)
def test_core_and_model_import_nothing_with_a_side_effect(module: Path) -> None:
    own = "ecscope." + ".".join(module.parts[:2])
    allowed = {own, "ecscope.model"} if "core" in module.parts else {"ecscope.model"}
    allowed |= set(PURE_WIRE.get("/".join(module.parts[:2]), ()))
    for node in ast.walk(parsed(SOURCE / module)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            if name.startswith("ecscope"):
                assert name.startswith(tuple(allowed)), f"line {node.lineno}: {name}"
            else:
                assert name.split(".")[0] in PURE_IMPORTS, f"line {node.lineno}: {name}"


@pytest.mark.parametrize("module", [m for m in modules() if str(m).startswith(PURE)], ids=str)
def test_core_and_model_never_ask_the_clock(module: Path) -> None:
    for node in ast.walk(parsed(SOURCE / module)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in CLOCK_CALLS, f"line {node.lineno}: time comes in as event.at"


@pytest.mark.parametrize("module", modules(), ids=str)
def test_each_module_says_what_it_is_for(module: Path) -> None:
    assert ast.get_docstring(parsed(SOURCE / module)), "the first line of a module is its concern in one sentence"


@pytest.mark.parametrize(
    "test", sorted((ROOT / "tests").rglob("test_*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_each_test_module_says_what_it_proves_and_mocks_nothing(test: Path) -> None:
    tree = parsed(test)
    assert ast.get_docstring(tree), "one line that says what it proves"
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not any(name.startswith(("unittest.mock", "mock")) for name in imported), "fakes are classes with knobs"


def test_the_licences_in_the_package_are_those_of_the_project() -> None:
    for name in ("LICENSE", "NOTICE"):
        assert (SOURCE / "licenses" / name).read_text() == (ROOT / name).read_text()


def test_third_party_lists_what_is_locked() -> None:
    locked = [
        line.split()[0].split("==")
        for line in (ROOT / "requirements/runtime.lock").read_text().splitlines()
        if "==" in line
    ]
    listed = [
        line.split()[:2]
        for line in (SOURCE / "licenses/THIRD-PARTY").read_text().split("\n\n")[1].splitlines()[: len(locked)]
    ]
    assert listed == locked


@pytest.mark.parametrize("lock", sorted((ROOT / "requirements").glob("*.lock")), ids=lambda lock: lock.name)
def test_locks_pin_by_hash_and_name_no_place(lock: Path) -> None:
    text = lock.read_text()
    pinned = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert pinned
    assert all("==" in line and line.endswith("\\") for line in pinned)
    assert "://" not in text
    assert "--find-links" not in text


def test_the_lock_for_npm_pins_by_hash_and_names_no_place() -> None:
    folder = ROOT / "tests" / "clients" / "node"
    text = (folder / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    assert all("integrity" in package for name, package in packages.items() if name)
    assert "://" not in text
    assert '"resolved"' not in text
    assert packages[""]["dependencies"] == json.loads((folder / "package.json").read_text())["dependencies"]


def test_make_lock_writes_each_lock_and_keeps_none_that_names_a_place() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "lock"))
    assert sorted(lock for lock, _ in script["LOCKS"]) == sorted(p.name for p in (ROOT / "requirements").glob("*.lock"))
    script["refuse_places"]("a lock", 'a==1 \\\n    --hash=sha256:0\n"integrity": "sha512-a/b"\n')
    for line in ("--index-url https://h/simple", "-f /opt/wheels", '"resolved": "file:a.tgz"'):
        with pytest.raises(script["Leak"], match="names a place"):
            script["refuse_places"]("a lock", f"a==1\n{line}\n")


def test_each_decision_record_has_its_parts_and_fits_a_page() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    assert records
    for record in records:
        lines = record.read_text().splitlines()
        assert len(lines) <= 60, f"{record.name} has {len(lines)} lines"
        for part in ("Date:", "Status:", "## Context", "## Decision", "## Consequences"):
            assert any(line.startswith(part) for line in lines), f"{record.name} lacks {part}"


FOLDERS = (ROOT, SOURCE, SOURCE / "agent", ROOT / "tests")
"""Where documents begin their paths."""
MADE_LATER = {".venv/", "build/", "bench-results/"}
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "checklists").glob("*.md")),
]


def named_paths(line: str) -> list[str]:
    """Of modules, documents and folders; a bare name stands for one in the folder of the path before it."""
    found: list[str] = []
    for name in re.findall(r"`([\w./-]+(?:\.py|\.md|\.toml|/))`", line):
        is_bare = "/" not in name and not (ROOT / name).exists()
        found.append(str(Path(found[-1]).parent / name) if is_bare and found else name)
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_names_is_there(document: Path) -> None:
    text = document.read_text()
    named = {path for line in text.splitlines() for path in named_paths(line)} - MADE_LATER
    missing = {path for path in named if not any((folder / path).exists() for folder in FOLDERS)}
    links = set(re.findall(r"\]\(([^):#\s]+)[^):]*\)", text))
    missing |= {link for link in links if not (document.parent / link).exists()}
    commands = set(re.findall(r"(?:`|^    )make ([a-z]+)\b(?!/)", text, re.MULTILINE))
    missing |= commands - set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert missing == set()
