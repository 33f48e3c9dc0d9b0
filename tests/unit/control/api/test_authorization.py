"""Each action asks IAM about what AWS's reference says, as exactly as the state allows."""

from __future__ import annotations

from typing import Any

import pytest

from ecscope.control.api.actions import ACTIONS
from ecscope.control.api.authorization import AGENT_RIGHTS, CREATED, RESOURCES, questions
from ecscope.control.core.iam import Request
from ecscope.control.core.records import Deployment
from ecscope.control.core.restore import restored_state
from ecscope.control.core.state import Settings
from ecscope.control.core.step import Step
from ecscope.control.server.model import ServiceModel
from tests.control_builders import (
    AT,
    PREFIX,
    a_cluster,
    a_control_task,
    a_request,
    a_service,
    a_state,
    a_task_definition,
    an_instance,
)
from tests.tables import each_row

A_DEPLOYMENT = Deployment(
    id="ecs-svc/1",
    status="PRIMARY",
    definition_arn=a_task_definition().arn,
    desired_count=0,
    created_at=AT,
    updated_at=AT,
)
DEPLOYMENT = f"{PREFIX}:service-deployment/default/web/1"
WITH_ROLES = a_task_definition("with-roles", body={"taskRoleArn": "of-the-definition"})
STATE = restored_state(
    settings=Settings(),
    clusters=[a_cluster(tags={"Team": "one"})],
    task_definitions=[a_task_definition(), a_task_definition(revision=2, tags={"a": "b"}), WITH_ROLES],
    instances=[an_instance(tags={"rack": "1"})],
    services=[a_service(tags={"a": "b"}, deployments=(A_DEPLOYMENT,))],
    tasks=[a_control_task(tags={"a": "b"})],
)
TASK, INSTANCE = a_control_task().arn, an_instance().arn


def ask(action: str, **body: Any) -> Request:
    """The first question: the action itself."""
    return ask_all(action, **body)[0]


def ask_all(action: str, **body: Any) -> tuple[Request, ...]:
    return questions(Step(STATE, a_request(action)), action, body, {"aws:username": ("me",)})


@each_row(
    "action, body, resources",
    [
        ("ListClusters", {}, ["*"]),
        ("ListServices", {}, ["*"]),
        ("OnlyAwsHasIt", {"cluster": "a"}, ["*"]),
        ("RegisterTaskDefinition", {"family": "a"}, [f"{PREFIX}:task-definition/a:*"]),
        ("CreateCluster", {}, [f"{PREFIX}:cluster/default"]),
        ("CreateCluster", {"clusterName": "a"}, [f"{PREFIX}:cluster/a"]),
        ("DescribeClusters", {"clusters": ["a", f"{PREFIX}:cluster/b"]},
         [f"{PREFIX}:cluster/a", f"{PREFIX}:cluster/b"]),
        ("DescribeClusters", {}, [f"{PREFIX}:cluster/default"]),
        ("RunTask", {"taskDefinition": "sample"}, [f"{PREFIX}:task-definition/sample:2"]),
        ("RunTask", {"taskDefinition": "sample:1"}, [f"{PREFIX}:task-definition/sample:1"]),
        ("RunTask", {"taskDefinition": "none"}, [f"{PREFIX}:task-definition/none"]),
        ("RunTask", {}, [f"{PREFIX}:task-definition/*"]),
        ("StopTask", {"task": "1"}, [f"{PREFIX}:task/default/1"]),
        ("StopTask", {"task": f"{PREFIX}:task/{TASK[-32:]}"}, [TASK]),
        ("StopTask", {"task": f"x/{TASK[-32:]}"}, [f"{PREFIX}:task/default/x/{TASK[-32:]}"]),
        ("DeleteCluster", {"cluster": "x/default"}, [f"{PREFIX}:cluster/x/default"]),
        ("DeleteCluster", {"cluster": "arn:aws:ecs:::cluster/default"}, ["arn:aws:ecs:::cluster/default"]),
        ("UpdateService", {"cluster": "x/default", "service": "web"}, [f"{PREFIX}:service/x/default/web"]),
        ("ExecuteCommand", {"task": TASK}, [f"{PREFIX}:cluster/default", TASK]),
        ("StopTask", {"cluster": f"{PREFIX}:cluster/a", "task": "1"}, [f"{PREFIX}:task/a/1"]),
        ("DescribeTasks", {"tasks": [TASK, "2", "2"]}, [TASK, f"{PREFIX}:task/default/2"]),
        ("DescribeTasks", {"tasks": []}, ["*"]),
        ("ListTasks", {}, [f"{PREFIX}:container-instance/default/*"]),
        ("ListTasks", {"containerInstance": INSTANCE}, [INSTANCE]),
        ("CreateService", {"serviceName": "web"}, [f"{PREFIX}:service/default/web"]),
        ("UpdateService", {"service": f"{PREFIX}:service/a/web"}, [f"{PREFIX}:service/a/web"]),
        ("PutAttributes", {"attributes": [{"name": "a", "targetId": INSTANCE}, {"name": "b"}]},
         [INSTANCE, f"{PREFIX}:container-instance/default/*"]),
        ("GetTaskProtection", {"cluster": "default"}, [f"{PREFIX}:task/default/*", TASK]),
        ("DescribeServiceDeployments", {"serviceDeploymentArns": [DEPLOYMENT]}, [DEPLOYMENT, a_service().arn]),
        ("DescribeServiceRevisions", {"serviceRevisionArns": ["arn:none"]}, ["arn:none"]),
        ("TagResource", {"resourceArn": TASK}, [TASK]),
        ("TagResource", {"resourceArn": f"{PREFIX}:service/web"}, [a_service().arn]),
        ("TagResource", {"resourceArn": f"{PREFIX}:task-definition/sample"}, [f"{PREFIX}:task-definition/sample:2"]),
        ("TagResource", {}, ["*"]),
        ("Poll", {"cluster": "default", "containerInstance": INSTANCE}, [INSTANCE]),
        ("SubmitTaskStateChange", {"task": TASK}, [f"{PREFIX}:cluster/default"]),
        ("DeleteCapacityProvider", {"capacityProvider": "a"}, [f"{PREFIX}:capacity-provider/a"]),
    ],
)  # fmt: skip
def test_actions_name_their_resources(action: str, body: dict[str, Any], resources: list[str]) -> None:
    request = ask(action, **body)
    assert request.action == f"ecs:{action}"
    assert list(request.resources) == resources


def test_what_is_made_anew_has_no_tags_of_what_was_deleted() -> None:
    tags = {"owner": "me"}
    new = {"cluster": "default", "serviceName": "web"}
    for status, is_tagged in (("INACTIVE", False), ("ACTIVE", True)):
        state = a_state(a_cluster(), a_cluster("old", status=status, tags=tags), a_service(status=status, tags=tags))
        for action, body in (("CreateCluster", {"clusterName": "old"}), ("CreateService", new)):
            asked = questions(Step(state, a_request(action)), action, {**body, "tags": [{"key": "a"}]}, {})
            assert len(asked) == 2
            for request in asked:
                keys = request.resource_contexts.get(request.resources[0], {})
                assert ("aws:resourcetag/owner" in keys) is is_tagged, (action, request.action)
                assert "ecs:cluster" in {**request.context, **keys}


def test_none_named_is_all_that_there_is_to_act_on() -> None:
    gone = (an_instance(2, status="INACTIVE"), a_control_task(2, last_status="STOPPED"))
    step = Step(a_state(a_cluster(), an_instance(), a_control_task(), *gone), a_request("Any"))
    (asked,) = questions(step, "PutAttributes", {"attributes": [{"name": "a"}]}, {})
    assert asked.resources == (f"{PREFIX}:container-instance/default/*", INSTANCE)
    (asked,) = questions(step, "GetTaskProtection", {"cluster": "default"}, {})
    assert asked.resources == (f"{PREFIX}:task/default/*", TASK)


def test_requests_carry_their_keys() -> None:
    request = ask(
        "UpdateService",
        cluster="default",
        service="web",
        taskDefinition="sample",
        enableExecuteCommand=True,
    )
    assert request.context["ecs:cluster"] == (f"{PREFIX}:cluster/default",)
    assert request.context["ecs:service"] == (f"{PREFIX}:service/default/web",)
    assert request.context["ecs:task-definition"] == (f"{PREFIX}:task-definition/sample:2",)
    assert request.context["ecs:enable-execute-command"] == ("true",)
    assert request.context["aws:username"] == ("me",)
    assert request.context["aws:epochtime"] == ("1715947200",)
    assert "aws:tagkeys" not in request.context
    started = ask("StartTask", containerInstances=["1"], tags=[{"key": "Team", "value": "a"}, {"key": "b"}, {}])
    assert started.context["ecs:container-instances"] == (f"{PREFIX}:container-instance/default/1",)
    assert started.context["aws:requesttag/team"] == ("a",)
    assert started.context["aws:requesttag/b"] == ("",)
    assert started.context["aws:tagkeys"] == ("Team", "b")
    executed = ask("ExecuteCommand", task="1", container="app")
    assert executed.context["ecs:task"] == (f"{PREFIX}:task/default/1",)
    assert executed.context["ecs:container-name"] == ("app",)
    assert ask("ExecuteCommand", task=TASK).context["ecs:container-name"] == ("app",), "the only one is meant"
    untagged = ask("UntagResource", resourceArn=TASK, tagKeys=["x"])
    assert untagged.context["aws:tagkeys"] == ("x",)
    assert "ecs:cluster" not in untagged.context
    assert untagged.resource_contexts[TASK]["ecs:cluster"] == (f"{PREFIX}:cluster/default",)


def test_an_agent_is_of_the_cluster_of_its_instance() -> None:
    for right in AGENT_RIGHTS:
        request = ask(right, cluster="other", containerInstance=INSTANCE)
        assert request.resources == (INSTANCE,)
        assert request.context["ecs:cluster"] == (f"{PREFIX}:cluster/default",)
        assert request.resource_contexts[INSTANCE]["aws:resourcetag/rack"] == ("1",)


def test_account_settings_are_told_by_name() -> None:
    for action in ("PutAccountSetting", "PutAccountSettingDefault", "DeleteAccountSetting"):
        assert ask(action, name="containerInsights").context["ecs:account-setting"] == ("containerInsights",)


@pytest.mark.parametrize("action", ["ListClusters", "DescribeTaskDefinition", "RegisterTaskDefinition"])
def test_who_is_about_no_cluster_has_none(action: str) -> None:
    assert "ecs:cluster" not in ask(action).context


@pytest.mark.parametrize(
    ("action", "body", "value"),
    [
        ("RunTask", {}, ("false",)),
        ("CreateService", {}, ("false",)),
        ("RunTask", {"enableExecuteCommand": True}, ("true",)),
        ("UpdateService", {}, None),
    ],
)
def test_commands_are_disabled_unless_asked_for(action: str, body: dict[str, Any], value: tuple[str] | None) -> None:
    assert ask(action, **body).context.get("ecs:enable-execute-command") == value


def test_tags_whose_keys_differ_in_case_are_values_of_one_key() -> None:
    tags = [{"key": "Team", "value": "a"}, {"key": "team", "value": "b"}]
    request = ask("TagResource", resourceArn=TASK, tags=tags)
    assert request.context["aws:requesttag/team"] == ("a", "b")
    assert request.context["aws:tagkeys"] == ("Team", "team")
    state = a_state(a_cluster(tags={"Team": "a", "team": "b"}))
    (request,) = questions(Step(state, a_request("DeleteCluster")), "DeleteCluster", {"cluster": "default"}, {})
    assert request.resource_contexts[a_cluster().arn]["aws:resourcetag/team"] == ("a", "b")


@pytest.mark.parametrize(
    ("action", "body", "key"),
    [
        ("StopTask", {"task": TASK}, "aws:resourcetag/a"),
        ("UpdateService", {"service": "web"}, "ecs:resourcetag/a"),
        ("RunTask", {"taskDefinition": "sample"}, "aws:resourcetag/a"),
        ("DeleteCluster", {"cluster": "default"}, "aws:resourcetag/team"),
        ("UpdateContainerAgent", {"containerInstance": INSTANCE}, "aws:resourcetag/rack"),
    ],
)
def test_resources_carry_their_tags(action: str, body: dict[str, Any], key: str) -> None:
    request = ask(action, **body)
    assert key in request.resource_contexts[request.resources[0]]


@each_row(
    "action, body, created",
    [
        ("CreateCluster", {"clusterName": "a"}, f"{PREFIX}:cluster/a"),
        ("CreateService", {"serviceName": "web"}, f"{PREFIX}:service/default/web"),
        ("RegisterContainerInstance", {}, f"{PREFIX}:container-instance/default/*"),
        ("RegisterTaskDefinition", {"family": "a"}, f"{PREFIX}:task-definition/a:*"),
        ("RegisterContainerInstance", {"containerInstanceArn": INSTANCE}, INSTANCE),
        ("RunTask", {"taskDefinition": "sample", "cluster": "a"}, f"{PREFIX}:task/a/*"),
    ],
)
def test_what_is_made_with_tags_is_also_tagged(action: str, body: dict[str, Any], created: str) -> None:
    assert len(ask_all(action, **body)) == 1
    assert len(ask_all(action, **body, tags=[])) == 1
    _, tagging = ask_all(action, **body, tags=[{"key": "a", "value": "b"}])
    assert (tagging.action, tagging.resources) == ("ecs:TagResource", (created,))
    assert tagging.context["ecs:createaction"] == (action,)
    assert tagging.context["aws:requesttag/a"] == ("b",)


def test_roles_of_tasks_are_handed_on() -> None:
    role = "arn:aws:iam::000000000000:role/"
    _, passing = ask_all("RegisterTaskDefinition", taskRoleArn="app", executionRoleArn=f"{role}pull")
    assert (passing.action, passing.resources) == ("iam:PassRole", (f"{role}app", f"{role}pull"))
    assert passing.context["iam:passedtoservice"] == ("ecs-tasks.amazonaws.com",)
    _, passing = ask_all("RunTask", taskDefinition="with-roles")
    assert passing.resources == (f"{role}of-the-definition",)
    _, passing = ask_all("StartTask", taskDefinition="with-roles", overrides={"taskRoleArn": "other"})
    assert passing.resources == (f"{role}other",)
    _, passing = ask_all("RunTask", taskDefinition="with-roles", overrides={"taskRoleArn": ""})
    assert passing.resources == (f"{role}of-the-definition",), "an empty override overrides nothing"
    overrides = {"executionRoleArn": "pull", "taskRoleArn": ""}
    _, passing = ask_all("RunTask", taskDefinition="with-roles", overrides=overrides)
    assert passing.resources == (f"{role}of-the-definition", f"{role}pull")
    assert len(ask_all("RunTask", taskDefinition="sample")) == 1


def test_the_tables_name_actions_and_members_of_the_model() -> None:
    model = ServiceModel()
    for action, resources in RESOURCES.items():
        if action not in AGENT_RIGHTS:
            members = model.shape(model.input_shape(action)).members
            assert {member for _, member in resources} <= members.keys(), action
            if action in ACTIONS and action != "DescribeCapacityProviders":
                assert ("ecs:cluster" in ask(action).context) == ("cluster" in members), action
    for action in CREATED:
        assert "tags" in model.shape(model.input_shape(action)).members, action
