"""Features of ECS that this agent does not have: the one list.

Rules of a definition (``taskdefinition.members``), of what a request overrides and of a task that ECS sends
(``wire.acs.to_task``) refuse them by the names here. A feature that is built is taken out of here.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """One that is refused by its name."""

    name: str
    """Short, as the reason of a task lists it."""
    why: str
    """One sentence without a full stop, behind the member that needs it."""


AWSVPC: Final = Feature(
    name="network mode awsvpc",
    why="awsvpc is not supported: it needs a network interface for each task (task ENI); use bridge, host or none",
)
SECRETS_OF_A_FILE: Final = Feature(
    name="secrets",
    why="secrets are read with an execution role, whose credentials come from a control plane; use environment",
)
REGISTRY_CREDENTIALS_OF_A_FILE: Final = Feature(
    name="repositoryCredentials",
    why="they are read with an execution role, whose credentials come from a control plane; use ECS_ENGINE_AUTH_DATA",
)
ENVIRONMENT_FILES: Final = Feature(
    name="environmentFiles", why="environment files in S3 are not supported; use environment"
)
FIRELENS: Final = Feature(name="FireLens", why="log routing with FireLens is not supported")
GPU: Final = Feature(name="GPUs", why="GPUs are not supported")
INFERENCE: Final = Feature(
    name="Elastic Inference accelerators", why="Elastic Inference accelerators are not supported"
)
NEURON: Final = Feature(name="Neuron devices", why="Neuron devices are not supported")
WINDOWS: Final = Feature(
    name="Windows containers", why="Windows containers are not supported: this agent runs Linux containers only"
)
CREDENTIAL_SPECS: Final = Feature(
    name="credentialSpecs", why="gMSA credential specs (Active Directory) are not supported"
)
EFS: Final = Feature(name="EFS volumes", why="EFS volumes are not supported")
S3_FILES: Final = Feature(name="S3 Files volumes", why="S3 Files volumes are not supported")
FSX: Final = Feature(name="FSx volumes", why="FSx for Windows File Server volumes are not supported")
EBS: Final = Feature(name="EBS volumes", why="EBS volumes that are configured at launch are not supported")
ATTACHED_VOLUMES: Final = Feature(name="volumes by attachment", why="volumes by attachment are not supported")
APP_MESH: Final = Feature(name="proxyConfiguration", why="an App Mesh proxy is not supported")
SERVICE_CONNECT: Final = Feature(name="Service Connect", why="Service Connect is not supported")
FAULT_INJECTION: Final = Feature(name="fault injection", why="fault injection is not supported")
TRUSTED_EXECUTION: Final = Feature(name="trustedExecutionConfiguration", why="trusted execution is not supported")
FARGATE_OF_A_FILE: Final = Feature(
    name="Fargate",
    why="launch type FARGATE is not supported in a task file: register it with a control plane (ecscope up)",
)
ROLE_OF_A_FILE: Final = Feature(
    name="taskRoleArn",
    why="the credentials of a role come from a control plane: containers of a task file would get none",
)

ALL: Final = tuple(value for value in dict(globals()).values() if isinstance(value, Feature))
"""Every one, in the order above."""
