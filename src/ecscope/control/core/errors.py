"""Refusals of the ECS API, in AWS's words: one exception, with the shape's name as its code.

Source: control-plane.md §1, §3.5.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class ApiError(Exception):
    """An action is refused, and nothing has changed.

    Attributes:
        code: name of the modelled error shape, such as ``ClusterNotFoundException``.
        members: what the shape has beside its message, such as ``resourceIds``.
    """

    def __init__(self, code: str, message: str, members: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.members = members or {}


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An entry of ``failures``: what could not be found or placed, without refusing the rest."""

    arn: str = ""
    """``""``: of nothing that has one."""
    reason: str
    detail: str = ""


def missing(arn: str) -> Failure:
    """What *Describe…* answers for an unknown ID. Source: control-plane.md §1.1."""
    return Failure(arn=arn, reason="MISSING")


def invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterException", message)


def client_error(message: str) -> ApiError:
    return ApiError("ClientException", message)


def cluster_not_found() -> ApiError:
    """Agents search for this very text."""
    return ApiError("ClusterNotFoundException", "Cluster not found.")


def service_not_found() -> ApiError:
    return ApiError("ServiceNotFoundException", "Service not found.")


def unsupported(what: str) -> ApiError:
    """Known to ECS, and not supported on one machine."""
    return ApiError("UnsupportedFeatureException", what)
