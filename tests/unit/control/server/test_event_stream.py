"""Messages are what botocore's parser of event streams reads."""

from __future__ import annotations

from botocore.eventstream import EventStreamBuffer

from ecscope.control.server.event_stream import event, exception


def test_botocore_reads_what_is_written() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(event("sessionUpdate", b'{"a": "\xc3\xa9"}') + exception("SessionTimeoutException", b"{}"))
    update, timeout = buffer
    assert update.headers == {
        ":message-type": "event",
        ":event-type": "sessionUpdate",
        ":content-type": "application/x-amz-json-1.1",
    }
    assert update.payload == b'{"a": "\xc3\xa9"}'
    assert timeout.headers[":exception-type"] == "SessionTimeoutException"
