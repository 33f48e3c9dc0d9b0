"""A back end of ECS for tests and benches: real signatures, both websockets, every fault. Not a control plane."""

from fake_ecs.aws_error import AwsError as AwsError
from fake_ecs.certificate import self_signed as self_signed
from fake_ecs.payloads import a_payload_container as a_payload_container
from fake_ecs.payloads import a_payload_task as a_payload_task
from fake_ecs.payloads import payload_credentials as payload_credentials
from fake_ecs.payloads import to_stop as to_stop
from fake_ecs.principals import Principal as Principal
from fake_ecs.principals import an_instance_role as an_instance_role
from fake_ecs.server import Backend as Backend
