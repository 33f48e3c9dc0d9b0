"""The ECS operations that an agent calls, answered as far as an agent can see.

No placement, no tasks, no rules about them: what the agent reports is kept by the journal and nowhere else.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from fake_ecs.aws_error import AwsError
from fake_ecs.principals import ACCOUNT

TARGET = "AmazonEC2ContainerServiceV20141113."
ECR_TARGET = "AmazonEC2ContainerRegistry_V20150921."
ZONE_ATTRIBUTE = "ecs.availability-zone"

KNOWN_MEMBERS = {
    "CreateCluster": {"clusterName"},
    "RegisterContainerInstance": {
        "cluster", "containerInstanceArn", "instanceIdentityDocument", "instanceIdentityDocumentSignature",
        "totalResources", "attributes", "tags", "platformDevices", "clientToken", "versionInfo",
    },
    "DiscoverPollEndpoint": {"containerInstance", "cluster", "zoneId"},
    "SubmitTaskStateChange": {
        "cluster", "task", "status", "reason", "containers", "managedAgents", "attachments", "pullStartedAt",
        "pullStoppedAt", "executionStoppedAt",
    },
    "SubmitContainerStateChange": {
        "cluster", "task", "containerName", "runtimeId", "status", "exitCode", "reason", "networkBindings",
    },
    "SubmitAttachmentStateChanges": {"cluster", "attachments"},
    "UpdateContainerInstancesState": {"cluster", "containerInstances", "status"},
    "ListTagsForResource": {"resourceArn"},
}  # fmt: skip
"""Another member is a problem: ECS would ignore it, and somebody thought it meant something."""

INACTIVE = "The specified container instance is inactive."
STATUSES = {"PENDING", "RUNNING", "STOPPED"}


@dataclass(kw_only=True)
class Instance:
    """A container instance as registered last."""

    arn: str
    cluster: str
    client_token: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    status: str = "ACTIVE"
    registrations: int = 0


@dataclass(kw_only=True)
class Operations:
    """State and answers of the API. Everything may be changed by a test."""

    base_url: Callable[[], str]
    region: str = "us-west-2"
    clusters: set[str] = field(default_factory=lambda: {"default"})
    cluster_not_found: str = "ClusterNotFoundException"
    """The code; the recorded back end said ``ClientException``."""
    instances: dict[str, Instance] = field(default_factory=dict)
    tags: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    """By ARN."""
    availability_zone: str = "us-west-2a"
    lost_attributes: set[str] = field(default_factory=set)
    """Names of attributes that the answer to a registration leaves out, as it must not."""
    ecr: dict[str, str] = field(default_factory=dict)
    """Registry ID → ``user:password``; a registry that is not here is refused."""
    more: dict[str, Callable[[Mapping[str, Any]], Any]] = field(default_factory=dict)
    """Answers of a test's own, by operation; they go before the ones here."""

    def cluster_arn(self, cluster: str) -> str:
        name = cluster.rsplit("/", 1)[-1] or "default"
        return f"arn:aws:ecs:{self.region}:{ACCOUNT}:cluster/{name}"

    def resource(self, operation: str, body: Mapping[str, Any]) -> str:
        """What IAM is asked about."""
        match operation:
            case "DiscoverPollEndpoint" | "GetAuthorizationToken":
                return "*"
            case "CreateCluster":
                return self.cluster_arn(str(body.get("clusterName", "")))
            case "ListTagsForResource":
                return str(body.get("resourceArn", "*"))
            case "UpdateContainerInstancesState":
                return str((body.get("containerInstances") or ["*"])[0])
            case _:
                return self.cluster_arn(str(body.get("cluster", "")))

    def answer(self, operation: str, body: Mapping[str, Any]) -> Any:
        """The decoded answer. Raises ``AwsError``."""
        if operation in self.more:
            return self.more[operation](body)
        match operation:
            case "CreateCluster":
                return self._create_cluster(str(body.get("clusterName") or "default"))
            case "RegisterContainerInstance":
                return self._register(body)
            case "DiscoverPollEndpoint":
                url = self.base_url()
                return {
                    "endpoint": f"{url}/acs/",
                    "telemetryEndpoint": f"{url}/tcs/",
                    "serviceConnectEndpoint": f"{url}/sc/",
                }
            case "SubmitTaskStateChange":
                self._check_state_change(body)
                return {"acknowledgment": "ok"}
            case "SubmitContainerStateChange":
                self._require(body, "task", "containerName", "status")
                return {"acknowledgment": "ok"}
            case "SubmitAttachmentStateChanges":
                self._require(body, "attachments")
                return {"acknowledgment": "ok"}
            case "UpdateContainerInstancesState":
                return self._update_state(body)
            case "ListTagsForResource":
                self._require(body, "resourceArn")
                return {"tags": self.tags.get(str(body["resourceArn"]), [])}
            case "GetAuthorizationToken":
                return self._registry_tokens(body)
            case _:
                raise AwsError("UnknownOperationException", "")

    def deregister(self, arn: str) -> None:
        self.instances.setdefault(arn, Instance(arn=arn, cluster=arn.split("/")[1])).status = "INACTIVE"

    def require_active(self, arn: str) -> None:
        """An instance that is merely unknown passes: a back end that was started anew knows none."""
        if not arn:
            raise AwsError("InvalidInstanceException", "The container instance was not named.")
        if arn in self.instances and self.instances[arn].status == "INACTIVE":
            raise AwsError("InactiveInstanceException", INACTIVE)

    def problems(self, operation: str, body: Mapping[str, Any]) -> Iterable[str]:
        """What ECS would let pass in silence, and a test should not."""
        if operation in KNOWN_MEMBERS and (unknown := sorted(set(body) - KNOWN_MEMBERS[operation])):
            yield f"{operation} has members that ECS does not know: {', '.join(unknown)}"
        if operation == "DiscoverPollEndpoint" and not body.get("containerInstance"):
            yield "DiscoverPollEndpoint names no container instance"

    def _require(self, body: Mapping[str, Any], *members: str) -> None:
        for member in members:
            if not body.get(member):
                raise AwsError("InvalidParameterException", f"{member} can not be blank.")

    def _require_cluster(self, cluster: str) -> None:
        if (cluster.rsplit("/", 1)[-1] or "default") not in self.clusters:
            raise AwsError(self.cluster_not_found, "Cluster not found.")

    def _create_cluster(self, name: str) -> Any:
        self.clusters.add(name)
        return {
            "cluster": {
                "clusterArn": self.cluster_arn(name),
                "clusterName": name,
                "status": "ACTIVE",
                "registeredContainerInstancesCount": 0,
                "runningTasksCount": 0,
                "pendingTasksCount": 0,
                "activeServicesCount": 0,
            }
        }

    def _register(self, body: Mapping[str, Any]) -> Any:
        cluster = str(body.get("cluster") or "default")
        self._require_cluster(cluster)
        self._require(body, "totalResources")
        name, token = cluster.rsplit("/", 1)[-1], str(body.get("clientToken", ""))
        arn = str(body.get("containerInstanceArn") or "")
        if not arn:  # the same token again is the same instance: its first answer was lost
            same = [i for i in self.instances.values() if token and (i.client_token, i.cluster) == (token, name)]
            new = f"arn:aws:ecs:{self.region}:{ACCOUNT}:container-instance/{name}/{uuid.uuid4().hex}"
            arn = same[0].arn if same else new
        instance = self.instances.setdefault(arn, Instance(arn=arn, cluster=name))
        if instance.status == "INACTIVE":
            raise AwsError("InvalidParameterException", INACTIVE)
        instance.client_token, instance.body = token, body
        instance.registrations += 1
        sent = [a for a in body.get("attributes", []) if a["name"] not in self.lost_attributes]
        return {
            "containerInstance": {
                "containerInstanceArn": arn,
                "status": instance.status,
                "agentConnected": False,
                "versionInfo": {},
                "attributes": [*sent, {"name": ZONE_ATTRIBUTE, "value": self.availability_zone}],
                "registeredResources": body["totalResources"],
                "remainingResources": body["totalResources"],
                "runningTasksCount": 0,
                "pendingTasksCount": 0,
                "version": instance.registrations,
                "registeredAt": time.time(),
                "tags": body.get("tags", []),
            }
        }

    def _check_state_change(self, body: Mapping[str, Any]) -> None:
        self._require(body, "task")
        if "attachments" in body and "status" not in body:
            return
        if body.get("status") not in STATUSES:
            raise AwsError("InvalidParameterException", f"Invalid status: {body.get('status')}")
        if len(str(body.get("reason", ""))) > 1024:
            raise AwsError("InvalidParameterException", "reason is too long.")
        for container in body.get("containers", []):
            if container.get("status") not in STATUSES or len(container.get("reason", "")) > 1024:
                raise AwsError("InvalidParameterException", f"Invalid container: {container.get('containerName')}")

    def _update_state(self, body: Mapping[str, Any]) -> Any:
        found = []
        for arn in body.get("containerInstances", []):
            if arn in self.instances:
                self.instances[arn].status = str(body["status"])
            found.append({"containerInstanceArn": arn, "status": body["status"]})
        return {"containerInstances": found, "failures": []}

    def _registry_tokens(self, body: Mapping[str, Any]) -> Any:
        data = []
        for registry_id in body.get("registryIds") or [ACCOUNT]:
            if registry_id not in self.ecr:
                raise AwsError("InvalidParameterException", f"Invalid registry: {registry_id}")
            data.append(
                {
                    "authorizationToken": base64.b64encode(self.ecr[registry_id].encode()).decode(),
                    "expiresAt": (datetime.now(UTC) + timedelta(hours=12)).timestamp(),
                    "proxyEndpoint": f"https://{registry_id}.dkr.ecr.{self.region}.amazonaws.com",
                }
            )
        return {"authorizationData": data}
