"""An error as ECS answers it: AWS JSON 1.1, HTTP 400, with ``__type`` and AWS's own sentence."""

from __future__ import annotations

import json


class AwsError(Exception):
    """``code`` goes into ``__type``; the words are those of AWS."""

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status

    def body(self) -> bytes:
        # The layer of AWS that refuses an action spells the member with a capital, the service itself does not.
        member = "Message" if self.code == "AccessDeniedException" else "message"
        return json.dumps({"__type": self.code, member: self.message}).encode()
