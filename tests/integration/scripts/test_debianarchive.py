"""Packages of another release come out of the archive that apt knows, and this machine's apt is left as it is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import debianarchive
from dockerengine import Unavailable

pytestmark = pytest.mark.skipif(not Path("/usr/bin/dpkg-deb").exists(), reason="dpkg-deb is not installed")

MIRROR = "http://archive.example.com/debian/"
APT_GET = """\
#!/bin/sh
echo "$@" >>{calls}
for word in "$@"; do case "$word" in -oDir::Cache=*) cache=${{word#-oDir::Cache=}} ;; esac; done
case "$*" in
*indextargets*) [ ! -e {lists} ] || echo {mirror} ;;
*update*) touch {lists} ;;
*install*) cp {packages}/*.deb "$cache/archives/" ;;
esac
"""


def a_package(folder: Path, name: str, *files: str) -> Path:
    source = folder / name
    (source / "DEBIAN").mkdir(parents=True)
    (source / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\nDescription: it\n"
    )
    for file in files:
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        (source / file).write_text(name)
    made = folder / f"{name}_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", str(source), str(made)], check=True, capture_output=True)
    return made


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt-get with two packages, one of them from before /usr was merged; the file has its calls."""
    packages = tmp_path / "packages"
    a_package(packages, "tool", "usr/sbin/tool", "usr/lib/tool/part")
    a_package(packages, "older", "sbin/older", "lib/older/part")
    monkeypatch.setattr(debianarchive, "keyring", lambda: tmp_path / "keys.gpg")
    stand_in = tmp_path / "bin" / "apt-get"
    stand_in.parent.mkdir()
    made = tmp_path / "calls"
    stand_in.write_text(APT_GET.format(calls=made, lists=tmp_path / "lists", mirror=MIRROR, packages=packages))
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    return made


def test_the_archive_is_the_one_that_apt_uses(calls: Path, tmp_path: Path) -> None:
    assert debianarchive.sources("trixie") == f"deb {MIRROR} trixie main\n"
    signed = debianarchive.sources("sid", tmp_path / "keys.gpg")
    assert signed == f"deb [signed-by={tmp_path}/keys.gpg] {MIRROR} sid main\n"


def test_a_machine_without_an_archive(calls: Path, tmp_path: Path) -> None:
    (tmp_path / "bin" / "apt-get").write_text("#!/bin/sh\n")
    with pytest.raises(Unavailable, match=r"^debian: apt is configured for no archive of Debian; add one"):
        debianarchive.mirror()


def test_a_root_is_made_once_and_with_an_apt_of_its_own(calls: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    root = debianarchive.root_of("trixie", ["tool"], cache=cache)
    assert (root / "usr/sbin/tool").read_text() == "tool"
    assert (root / "usr/sbin/older").read_text() == "older", "a link that leads into usr stays one"
    assert {link: os.readlink(root / link) for link in debianarchive.MERGED} == {
        link: f"usr/{link}" for link in debianarchive.MERGED
    }
    assert (root / "etc/passwd").read_text() == Path("/etc/passwd").read_text()
    first, *rest = calls.read_text().splitlines()
    assert "indextargets" in first
    fetching = [line for line in rest if "indextargets" not in line and line != "-q update"]
    assert len(fetching) == 2
    for line in fetching:
        for setting in ("Dir::State=", "Dir::State::status=", "Dir::Cache=", "Dir::Etc::sourcelist="):
            assert f"-o{setting}{cache}/" in line
    assert debianarchive.root_of("trixie", ["tool"], cache=cache) == root
    assert len(calls.read_text().splitlines()) == 1 + len(rest)
    assert [each.name for each in cache.iterdir()] == [root.name], "nothing of the fetching is left"


def test_a_damaged_package_leaves_no_root(calls: Path, tmp_path: Path) -> None:
    (tmp_path / "packages" / "tool_1_all.deb").write_bytes(b"no package")
    with pytest.raises(Unavailable, match=r"^debian: tool_1_all\.deb cannot be unpacked: "):
        debianarchive.root_of("trixie", ["tool"], cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
