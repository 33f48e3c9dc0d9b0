"""The tree keeps its shape: tests mirror modules, what decides stays pure, every module says what it is for."""

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
    "sqlitefile/reading.py": ("unit/agent/store/test_reader.py", "by the history, which is read with it"),
    "control/store/reader.py": ("unit/up/test_stops.py", "by who stopped a task, which is read with it"),
    "cli/kept.py": ("unit/cli/test_tasks.py", "what the commands show is proved by what they show"),
    "agent/probes/agent.py": ("drills/test_drills.py", "whether an engine and an ECS answer"),
    "agent/diagnosis/why/relations.py": (
        "unit/agent/diagnosis/why/test_engine.py",
        "a rule is proved through the door, by whole stories",
    ),
    "agent/diagnosis/why/stops.py": (
        "unit/agent/diagnosis/why/test_engine.py",
        "a rule is proved through the door, by whole stories",
    ),
    "agent/diagnosis/why/story.py": (
        "unit/agent/diagnosis/why/test_engine.py",
        "a rule is proved through the door, by whole stories",
    ),
    "agent/diagnosis/why/times.py": (
        "unit/agent/diagnosis/why/test_exits.py",
        "a rule is proved through the door, by whole stories",
    ),
    "agent/diagnosis/why/messages.py": (
        "unit/agent/diagnosis/why/test_failures.py",
        "a rule is proved through the door, by whole stories",
    ),
    "agent/probes/docker.py": ("e2e/test_doctor.py", "asks a real engine"),
    "control/app.py": ("contract/control/test_agents.py", "it only builds: what it builds is proved together"),
    "up/local.py": ("e2e/test_up.py", "it orders the life of two processes, which only processes can prove"),
    "control/logs/actions.py": ("contract/control/test_logs.py", "its words and pages are for clients, who judge them"),
    "cli/stored_logs.py": ("contract/cli/test_logs.py", "only a control plane can say what it answers"),
    "control/server/logs.py": ("contract/control/test_logs.py", "it orders checks that each have tests of their own"),
    "agent/cluster/build.py": (
        "contract/ecs/test_cluster_client.py",
        "it only builds: what it builds is proved together",
    ),
}
"""Module → (test file that proves it instead, why a unit test would prove nothing)."""

PURE = (
    "agent/core", "control/core", "control/api", "control/decide", "control/logs/blocks", "control/logs/catalog",
    "control/logs/patterns", "control/logs/positions", "model", "state_table", "taskdefinition", "wire",
)  # fmt: skip
PURE_IMPORTS = {
    "__future__", "abc", "array", "base64", "bisect", "collections", "copy", "dataclasses", "datetime", "decimal",
    "difflib", "email.utils", "enum", "fnmatch", "functools", "hashlib", "heapq", "ipaddress", "itertools", "json",
    "math", "msgspec", "operator", "re", "re2", "string", "struct", "types", "typing", "urllib.parse",
    "zlib",
}  # fmt: skip
"""What they may import besides each other: nothing with a side effect. Who may import whom is the linter's."""
CLOCK_CALLS = {"now", "utcnow", "today"}


def _modules() -> dict[Path, ast.Module]:
    """Every module with content, by its path in the package; what make generates is not ours to test."""
    found = (path for path in SOURCE.rglob("*.py") if path.name != "_build.py")
    texts = {path.relative_to(SOURCE): path.read_text() for path in sorted(found)}
    return {path: ast.parse(text, filename=str(path)) for path, text in texts.items() if text.strip()}


MODULES = _modules()
TESTS = {path: ast.parse(path.read_text(), filename=str(path)) for path in sorted((ROOT / "tests").rglob("test_*.py"))}
UNIT_TESTS = {path.relative_to(UNIT) for path in TESTS if UNIT in path.parents and path != Path(__file__)}
PURE_MODULES = {path: tree for path, tree in MODULES.items() if str(path).startswith(PURE)}


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


def unit_tests_of(module: Path) -> set[Path]:
    """For ``core/decide.py``: ``core/test_decide.py`` and each ``core/test_decide_<aspect>.py``."""
    names = (f"test_{module.stem}.py", f"test_{module.stem}_")
    return {test for test in UNIT_TESTS if test.parent == module.parent and test.name.startswith(names)}


def imports(tree: ast.Module) -> list[tuple[int, str]]:
    """(line, full name of the module) of each import, wherever in the module it stands."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.lineno, node.module or ""))
    return found


def test_each_module_with_logic_has_its_unit_test() -> None:
    """A module without one needs tests/unit/<path>/test_<module>.py, or an entry in PROVED_ELSEWHERE."""
    untested = {
        str(module)
        for module, tree in MODULES.items()
        if module.name != "__init__.py" and not unit_tests_of(module) and has_logic(tree)
    }
    assert untested == set(PROVED_ELSEWHERE)


def test_what_is_proved_elsewhere_is_proved_there() -> None:
    assert [
        test for test, reason in PROVED_ELSEWHERE.values() if not (reason and (ROOT / "tests" / test).is_file())
    ] == []


def test_each_unit_test_has_its_module() -> None:
    assert UNIT_TESTS - {test for module in MODULES for test in unit_tests_of(module)} == set()


def test_what_is_pure_imports_nothing_with_a_side_effect() -> None:
    """The linter knows what is forbidden; this knows what is allowed, a new library included."""
    ours = tuple(f"ecscope.{name.replace('/', '.')}" for name in PURE)

    def is_allowed(name: str) -> bool:
        if name.startswith("ecscope"):
            return name.startswith(ours)
        return name in PURE_IMPORTS or name.split(".", maxsplit=1)[0] in PURE_IMPORTS

    assert [
        f"{module}:{line}: {name}"
        for module, tree in PURE_MODULES.items()
        for line, name in imports(tree)
        if not is_allowed(name)
    ] == []


def test_what_is_pure_never_asks_the_clock() -> None:
    """Time comes in as ``event.at``."""
    assert [
        f"{module}:{node.lineno}"
        for module, tree in PURE_MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK_CALLS
    ] == []


def test_each_module_says_what_it_is_for() -> None:
    assert [str(module) for module, tree in MODULES.items() if not ast.get_docstring(tree)] == []


def test_each_test_module_says_what_it_proves_and_mocks_nothing() -> None:
    assert [str(test) for test, tree in TESTS.items() if not ast.get_docstring(tree)] == []
    mocking = {
        str(test)
        for test, tree in TESTS.items()
        for _, name in imports(tree)
        if name.startswith(("unittest.mock", "mock"))
    }
    assert mocking == set(), "fakes are classes with knobs"


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
