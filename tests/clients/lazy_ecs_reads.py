"""What lazy-ecs shows, by its own functions, as JSON; run by the Python that has it.

Its menus are tried with a terminal beside; this is for what would take too many keys.
"""

import json
import sys

import boto3
from lazy_ecs.aws_service import ECSService
from lazy_ecs.features.task.comparison import TaskComparisonService, compare_task_definitions

cluster, service = sys.argv[1:3]
ecs = boto3.client("ecs")
shown = ECSService(ecs)
tasks = shown.get_tasks(cluster, service)
comparison = TaskComparisonService(ecs)
revisions = comparison.list_task_definition_revisions(service)
history = shown._task.get_task_history(cluster)
inside = (cluster, tasks[0], "app")
print(
    json.dumps(
        {
            "clusters": shown.get_cluster_names(),
            "services": shown.get_service_info(cluster),
            "tasks": shown.get_task_info(cluster, service),
            "details": shown.get_task_details(cluster, service, tasks[0]),
            "environment": shown.get_container_environment_variables(*inside),
            "secrets": shown.get_container_secrets(*inside),
            "ports": shown.get_container_port_mappings(*inside),
            "mounts": shown.get_container_volume_mounts(*inside),
            "log": shown.get_log_config(*inside),
            "events": [event["event_type"] for event in shown.get_service_events(cluster, service)],
            "history": [
                [task["last_status"], task["stop_code"], shown._task.get_task_failure_analysis(task)]
                for task in history
            ],
            "revisions": [revision["revision"] for revision in revisions],
            "changes": compare_task_definitions(
                *comparison.get_task_definitions_for_comparison(revisions[-1]["arn"], revisions[0]["arn"])
            ),
        },
        default=str,
    )
)
