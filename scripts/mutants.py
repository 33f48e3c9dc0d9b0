"""Try whether the tests of what decides find faults: change its code in small ways, and see which changes fail a test.

    python scripts/mutants.py --to build/mutants.json             # draw 200 with the usual seed and try them
    python scripts/mutants.py --again build/mutants.json --to …   # the same after the tests were changed

Each mutant runs in a copy of the tree: first the unit tests of its module, then all unit tests of its core, then the
property tests. Whoever changes tests runs it before and after: what was killed before and survives after is an error
(exit status 1). A survivor need not be a gap: some changes make no difference.
"""

from __future__ import annotations

import argparse
import ast
import json
import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp  # noqa: F401  (what the tests load anyway is loaded once, before the fork)
import hypothesis
import msgspec  # noqa: F401
import pytest

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("src", "tests", "scripts", "fake_ecs", "pyproject.toml")
ALL_UNIT = {
    "agent/core": ("tests/unit/agent/core",),
    "control/core": ("tests/unit/control/core", "tests/unit/control/api", "tests/unit/control/test_decide.py"),
}
PROPERTY = {
    "agent/core": ("tests/property/test_core_world.py",),
    "control/core": (
        "tests/property/test_control_world.py", "tests/property/test_service_limits.py",
        "tests/property/test_services.py",
    ),
}  # fmt: skip
STAGES = ("module", "core", "property")
TEST_LIMIT_S = 60
STAGE_LIMIT_S = 600
MEMORY_LIMIT_BYTES = 4 * 1024**3

OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
REMOVED = (ast.Expr, ast.Assign, ast.AugAssign, ast.Raise, ast.Delete, ast.Continue)


@dataclass(frozen=True)
class Mutant:
    """One change. ``key`` stays the same while lines move; ``start`` and ``end`` are bytes of the file."""

    key: str
    path: str
    start: int
    end: int
    text: str

    @property
    def side(self) -> str:
        return "/".join(Path(self.path).parts[2:4])

    def tests(self, stage: str) -> tuple[str, ...]:
        if stage == "property":
            return PROPERTY[self.side]
        if stage == "core":
            return ALL_UNIT[self.side]
        name = Path(self.path).stem
        folder = ROOT / "tests" / "unit" / self.side
        found = {*folder.glob(f"test_{name}.py"), *folder.glob(f"test_{name}_*.py")}
        return tuple(sorted(str(path.relative_to(ROOT)) for path in found))


def changes(node: ast.AST) -> Iterator[tuple[str, str]]:
    """(kind, new text) of each small change of one node."""
    match node:
        case ast.Compare(ops=[operator], left=left, comparators=comparators) if type(operator) in OPPOSITE:
            yield "comparison", f"({ast.unparse(ast.Compare(left, [OPPOSITE[type(operator)]()], comparators))})"
        case ast.BoolOp(op=operator, values=values):
            other = ast.Or() if isinstance(operator, ast.And) else ast.And()
            yield "boolean", f"({ast.unparse(ast.BoolOp(other, values))})"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "boolean", f"({ast.unparse(operand)})"
        case ast.Constant(value=bool() as value):
            yield "constant", repr(not value)
        case ast.Constant(value=int() as value):
            yield "constant", repr(value + 1)
        case ast.Constant(value=str() as value) if value:
            yield "constant", repr(value + "!")
        case ast.Return(value=value) if value is not None and ast.unparse(value) != "None":
            yield "return", "return None"
        case ast.Expr(value=ast.Constant()):
            pass  # a docstring
        case ast.Assign(targets=targets) if any(isinstance(target, ast.Name | ast.Tuple) for target in targets):
            pass  # without it the name is unbound: any test finds that
        case _ if isinstance(node, REMOVED):
            yield "removed", "pass"
        case _:
            pass


def candidates(node: ast.AST, scope: tuple[str, ...]) -> Iterator[tuple[str, ast.AST, str, str]]:
    """(scope, node, kind, new text) of all changes below ``node``, without annotations and docstrings."""
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "type_params"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr | ast.Import | ast.ImportFrom):
                continue
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue
            for kind, text in changes(child):
                if kind != "removed" or isinstance(node, ast.FunctionDef | ast.If | ast.For | ast.With):
                    yield ".".join(scope), child, kind, text
            is_named = isinstance(child, ast.FunctionDef | ast.ClassDef)
            yield from candidates(child, (*scope, child.name) if is_named else scope)  # type: ignore[attr-defined]


def mutants_of(path: Path) -> list[Mutant]:
    source = path.read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found: list[Mutant] = []
    count: Counter[str] = Counter()
    name = str(path.relative_to(ROOT))
    for scope, node, kind, text in candidates(ast.parse(source), ()):
        assert isinstance(node, ast.expr | ast.stmt)
        assert node.end_lineno is not None and node.end_col_offset is not None
        start, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
        key = f"{name}:{scope or '<module>'}: {kind}: {' '.join(source[start:end].decode().split())} -> {text}"
        count[key] += 1
        found.append(Mutant(f"{key} #{count[key]}", name, start, end, text))
    return found


class FirstFailure:
    """A plugin of pytest that writes the name of the first test that fails."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self._path.exists():
            self._path.write_text(report.nodeid)


def run_tests(tree: Path, tests: tuple[str, ...], failure: Path, keeps_bytecode: bool) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    os.chdir(tree)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    sys.dont_write_bytecode = not keeps_bytecode  # two mutants of one size and second would share it
    status = pytest.main(
        [
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            "-W",
            "ignore::pytest.PytestAssertRewriteWarning",
            "--hypothesis-seed=0",
            f"--timeout={TEST_LIMIT_S}",
            *tests,
        ],
        plugins=[FirstFailure(failure)],
    )
    os._exit(int(status))


def killer(tree: Path, tests: tuple[str, ...], *, is_mutated: bool = True) -> str | None:
    """The test that fails first (or what ends the run otherwise), None when all pass."""
    if not tests:
        return None
    failure = tree / "first-failure"
    failure.unlink(missing_ok=True)
    process = multiprocessing.get_context("fork").Process(target=run_tests, args=(tree, tests, failure, not is_mutated))
    process.start()
    process.join(STAGE_LIMIT_S)
    if process.is_alive():
        process.kill()
        process.join()
        return f"no end after {STAGE_LIMIT_S} s"
    if process.exitcode in {0, int(pytest.ExitCode.NO_TESTS_COLLECTED)}:
        return None
    return failure.read_text() if failure.exists() else f"exit status {process.exitcode}"


def tried(tree: Path, mutant: Mutant, stage: str) -> str | None:
    path = tree / mutant.path
    original, status = path.read_bytes(), path.stat()
    try:
        path.write_bytes(original[: mutant.start] + mutant.text.encode() + original[mutant.end :])
        return killer(tree, mutant.tests(stage))
    finally:
        path.write_bytes(original)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def copied_tree(to: Path) -> Path:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, to / name)
    return to


def drawn(arguments: argparse.Namespace, everything: dict[str, Mutant]) -> tuple[list[Mutant], dict[str, str]]:
    """What is to be tried, and the verdicts of the run before."""
    if arguments.again is None:
        chosen = random.Random(arguments.seed).sample(sorted(everything), arguments.count)
        return [everything[key] for key in chosen], {}
    before = {one["key"]: str(one["verdict"]) for one in json.loads(arguments.again.read_text())["mutants"]}
    wanted = [key for key, verdict in before.items() if verdict == "killed"]
    for key in wanted:
        if key not in everything:
            print(f"gone: {key}")
    return [everything[key] for key in wanted if key in everything], before


def main() -> int:
    parser = argparse.ArgumentParser(description="Try whether the tests find small faults in what decides.")
    parser.add_argument("--count", type=int, default=200, help="how many mutants are drawn (default: 200)")
    parser.add_argument("--seed", type=int, default=10)
    parser.add_argument("--again", type=Path, help="a result of before: try what was killed then")
    parser.add_argument("--to", type=Path, required=True, help="the result, as JSON")
    arguments = parser.parse_args()
    hypothesis.settings.register_profile("mutants", deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
    hypothesis.settings.load_profile("mutants")

    files = sorted(path for side in ALL_UNIT for path in (ROOT / "src" / "ecscope" / side).glob("*.py"))
    everything = {mutant.key: mutant for path in files for mutant in mutants_of(path)}
    chosen, before = drawn(arguments, everything)
    results = {mutant.key: {**asdict(mutant), "verdict": "not tried", "stage": "", "by": ""} for mutant in chosen}

    def write() -> None:
        arguments.to.parent.mkdir(parents=True, exist_ok=True)
        body = {"of": len(everything), "seed": arguments.seed, "mutants": list(results.values())}
        arguments.to.write_text(json.dumps(body, indent=1) + "\n")

    with tempfile.TemporaryDirectory() as folder:
        tree = copied_tree(Path(folder))
        for stage in STAGES:
            left = [mutant for mutant in chosen if results[mutant.key]["verdict"] != "killed"]
            for side in sorted({mutant.side for mutant in left}):
                tests = {test for mutant in left if mutant.side == side for test in mutant.tests(stage)}
                if (failed := killer(tree, tuple(sorted(tests)), is_mutated=False)) is not None:
                    print(f"mutants: without any change, {failed}")
                    return 2
            for number, mutant in enumerate(left, 1):
                by = tried(tree, mutant, stage)
                verdict = "survived" if by is None else "killed"
                results[mutant.key] |= {"verdict": verdict, "stage": stage, "by": by or ""}
                write()
                print(f"{stage} {number}/{len(left)}: {verdict}: {mutant.key}", flush=True)
    verdicts = Counter(one["verdict"] for one in results.values())
    print(
        f"{len(everything)} mutants, {len(chosen)} drawn: {verdicts['killed']} killed, {verdicts['survived']} survived"
    )
    lost = [key for key, one in results.items() if before and one["verdict"] != "killed"]
    for key in lost:
        print(f"killed before, survives now: {key}")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
