"""Who stopped a task, out of the file of a control plane: while it is open, and after it was closed."""

from __future__ import annotations

from pathlib import Path

from ecscope.agent.diagnosis.why.story import StoppedBy
from ecscope.control.core.records import Task
from ecscope.control.core.statuses import InstanceStatus, StopCode
from ecscope.control.store.sqlite import SqliteStore
from ecscope.up.stops import stopped_by
from tests.control_builders import a_control_task, a_service, an_instance


async def saved(data_dir: Path, *tasks: Task) -> SqliteStore:
    store = SqliteStore(data_dir)
    store.load()
    instance = an_instance(status=InstanceStatus.DRAINING)
    changes = {
        "tasks": {task.arn: task for task in tasks},
        "services": {a_service().arn: a_service(desired_count=2)},
        "instances": {instance.arn: instance},
    }
    await store.save([store.prepare(changes)])
    return store


async def test_a_user_and_a_service(tmp_path: Path) -> None:
    by_user = a_control_task(
        1,
        stop_code=StopCode.USER_INITIATED,
        stopped_reason="too dear",
        stop_asked_by="arn:aws:iam::000000000000:user/administrator",
    )
    scheduler = StopCode.SERVICE_SCHEDULER_INITIATED
    by_service = a_control_task(
        2, stop_code=scheduler, service_arn=a_service().arn, deployment_id="ecs-svc/1", instance_arn=an_instance().arn
    )
    runs = a_control_task(3)
    store = await saved(tmp_path, by_user, by_service, runs)
    for _ in range(2):  # open, then closed
        said = stopped_by(tmp_path, by_user.arn)
        assert said is not None
        assert (said.stop_code, said.reason, said.by) == ("UserInitiated", "too dear", "user administrator")
        said = stopped_by(tmp_path, by_service.arn)
        assert said is not None
        assert (said.deployment, said.desired_count, said.instance_status) == ("ecs-svc/1", 2, "DRAINING")
        assert stopped_by(tmp_path, runs.arn) is None
        assert stopped_by(tmp_path, "arn:of:none") is None
        await store.close()


def test_nothing_is_known_where_no_control_plane_was(tmp_path: Path) -> None:
    assert stopped_by(tmp_path, "arn:x") is None
    (tmp_path / "control.db").write_bytes(b"not a database" * 100)
    assert stopped_by(tmp_path, "arn:x") is None
    assert StoppedBy().by == ""
