"""Builds one ECSTask of luigi with the arguments given as JSON; the output's last line is what luigi says of it."""

import importlib.metadata
import json
import sys

import luigi
from luigi.contrib.ecs import ECSTask


def main() -> None:
    arguments = json.loads(sys.argv[1])
    command = arguments.pop("command")

    class Task(ECSTask):
        @property
        def command(self):
            return command

    task = Task(**arguments)
    done = luigi.build([task], local_scheduler=True, detailed_summary=True)
    told = {
        "status": done.status.name,
        "tasks": task.ecs_task_ids or [],
        "version": importlib.metadata.version("luigi"),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
