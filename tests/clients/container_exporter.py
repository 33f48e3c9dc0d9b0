"""Runs in a container of a task: the metrics of ecs-container-exporter, by name, as one line of JSON."""

import json
import os
import time

from ecs_container_exporter.main import ECSContainerExporter


class Exporter(ECSContainerExporter):
    """Its cache is a file of one name for all; here it has none."""

    cache_file_path = property(lambda self: "/nonexistent/cache", lambda self, path: None)  # type: ignore[assignment]

    def cache_write_task_metadata(self, data):  # type: ignore[no-untyped-def]
        pass


sleep, time.sleep = time.sleep, lambda seconds: sleep(min(seconds, 1.1))  # it waits 5 s for its task, and a minute
exporter = Exporter(metadata_url=os.environ["ECS_CONTAINER_METADATA_URI_V4"], interval=1)
metrics = {}
for metric in exporter.collect_all_metrics():
    metrics[f"{metric.name} {metric.tags.get('container_name', '')}"] = metric.value
print(json.dumps(metrics), flush=True)
