"""A back end of ECS for tests and benches: real signatures, both websockets, every fault. Not a control plane."""

from tests.backend.aws_error import AwsError as AwsError
from tests.backend.certificate import self_signed as self_signed
from tests.backend.payloads import a_payload_container as a_payload_container
from tests.backend.payloads import a_payload_task as a_payload_task
from tests.backend.payloads import payload_credentials as payload_credentials
from tests.backend.payloads import to_stop as to_stop
from tests.backend.principals import Principal as Principal
from tests.backend.principals import an_instance_role as an_instance_role
from tests.backend.server import Backend as Backend
