"""Who may call, with which keys, and what is allowed to each: a small IAM."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from fake_ecs.aws_error import AwsError

ACCOUNT = "012345678910"
ROLE = "ecsInstanceRole"
SESSION = "i-0123456789abcdef0"


@dataclass(kw_only=True)
class Principal:
    """One access key and what stands behind it. All of it may be changed while the back end runs."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""
    """``""``: the key is a long-lived one, and is used without a token."""
    arn: str = f"arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/{SESSION}"
    expires_at: datetime | None = None
    """Aware UTC; ``None``: never."""
    allowed: set[str] = field(default_factory=lambda: {"*"})
    """Actions such as ``ecs:Poll``; ``*`` allows every one."""
    denied: set[str] = field(default_factory=set)
    """Goes before ``allowed``. ``*`` denies every action."""

    def authorize(self, action: str, resource: str) -> None:
        """Raise ``AwsError`` in AWS's words unless ``action`` is allowed."""
        if {"*", action} & self.denied or not {"*", action} & self.allowed:
            raise AwsError(
                "AccessDeniedException",
                f"User: {self.arn} is not authorized to perform: {action} on resource: {resource} "
                f"because no identity-based policy allows the {action} action",
            )


def an_instance_role() -> Principal:
    """The key that the recordings were made with, for the role of a container instance."""
    return Principal(access_key_id="AKIDEXAMPLE", secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
