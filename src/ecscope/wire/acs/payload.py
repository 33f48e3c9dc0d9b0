"""A task as ACS sends it: the members and their JSON types, and nothing about their meaning.

Every member may be absent or null, which is the same: ``None``. A list or map that is there and empty stays that,
so that a decoded task encodes to what it came from. What the words and the JSON texts inside mean is read in
``to_task``.

Source: agent-protocol.md §4.5, §4.6; the service model of ACS (2014-11-13).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

Long = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""Every whole number of ACS: signed, 64 bits."""


class Payload(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Parent of all: members are called as ours, in camelCase; unknown ones are ignored."""


class RoleCredentials(Payload, frozen=True, kw_only=True):
    """``IAMRoleCredentials``. ``repr`` shows neither key nor token. Source: agent-protocol.md §4.6."""

    credentials_id: str | None = None
    role_arn: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    expiration: str | None = None
    """RFC 3339."""
    credential_scope: str | None = None

    def __repr__(self) -> str:
        return (
            f"RoleCredentials(credentials_id={self.credentials_id!r}, role_arn={self.role_arn!r}, "
            f"expiration={self.expiration!r}, …)"
        )


# --- a container --------------------------------------------------------------------------------


class PayloadPortMapping(Payload, frozen=True, kw_only=True):
    container_port: Long | None = None
    host_port: Long | None = None
    container_port_range: str | None = None
    protocol: str | None = None


class PayloadMountPoint(Payload, frozen=True, kw_only=True):
    source_volume: str | None = None
    container_path: str | None = None
    read_only: bool | None = None


class PayloadVolumeFrom(Payload, frozen=True, kw_only=True):
    source_container: str | None = None
    read_only: bool | None = None


class PayloadDockerConfig(Payload, frozen=True, kw_only=True):
    version: str | None = None
    config: str | None = None
    """JSON as text."""
    host_config: str | None = None
    """JSON as text."""


class PayloadEcrAuthData(Payload, frozen=True, kw_only=True):
    registry_id: str | None = None
    region: str | None = None
    endpoint_override: str | None = None
    use_execution_role: bool | None = None


class PayloadAsmAuthData(Payload, frozen=True, kw_only=True):
    credentials_parameter: str | None = None
    region: str | None = None


class PayloadRegistryAuthentication(Payload, frozen=True, kw_only=True):
    type: str | None = None
    ecr_auth_data: PayloadEcrAuthData | None = None
    asm_auth_data: PayloadAsmAuthData | None = None


class PayloadSecret(Payload, frozen=True, kw_only=True):
    name: str | None = None
    value_from: str | None = None
    container_path: str | None = None
    type: str | None = None
    region: str | None = None
    provider: str | None = None
    target: str | None = None


class PayloadDependency(Payload, frozen=True, kw_only=True):
    container_name: str | None = None
    condition: str | None = None


class PayloadRestartPolicy(Payload, frozen=True, kw_only=True):
    enabled: bool | None = None
    ignored_exit_codes: tuple[Long, ...] | None = None
    restart_attempt_period: Long | None = None
    """Seconds."""


class PayloadEnvironmentFile(Payload, frozen=True, kw_only=True):
    value: str | None = None
    type: str | None = None


class PayloadFirelensConfiguration(Payload, frozen=True, kw_only=True):
    type: str | None = None
    options: Mapping[str, str] | None = None


class PayloadManagedAgent(Payload, frozen=True, kw_only=True):
    name: str | None = None
    properties: Mapping[str, str] | None = None


class PayloadKernelCapabilities(Payload, frozen=True, kw_only=True):
    add: tuple[str, ...] | None = None
    drop: tuple[str, ...] | None = None


class PayloadDevice(Payload, frozen=True, kw_only=True):
    host_path: str | None = None
    container_path: str | None = None
    permissions: tuple[str, ...] | None = None


class PayloadLinuxParameters(Payload, frozen=True, kw_only=True):
    capabilities: PayloadKernelCapabilities | None = None
    devices: tuple[PayloadDevice, ...] | None = None
    init_process_enabled: bool | None = None
    shared_memory_size: Long | None = None


class PayloadContainer(Payload, frozen=True, kw_only=True):
    """``Container``."""

    name: str | None = None
    image: str | None = None
    cpu: Long | None = None
    """CPU units."""
    memory: Long | None = None
    """MiB."""
    essential: bool | None = None
    command: tuple[str, ...] | None = None
    entry_point: tuple[str, ...] | None = None
    environment: Mapping[str, str] | None = None
    environment_files: tuple[PayloadEnvironmentFile, ...] | None = None
    links: tuple[str, ...] | None = None
    port_mappings: tuple[PayloadPortMapping, ...] | None = None
    mount_points: tuple[PayloadMountPoint, ...] | None = None
    volumes_from: tuple[PayloadVolumeFrom, ...] | None = None
    overrides: str | None = None
    """JSON as text."""
    docker_config: PayloadDockerConfig | None = None
    health_check_type: str | None = None
    registry_authentication: PayloadRegistryAuthentication | None = None
    logs_auth_strategy: str | None = None
    secrets: tuple[PayloadSecret, ...] | None = None
    depends_on: tuple[PayloadDependency, ...] | None = None
    start_timeout: Long | None = None
    """Seconds."""
    stop_timeout: Long | None = None
    """Seconds."""
    restart_policy: PayloadRestartPolicy | None = None
    firelens_configuration: PayloadFirelensConfiguration | None = None
    managed_agents: tuple[PayloadManagedAgent, ...] | None = None
    container_arn: str | None = None
    credential_specs: tuple[str, ...] | None = None
    network_interface_names: tuple[str, ...] | None = None
    linux_parameters: PayloadLinuxParameters | None = None
    """Ignored by the official agent: what counts is in ``docker_config``."""
    privileged: bool | None = None
    """Ignored by the official agent, likewise."""


# --- volumes ------------------------------------------------------------------------------------


class PayloadHostVolume(Payload, frozen=True, kw_only=True):
    source_path: str | None = None


class PayloadDockerVolume(Payload, frozen=True, kw_only=True):
    scope: str | None = None
    autoprovision: bool | None = None
    driver: str | None = None
    driver_opts: Mapping[str, str] | None = None
    labels: Mapping[str, str] | None = None


class PayloadEfsAuthorization(Payload, frozen=True, kw_only=True):
    access_point_id: str | None = None
    iam: str | None = None


class PayloadEfsVolume(Payload, frozen=True, kw_only=True):
    file_system_id: str | None = None
    root_directory: str | None = None
    transit_encryption: str | None = None
    transit_encryption_port: Long | None = None
    authorization_config: PayloadEfsAuthorization | None = None


class PayloadFsxAuthorization(Payload, frozen=True, kw_only=True):
    credentials_parameter: str | None = None
    domain: str | None = None


class PayloadFsxVolume(Payload, frozen=True, kw_only=True):
    file_system_id: str | None = None
    root_directory: str | None = None
    authorization_config: PayloadFsxAuthorization | None = None


class PayloadEbsVolume(Payload, frozen=True, kw_only=True):
    volume_id: str | None = None
    delete_on_termination: bool | None = None
    device_name: str | None = None
    filesystem_type: str | None = None


class PayloadLogDriverVolume(Payload, frozen=True, kw_only=True):
    driver: str | None = None


class PayloadVolume(Payload, frozen=True, kw_only=True):
    """``Volume``: one of the configurations, chosen by ``type``."""

    name: str | None = None
    type: str | None = None
    host: PayloadHostVolume | None = None
    docker_volume_configuration: PayloadDockerVolume | None = None
    efs_volume_configuration: PayloadEfsVolume | None = None
    fsx_windows_file_server_volume_configuration: PayloadFsxVolume | None = None
    ebs_volume_configuration: PayloadEbsVolume | None = None
    log_driver_volume_configuration: PayloadLogDriverVolume | None = None


# --- network interfaces and other attachments -----------------------------------------------------


class PayloadIpv4Address(Payload, frozen=True, kw_only=True):
    private_address: str | None = None
    primary: bool | None = None


class PayloadIpv6Address(Payload, frozen=True, kw_only=True):
    address: str | None = None
    primary: bool | None = None


class PayloadTunnelProperties(Payload, frozen=True, kw_only=True):
    tunnel_id: str | None = None
    interface_ip_address: str | None = None


class PayloadVethProperties(Payload, frozen=True, kw_only=True):
    peer_interface: str | None = None


class PayloadVlanProperties(Payload, frozen=True, kw_only=True):
    vlan_id: str | None = None
    trunk_interface_mac_address: str | None = None


class PayloadNetworkInterface(Payload, frozen=True, kw_only=True):
    """``ElasticNetworkInterface``."""

    name: str | None = None
    mac_address: str | None = None
    attachment_arn: str | None = None
    ec2_id: str | None = None
    index: Long | None = None
    interface_association_protocol: str | None = None
    interface_tunnel_properties: PayloadTunnelProperties | None = None
    interface_veth_properties: PayloadVethProperties | None = None
    interface_vlan_properties: PayloadVlanProperties | None = None
    ipv4_addresses: tuple[PayloadIpv4Address, ...] | None = None
    ipv6_addresses: tuple[PayloadIpv6Address, ...] | None = None
    domain_name: tuple[str, ...] | None = None
    domain_name_servers: tuple[str, ...] | None = None
    private_dns_name: str | None = None
    subnet_gateway_ipv4_address: str | None = None
    """``10.0.0.1/24``."""
    subnet_gateway_ipv6_address: str | None = None


class PayloadAttachmentProperty(Payload, frozen=True, kw_only=True):
    name: str | None = None
    value: str | None = None


class PayloadAttachment(Payload, frozen=True, kw_only=True):
    attachment_arn: str | None = None
    attachment_type: str | None = None
    attachment_properties: tuple[PayloadAttachmentProperty, ...] | None = None


# --- the task -----------------------------------------------------------------------------------


class PayloadEncodedString(Payload, frozen=True, kw_only=True):
    value: str | None = None
    encoding: str | None = None


class PayloadAssociation(Payload, frozen=True, kw_only=True):
    name: str | None = None
    type: str | None = None
    content: PayloadEncodedString | None = None
    containers: tuple[str, ...] | None = None


class PayloadProxyConfiguration(Payload, frozen=True, kw_only=True):
    type: str | None = None
    container_name: str | None = None
    properties: Mapping[str, str] | None = None


class PayloadTrustedExecution(Payload, frozen=True, kw_only=True):
    isolation_mode: str | None = None


class PayloadTask(Payload, frozen=True, kw_only=True):
    """``Task``."""

    arn: str | None = None
    task_cluster_arn: str | None = None
    family: str | None = None
    version: str | None = None
    """Task definition revision."""
    desired_status: str | None = None
    overrides: str | None = None
    """JSON as text; ignored at task level."""
    containers: tuple[PayloadContainer, ...] | None = None
    volumes: tuple[PayloadVolume, ...] | None = None
    cpu: float | None = None
    """vCPU."""
    memory: Long | None = None
    """MiB."""
    role_credentials: RoleCredentials | None = None
    execution_role_credentials: RoleCredentials | None = None
    elastic_network_interfaces: tuple[PayloadNetworkInterface, ...] | None = None
    attachments: tuple[PayloadAttachment, ...] | None = None
    associations: tuple[PayloadAssociation, ...] | None = None
    pid_mode: str | None = None
    ipc_mode: str | None = None
    network_mode: str | None = None
    proxy_configuration: PayloadProxyConfiguration | None = None
    launch_type: str | None = None
    group: str | None = None
    service_name: str | None = None
    zone: str | None = None
    task_definition_account_id: str | None = None
    agent_configuration: str | None = None
    enable_fault_injection: bool | None = None
    trusted_execution_configuration: PayloadTrustedExecution | None = None
