"""Credentials of a task show neither key nor token."""

from __future__ import annotations

from tests.builders import some_credentials


def test_no_secret_is_shown() -> None:
    credentials = some_credentials()
    for secret in (credentials.access_key_id, credentials.secret_access_key, credentials.session_token):
        assert secret not in repr(credentials)
        assert secret not in str(credentials)
