"""Causes that no drill shows, from recorded evidence, each beside what is nearly the same and is not it."""

from __future__ import annotations

import msgspec

from ecscope.agent.diagnosis.why.engine import answer
from ecscope.agent.diagnosis.why.exits import masked, telling_line
from ecscope.agent.diagnosis.why.story import Observed, StoppedBy, Story, breaks_of, story_of
from ecscope.agent.diagnosis.why.verdict import Certainty, Verdict
from ecscope.model import history as h
from ecscope.model.container import Health
from ecscope.model.status import ContainerStatus, HealthStatus, ReportedStatus, TaskStatus
from ecscope.model.task_resource import SECRETS
from ecscope.model.waiting import Waiting, WaitingReason
from tests.builders import a_container, a_task
from tests.unit.agent.diagnosis.why.stories import (
    ARN,
    DOCKER_ID,
    T0,
    a_story,
    died,
    entry,
    failed,
    ns,
    started,
    stopped,
    stopping,
    with_image,
)

UNKNOWN = "unknown"


def code(story: Story) -> str:
    return answer(story).verdict.code


def of_error(doing: str, message: str) -> str:
    return code(with_image(a_story(failed(3, doing, message)), "r.example/web:9"))


def of_log(exit_code: int, log: str | None, *, seconds: float = 1) -> str:
    """Of a container that ended so many seconds after its start, and wrote this."""
    tails = {} if log is None else {"app": log}
    end = 1 + seconds
    return code(a_story(started(), died(end, exit_code), stopped(end + 0.1, exit_code), log_tails=tails))


def of_stop(stop_code: str, reason: str, **more: object) -> str:
    asked = entry(3, h.TaskStopRequested(requested_by="ACS payload 7"), "")
    entries = (started(), asked, stopping(3.1), died(3.3, 143, signal=15), stopped(4, 143))
    said = StoppedBy(stop_code=stop_code, reason=reason, **more)  # type: ignore[arg-type]
    return code(a_story(*entries, stopped_by=said))


def test_errors_of_create_and_start() -> None:
    for doing, message, wanted, near in (
        ("create", "error creating overlay mount to /var/lib/docker/overlay2/x: device or resource busy",
         "create.storage_driver", "error creating the universe"),
        ("create", "devmapper: Thin Pool has 1 free data blocks", "create.storage_driver", "no pool"),
        ("create", "error retrieving docker port map: invalid port 0/xyz", "resource.docker_config", "map retrieved"),
        ("start", "cgroup: cannot set memory.max: no such file or directory", "start.cgroup", "cannot set memory"),
        ("start", "error mounting /data: bind: permission denied", "start.mount_denied", "permission requested"),
        ("start", "network backend not found", "start.network", "the net is not there"),
        ("start", "could not find an available, non-overlapping IPv4 address pool", "start.network", "an address book"),
        ("start", "apparmor profile docker-default not loaded", "start.security_profile", "profile is not loaded"),
        ("start", "error gathering device information while adding custom device \"/dev/fuse\": no such file",
         "start.device_missing", "error gathering information"),
        ("start", "error looking up logging plugin acme: plugin \"acme\" not found", "start.log_driver_missing",
         "logging was given up"),
        ("pull", "Get \"http://r.example/v2/\": net/http: request canceled (Client.Timeout exceeded)",
         "image.registry_unreachable", "the request was good"),
        ("pull", "image pull cancelled: inactivity time exceeded timeout", "image.pull_stalled", "the pull was fine"),
    ):  # fmt: skip
        assert (message, of_error(doing, message)) == (message, wanted)
        assert (near, of_error(doing, near)) == (near, UNKNOWN)


def test_the_secret_of_a_registry() -> None:
    def of(name: str) -> str:
        message = "ResourceNotFoundException: Secrets Manager can't find the specified secret."
        error = h.ContainerError(doing="pull", error_name=name, message=message)
        return code(a_story(entry(3, error)))

    assert of("CannotPullContainerAuthError") == "image.registry_secret_missing"
    assert of("CannotPullContainerError") == UNKNOWN


def test_a_secrets_time_out_is_not_its_absence() -> None:
    def of(reason: str) -> str:
        return code(a_story(entry(3, h.TaskResourceFailed(resource=SECRETS, name="s", reason=reason), "")))

    assert of("no answer from secretsmanager.eu-west-1.amazonaws.com: timed out") == "resource.secret_timeout"
    assert of("ResourceNotFoundException: no such secret") == "resource.secret_not_found"
    assert of("it rains") == UNKNOWN


def test_what_programs_say_at_their_end() -> None:
    for line, wanted in (
        ("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", "exit.heap_exhausted"),
        ("getaddrinfo ENOTFOUND db.local", "exit.dns"),
        ("ssl.SSLError: certificate verify failed", "exit.tls"),
        ("User: x is not authorized to perform: s3:GetObject on resource: y", "exit.aws_denied"),
        ("listen tcp :80: bind: address already in use", "exit.port_bind"),
        ("OSError: [Errno 28] No space left on device", "exit.disk_full"),
        ("open /x: read-only file system", "exit.read_only"),
        ("accept: too many open files", "exit.limits"),
        ("dial tcp 10.0.0.1:5432: connect: connection refused", "exit.dependency_unreachable"),
    ):
        assert (line, of_log(1, f"starting\n{line}\n", seconds=60)) == (line, wanted)
    assert of_log(1, "starting\nall is well\n", seconds=60) == "exit.error"
    assert of_log(0, "connection refused\n", seconds=60) == "exit.zero_essential"


def test_what_a_program_lived_with_is_not_why_it_ended() -> None:
    lived = "connection refused, trying again\n" + "working\n" * 30 + "lost the queue\n"
    assert of_log(1, lived, seconds=60) == "exit.error"
    both = "connection refused\nopen /x: read-only file system\n"
    assert of_log(1, both, seconds=60) == "exit.read_only"


def test_an_abort_for_want_of_heap() -> None:
    assert of_log(134, "JavaScript heap out of memory\nAborted (core dumped)\n") == "exit.heap_exhausted"
    assert of_log(134, "Assertion failed\nAborted (core dumped)\n") == "exit.abort"


def test_no_output_is_silence_at_once() -> None:
    assert of_log(3, "", seconds=1) == "exit.no_output"
    assert of_log(3, "", seconds=60) == "exit.error"
    assert of_log(3, None, seconds=1) == "exit.error"
    assert of_log(3, "word\n", seconds=1) == "exit.error"


def test_a_program_that_the_kernel_refuses() -> None:
    assert of_log(1, "exec /app: exec format error\n") == "start.exec_format"
    assert of_log(1, "exec /app: no such file or directory\n") == "start.entrypoint_not_found"
    older = "standard_init_linux.go:228: exec user process caused: exec format error\n"
    assert of_log(1, older) == "start.exec_format"
    assert of_log(1, "cannot exec /app: exec format error, says the manual\n") == "exit.error"
    assert of_log(1, "exec /app: exec format error\n", seconds=60) == "exit.error"


def of_kernel(line: str, *, exit_code: int = 137) -> str:
    story = a_story(
        started(),
        died(2, exit_code),
        stopped(2.1, exit_code),
        kernel_kills=((DOCKER_ID, line),),
        log_tails={"app": "x"},
    )
    return code(story)


def test_whose_memory_it_was() -> None:
    line = "oom-kill:constraint={},nodemask=(null),oom_memcg={},task_memcg=/docker/" + DOCKER_ID
    assert of_kernel(line.format("CONSTRAINT_NONE", "/")) == "exit.oom_host"
    assert of_kernel(line.format("CONSTRAINT_MEMCG", "/ecs/0123")) == "exit.oom_task_limit"
    assert of_kernel(line.format("CONSTRAINT_MEMCG", "/docker/" + DOCKER_ID)) not in (
        "exit.oom_host",
        "exit.oom_task_limit",
    )
    assert of_kernel(line.format("CONSTRAINT_NONE", "/"), exit_code=1) == "exit.oom_child"


def test_signals_that_are_no_kill() -> None:
    assert of_log(132, "") == "exit.illegal_instruction"
    assert of_log(135, "") == "exit.bus_error"
    assert of_log(129, "") == "exit.other_signal"
    assert of_log(160, "") != "exit.other_signal"


def test_docker_that_went_away_takes_no_blame_for_a_death_before() -> None:
    lost = entry(20, h.RuntimeDisconnected(reason="EOF"), "")
    back = entry(30, h.RuntimeConnected(version="28"), "")

    def of(end: float, exit_code: int, signal: int | None = None) -> str:
        story = a_story(started(), died(end, exit_code, signal=signal), stopped(end, exit_code))
        return code(msgspec.structs.replace(story, engine_breaks=breaks_of([lost, back])))

    assert of(18, 143, signal=15) == "stop.docker_or_host_restart"
    assert of(25, 255) == "stop.docker_or_host_restart"
    assert of(18, 1) == "exit.error"
    assert of(25, 1) == "exit.error"
    assert of(40, 143, signal=15) == "exit.terminated_by_hand"


def test_who_ecs_says_it_was() -> None:
    for stop_code, reason, wanted in (
        ("ServiceSchedulerInitiated", "Task failed ELB health checks in (target-group x)", "health.target_failed"),
        ("ServiceSchedulerInitiated", "Task failed container health checks", "stop.unhealthy"),
        ("ServiceSchedulerInitiated", "deployment circuit breaker", "stop.rollback"),
        ("ServiceSchedulerInitiated", "Service deleted", "stop.service_deleted"),
        ("TerminationNotice", "Container instance deregistration forced by user", "stop.instance_deregistered"),
        ("TerminationNotice", "Host EC2 (instance i-1) terminated.", "stop.instance_gone"),
        ("SpotInterruption", "", "stop.spot"),
        ("InfrastructureHealth", "", "stop.infrastructure"),
        ("UserInitiated", "deployment of mine", "stop.user"),
        ("", "", "stop.requested"),
    ):
        assert (reason, of_stop(stop_code, reason)) == (reason, wanted)


def test_what_the_scheduler_calls_scaling() -> None:
    def of(**more: object) -> str:
        return of_stop("ServiceSchedulerInitiated", "Scaling activity initiated by (deployment ecs-svc/1)", **more)

    assert of(deployment="ecs-svc/1", primary="ecs-svc/1", desired_count=2) == "stop.scale_in"
    assert of(deployment="ecs-svc/1", primary="ecs-svc/2", desired_count=2) == "stop.deployment"
    assert (
        of(deployment="ecs-svc/1", primary="ecs-svc/1", desired_count=2, instance_status="DRAINING") == "stop.draining"
    )
    assert of(deployment="ecs-svc/1", primary="ecs-svc/1", instance_status="ACTIVE") == "stop.scale_in"
    assert of(deployment="ecs-svc/1", primary="ecs-svc/2", rollout_state="FAILED") == "stop.rollback"
    assert of(deployment="ecs-svc/1", primary="ecs-svc/1", service_status="INACTIVE") == "stop.service_deleted"


def test_a_task_file_that_was_removed() -> None:
    def of(by: str) -> str:
        asked = entry(3, h.TaskStopRequested(requested_by=by), "")
        return code(a_story(started(), asked, stopping(3.1), died(3.3, 143, signal=15), stopped(4, 143)))

    assert of("removal of task file /etc/ecscope/tasks/web.json") == "stop.task_file"
    assert of("ACS manifest 9") == "stop.requested"


def test_restarts_that_are_no_loop() -> None:
    def of(times: int) -> str:
        again = [entry(n, h.ContainerRestarted(exit_code=5, restart_count=n, oom_killed=False)) for n in range(times)]
        return code(story_of(ARN, a_task(a_container(known=ContainerStatus.RUNNING)), again))

    assert of(2) == "restart.hidden"
    assert of(3) == "restart.loop"
    assert of(0) == UNKNOWN


def test_an_image_that_is_being_removed() -> None:
    def of(reason: WaitingReason, on: str) -> str:
        return code(story_of(ARN, a_task(a_container(waiting=Waiting(reason=reason, on=on, since=T0))), []))

    assert of(WaitingReason.IMAGE_REMOVAL, "web:1") == "pending.pull_queue"
    assert of(WaitingReason.CALL, ContainerStatus.CREATED.value) == "pending.call"


def test_out_of_memory_by_the_event_and_by_the_flag() -> None:
    oom = entry(2, h.ContainerOutOfMemory(time_ns=ns(2)))
    assert code(a_story(started(), oom, died(2.05, 137), stopped(2.1, 137))) == "exit.oom_container"
    flag_only = a_story(started(), died(2.05, 137), stopped(2.1, 137, oom_killed=True), kernel_kills=())
    found = answer(flag_only).verdict
    assert (found.code, found.certainty) == ("exit.killed_by_hand", Certainty.LIKELY)


def test_unhealthy_and_then_healthy_again() -> None:
    def of(last: HealthStatus) -> str:
        ill = h.ContainerHealthChanged(before=HealthStatus.HEALTHY, to=HealthStatus.UNHEALTHY, output="x", exit_code=1)
        task = a_task(a_container(known=ContainerStatus.RUNNING), known=TaskStatus.RUNNING)
        then = h.ContainerHealthChanged(before=HealthStatus.UNHEALTHY, to=last, output="ok", exit_code=0)
        entries = [started(), entry(2, ill), *([entry(3, then)] if last is HealthStatus.HEALTHY else [])]
        return code(story_of(ARN, task, entries))

    assert of(HealthStatus.UNHEALTHY) == "health.command_failed"
    assert of(HealthStatus.HEALTHY) == UNKNOWN


def test_a_container_that_is_not_essential_and_failed() -> None:
    def of(exit_code: int, *, essential: bool = False) -> str:
        helper = a_container("app", essential=essential, known=ContainerStatus.STOPPED, exit_code=exit_code)
        task = a_task(helper, a_container("main", known=ContainerStatus.RUNNING), known=TaskStatus.RUNNING)
        return code(story_of(ARN, task, [started(), died(2, exit_code), stopped(2.1, exit_code)]))

    assert of(4) == "exit.error"
    assert of(0) == UNKNOWN


def test_the_line_that_says_most() -> None:
    python = "Traceback (most recent call last):\n  File x\n    y()\nKeyError: 'queue'\n"
    assert telling_line(python) == "KeyError: 'queue'"
    java = "Exception in thread main java.lang.X: a\n\tat a.b\nCaused by: java.io.Y: b\n\tat c.d\n"
    assert telling_line(java) == "Caused by: java.io.Y: b"
    assert telling_line("panic: index out of range\n\ngoroutine 1 [running]:\nmain.main()\n") == (
        "panic: index out of range"
    )
    assert telling_line("cat: can't open '/etc/x': No such file or directory\nbye\n") == (
        "cat: can't open '/etc/x': No such file or directory"
    )
    assert telling_line("one\ntwo\n") == "two"
    assert telling_line("") == ""


def test_an_image_that_was_removed_after_its_pull() -> None:
    gone = failed(3, "create", "No such image: web:1")
    pulled = entry(2, h.ImagePulled(image="web:1", image_id="sha256:a", size_bytes=1))
    assert code(a_story(pulled, gone)) == "image.removed_before_create"
    assert code(a_story(gone)) == "image.not_cached"


def test_health_that_keeps_changing() -> None:
    def of(times: int) -> str:
        states = (HealthStatus.HEALTHY, HealthStatus.UNHEALTHY)
        probes = [
            entry(
                n * 60,
                h.ContainerHealthChanged(before=states[n % 2], to=states[(n + 1) % 2], output="x", exit_code=1),
            )
            for n in range(times)
        ]
        task = a_task(a_container(known=ContainerStatus.RUNNING, health=Health(status=states[times % 2])))
        return code(story_of(ARN, msgspec.structs.replace(task, known=TaskStatus.RUNNING), [started(), *probes]))

    assert of(8) == "health.flapping"
    assert of(2) == UNKNOWN


def test_a_task_that_ecs_will_not_hear_of() -> None:
    def of(status: ReportedStatus) -> str:
        refused = h.StateChangeRefused(number=1, status=status, code="InvalidParameterException", message="no")
        task = a_task(a_container(known=ContainerStatus.RUNNING), known=TaskStatus.RUNNING)
        return code(story_of(ARN, task, [started(), entry(2, refused, "")]))

    assert of(ReportedStatus.RUNNING) == "pending.not_told"
    assert of(ReportedStatus.STOPPED) == UNKNOWN


def test_what_the_engine_was_doing_when_it_met_a_limit_is_not_the_cause() -> None:
    seccomp = "error loading seccomp filter into kernel: error creating scratch pipe: pipe2: {}: unknown"
    assert of_error("start", seccomp.format("too many open files")) == "create.invalid_config"
    assert of_error("start", seccomp.format("function not implemented")) == "start.security_profile"
    too_low = "container init was OOM-killed (memory limit too low?): unknown"
    assert of_error("start", too_low) == "exit.oom_container"
    vague = answer(a_story(failed(3, "start", seccomp.format("function not implemented")))).verdict
    assert vague.certainty is Certainty.LIKELY


def test_who_waits_for_the_health_of_the_dead() -> None:
    def of(exit_code: int | None) -> Verdict:
        waiting = Waiting(reason=WaitingReason.DEPENDENCY, on="app HEALTHY", since=T0)
        known = ContainerStatus.STOPPED if exit_code is not None else ContainerStatus.RUNNING
        upstream = a_container("app", essential=False, known=known, exit_code=exit_code)
        ended = [died(2, exit_code), stopped(2.1, exit_code)] if exit_code is not None else []
        ill = h.ContainerHealthChanged(
            before=HealthStatus.UNKNOWN, to=HealthStatus.UNHEALTHY, output="", exit_code=None
        )
        task = a_task(upstream, a_container("web", waiting=waiting), waiting=waiting)
        return answer(story_of(ARN, task, [started(), *ended, entry(2.2, ill)])).verdict

    assert (of(3).code, of(3).culprit.container) == ("dependency.exited", "app")
    assert of(None).code == "health.command_failed"


def test_a_paused_container() -> None:
    def of(*paused: str) -> str:
        task = a_task(a_container(known=ContainerStatus.RUNNING), known=TaskStatus.RUNNING)
        story = story_of(ARN, task, [started()])
        return code(msgspec.structs.replace(story, observed=Observed(paused=frozenset(paused))))

    assert of("app") == "run.paused"
    assert of("other") == UNKNOWN


def test_a_path_is_no_secret() -> None:
    assert (
        masked("sh: can't create /etc/passwd2: Permission denied") == "sh: can't create /etc/passwd2: Permission denied"
    )
    assert masked("password: hunter2") == "password: …"
    assert masked("DB_PASSWORD=hunter2") == "DB_PASSWORD=…"


def test_a_container_that_somebody_restarted() -> None:
    again = (entry(3, h.ContainerStartedFromOutside()), stopping(3.1), died(3.3, 0, signal=15), stopped(3.4, 0))
    by_hand = a_story(started(), died(2, 0, signal=15), stopped(2.1, 0), *again)
    assert code(by_hand) == "exit.terminated_by_hand"
    assert code(a_story(started(), died(2, 3), stopped(2.1, 3), *again)) == "exit.error"


def test_what_exactly_is_wrong_is_said() -> None:
    message = "Error response from daemon: failed to initialize logging driver: invalid size: 'lots'"
    found = answer(a_story(failed(3, "start", message))).verdict
    assert found.sentence.endswith("failed to initialize logging driver: invalid size: 'lots'")


def test_a_child_that_was_killed_long_before_is_not_why_it_ended() -> None:
    oom = entry(2, h.ContainerOutOfMemory(time_ns=ns(2)))

    def of(end: float) -> Verdict:
        return answer(a_story(started(), oom, died(end, 1), stopped(end + 0.1, 1), log_tails={"app": "x"})).verdict

    assert (of(3).code, of(3).certainty) == ("exit.oom_child", Certainty.PROVEN)
    assert (of(30).code, of(30).certainty) == ("exit.oom_child", Certainty.LIKELY)
    assert of(300).code == "exit.error"


def test_a_wrong_password_is_not_a_missing_one() -> None:
    wrong = answer(a_story(failed(3, "pull", "unauthorized: incorrect username or password"))).verdict
    assert (wrong.code, "refuses the login" in wrong.sentence) == ("image.auth_required", True)
    none = answer(a_story(failed(3, "pull", "no basic auth credentials"))).verdict
    assert (none.code, "has none" in none.sentence) == ("image.auth_required", True)


def test_the_rest_of_an_ended_container_that_somebody_removed() -> None:
    def of(end: float, exit_code: int, signal: int | None, removed: float) -> str:
        gone = entry(removed, h.ContainerVanished(why="gone", time_ns=ns(removed)))
        return code(a_story(started(), died(end, exit_code, signal=signal), stopped(end, exit_code), gone))

    assert of(2, 137, 9, 2.1) == "stop.removed_by_hand"
    assert of(2, 3, None, 2.1) == "exit.error"
    assert of(2, 137, 9, 60) == "exit.killed_by_hand"


def test_a_kill_while_there_was_time_left_is_not_the_agents() -> None:
    def sentence(end: float, signal: int) -> str:
        asked = entry(3, h.TaskStopRequested(requested_by="ACS payload 7"), "")
        entries = (started(), asked, stopping(3.0, grace_s=20), died(end, 137, signal=signal), stopped(end, 137))
        return answer(a_story(*entries)).verdict.sentence

    assert "SIGKILL through Docker, not by the agent, 2.0 s after SIGTERM" in sentence(5, 9)
    assert "SIGKILL by the agent, 20.0 s after SIGTERM" in sentence(23, 9)
