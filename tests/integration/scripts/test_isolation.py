"""A place of its own: what happens in it stays in it, and all of it ends with its maker, by any signal."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import isolation
import sampleimage
from dockerengine import CGROUPS

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may make namespaces"),
    pytest.mark.timeout(180),
]

SCRIPTS = Path(isolation.__file__).parent
SCRIPT = """\
import os, signal, socket, subprocess, sys, time
from pathlib import Path
import isolation

# a shell starts what runs in the background with SIGINT ignored, and that is inherited
signal.signal(signal.SIGINT, signal.default_int_handler)

def in_place():
    isolation.private_mounts({"/var/lib/ecscope-test-place": Path(FOLDER) / "seen"}, empty=[])
    return isolation.with_network(["network"])

match sys.argv[1:]:
    case []: sys.exit(isolation.run(["place"]))
    case ["place"]: sys.exit(isolation.first_process(in_place))
    case ["network"]:
        isolation.await_network()
        os.chdir(FOLDER)
        exec(Path("work.py").read_text())
    case ["root", with_files, *command]:
        isolation.enter(Path(FOLDER) / "root", command, {"PATH": "/bin"}, with_files=with_files == "yes")
"""


def start(folder: Path, work: str) -> subprocess.Popen[str]:
    """``work`` is carried out in a place, in ``folder``."""
    (folder / "work.py").write_text(work)
    (folder / "place").write_text(f"FOLDER = {str(folder)!r}\n{SCRIPT}")
    return subprocess.Popen(
        [sys.executable, str(folder / "place")],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within a minute"
        time.sleep(0.05)


def processes_with(word: str) -> list[str]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word in file.read_text().split("\0"):
                found.append(file.parent.name)
        except OSError:
            continue
    return found


LASTS = """
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "mounted"], check=True)
Path("mounted/file").touch()
Path("/run/ecscope-test-file").touch()
Path("/var/lib/ecscope-test-place/file").touch()
subprocess.run(["ip", "link", "add", "ecscope-test0", "type", "bridge"], check=True)
assert Path("/sys/class/net/ecscope-test0").exists()
subprocess.Popen(["sleep", SLEEPS], start_new_session=True)
Path("ready").touch()
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_all_of_it_ends_with_who_made_it(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "mounted").mkdir()
    sleeps = f"1000.{os.getpid()}{number}"
    place = start(tmp_path, LASTS.replace("SLEEPS", repr(sleeps)))
    eventually(lambda: (tmp_path / "ready").exists() or place.poll() is not None, "the work in the place")
    assert place.poll() is None, place.communicate()[0]
    assert len(processes_with(sleeps)) == 1
    place.send_signal(number)
    place.communicate(timeout=20)
    eventually(lambda: processes_with(sleeps) == [], "the end of what the place ran")
    assert list((tmp_path / "mounted").iterdir()) == []
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
    assert not Path("/run/ecscope-test-file").exists()
    assert not Path("/sys/class/net/ecscope-test0").exists()
    assert (tmp_path / "seen" / "file").exists(), "what it was given lasts"
    Path("/var/lib/ecscope-test-place").rmdir()


REPORTS = """
import json
subprocess.run(["sh", "-c", "sleep 0.1 & sleep 0.1 & true"])
time.sleep(0.5)
with socket.create_server(("127.0.0.1", PORT)) as server, socket.create_connection(("127.0.0.1", PORT)):
    pass
states = [Path(p, "stat").read_text().rpartition(")")[2].split()[0] for p in Path("/proc").glob("[0-9]*")]
print(json.dumps({
    "zombies": states.count("Z"),
    "links": sorted(p.name for p in Path("/sys/class/net").iterdir()),
    "cgroups": Path(CGROUPS).is_dir(),
    "way_out": isolation._has_default_route(),
}))
sys.exit(7)
"""


def test_it_has_a_network_and_processes_of_its_own_and_tells_how_the_work_ended(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        place = start(tmp_path, REPORTS.replace("PORT", str(port)).replace("CGROUPS", repr(str(CGROUPS))))
        output = place.communicate(timeout=120)[0]
    assert place.returncode == 7, output
    seen = json.loads(output.splitlines()[-1])
    assert seen["zombies"] == 0
    assert {"lo", "tap0"} <= set(seen["links"])
    assert seen["way_out"]
    assert seen["cgroups"]
    Path("/var/lib/ecscope-test-place").rmdir()


@pytest.mark.parametrize("with_files", ["yes", "no"])
def test_a_root_of_other_packages_with_the_machines_files_or_without(tmp_path: Path, with_files: str) -> None:
    programs = tmp_path / "root" / "bin"
    programs.mkdir(parents=True)
    (programs / "busybox").write_bytes(sampleimage.busybox())
    (programs / "busybox").chmod(0o755)
    look = f"busybox ls /; busybox cat {tmp_path}/work.py 2>/dev/null; true"
    inside = ["/bin/busybox", "sh", "-c", look]
    work = f"""
os.execvp("unshare", ["unshare", "--mount", "--", sys.executable, sys.argv[0], "root", "{with_files}", *{inside!r}])
"""
    place = start(tmp_path, work)
    output = place.communicate(timeout=120)[0]
    assert place.returncode == 0, output
    names = output.split()
    assert {"bin", "dev", "proc", "run", "sys"} <= set(names)
    assert "usr" not in names, "the machine's system stays outside"
    assert ("os.execvp(" in output) == (with_files == "yes")
    Path("/var/lib/ecscope-test-place").rmdir()


def test_only_the_cgroups_of_a_killed_engines_containers_are_removed(tmp_path: Path) -> None:
    hierarchy = next((path for path in (CGROUPS / "pids", CGROUPS) if (path / "cgroup.procs").exists()), None)
    if hierarchy is None:
        pytest.skip("there are no cgroups here")
    task = hierarchy / "ecs" / "ecscope-test-task"
    ours = [hierarchy / "docker" / "ecscope-test-ours", task / "ecscope-test-ours"]
    theirs = hierarchy / "docker" / "ecscope-test-theirs"
    for number, parent in enumerate(("", "/ecs/ecscope-test-task")):
        container = tmp_path / str(number) / "containers" / "ecscope-test-ours"
        container.mkdir(parents=True)
        (container / "hostconfig.json").write_text(json.dumps({"CgroupParent": parent}))
    try:
        for folder in (*ours, theirs):
            folder.mkdir(parents=True)
        isolation.remove_cgroups(tmp_path / "0")
        assert [folder.exists() for folder in (*ours, theirs)] == [False, True, True]
        isolation.remove_cgroups(tmp_path / "1")
        assert not task.exists()
        assert theirs.exists()
    finally:
        for folder in (*ours, theirs, task, hierarchy / "ecs", hierarchy / "docker"):
            with suppress(OSError):
                folder.rmdir()
