"""Whatever a record is called, its ARN decides: generated from the table of actions, so that none can be left out.

For each action, each of its resources and each way to name that: a Deny on the record's long ARN lets nothing through,
an Allow for other records neither, and an Allow for it lets the honest ways through. What finds a record is seen from
what the action does, not from what IAM is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import msgspec
import pytest

from ecscope.control.api.actions import ACTIONS
from ecscope.control.api.authorization import AGENT_RIGHTS, RESOURCES, questions
from ecscope.control.core.errors import ApiError
from ecscope.control.core.iam import Request, Rights, parse_policy
from ecscope.control.core.records import Deployment
from ecscope.control.core.role_sessions import role_key, session_of_key
from ecscope.control.core.step import Step
from ecscope.control.decide import decide
from ecscope.model.container_instance import Attribute
from tests.control_builders import (
    AT,
    MODEL,
    PREFIX,
    PRINCIPAL,
    a_cluster,
    a_control_task,
    a_request,
    a_service,
    a_state,
    a_task_definition,
    an_instance,
)

CLUSTERS = ("default", "prod")
"""In each the same IDs and names, so that a record of the wrong cluster is easily found."""
ID = f"{1:032x}"
DIGITS = "1234567890123456789"
FOREIGN = (
    PREFIX.replace("us-east-1", "eu-west-1"),
    PREFIX.replace("000000000000", "999999999999"),
    PREFIX.replace("arn:aws:", "arn:aws-cn:"),
    PREFIX.replace(":ecs:", ":s3:"),
    "arn:aws:ecs::",
    "arn:aws:ecs:us-east-1:",
)
"""What stands before the kind in ARNs of another region, account, partition or service, or of none."""


def a_deployment() -> Deployment:
    return Deployment(
        id=f"ecs-svc/{DIGITS}",
        status="PRIMARY",
        definition_arn=a_task_definition().arn,
        desired_count=1,
        created_at=AT,
        updated_at=AT,
        settings={"launchType": "EC2"},
    )


def records_of(cluster: str) -> Iterator[Any]:
    yield a_cluster(cluster, tags={"of": cluster})
    for number in (1, 2):
        instance = an_instance(
            number,
            cluster=cluster,
            tags={"of": f"{cluster} {number}"},
            reported_attributes=(Attribute(name="com.amazonaws.ecs.capability.task-iam-role"),),
        )
        service = a_service(
            "web" if number == 1 else "api",
            cluster=cluster,
            desired_count=1,
            deployments=(a_deployment(),),
            tags={"of": f"{cluster} {number}"},
            body={"launchType": "EC2"},
        )
        yield from (instance, service)
        yield a_control_task(
            number,
            cluster=cluster,
            instance_arn=instance.arn,
            service_arn=service.arn,
            deployment_id=f"ecs-svc/{DIGITS}",
            last_status="RUNNING",
            is_protected=True,
            protected_until=AT.replace(year=2099),
            tags={"of": f"{cluster} {number}"},
        )


STATE = a_state(
    *(record for cluster in CLUSTERS for record in records_of(cluster)),
    a_task_definition(tags={"of": "1"}),
    a_task_definition(revision=2, tags={"of": "2"}),
    a_task_definition("other", tags={"of": "other"}),
)

# --- what is named, and how -----------------------------------------------------------------------------------


class Named(msgspec.Struct, frozen=True):
    """A record, and what the same kind of thing there is beside."""

    kind: str
    arn: str
    name: str
    others: tuple[str, ...]
    cluster: str = ""
    """Name of its cluster; ``""``: it is of none."""


def named(kind: str) -> Iterator[Named]:
    """The records of a kind that are looked at."""
    names = {"task": (ID, f"{2:032x}"), "container-instance": (ID, f"{2:032x}"), "service": ("web", "api")}
    match kind:
        case "cluster":
            yield Named(kind, f"{PREFIX}:cluster/prod", "prod", (f"{PREFIX}:cluster/default",), "prod")
            yield Named(kind, f"{PREFIX}:cluster/default", "default", (f"{PREFIX}:cluster/prod",), "default")
        case "task" | "container-instance" | "service":
            name, sibling = names[kind]
            for cluster, twin in (CLUSTERS, CLUSTERS[::-1]):
                others = (f"{PREFIX}:{kind}/{twin}/{name}", f"{PREFIX}:{kind}/{cluster}/{sibling}")
                yield Named(kind, f"{PREFIX}:{kind}/{cluster}/{name}", name, others, cluster)
        case "service-deployment" | "service-revision":
            for cluster, twin in (CLUSTERS, CLUSTERS[::-1]):
                arn, other = (f"{PREFIX}:{kind}/{each}/web/{DIGITS}" for each in (cluster, twin))
                yield Named(kind, arn, arn, (other,), cluster)
        case "task-definition":
            others = (f"{PREFIX}:task-definition/sample:1", f"{PREFIX}:task-definition/other:1")
            yield Named(kind, f"{PREFIX}:task-definition/sample:2", "sample:2", others)
        case "capacity-provider":
            arn, other = (f"{PREFIX}:capacity-provider/{name}" for name in ("FARGATE", "FARGATE_SPOT"))
            yield Named(kind, arn, "FARGATE", (other,))
        case "family":
            yield Named(kind, f"{PREFIX}:task-definition/sample:*", "sample", (f"{PREFIX}:task-definition/other:*",))
        case "arn":
            for each in ("cluster", "task", "container-instance", "service", "task-definition"):
                yield from (msgspec.structs.replace(found, kind="arn", name=found.arn) for found in named(each))
        case _:
            raise NotImplementedError(f"a kind of resource that this test does not know: {kind}")


def new_services() -> Iterator[Named]:
    for cluster, twin in (CLUSTERS, CLUSTERS[::-1]):
        others = (f"{PREFIX}:service/{twin}/new", f"{PREFIX}:service/{cluster}/api")
        yield Named("service", f"{PREFIX}:service/{cluster}/new", "new", others, cluster)


CREATES = {"CreateCluster", "CreateService", "RegisterTaskDefinition"}
"""A new thing is named by its name alone."""

NEEDS_REVISION = {"DeleteTaskDefinitions"}


def honest_names(action: str, record: Named) -> Iterator[str]:
    kind, _, path = record.arn.split(":", 5)[5].partition("/")
    if action in CREATES:
        yield record.name
        return
    yield record.arn
    yield record.name
    if kind in ("task", "container-instance", "service") and (record.kind != "arn" or record.cluster == "default"):
        yield f"{PREFIX}:{kind}/{path.rpartition('/')[2]}"  # by itself, the first cluster's
    if kind == "task-definition":
        family = f"{PREFIX}:task-definition/sample"
        yield from (f"{family}:02",) if action in NEEDS_REVISION else (family, f"{family}:02")
        if record.kind != "arn":
            yield from ("sample:02",) if action in NEEDS_REVISION else ("sample", "sample:02")


def honest_clusters(action: str, cluster: str) -> Iterator[str | None]:
    """``None``: absent."""
    if not cluster:
        yield None
        return
    yield from (f"{PREFIX}:cluster/{cluster}", cluster)
    if cluster == "default":
        yield ""
        if not is_required(action, "cluster"):
            yield None


def false_names(arn: str, name: str) -> Iterator[str]:
    """None of them is the record's; some are those of its twin in the other cluster, or of nobody."""
    kind, _, path = arn.split(":", 5)[5].partition("/")
    last = path.rpartition("/")[2]
    for text in {name, last}:
        yield from (f"{before}/{text}" for before in ("x", "", kind, "default", "prod"))
        yield from (f" {text}", f"{text} ", f"{text}/", f"{text}\0", f"{text}*")
        if text != text.upper():
            yield text.upper()
    yield from (
        arn.upper(),
        f"ARN{arn[3:]}",
        f"x/{arn}",
        f"{arn}/",
        f"{arn}/x",
        f"{arn} ",
        arn.replace("arn:", "arn::", 1),
    )
    yield from (f"{prefix}:{kind}/{path}" for prefix in FOREIGN)
    yield from (
        f"{PREFIX}:{kind}/x/{path}",
        f"{PREFIX}:{kind}/x/{last}",
        f"{PREFIX}:x/{path}",
        f"{PREFIX}:{kind}s/{path}",
    )
    yield from ("*", "?", f"{PREFIX}:{kind}/*", f"{PREFIX}:*/{path}", "arn:", "arn:aws:ecs:::")


# --- bodies -----------------------------------------------------------------------------------------------------

REST: Mapping[str, dict[str, Any]] = {
    "CreateService": {"taskDefinition": "other", "desiredCount": 0},
    "DeleteAttributes": {},
    "DeregisterContainerInstance": {"containerInstance": ID, "force": True},
    "ExecuteCommand": {"command": "sh", "interactive": True, "task": ID},
    "ListAttributes": {"targetType": "container-instance"},
    "PutClusterCapacityProviders": {"capacityProviders": [], "defaultCapacityProviderStrategy": []},
    "RegisterTaskDefinition": {"containerDefinitions": [{"name": "app", "image": "x", "memory": 16}]},
    "StartTask": {"containerInstances": [ID]},
    "SubmitAttachmentStateChanges": {"attachments": []},
    "SubmitContainerStateChange": {"task": ID, "containerName": "app", "status": "RUNNING"},
    "SubmitTaskStateChange": {"task": ID, "status": "RUNNING"},
    "TagResource": {"tags": [{"key": "a", "value": "b"}]},
    "UntagResource": {"tagKeys": ["of"]},
    "UpdateClusterSettings": {"settings": [{"name": "containerInsights", "value": "enabled"}]},
    "UpdateContainerInstancesState": {"status": "DRAINING"},
    "UpdateService": {"desiredCount": 3},
    "UpdateTaskProtection": {"protectionEnabled": False},
}
"""Action → what its input must have beside names of resources and cluster."""


def members(action: str) -> Mapping[str, Any]:
    return MODEL.shape(MODEL.input_shape(action)).members


def body(action: str, member: str, names: str | list[str], cluster: str | None) -> dict[str, Any]:
    """With ``cluster`` where the action has such a member that is not the one that is looked at."""
    sent = dict(REST.get(action, {}))
    listed = names if isinstance(names, list) else [names]
    if member == "attributes":
        sent[member] = [{"name": f"a{index}", "targetId": name} for index, name in enumerate(listed)]
    else:
        sent[member] = listed if MODEL.shape(members(action)[member].shape).type == "list" else listed[0]
    if cluster is not None and "cluster" in members(action) and member != "cluster":
        sent["cluster"] = cluster
    return sent


def is_list(action: str, member: str) -> bool:
    return MODEL.shape(members(action)[member].shape).type == "list"


# --- what comes of it ---------------------------------------------------------------------------------------------


class Outcome(msgspec.Struct, frozen=True):
    """What a request came to."""

    said: str
    """Its answer or refusal; what could not be found is not in it."""
    changed: tuple[str, ...] = ()

    @property
    def is_denied(self) -> bool:
        return self.said.startswith("AccessDeniedException")


def outcome(action: str, sent: Mapping[str, Any], rights: Rights | None = None) -> Outcome:
    checked = MODEL.read(action, json.dumps(sent).encode())
    assert checked.refusal is None, f"REST has no good input for {action}: {checked.refusal}"
    request = msgspec.structs.replace(a_request(action, **checked.body), rights=rights)
    try:
        decision = decide(STATE, request)
    except ApiError as error:
        return Outcome(f"{error.code}: {error.message}")
    answer = dict(decision.answer or {})
    answer["failures"] = [failure for failure in answer.get("failures", ()) if failure["reason"] != "MISSING"]
    changed = tuple(sorted(key for table in decision.records.values() for key in table))
    return Outcome(json.dumps(answer, sort_keys=True), changed)


def rights(*statements: tuple[str, str, list[str]]) -> Rights:
    """Of (effect, action, resources), and what goes beside an action."""
    return just(*statements, ("Allow", "iam:PassRole", ["*"]), ("Allow", "ecs:TagResource", ["*"]))


def just(*statements: tuple[str, str, list[str]]) -> Rights:
    """Of these and no more."""
    written = [{"Effect": effect, "Action": action, "Resource": resources} for effect, action, resources in statements]
    policy, mistakes = parse_policy({"Version": "2012-10-17", "Statement": written}, name="p", place="p")
    assert policy is not None, mistakes
    return Rights(principal_arn=PRINCIPAL, policies=(policy,))


def denied(action: str, *arns: str) -> Rights:
    return rights(("Allow", "*", ["*"]), ("Deny", f"ecs:{action}", list(arns)))


def allowed(action: str, *arns: str) -> Rights:
    statement = ("Allow", f"ecs:{action}", list(arns))
    return just(statement) if action == "TagResource" else rights(statement)


def beside(action: str, record: str, cluster: str) -> list[str]:
    """What the action is also about, when it is about the record."""
    kinds = {kind for kind, _ in RESOURCES[action]}
    found = []
    if "service-deployment" in kinds or "service-revision" in kinds:
        found.append(f"{PREFIX}:service/{record.split('/')[1]}/web")
    if kinds == {"cluster", "task"}:
        found += [f"{PREFIX}:cluster/{cluster}", f"{PREFIX}:task/{cluster}/{ID}"]
    return found


def cluster_of(arn: str, default: str) -> str:
    path = arn.split(":", 5)[5].split("/")
    return path[1] if len(path) > 1 and path[1] in CLUSTERS else default


WITH_RESOURCES = sorted(action for action in ACTIONS if RESOURCES[action])
CASES = [
    pytest.param(action, member, record, id=f"{action}-{member}-{record.arn.rpartition(':')[2] or record.arn}")
    for action in WITH_RESOURCES
    for kind, member in RESOURCES[action]
    for record in (new_services() if action == "CreateService" else named(kind))
]


@pytest.mark.parametrize(("action", "member", "record"), CASES)
def test_what_is_found_is_what_is_authorized(action: str, member: str, record: Named) -> None:
    canonical = body(action, member, record.name if action in CREATES else record.arn, record.cluster)
    wanted = outcome(action, canonical)
    asked = asked_of(action, canonical)
    assert not wanted.is_denied
    check_keys(record, asked)
    if record.kind == "cluster" and action not in CREATES:
        for name in honest_clusters(action, record.cluster):
            sent = body(action, member, name or "", None)
            if name is None:
                del sent[member]
            check_honest(action, record, sent, wanted, asked)
        return
    for name, cluster in product(honest_names(action, record), honest_clusters(action, record.cluster)):
        check_honest(action, record, body(action, member, name, cluster), wanted, asked)


TAGS = {
    **{f"{PREFIX}:cluster/{cluster}": cluster for cluster in CLUSTERS},
    **{
        f"{PREFIX}:{kind}/{cluster}/{name}": f"{cluster} 1"
        for kind, name in (("task", ID), ("container-instance", ID), ("service", "web"))
        for cluster in CLUSTERS
    },
    f"{PREFIX}:task-definition/sample:2": "2",
}
"""ARN → the value of its tag ``of``."""


def check_keys(record: Named, asked: tuple[Request, ...]) -> None:
    """They are of the record."""
    keys = [keys for request in asked for keys in (request.context, *request.resource_contexts.values())]
    if record.cluster:
        clusters = {each["ecs:cluster"] for each in keys if "ecs:cluster" in each}
        assert clusters == {(f"{PREFIX}:cluster/{record.cluster}",)}
    own = asked[0].resource_contexts.get(record.arn, {})
    assert (
        own.get("aws:resourcetag/of", ("",))
        == own.get("ecs:resourcetag/of", ("",))
        == (TAGS.get(record.arn) or (f"{record.cluster} 1" if "/web/" in record.arn else ""),)
    )


def check_honest(action: str, record: Named, sent: dict[str, Any], wanted: Outcome, asked: tuple[Request, ...]) -> None:
    assert outcome(action, sent) == wanted, sent
    assert asked_of(action, sent) == asked, sent
    assert outcome(action, sent, denied(action, record.arn)).is_denied, sent
    others = [
        each for other in record.others for each in (other, *beside(action, other, cluster_of(other, record.cluster)))
    ]
    only = [each for each in others if each != record.arn]
    assert outcome(action, sent, allowed(action, *only)).is_denied, sent
    just = [record.arn, *beside(action, record.arn, record.cluster)]
    assert outcome(action, sent, allowed(action, *just)) == wanted, sent


@pytest.mark.parametrize(("action", "member", "record"), CASES)
def test_what_is_no_name_of_it_finds_it_not(action: str, member: str, record: Named) -> None:
    wanted = outcome(action, body(action, member, record.name if action in CREATES else record.arn, record.cluster))
    clusters: list[str | None] = [record.cluster] if record.cluster else [None]
    names = [record.name] if action in CREATES else [record.arn, record.name]
    false = product(false_names(record.arn, record.name), clusters)
    if record.cluster and "cluster" in members(action) and member != "cluster":
        of_cluster = [*false_names(f"{PREFIX}:cluster/{record.cluster}", record.cluster)]
        other = next(each for each in CLUSTERS if each != record.cluster)
        false = [*false, *product(names, [*of_cluster, other, f"{PREFIX}:cluster/{other}"])]
    for name, cluster in false:
        sent = body(action, member, name, cluster)
        for given in (None, denied(action, record.arn), allowed(action, *record.others)):
            found = outcome(action, sent, given)
            assert record.arn not in found.changed, sent
            assert f'"{record.arn}"' not in found.said, sent
            assert found != wanted or wanted == twin_of(action, member, record), sent


def twin_of(action: str, member: str, record: Named) -> Outcome | None:
    """Of another record the outcome may be the same: an agent's calls answer ACK."""
    other = record.others[0]
    if action in CREATES:
        return None
    return outcome(action, body(action, member, other, cluster_of(other, record.cluster)))


@pytest.mark.parametrize(
    ("action", "member", "record"), [case for case in CASES if is_list(case.values[0], case.values[1])]
)
def test_each_of_several_is_authorized(action: str, member: str, record: Named) -> None:
    sibling = record.others[-1]
    both = [
        record.arn,
        sibling,
        *(each for arn in (record.arn, sibling) for each in beside(action, arn, record.cluster)),
    ]
    for name in honest_names(action, record):
        for names in ([sibling, name], [name, sibling, name]):
            sent = body(action, member, names, record.cluster)
            assert outcome(action, sent, allowed(action, *both)) == outcome(action, sent)
            assert outcome(action, sent, denied(action, record.arn)).is_denied
            assert outcome(action, sent, denied(action, sibling)).is_denied
            assert outcome(action, sent, allowed(action, *set(both) - {record.arn})).is_denied
            assert outcome(action, sent, allowed(action, *set(both) - {sibling})).is_denied


@pytest.mark.parametrize(
    ("action", "sent", "arn"),
    [
        ("PutAttributes", {"attributes": [{"name": "a"}]}, f"{PREFIX}:container-instance/default/{ID}"),
        ("DeleteAttributes", {"attributes": [{"name": "a"}]}, f"{PREFIX}:container-instance/default/{ID}"),
        ("GetTaskProtection", {"cluster": "default"}, f"{PREFIX}:task/default/{ID}"),
        ("DescribeCapacityProviders", {}, f"{PREFIX}:capacity-provider/FARGATE"),
        ("DescribeCapacityProviders", {"capacityProviders": []}, f"{PREFIX}:capacity-provider/FARGATE"),
        ("DescribeClusters", {}, f"{PREFIX}:cluster/default"),
        ("DescribeClusters", {"clusters": []}, f"{PREFIX}:cluster/default"),
    ],
)
def test_who_names_none_means_all_or_the_default(action: str, sent: dict[str, Any], arn: str) -> None:
    everything = arn if ":cluster/" in arn else f"{arn.rpartition('/')[0]}/*"
    assert outcome(action, sent, denied(action, arn)).is_denied
    assert outcome(action, sent, allowed(action, everything)) == outcome(action, sent)
    if everything != arn:
        assert outcome(action, sent, allowed(action, arn)).is_denied


def is_required(action: str, member: str) -> bool:
    """A cluster in a list of clusters, too."""
    return member in MODEL.shape(MODEL.input_shape(action)).required or member not in members(action)


def asked_of(action: str, sent: Mapping[str, Any]) -> tuple[Request, ...]:
    read = MODEL.read(action, json.dumps(sent).encode()).body
    return questions(Step(STATE, a_request(action)), action, read, {})


def test_every_action_says_what_it_is_about() -> None:
    assert ACTIONS.keys() | AGENT_RIGHTS <= RESOURCES.keys(), "an action without resources says so by ()"
    for action, resources in RESOURCES.items():
        if action not in AGENT_RIGHTS:
            assert {member for _, member in resources} <= members(action).keys(), action


ROLES = "arn:aws:iam::000000000000:role/"
GIVEN = (None, "", "given", f"{ROLES}given", "x/given", "arn:aws:iam::999999999999:role/given")
"""What an override may say; ``None``: it does not."""


@pytest.mark.parametrize("action", ["RunTask", "StartTask"])
@pytest.mark.parametrize(("task_role", "execution_role"), tuple(product(GIVEN, GIVEN)))
def test_the_roles_that_a_task_gets_are_those_that_are_passed(
    action: str, task_role: str | None, execution_role: str | None
) -> None:
    definition = a_task_definition("roles")
    roles = {"taskRoleArn": "of-the-definition", "executionRoleArn": f"{ROLES}for-execution"}
    definition = msgspec.structs.replace(definition, body={**definition.body, **roles})
    definitions = {**STATE.task_definitions, definition.arn: definition}
    state = msgspec.structs.replace(STATE, task_definitions=definitions, revisions={**STATE.revisions, "roles": 1})
    given = {"taskRoleArn": task_role, "executionRoleArn": execution_role}
    overrides = {member: role for member, role in given.items() if role is not None}
    request = a_request(action, **REST.get(action, {}), taskDefinition="roles", overrides=overrides)
    answered = decide(state, request)
    assert answered.answer is not None
    (started,) = answered.answer["tasks"]
    task = answered.state.tasks[started["taskArn"]]
    used = set()
    for credentials_id in (task.credentials_id, task.execution_credentials_id):
        session = session_of_key(answered.state, role_key(credentials_id).access_key_id)
        assert session is not None
        used.add(session.role_arn)
    run = ("Allow", f"ecs:{action}", ["*"])
    for role in used:
        for statements in (
            [run, ("Allow", "iam:PassRole", ["*"]), ("Deny", "iam:PassRole", [role])],
            [run, ("Allow", "iam:PassRole", [f"{ROLES}another", *(used - {role})])],
        ):
            refused = msgspec.structs.replace(request, rights=just(*statements))
            with pytest.raises(ApiError, match=f"is not authorized to perform: iam:PassRole on resource: {role} "):
                decide(state, refused)
    enough = just(run, ("Allow", "iam:PassRole", sorted(used)))
    assert decide(state, msgspec.structs.replace(request, rights=enough)).answer == answered.answer


def test_a_request_is_authorized_in_the_state_in_which_it_is_decided() -> None:
    """A name may mean another record by then: here a revision that was registered while the request waited."""
    run = just(("Allow", "ecs:RunTask", [f"{PREFIX}:task-definition/sample:2"]))
    request = msgspec.structs.replace(a_request("RunTask", taskDefinition="sample"), rights=run)
    assert decide(STATE, request).answer is not None
    later = a_task_definition(revision=3)
    state = msgspec.structs.replace(
        STATE,
        task_definitions={**STATE.task_definitions, later.arn: later},
        revisions={**STATE.revisions, "sample": 3},
    )
    with pytest.raises(ApiError, match=r"ecs:RunTask on resource: .*task-definition/sample:3 "):
        decide(state, request)


TAGGING = sorted(action for action in ACTIONS if "tags" in members(action))


@pytest.mark.parametrize("effect", ["Allow", "Deny"])
@pytest.mark.parametrize("spelled", [("Team", "team"), ("team", "Team"), ("TEAM", "Team"), ("team", "TEAM"), ("Team",)])
@pytest.mark.parametrize("action", TAGGING)
def test_no_tag_hides_behind_another(action: str, spelled: tuple[str, ...], effect: str) -> None:
    """Only ``dev`` is allowed, or ``prod`` is denied; all spellings but the last one are ``prod`` and ``dev``."""
    member, record = next(case.values[1:] for case in CASES if case.values[0] == action)
    condition = {"StringEquals": {"aws:RequestTag/Team": "prod" if effect == "Deny" else "dev"}}
    statements = [{"Effect": effect, "Action": "*", "Resource": "*", "Condition": condition}]
    if effect == "Deny":
        statements.append({"Effect": "Allow", "Action": "*", "Resource": "*"})
    policy, _ = parse_policy({"Version": "2012-10-17", "Statement": statements}, name="p", place="p")
    assert policy is not None
    by = Rights(principal_arn=PRINCIPAL, policies=(policy,))
    sent = body(action, member, record.name, record.cluster)
    for order in (1, -1):
        values = ("prod", "dev")[::order] if len(spelled) > 1 else ("dev",)
        sent["tags"] = [{"key": key, "value": value} for key, value in zip(spelled, values, strict=True)]
        assert outcome(action, sent, by).is_denied is (len(spelled) > 1), sent
        if len(spelled) > 1 and action != "CreateCluster":  # its tags are not taken: the cluster is there
            assert "differ in case only" in outcome(action, sent).said, sent
