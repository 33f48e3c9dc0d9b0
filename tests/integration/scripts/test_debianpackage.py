"""A program comes out of a Debian package without installing it, once, and a failure is one line."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import debianpackage
from dockerengine import Unavailable

needs_dpkg = pytest.mark.skipif(not Path("/usr/bin/dpkg-deb").exists(), reason="dpkg-deb is not installed")

APT_GET = """\
#!/bin/sh
echo "$@" >>{calls}
case "$*" in
*update*) touch {lists} ;;
*download*)
    [ -e {lists} ] || {{ echo "E: Unable to locate package tool" >&2; exit 100; }}
    cp {package} . ;;
esac
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt-get that knows one package, ``tool``, once its lists are there; the file has its calls."""
    source = tmp_path / "source"
    (source / "DEBIAN").mkdir(parents=True)
    (source / "DEBIAN" / "control").write_text(
        "Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\nDescription: a tool\n"
    )
    program = source / "usr" / "bin" / "tool-of-a-package"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho works\n")
    program.chmod(0o755)
    package = tmp_path / "tool_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", str(source), str(package)], check=True, capture_output=True)
    stand_in = tmp_path / "bin" / "apt-get"
    stand_in.parent.mkdir()
    made = tmp_path / "calls"
    stand_in.write_text(APT_GET.format(calls=made, lists=tmp_path / "lists", package=package))
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    return made


@needs_dpkg
def test_a_program_is_fetched_once(tmp_path: Path, calls: Path) -> None:
    cache = tmp_path / "cache"
    path = debianpackage.program("tool-of-a-package", "tool", cache=cache)
    assert subprocess.run([str(path)], capture_output=True, text=True, check=True).stdout == "works\n"
    assert [line.split()[1] for line in calls.read_text().splitlines()] == ["download", "update", "download"]
    assert debianpackage.program("tool-of-a-package", "tool", cache=cache) == path
    assert len(calls.read_text().splitlines()) == 3
    assert [each.name for each in cache.iterdir()] == ["tool"], "nothing of the fetching is left"


@needs_dpkg
def test_an_installed_program_is_used(tmp_path: Path, calls: Path) -> None:
    assert debianpackage.program("sh", "tool", cache=tmp_path / "cache").name == "sh"
    assert not calls.exists()


@needs_dpkg
def test_a_package_without_the_program(tmp_path: Path, calls: Path) -> None:
    with pytest.raises(
        Unavailable, match=r"^other: the Debian package tool holds no such program; put one on the PATH"
    ):
        debianpackage.program("other", "tool", cache=tmp_path / "cache")


def test_without_apt_one_line_says_what_and_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match=r"^tool: not here, and no apt-get to fetch it with; install it by hand$"):
        debianpackage.unpacked("tool", cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@needs_dpkg
def test_a_damaged_package_is_not_kept(tmp_path: Path, calls: Path) -> None:
    (tmp_path / "tool_1_all.deb").write_bytes(b"no package")
    with pytest.raises(Unavailable, match=r"^tool: it cannot be unpacked: .*; install it by hand$"):
        debianpackage.unpacked("tool", cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
