"""Why the process of a container ended: exit code, signal, stop request and memory, weighed against each other.

Docker's flag ``OOMKilled`` alone proves nothing: it can be stale, and a killed child can leave it unset or set.
"""

from __future__ import annotations

import re
from datetime import timedelta

from ecscope.agent.diagnosis.why.story import HISTORY, ContainerFacts, EngineBreak, Story
from ecscope.agent.diagnosis.why.times import duration, text_of
from ecscope.agent.diagnosis.why.verdict import Certainty, Considered, Culprit, Evidence, Finding, Verdict

SIGKILL, SIGTERM = 9, 15
_GRACE_MARGIN_S = 0.5
"""By how much a kill may come before the time is up, by the clocks of two programs."""
_OOM_MATTERS = timedelta(minutes=1)
"""For so long a killed child may be why its parent ends."""
_SHUTDOWN = timedelta(seconds=20)
"""Between the end of a container and that of the dockerd that ends it."""
_CLOCK = timedelta(seconds=2)
_SOON = timedelta(seconds=10)
_BY_DOCKER = frozenset({0, 128 + SIGKILL, 128 + SIGTERM, 255})
"""Exit codes of containers that a dockerd ends, or finds ended when it starts. Others are a program's own."""
_QUICK_S = 5.0
_AT_ONCE_S = 3.0
_TRACE_LINES = 100
_LAST_LINES = 20
"""Of a log: what was said before is what the program lived with."""
_LOG_LINES = 12

# Lines of a log that name the cause of an exit with an error code. First fit wins.
_LOG_RULES: tuple[tuple[str, re.Pattern[str], str], ...] = (
    (
        "exit.heap_exhausted",
        re.compile(r"java\.lang\.OutOfMemoryError|JavaScript heap out of memory|MemoryError"),
        "its runtime's own heap was exhausted",
    ),
    (
        "exit.aws_denied",
        re.compile(r"(?:AccessDenied\w*|is not authorized to perform:?)[^\n]*", re.I),
        "AWS denied it a call",
    ),
    (
        "exit.dns",
        re.compile(r"no such host|Name or service not known|getaddrinfo (?:ENOTFOUND|EAI_AGAIN)|bad address"),
        "a name could not be resolved",
    ),
    (
        "exit.tls",
        re.compile(r"x509:|certificate verify failed|SSLError|self[- ]signed certificate", re.I),
        "a TLS certificate was refused",
    ),
    (
        "exit.port_bind",
        re.compile(r"EADDRINUSE|address already in use|EACCES[^\n]*(?:bind|listen)|bind[^\n]*permission denied", re.I),
        "it could not listen on its port",
    ),
    ("exit.disk_full", re.compile(r"ENOSPC|no space left on device", re.I), "a disk that it writes to is full"),
    ("exit.read_only", re.compile(r"EROFS|read-only file ?system", re.I), "it wrote to a read-only file system"),
    (
        "exit.limits",
        re.compile(r"EMFILE|too many open files|resource temporarily unavailable|can't fork", re.I),
        "it met a limit of files or processes",
    ),
    (
        "exit.dependency_unreachable",
        re.compile(
            r"ECONNREFUSED|connection refused|could not connect to|can't connect to|timed out|ETIMEDOUT", re.I
        ),
        "something that it connects to does not answer",
    ),
)  # fmt: skip
_CONFIG = re.compile(
    r"(?:missing|required|undefined|not set|no such|unknown|unrecognized|invalid)[^\n]{0,60}"
    r"(?:environment|variable|option|flag|argument|config|setting|parameter|file)"
    r"|usage:|KeyError: |environment variable [^\n]*(?:missing|required|not set)|parameter not set|unbound variable",
    re.I,
)
_NOT_FOUND = re.compile(r"(?:^|\n)[^\n]*?(?P<name>[^\s:'\"]+)['\"]?: (?:command )?not found", re.I)


def ended(story: Story, container: ContainerFacts) -> Finding | None:
    """``None``: it has not run, or not ended."""
    if container.exit_code is None:
        return _vanished(container) if container.was_removed else None
    for rule in (
        _removed,
        _with_its_engine,
        _out_of_memory,
        _stopped_by_agent,
        _by_signal,
        _crashed,
        _finished,
        _failed,
    ):
        found = rule(story, container)
        if found is not None:
            return found
    return None


def _with_its_engine(story: Story, one: ContainerFacts) -> Finding | None:
    """Docker went down, or the whole host, and took it along; ``None``: it ended at another time, or for itself."""
    if one.ended_by_agent:
        return None
    for gone in story.engine_breaks:
        if not _ended_within(gone, one):
            continue
        docker, booted_at = story.observed.docker, story.observed.booted_at
        is_reboot = booted_at is not None and one.started_at is not None and booted_at > one.started_at
        began = booted_at if is_reboot else docker.started_at if docker is not None else None
        is_proven = began is not None and began >= gone.lost_at - _CLOCK and (not gone.back_at or began <= gone.back_at)
        what = "the host was restarted" if is_reboot else "Docker was restarted"
        evidence = [
            Evidence(at=text_of(gone.lost_at), source=HISTORY, text=f"lost Docker: {gone.reason}"),
            _exit(one),
        ]
        if gone.back_at is not None:
            evidence.append(Evidence(at=text_of(gone.back_at), source=HISTORY, text="Docker answers again"))
        if began is not None:
            text = (
                "the kernel began"
                if is_reboot
                else f"the process that listens at {docker.endpoint if docker else ''} began"
            )
            evidence.append(Evidence(at=text_of(began), source="host", text=text))
        return Finding(
            verdict=_verdict(
                "stop.docker_or_host_restart",
                f"container {one.name} ended because {what}: with {decoded(one)}",
                Certainty.PROVEN if is_proven else Certainty.LIKELY,
                one,
            ),
            evidence=tuple(evidence),
            considered=(_no_kill_for_memory(story, one), _not("exit.error", "it ended while Docker went down")),
            actions=(
                'set "live-restore": true in /etc/docker/daemon.json, so that containers outlive dockerd',
                "journalctl -u docker",
            ),
        )
    return None


def _ended_within(gone: EngineBreak, one: ContainerFacts) -> bool:
    """It ended while Docker was away, or by a signal of Docker's shortly before."""
    if one.finished_at is None or (one.started_at is not None and one.started_at > gone.lost_at):
        return False
    if one.finished_at > (gone.back_at or one.finished_at) + _CLOCK:
        return False
    signalled = one.signal in (SIGTERM, SIGKILL)
    if one.finished_at >= gone.lost_at:
        return signalled or one.exit_code in _BY_DOCKER
    return signalled and gone.lost_at - one.finished_at <= _SHUTDOWN


def decoded(container: ContainerFacts) -> str:
    """Exit code, signal and stop request in one line: ``137: SIGKILL by the agent, 2.0 s after SIGTERM``."""
    code = container.exit_code
    if code is None:
        return "its exit code is not known"
    if not 128 < code < 160:
        return str(code)
    name = _signal_name(code - 128)
    if code == 128 + SIGKILL and _had_no_time_left(container):
        return f"{code}: {name} by the agent, {container.waited_s:.1f} s after SIGTERM"
    if code == 128 + SIGKILL and container.signal == SIGKILL and container.ended_by_agent and container.waited_s:
        return f"{code}: {name} through Docker, not by the agent, {container.waited_s:.1f} s after SIGTERM"
    if container.ended_by_agent:
        return f"{code}: {name}, after the agent asked it to stop"
    if container.signal == code - 128:
        return f"{code}: {name}, sent through Docker by somebody else than the agent"
    return f"{code}: {name}"


def _out_of_memory(story: Story, one: ContainerFacts) -> Finding | None:
    kernel = _kernel_lines(story, one)
    in_time = one.oom_at is not None and (
        one.finished_at is None or abs((one.finished_at - one.oom_at).total_seconds()) <= 2.0
    )
    if one.oom_at is None and not kernel:
        return None
    if one.oom_at is not None and one.finished_at is not None and one.finished_at - one.oom_at > _OOM_MATTERS:
        return None  # it lived on: what ended it came later
    evidence = [_exit(one)]
    if one.oom_at is not None:
        text = f"Docker's oom event: the kernel killed a process of container {one.name} for want of memory"
        evidence.append(Evidence(at=text_of(one.oom_at), source=HISTORY, text=text))
    evidence += [Evidence(at="", source="kernel log", text=line) for line in kernel[:3]]
    if one.exit_code == 128 + SIGKILL and not one.ended_by_agent and (wider := _wider_limit(one, kernel)) is not None:
        code, sentence, action = wider
        return Finding(
            verdict=_verdict(code, sentence, Certainty.PROVEN, one),
            evidence=tuple(evidence),
            considered=(_not("exit.oom_container", "the kernel's line names another limit than the container's"),),
            actions=(action,),
        )
    actions = (
        f"raise memory of container {one.name}, or find what grows: `docker stats`",
        "dmesg | grep -i 'memory cgroup out of memory'",
    )
    killed_through_docker = one.signal == SIGKILL and not one.ended_by_agent
    if one.exit_code == 128 + SIGKILL and in_time and not killed_through_docker and not _had_no_time_left(one):
        return Finding(
            verdict=_verdict(
                "exit.oom_container",
                f"container {one.name} reached its memory limit, and the kernel killed it",
                Certainty.PROVEN,
                one,
            ),
            evidence=tuple(evidence),
            considered=(_not("exit.killed_by_hand", "the kernel's kill for want of memory was seen at its death"),),
            actions=actions,
        )
    if one.exit_code == 128 + SIGKILL and (killed_through_docker or _had_no_time_left(one)):
        return None
    return Finding(
        verdict=_verdict(
            "exit.oom_child",
            f"the kernel killed a process of container {one.name} for want of memory; its main process ended by itself"
            f" with {decoded(one)}",
            Certainty.PROVEN if in_time or _soon(one) else Certainty.LIKELY,
            one,
        ),
        evidence=tuple(evidence),
        considered=(_not("exit.oom_container", f"its main process ended with {one.exit_code}, not by SIGKILL then"),),
        actions=actions,
    )


def _soon(one: ContainerFacts) -> bool:
    """It ended within seconds of the kill of a child."""
    return one.oom_at is not None and one.finished_at is not None and one.finished_at - one.oom_at <= _SOON


_OOM_MEMCG = re.compile(r"oom_memcg=(?P<path>[^,\s]+)")


def _wider_limit(one: ContainerFacts, kernel: list[str]) -> tuple[str, str, str] | None:
    """The host's memory or the task's limit, where the kernel's line says that it was that; ``None``: it does not."""
    for line in kernel:
        if "constraint=CONSTRAINT_NONE" in line:
            return (
                "exit.oom_host",
                f"the host ran out of memory, and the kernel killed container {one.name}",
                "free -m; give the tasks of this host less, or the host more",
            )
        found = _OOM_MEMCG.search(line)
        if found is not None and "task_memcg=" in line and one.docker_id not in found["path"]:
            return (
                "exit.oom_task_limit",
                f"the containers of the task together reached its memory limit, and the kernel killed {one.name}",
                "raise memory of the task, or find which of its containers grows: `docker stats`",
            )
    return None


def _had_no_time_left(one: ContainerFacts) -> bool:
    """The agent had asked it to stop, and its time was up when it ended."""
    if not one.ended_by_agent or one.grace_s is None or one.waited_s is None:
        return False
    return one.waited_s >= one.grace_s - _GRACE_MARGIN_S


def _stopped_by_agent(story: Story, one: ContainerFacts) -> Finding | None:
    """``None``: it was not asked to stop, or it ended for another reason than that."""
    if not one.ended_by_agent or one.stop_asked_at is None or one.exit_code is None:
        return None
    waited_s = one.waited_s
    asked = Evidence(
        at=text_of(one.stop_asked_at),
        source=HISTORY,
        text=f"the agent asked Docker to stop container {one.name}"
        + (f": SIGTERM, and SIGKILL after {one.grace_s} s" if one.grace_s is not None else ""),
    )
    if one.exit_code == 128 + SIGKILL:
        if waited_s is None or one.grace_s is None:
            certainty, when = Certainty.LIKELY, ""
        elif waited_s < one.grace_s - _GRACE_MARGIN_S:
            return None  # killed while it still had time: by somebody else
        else:
            certainty, when = Certainty.PROVEN, f" {waited_s:.1f} s after SIGTERM"
        return Finding(
            verdict=_verdict(
                "exit.killed_after_stop_timeout",
                f"container {one.name} did not end on SIGTERM, and was killed{when}",
                certainty,
                one,
            ),
            evidence=(asked, _exit(one)),
            considered=(_no_kill_for_memory(story, one),),
            actions=(
                f"let the program of {one.name} end on SIGTERM; a shell as PID 1 does not pass it on: use exec",
                "or raise stopTimeout",
            ),
        )
    if one.exit_code > 128 and one.exit_code != 128 + SIGTERM:
        return None  # SIGTERM does not end a program by another signal
    took = f" within {duration(waited_s)}" if waited_s is not None else ""
    return Finding(
        verdict=_verdict(
            "exit.terminated_on_stop",
            f"container {one.name} ended as asked{took}, with {decoded(one)}",
            Certainty.PROVEN,
            one,
        ),
        evidence=(asked, _exit(one)),
    )


def _no_kill_for_memory(story: Story, one: ContainerFacts) -> Considered:
    """Why it was not the limit of memory, and what that rests on."""
    why = "no oom event of Docker came"
    if story.observed.kernel_kills is None:
        why += "; the kernel's log could not be read"
    else:
        why += ", and the kernel's log names no kill of this container"
    if one.oom_flag:
        why += "; Docker's flag OOMKilled is set, and is no proof"
    return _not("exit.oom_container", why)


def _by_signal(story: Story, one: ContainerFacts) -> Finding | None:
    code = one.exit_code
    if code == 128 + SIGKILL:
        stop = "it still had time" if one.ended_by_agent else "the agent had not asked it to stop"
        considered = (_no_kill_for_memory(story, one), _not("exit.killed_after_stop_timeout", stop))
        actions = ("look for who ran `docker kill`, `docker stop` or `kill -9` at that time", "last; history")
        if one.signal == SIGKILL:
            return Finding(
                verdict=_verdict(
                    "exit.killed_by_hand",
                    f"somebody killed container {one.name} with SIGKILL through Docker; it was not the agent",
                    Certainty.PROVEN,
                    one,
                ),
                evidence=(_signal(one), _exit(one)),
                considered=considered,
                actions=actions,
            )
        if one.oom_flag and story.observed.kernel_kills is None:
            return Finding(
                verdict=_verdict(
                    "exit.oom_container",
                    f"container {one.name} was killed, and Docker says: out of memory",
                    Certainty.LIKELY,
                    one,
                ),
                evidence=(_exit(one),),
                considered=(_not("exit.killed_by_hand", "no signal was sent through Docker"),),
                actions=("run as root, so that the kernel's log can prove it",),
            )
        sentence = (
            f"container {one.name} ended with 137: SIGKILL from outside of Docker, or the program's own exit code"
        )
        return Finding(
            verdict=_verdict("exit.killed_by_hand", sentence, Certainty.LIKELY, one),
            evidence=(_exit(one),),
            considered=(*considered, _not("exit.error", "a program that ends itself with 137 looks the same")),
            actions=actions,
        )
    if one.signal is not None and not one.ended_by_agent and (code == 128 + one.signal or one.signal == SIGTERM):
        return Finding(
            verdict=_verdict(
                "exit.terminated_by_hand" if one.signal == SIGTERM else "exit.other_signal",
                f"somebody, not the agent, sent {_signal_name(one.signal)} to container {one.name} through Docker;"
                f" it ended with {code}",
                Certainty.PROVEN,
                one,
            ),
            evidence=(_signal(one), _exit(one)),
            actions=("look for who ran `docker stop` or `docker kill` at that time",),
        )
    return None


_NAMES = (
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
)  # fmt: skip
"""Of signals 1 to 31 on Linux. Source: signal(7), x86-64 and arm64."""
SIGILL, SIGABRT, SIGBUS, SIGSEGV = 4, 6, 7, 11
_CRASHES = {
    SIGSEGV: ("exit.segfault", "it used memory that is not its own", "dmesg | grep segfault"),
    SIGABRT: ("exit.abort", "it ended itself after an error that it found", ""),
    SIGILL: ("exit.illegal_instruction", "it ran an instruction that this CPU does not have", "lscpu"),
    SIGBUS: ("exit.bus_error", "it used memory that could not be provided", "df -h /dev/shm"),
}


def _crashed(story: Story, one: ContainerFacts) -> Finding | None:
    assert one.exit_code is not None
    number = one.exit_code - 128
    if not 0 < number < 32 or number in (SIGKILL,):
        return None
    log = story.observed.log_tails.get(one.name)
    said = _last_words(log) if log and number == SIGABRT else None
    if said is not None and said[0] == "exit.heap_exhausted":  # as Node.js ends
        return Finding(
            verdict=_verdict(
                said[0], f"container {one.name} ended with 134: {said[1]}: {masked(said[2])}", Certainty.LIKELY, one
            ),
            evidence=(_exit(one), *_log(story, one)),
            considered=(_no_kill_for_memory(story, one),),
            actions=(f"raise the runtime's heap, and memory of container {one.name} with it",),
        )
    if number in _CRASHES:
        code, what, action = _CRASHES[number]
        sentence = f"container {one.name} ended by {_signal_name(number)}: {what}"
        actions: tuple[str, ...] = (action,) if action else ()
    else:
        code, actions = "exit.other_signal", ()
        sentence = f"container {one.name} ended by {_signal_name(number)} ({one.exit_code}), not sent through Docker"
    considered = (
        _not("exit.oom_container", "SIGKILL ends what uses too much memory, not this signal"),
        _not("exit.error", f"a program that ends itself with {one.exit_code} looks the same"),
    )
    return Finding(
        verdict=_verdict(code, sentence, Certainty.LIKELY, one),
        evidence=(_exit(one), *_log(story, one)),
        considered=considered,
        actions=actions,
    )


def _finished(story: Story, one: ContainerFacts) -> Finding | None:
    if one.exit_code != 0:
        return None
    ran = f" after {duration(one.ran_s)}" if one.ran_s is not None else ""
    role = "essential container" if one.is_essential else "container"
    return Finding(
        verdict=_verdict(
            "exit.zero_essential",
            f"{role} {one.name} ended with 0{ran}, and neither ECS nor Docker had asked it to: a task ends with its"
            " first essential container",
            Certainty.PROVEN,
            one,
        ),
        evidence=(_exit(one), *_log(story, one)),
        considered=(_not("stop.user", "nobody had asked the task to stop"),),
        actions=(f"if container {one.name} is to end, set essential to false; else keep its main process running",),
    )


def _failed(story: Story, one: ContainerFacts) -> Finding | None:
    assert one.exit_code is not None
    log = story.observed.log_tails.get(one.name)
    evidence = (_exit(one), *_log(story, one))
    ran = f" after {duration(one.ran_s)}" if one.ran_s is not None else ""
    who = f"container {one.name} ended with {one.exit_code}{ran}"
    actions: tuple[str, ...] = (f"docker logs {one.docker_id[:12]}",) if one.docker_id else ()
    if log and (not_run := _never_became_a_program(story, one, log)) is not None:
        return not_run
    if one.exit_code == 127:
        found = _NOT_FOUND.search(log or "")
        what = f": {found['name']} was not found" if found else ": a command was not found"
        return Finding(
            verdict=_verdict(
                "exit.command_not_found",
                who + what,
                Certainty.PROVEN if found else Certainty.LIKELY,
                one,
                path=found["name"] if found else "",
            ),
            evidence=evidence,
            actions=(f"look into {one.image}: is it installed, and in PATH?",),
        )
    empty = ""
    if one.missing_paths:
        path = one.missing_paths[0]
        empty = f"; host path {path}, which it mounts, did not exist, so it is empty"
        evidence = (
            Evidence(
                at="", source=HISTORY, text=f"host path {path} did not exist, so Docker mounted an empty directory"
            ),
            *evidence,
        )
    if log and (said := _last_words(log)) is not None:
        code, what, line = said
        return Finding(
            verdict=_verdict(code, f"{who}: {what}: {masked(line)}", Certainty.LIKELY, one),
            evidence=evidence,
            considered=(_no_kill_for_memory(story, one),),
            actions=actions,
        )
    quick = one.ran_s is not None and one.ran_s <= _QUICK_S
    if log and quick and one.exit_code in (1, 2, 64, 78) and (line := _line_of(_CONFIG, log)):
        return Finding(
            verdict=_verdict("exit.usage_or_config", f"{who}: {masked(line)}{empty}", Certainty.LIKELY, one),
            evidence=evidence,
            actions=("compare command, environment and mounts in the task definition with what the program wants",),
        )
    if log is not None and not log.strip() and one.ran_s is not None and one.ran_s < _AT_ONCE_S:
        return Finding(
            verdict=_verdict("exit.no_output", f"{who} without a line of output", Certainty.PROVEN, one),
            evidence=evidence,
            considered=(_no_kill_for_memory(story, one), _not("stop.user", "nobody had asked it to stop")),
            actions=(
                f"run it by hand: docker run --rm -it --entrypoint sh {one.image}",
                "a program that writes its log to a file shows nothing here: let it write to stdout",
            ),
        )
    last = masked(telling_line(log)) if log else ""
    sentence = f"{who}: {last}{empty}" if last else f"{who} without a line of output" if log == "" else who
    return Finding(
        verdict=_verdict("exit.error", sentence, Certainty.PROVEN, one),
        evidence=evidence,
        considered=(
            _no_kill_for_memory(story, one),
            _not("stop.user", "nobody had asked it to stop"),
        ),
        actions=actions,
    )


_EXEC = re.compile(
    r"^(?:exec (?P<path>/?\S+)|\S*standard_init_linux\.go:\d+: exec user process caused(?: \"(?P<quoted>[^\"]*))?): ?"
    r"(?P<why>exec format error|no such file or directory|permission denied)\"?$"
)
"""What runc writes into the log of a container whose program the kernel refuses."""
_EXEC_CODES = {
    "exec format error": (
        "start.exec_format",
        "is for another kind of machine, or a script without #!",
    ),
    "no such file or directory": (
        "start.entrypoint_not_found",
        "is not in the image, or the interpreter that it names is not",
    ),
    "permission denied": ("start.entrypoint_not_executable", "may not be executed"),
}


def _never_became_a_program(story: Story, one: ContainerFacts, log: str) -> Finding | None:
    """Newer engines call such a container started; its log, that has nothing else, says that it never was."""
    lines = log.strip().splitlines()
    found = _EXEC.match(lines[-1].strip()) if lines else None
    if found is None or one.ran_s is None or one.ran_s > _QUICK_S:
        return None
    code, what = _EXEC_CODES[found["why"]]
    path = found["path"] or "its program"
    return Finding(
        verdict=_verdict(
            code,
            f"container {one.name} cannot be run: {path} {what}",
            Certainty.PROVEN if len(lines) == 1 else Certainty.LIKELY,
            one,
            path=found["path"] or "",
        ),
        evidence=(_exit(one), *_log(story, one)),
        considered=(_not("exit.error", "it is the engine that wrote this line, not the program"),),
        actions=(
            f"docker image inspect --format '{{{{.Os}}}}/{{{{.Architecture}}}}' {one.image}",
            f"docker run --rm --entrypoint sh {one.image} -c 'head -c 20 {path}; ls -l {path}'",
        ),
    )


def _removed(story: Story, one: ContainerFacts) -> Finding | None:
    """Removing a running container by force kills it first, so this comes before its exit code."""
    if not one.was_removed or one.ended_by_agent:
        return None
    if one.die_was_seen and one.exit_code is not None and one.signal != SIGKILL:
        return None  # it had ended, and what was left of it was removed
    if one.finished_at is not None and one.removed_at is not None and one.removed_at - one.finished_at > _SOON:
        return None
    return _vanished(one)


def _vanished(one: ContainerFacts) -> Finding:
    return Finding(
        verdict=_verdict(
            "stop.removed_by_hand",
            f"somebody removed container {one.name} from Docker; it was not the agent",
            Certainty.PROVEN,
            one,
        ),
        evidence=(
            Evidence(
                at=text_of(one.ended_at),
                source=HISTORY,
                text=f"container {one.name} was removed from Docker without a call of the agent",
            ),
        ),
        actions=("look for `docker rm`, `docker system prune` or a clean-up job at that time",),
    )


def _verdict(code: str, sentence: str, certainty: Certainty, one: ContainerFacts, *, path: str = "") -> Verdict:
    return Verdict(
        code=code,
        sentence=sentence,
        certainty=certainty,
        culprit=Culprit(container=one.name, image=one.image, path=path),
        since=text_of(one.ended_at),
    )


def _exit(one: ContainerFacts) -> Evidence:
    ran = f", {duration(one.ran_s)} after its start" if one.ran_s is not None else ""
    return Evidence(
        at=text_of(one.finished_at),
        source=HISTORY,
        text=f"container {one.name} ended with {decoded(one)}{ran}",
        data={"container": one.name, "exitCode": one.exit_code, "signal": one.signal, "oomKilled": one.oom_flag},
    )


def _signal(one: ContainerFacts) -> Evidence:
    assert one.signal is not None
    return Evidence(
        at=text_of(one.finished_at),
        source=HISTORY,
        text=f"{_signal_name(one.signal)} was sent to container {one.name} through Docker, not by the agent",
        data={"signal": one.signal},
    )


def _log(story: Story, one: ContainerFacts) -> tuple[Evidence, ...]:
    log = story.observed.log_tails.get(one.name)
    if log is None:
        return ()
    if not log.strip():
        return (Evidence(at="", source="container log", text=f"container {one.name} wrote nothing"),)
    lines = log.strip().splitlines()[-_LOG_LINES:]
    shown = masked("\n".join(lines))
    return (Evidence(at="", source="container log", text=shown, data={"container": one.name}),)


def _kernel_lines(story: Story, one: ContainerFacts) -> list[str]:
    if not one.docker_id:
        return []
    return [line for docker_id, line in story.observed.kernel_kills or () if docker_id == one.docker_id]


_TELLS = re.compile(
    r"\b(?:error|exception|fatal|panic|critical|cannot|can't|could not|unable to|failed|denied|refused|no such"
    r"|not found|not permitted|missing|invalid|unexpected)\b",
    re.I,
)
_BLOCKS = (
    re.compile(r"^(?:panic|fatal error): \S"),  # Go
    re.compile(r"^thread '[^']*' .*panicked at"),  # Rust
    re.compile(r"^Caused by: \S|^Exception in thread "),  # Java: the last one is the root
    re.compile(r"^(?:Uncaught )?\w*(?:Error|Exception): \S"),  # Node.js, and others that begin so
)
_PYTHON = "Traceback (most recent call last):"


def telling_line(log: str) -> str:
    """The line at the end of a log that says most: the root of a stack trace, an error, else the last one; cut."""
    lines = [line.rstrip() for line in log.strip().splitlines()[-_TRACE_LINES:]]
    if not lines:
        return ""
    traced = [number for number, line in enumerate(lines) if line.strip() == _PYTHON]
    if traced:
        after = [line for line in lines[traced[-1] + 1 :] if line and not line[0].isspace()]
        if after:
            return after[0][:200]
    for pattern in _BLOCKS:
        if found := [line for line in lines if pattern.search(line)]:
            return found[-1].strip()[:200]
    said = [line for line in lines[-_LAST_LINES:] if _TELLS.search(line)]
    return (said or lines)[-1].strip()[:200]


def _last_words(log: str) -> tuple[str, str, str] | None:
    """The cause that the end of a log names, in words, and the line; of several the one that was said last."""
    for line in reversed(log.splitlines()[-_LAST_LINES:]):
        for code, pattern, what in _LOG_RULES:
            if pattern.search(line):
                return code, what, line.strip()[:200]
    return None


def _line_of(pattern: re.Pattern[str], log: str) -> str:
    """The last line that fits, cut; ``""``: none."""
    fitting = [line.strip() for line in log.splitlines() if pattern.search(line)]
    return fitting[-1][:200] if fitting else ""


_SECRET = re.compile(
    r"""(?P<name>(?<![/\w.-])[\w.-]*(?:pass(?:word|wd)?|secret|token|api[_-]?key|credential|private[_-]?key)[\w.-]*["']?\s*[=:]\s*)"""
    r"""(?P<value>"[^"]*"|'[^']*'|[^\s,;&]+)""",
    re.I,
)
_ASSIGNED = re.compile(r"(?P<name>\b[A-Z][A-Z0-9_]{2,}=)(?P<value>\S+)")
_IN_URL = re.compile(r"(?P<name>://[^/\s:@]+:)(?P<value>[^@\s/]+)(?=@)")
_KEY_ID = re.compile(r"(?P<name>)(?P<value>\b(?:AKIA|ASIA)[A-Z0-9]{16}\b)")


def masked(text: str) -> str:
    """Names are shown, values that may be secrets are not."""
    for pattern in (_SECRET, _ASSIGNED, _IN_URL, _KEY_ID):
        text = pattern.sub(lambda found: f"{found['name']}…", text)
    return text


def _signal_name(number: int) -> str:
    return f"SIG{_NAMES[number - 1]}" if 0 < number <= len(_NAMES) else f"signal {number}"


def _not(code: str, why: str) -> Considered:
    return Considered(code=code, why_not=why)
