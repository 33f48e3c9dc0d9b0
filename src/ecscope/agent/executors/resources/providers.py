"""Which module makes which kind of task resource: one line for each kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from ecscope.agent.aws.interface import LogStreams, TaskSecrets
from ecscope.agent.executors.resources.cgroup import CgroupProvider, TaskCgroups
from ecscope.agent.executors.resources.execution_role import CredentialsOf
from ecscope.agent.executors.resources.interface import ResourceProvider
from ecscope.agent.executors.resources.log_streams import LogStreamsProvider
from ecscope.agent.executors.resources.network import TaskNetworkProvider
from ecscope.agent.executors.resources.parameters import ParametersProvider
from ecscope.agent.executors.resources.secrets_manager import SecretsManagerProvider
from ecscope.agent.executors.resources.volume import VolumeProvider
from ecscope.agent.executors.secret_values import SecretValues
from ecscope.agent.runtime.interface import Runtime
from ecscope.model.network import TaskNetwork
from ecscope.model.task_resource import (
    CGROUP,
    LOG_STREAMS,
    PARAMETERS,
    SECRETS,
    TASK_NETWORK,
    VOLUME,
    ResourceKind,
)


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What providers work with."""

    runtime: Runtime
    cgroups: TaskCgroups | None = None
    """``None``: task-level limits are off, and the core asks for no cgroup."""
    task_network: TaskNetwork | None = None
    """``None``: there are no awsvpc tasks here."""
    network_made: Callable[[], Awaitable[None]] | None = None
    """Called whenever the network of awsvpc tasks had to be made."""
    task_secrets: TaskSecrets | None = None
    """``None``: the agent works without AWS."""
    log_streams: LogStreams | None = None
    """Likewise."""
    secret_values: SecretValues = msgspec.field(default_factory=SecretValues)
    """Where fetched values are kept."""
    credentials_of: CredentialsOf = lambda credentials_id: None


def providers(tools: Tools) -> Mapping[ResourceKind, ResourceProvider]:
    """All of them, by kind."""
    return {
        VOLUME: VolumeProvider(tools.runtime),
        CGROUP: CgroupProvider(tools.cgroups),
        TASK_NETWORK: TaskNetworkProvider(tools.runtime, tools.task_network, made=tools.network_made),
        SECRETS: SecretsManagerProvider(
            tools.task_secrets, values=tools.secret_values, credentials_of=tools.credentials_of
        ),
        PARAMETERS: ParametersProvider(
            tools.task_secrets, values=tools.secret_values, credentials_of=tools.credentials_of
        ),
        LOG_STREAMS: LogStreamsProvider(tools.log_streams, credentials_of=tools.credentials_of),
    }
