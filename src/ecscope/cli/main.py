"""The command ``ecscope``: its options, and which module carries a command out.

Imports no command before it is asked for: the agent must start fast, and ``--help`` as well.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence

from ecscope.cli.exit_codes import EXIT_FINE, EXIT_INTERRUPTED, EXIT_USAGE

_CLUSTER_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_EXIT_CODES = """\
exit codes:
  0  success
  1  the agent does not answer, or cannot run
  2  invalid options or an invalid setting
  3  no such task, or nothing matches
  4  more than one task matches; the candidates are listed
  5  the agent cannot run, and restarting it cannot help
  10 `ecscope doctor` found something to warn of
  11 `ecscope doctor` found an error
  12 `ecscope why` found no proof of a cause
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the result is the exit code. Raises ``SystemExit`` for help and usage errors."""
    # A script may have closed either (``>&-``); what is written there goes nowhere then.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - for as long as the process lives
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets a substitute instead of a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has closed the pipe (``| head``). What Python still buffers must not be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FINE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return code


def _run(argv: Sequence[str] | None) -> int:
    parser = build_parser()
    args = _parsed(parser, list(sys.argv[1:] if argv is None else argv))
    match args.command:
        case "agent":
            from ecscope.cli.agent import run  # noqa: PLC0415
        case "tasks":
            from ecscope.cli.tasks import run  # noqa: PLC0415
        case "task":
            from ecscope.cli.task import run  # noqa: PLC0415
        case "services":
            from ecscope.cli.services import run  # noqa: PLC0415
        case "logs":
            from ecscope.cli.logs import run  # noqa: PLC0415
        case "metadata":
            from ecscope.cli.metadata import run  # noqa: PLC0415
        case "config":
            from ecscope.cli.config import run  # noqa: PLC0415
        case "env":
            from ecscope.cli.env import run  # noqa: PLC0415
        case "why":
            from ecscope.cli.why import run  # noqa: PLC0415
        case "doctor":
            from ecscope.cli.doctor import run  # noqa: PLC0415
        case "wait":
            from ecscope.cli.wait import run  # noqa: PLC0415
        case "down":
            from ecscope.cli.down import run  # noqa: PLC0415
        case "up":
            args.argv = list(sys.argv[1:] if argv is None else argv)
            from ecscope.cli.up import run  # noqa: PLC0415
        case _:
            parser.print_help(sys.stderr)
            return EXIT_USAGE
    return run(args)


def _parsed(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    """Raises ``SystemExit`` for help, and after a mistake, with the usage of the command that was meant."""
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    elif words == ["version"]:
        words = ["--version"]
    commands = _commands_of(parser)
    if words and not words[0].startswith("-") and words[0] not in commands:
        parser.error(f"there is no command {words[0]!r}{_similar(words[0], commands)}")
    args, unknown = parser.parse_known_args(words)
    if unknown:
        meant: argparse.ArgumentParser = commands.get(args.command, parser)
        option = unknown[0].partition("=")[0]
        meant.error(f"unrecognized arguments: {' '.join(unknown)}{_similar(option, meant._option_string_actions)}")
    return args


def _commands_of(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    (commands,) = (action for action in parser._actions if isinstance(action, _Commands))
    return commands.choices


def _similar(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415

    found = get_close_matches(word, known, n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def build_parser() -> argparse.ArgumentParser:
    """All commands with their options. No abbreviations: what works today must not mean something else tomorrow."""
    parser = argparse.ArgumentParser(
        prog="ecscope",
        description="Amazon ECS on one machine, its container agent, and commands to inspect it.",
        epilog=f"`ecscope help COMMAND` shows the options of a command.\n\n{_EXIT_CODES}\nexamples:\n  ecscope up\n"
        "  ecscope agent --tasks ./tasks\n  ecscope tasks\n  ecscope task 5f6d64ab\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and end")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    _add_up(commands)
    _add_env(commands)
    _add_wait(commands)
    _add_down(commands)
    _add_agent(commands)
    _add_tasks(commands)
    _add_task(commands)
    _add_services(commands)
    _add_logs(commands)
    _add_metadata(commands)
    _add_config(commands)
    _add_why(commands)
    _add_doctor(commands)
    return parser


class _Version(argparse.Action):
    """Like argparse's own, but asks for the version only when it is printed."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        from ecscope import __version__  # noqa: PLC0415
        from ecscope.version import commit  # noqa: PLC0415

        print(f"ecscope {__version__} ({commit()})")
        parser.exit()


_Commands = argparse._SubParsersAction  # the only name argparse gives it


def _add(commands: _Commands[argparse.ArgumentParser], name: str, text: str, examples: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=f"{_EXIT_CODES}\nexamples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _add_up(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "up",
        "run ECS on this machine: its API, and an agent on the local Docker; until SIGTERM or Ctrl-C",
        "  ecscope up\n"
        "  ecscope up --data-dir ./ecs --region eu-west-1\n"
        "  ecscope up --detach --quiet      in the background; `ecscope env`, `ecscope wait`, `ecscope down`\n"
        "  ecscope up --image registry.example/shop/web=web:dev\n"
        "  ecscope up --keep                tasks keep running when it ends, and the next start takes them over\n"
        "  ecscope up --no-agent            the API alone; agents join with ECS_BACKEND_HOST\n",
    )
    parser.add_argument("--port", metavar="N", type=_port, default=51677, help="of the API (default 51677)")
    parser.add_argument("--data-dir", metavar="DIR", help="where state, keys and logs are kept (default ~/.ecscope)")
    parser.add_argument("--region", metavar="R", help="in all ARNs (AWS_REGION; default us-east-1)")
    parser.add_argument(
        "--cluster", metavar="NAME", type=_cluster, default="default", help="that the agent joins (default default)"
    )
    parser.add_argument(
        "--iam", metavar="FILE", help="users, roles and policies, in IAM's JSON; default: all is allowed"
    )
    parser.add_argument(
        "--image",
        metavar="REPOSITORY=LOCAL",
        type=_image,
        action="append",
        default=[],
        help="use the local image LOCAL where a task definition names REPOSITORY, or one tag of it; may be repeated",
    )
    parser.add_argument(
        "--logs-size",
        metavar="MB",
        type=_megabytes,
        default=1024,
        help="of the log events that are kept; the oldest are removed beyond that (default 1024)",
    )
    parser.add_argument("--keep", action="store_true", help="leave the tasks running at the end")
    parser.add_argument(
        "--detach", action="store_true", help="go on in the background once it is ready; `ecscope down` ends it"
    )
    parser.add_argument("--quiet", action="store_true", help="print problems only, and not what to export")
    parser.add_argument("--no-agent", action="store_true", help="start no agent")
    parser.add_argument(
        "--no-task-endpoint",
        action="store_true",
        help="set no AWS_ENDPOINT_URL in containers, and answer no containers at the API's port",
    )
    parser.add_argument(
        "--live-delays", action="store_true", help="let services wait as long as in ECS, such as 40 s for healthy tasks"
    )
    parser.add_argument(
        "--any-architecture",
        action="store_true",
        help="run tasks whose runtimePlatform is of another CPU architecture too, if Docker can emulate it",
    )


def _add_wait(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "wait",
        "wait until `ecscope up` is ready: its API answers, and its agent is connected",
        "  ecscope up --quiet & ecscope wait\n  ecscope wait --timeout 10 --data-dir ./ecs\n",
    )
    parser.add_argument(
        "--timeout", metavar="S", type=_seconds, default=60.0, help="seconds, after which it ends with 1 (default 60)"
    )
    parser.add_argument("--data-dir", metavar="DIR", help="that of `ecscope up` (default ~/.ecscope)")


def _add_down(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "down",
        "end the running `ecscope up` as Ctrl-C would, and wait for that; ending none is no error",
        "  ecscope down\n  ecscope down --timeout 10    after 10 s it waits for no task any more\n",
    )
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=_seconds,
        default=90.0,
        help="seconds for the tasks to stop; then they are left to stop by themselves, and it ends with 1 (default 90)",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="that of `ecscope up` (default ~/.ecscope)")


def _add_env(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "env",
        "print what a shell exports to use the running `ecscope up`",
        '  eval "$(ecscope env)"\n'
        '  eval "$(ecscope env --all)"      S3, Secrets Manager and all others too\n'
        "  ecscope env --data-dir ./ecs > ecs.env && . ./ecs.env\n\n"
        "Where no `ecscope up` runs, it ends with code 1 and prints `false`, so that the `eval` fails as well.\n",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="send the calls of every AWS service there (AWS_ENDPOINT_URL), not only those of ECS and CloudWatch Logs",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="that of `ecscope up` (default ~/.ecscope)")


def _add_agent(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "agent",
        "run the agent until SIGTERM or Ctrl-C; containers keep running",
        "  ecscope agent --tasks ./tasks\n"
        "  ecscope agent --tasks web.json --data-dir ~/ecscope --log-level debug\n"
        "  ECS_RESERVED_MEMORY=256 ecscope agent --tasks ./tasks\n"
        "  AWS_DEFAULT_REGION=eu-west-1 ecscope agent --cluster prod\n"
        "  ECS_BACKEND_HOST=http://127.0.0.1:51677 ecscope agent --simulated --data-dir ./second\n\n"
        "With --tasks it runs the tasks of files; without, it joins an ECS cluster (docs/real-instance.md).\n"
        "All settings, by environment or file: docs/configuration.md, and `ecscope config`.\n",
    )
    _add_agent_options(parser)


def _add_agent_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tasks",
        metavar="PATH",
        help="run the tasks of this task definition file, or of every *.json file in this folder; joins no cluster",
    )
    parser.add_argument(
        "--cluster",
        metavar="NAME",
        type=_cluster_or_arn,
        help="the cluster, by name or ARN (ECS_CLUSTER; default default)",
    )
    parser.add_argument(
        "--data-dir", metavar="DIR", help="where state is kept (ECS_DATADIR; with --tasks by default /var/lib/ecscope)"
    )
    parser.add_argument(
        "--simulated",
        action="store_true",
        help="simulate, without running containers: a further agent for `ecscope up`, with 4 CPUs and 8 GiB",
    )
    parser.add_argument("--log-level", metavar="LEVEL", help="debug, info, warn, error, crit or none (ECS_LOGLEVEL)")
    parser.add_argument("--log-format", metavar="FORMAT", help="logfmt or json (ECS_LOG_OUTPUT_FORMAT)")


def _add_client_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs: JSON with the agent's own objects")
    parser.add_argument(
        "--endpoint",
        metavar="URL",
        help="the agent to ask, ecscope's or the official one (ECSCOPE_ENDPOINT; default http://localhost:51678)",
    )


def _add_tasks(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "tasks",
        "list the tasks of an agent, the newest first",
        "  ecscope tasks\n"
        "  ecscope tasks --all              stopped ones too, and how they ended\n"
        "  ecscope tasks --family web --status RUNNING\n"
        "  ecscope tasks --watch\n"
        "  ecscope tasks --json | jq -r '.Tasks[].Arn'\n",
    )
    parser.add_argument("--family", metavar="F", help="only this family, or this revision: web or web:3")
    parser.add_argument("--status", metavar="S", help="only tasks that are PENDING, RUNNING or STOPPED")
    parser.add_argument("--all", action="store_true", help="list stopped tasks too")
    parser.add_argument("--watch", action="store_true", help="refresh the list every 2 seconds, until Ctrl-C")
    _add_data_dir(parser)
    _add_client_options(parser)


def _add_task(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "task",
        "show one task in full, with its events",
        "  ecscope task 5f6d64ab8f2c4d47a1b9f2a3c4d5e6f7\n"
        "  ecscope task 5f6d64\n"
        "  ecscope task arn:aws:ecs:eu-west-1:111122223333:task/default/5f6d64ab8f2c4d47a1b9f2a3c4d5e6f7\n"
        "  ecscope task $(docker ps -lq)\n",
    )
    parser.add_argument(
        "which", metavar="TASK", help="ARN, task ID, Docker ID, Docker name or family, or a part that only one task has"
    )
    parser.add_argument("--events", metavar="N", type=_count, help="the newest N events (default 15; with -v: all)")
    parser.add_argument("-v", "--verbose", action="store_true", help="all events, with all their details")
    _add_data_dir(parser)
    _add_client_options(parser)


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir", metavar="DIR", help="of the agent or of `ecscope up` (default: that of the agent that answers)"
    )


def _add_services(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "services",
        "list the services of the cluster, with their newest deployment and event",
        "  ecscope services\n"
        "  ecscope services --data-dir ./ecs\n"
        "  AWS_PROFILE=ops ecscope services          of Amazon ECS, with your own credentials\n\n"
        "RUNNING shows running and desired tasks, and after + those that are pending.\n"
        "`ecscope why SERVICE` shows why one does not get what it wants.\n",
    )
    _add_data_dir(parser)


def _add_logs(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "logs",
        "show what the containers of a task have written",
        "  ecscope logs 5f6d64\n"
        "  ecscope logs web --follow\n"
        "  ecscope logs web --container nginx --since 10m --tail 100\n\n"
        "Lines come from Docker, whatever the log driver is, as long as the container is there; those of awslogs from\n"
        "`ecscope up` when it is not (docs/logs.md).\n",
    )
    parser.add_argument(
        "which", metavar="TASK", help="ARN, task ID, Docker ID, Docker name or family, or a part that only one task has"
    )
    parser.add_argument("--container", metavar="NAME", action="append", help="only this container; may be repeated")
    parser.add_argument(
        "--since", metavar="TIME", help="only lines since then: 10m, 1h30m, 2d, 2026-12-01T09:30:00Z, or epoch seconds"
    )
    parser.add_argument("--tail", metavar="N", type=_count, help="only the newest N lines of each container")
    parser.add_argument(
        "--follow", "-f", action="store_true", help="go on with new lines, over restarts, until the task has stopped"
    )
    parser.add_argument("--data-dir", metavar="DIR", help="that of `ecscope up` (default ~/.ecscope)")
    parser.add_argument(
        "--endpoint",
        metavar="URL",
        help="the agent to ask (ECSCOPE_ENDPOINT; default http://localhost:51678)",
    )


def _add_metadata(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "metadata",
        "show cluster, container instance and version of an agent",
        "  ecscope metadata\n  ecscope metadata --endpoint http://10.0.0.12:51678 --json\n",
    )
    _add_client_options(parser)


def _add_config(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "config",
        "show each setting, its value, and the source of the value",
        "  ecscope config --tasks ./tasks   what `ecscope agent --tasks ./tasks` would use\n"
        "  ecscope config --json            the same for programs; secrets are never shown\n",
    )
    _add_agent_options(parser)
    parser.add_argument("--json", action="store_true", help="for programs: JSON")


def _add_why(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "why",
        "show why a task stopped or waits, or what is wrong with a service or the agent, with the evidence",
        "  ecscope why                      the newest failure\n"
        "  ecscope why 5f6d64               a task, by the beginning of its ID\n"
        "  ecscope why web                  a service; or the newest failure of a family\n"
        "  ecscope why agent                the agent: its process, its Docker, its way to ECS\n"
        "  ecscope why 5f6d64/app           one container of a task\n"
        "  ecscope why --json | jq -r .verdict.code\n\n"
        "The codes are listed in docs/causes.md.\n",
    )
    parser.add_argument(
        "which",
        metavar="WHAT",
        nargs="?",
        help="task (ARN or beginning of its ID), container, Docker ID, family, service, deployment (ecs-svc/…), agent;"
        " default: the newest failure",
    )
    parser.add_argument("--json", action="store_true", help="for programs: verdict, evidence and actions as JSON")
    parser.add_argument(
        "--data-dir", metavar="DIR", help="of the agent or of `ecscope up` (default: the one that is found)"
    )


def _add_doctor(commands: _Commands[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands,
        "doctor",
        "check whether an agent can work on this host, and show what to do where it cannot",
        "  ecscope doctor                   the agent that runs here, or one started from this shell\n"
        "  ecscope doctor -v                what is fine as well\n"
        "  ecscope doctor --json | jq -r '.findings[] | select(.severity == \"error\") | .fix'\n\n"
        "It ends with code 0 if nothing is wrong, 10 after warnings, 11 after errors. Nothing is changed.\n",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="list the checks that found nothing as well")
    parser.add_argument("--json", action="store_true", help="for programs: JSON with all findings")
    parser.add_argument(
        "--data-dir", metavar="DIR", help="of the agent or of `ecscope up` (default: that of the agent that runs)"
    )


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: must be 0 (any free port) to 65535")
    return int(text)


def _image(text: str) -> tuple[str, str]:
    from ecscope.model.image_reference import InvalidImageReference, parse_image_reference  # noqa: PLC0415

    named, equals, local = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} must be REPOSITORY=LOCAL, such as registry.example/web=web:dev")
    try:
        parse_image_reference(named)
        parse_image_reference(local)
    except InvalidImageReference as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return named, local


def _megabytes(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= len(text) <= 9 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size in megabytes: must be 1 or more, such as 1024")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds: must be 0 to 86400")
    return seconds


def _cluster(text: str) -> str:
    if not _CLUSTER_NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not the name of a cluster: must be 1 to 255 letters, digits, hyphens and underscores"
        )
    return text


def _cluster_or_arn(text: str) -> str:
    return text if text.strip().startswith("arn:") else _cluster(text.strip())


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number: must be 0 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
