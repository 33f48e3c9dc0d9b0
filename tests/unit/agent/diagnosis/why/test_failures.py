"""Errors of pull, create, start and resources, in the words of engines and registries."""

from __future__ import annotations

import msgspec
import pytest

from ecscope.agent.diagnosis.why.engine import answer
from ecscope.agent.diagnosis.why.messages import port_of
from ecscope.agent.diagnosis.why.story import PortHolder
from ecscope.model import history as h
from tests.unit.agent.diagnosis.why.stories import ARN, a_story, at, entry, failed, with_image

RUNC = 'OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "{}": {}: unknown'


@pytest.mark.parametrize(
    ("doing", "message", "code"),
    [
        ("pull", "invalid reference format", "image.reference_invalid"),
        ("pull", "toomanyrequests: You have reached your pull rate limit", "image.rate_limited"),
        ("pull", "User is not authorized to perform: ecr:BatchGetImage on resource", "image.role_denied"),
        ("pull", "denied: Your authorization token has expired.", "image.auth_expired"),
        ("pull", "write /var/lib/docker/tmp/x: no space left on device", "image.disk_full"),
        ("pull", "manifest for web:9 not found: manifest unknown: manifest unknown", "image.tag_not_found"),
        ("pull", f"manifest for web@sha256:{'a' * 64} not found: manifest unknown", "image.digest_not_found"),
        ("pull", "no basic auth credentials", "image.auth_required"),
        ("pull", "pull access denied for web, repository does not exist or may require 'docker login'",
         "image.repository_not_found"),
        ("pull", "Get https://r/v2/: x509: certificate signed by unknown authority", "image.registry_tls"),
        ("pull", "Get https://r/v2/: dial tcp 10.0.0.1:443: connect: connection refused", "image.registry_unreachable"),
        ("pull", "received unexpected HTTP status: 503 Service Unavailable", "image.registry_error"),
        ("pull", "no matching manifest for linux/arm64 in the manifest list entries", "image.platform_missing"),
        ("pull", "failed to register layer: Error processing tar file: unexpected EOF", "image.corrupt"),
        ("create", "No command specified", "image.default_platform_entry_missing"),
        ("create", "No such image: web:1", "image.not_cached"),
        ("create", 'The container name "/x" is already in use by container "abcdefabcdef"', "create.name_conflict"),
        ("create", "Minimum memory limit allowed is 6MB", "create.invalid_config"),
        ("create", "Could not transition to created; timed out after waiting 4m0s", "create.docker_timeout"),
        ("start", RUNC.format("/app", "executable file not found in $PATH"), "start.entrypoint_not_found"),
        ("start", RUNC.format("/app", "stat /app: no such file or directory"), "start.entrypoint_not_found"),
        ("start", RUNC.format("/app", "permission denied"), "start.entrypoint_not_executable"),
        ("start", "exec /app: exec format error", "start.exec_format"),
        ("start", 'chdir to cwd ("/srv") set in config.json failed: no such file', "start.workdir_missing"),
        ("start", "unable to find user app: no matching entries in passwd file", "start.user_unknown"),
        ("start", "logger: no log driver named 'awslog' is registered", "start.log_driver_missing"),
        ("start", "failed to initialize logging driver: dial tcp 127.0.0.1:9", "start.log_driver_init"),
        ("start", "error while creating mount source path '/x': mkdir /x: not a dir", "start.mount_source_missing"),
        ("start", "error mounting \"/a\" to rootfs: not a directory: Are you trying to mount a directory onto a file",
         "start.mount_type"),
        ("start", "Could not transition to started; timed out after waiting 3m0s", "start.docker_timeout"),
    ],
)  # fmt: skip
def test_texts(doing: str, message: str, code: str) -> None:
    found = answer(with_image(a_story(failed(3, doing, message)), "web:9")).verdict
    assert (found.code, found.certainty.value, found.culprit.container) == (code, "proven", "app")
    assert "{" not in found.sentence


def test_an_unknown_text_is_unknown_and_shown() -> None:
    found = answer(a_story(failed(3, "start", "flux capacitor is empty")))
    assert (found.verdict.code, found.verdict.certainty.value) == ("unknown", "unknown")
    assert "flux capacitor is empty" in found.verdict.sentence


def test_who_holds_the_port() -> None:
    text = "Bind for 0.0.0.0:8080 failed: port is already allocated"
    assert port_of(text) == 8080
    assert port_of("listen tcp4 0.0.0.0:80: bind: address already in use") == 80
    assert port_of("no port here") == 0
    nginx = PortHolder(pid=7, command="nginx", since=at(-60))
    by_process = answer(a_story(failed(3, "start", text), ports={8080: (nginx,)})).verdict
    assert (by_process.code, by_process.culprit.pid) == ("start.port_taken_by_process", 7)
    assert by_process.certainty.value == "proven"
    came_later = msgspec.structs.replace(nginx, since=at(60))
    later = answer(a_story(failed(3, "start", text), ports={8080: (came_later,)})).verdict
    assert later.certainty.value == "likely"
    other = PortHolder(task_arn=ARN.replace("0123", "9999"), container="db", since=at(0))
    by_task = answer(a_story(failed(3, "start", text), ports={8080: (other,)})).verdict
    assert (by_task.code, by_task.certainty.value) == ("start.port_taken_by_task", "proven")
    nobody = answer(a_story(failed(3, "start", text))).verdict
    assert nobody.certainty.value == "likely"


def test_the_nearest_tag_is_named() -> None:
    story = with_image(a_story(failed(3, "pull", "manifest unknown"), image_tags=("web:1", "db:1")), "web:9")
    assert answer(story).verdict.sentence.endswith("on this host there is web:1")


@pytest.mark.parametrize(
    ("kind", "reason", "code"),
    [
        ("volume", "error looking up volume plugin rexray: plugin not found", "resource.volume_driver"),
        ("volume", "failed to mount local volume", "resource.volume_failed"),
        ("volume", "create secret-data: not found", "resource.volume_failed"),
        (
            "asmsecret",
            "retrieved secret from Secrets Manager did not contain json key user",
            "resource.secret_key_missing",
        ),
        (
            "ssmsecret",
            "fetching secret data from SSM Parameter Store in r: invalid parameters: /a",
            "resource.parameter_not_found",
        ),
        (
            "ssmsecret",
            "AccessDeniedException: is not authorized to perform: ssm:GetParameters",
            "resource.secret_denied",
        ),
        ("task network", "the secret parameter was not found", "unknown"),
        ("cgroup", "cgroup: mkdir: permission denied", "resource.cgroup_create"),
        (
            "asmsecret",
            "ResourceNotFoundException: Secrets Manager can't find the specified secret.",
            "resource.secret_not_found",
        ),
        (
            "asmsecret",
            "AccessDeniedException: not authorized to perform secretsmanager:GetSecretValue",
            "resource.secret_denied",
        ),
    ],
)
def test_resources(kind: str, reason: str, code: str) -> None:
    what = h.TaskResourceFailed(resource=kind, name="data", reason=reason)
    assert answer(a_story(entry(2, what, ""))).verdict.code == code


@pytest.mark.parametrize(
    ("doing", "message", "not_code"),
    [
        ("pull", "manifest for app:429 not found: manifest unknown", "image.rate_limited"),
        (
            "start",
            'exec: "/app/dev/run.sh": stat /app/dev/run.sh: no such file or directory: unknown',
            "start.device_missing",
        ),
        ("create", "OCI runtime create failed: something odd: unknown", "create.invalid_config"),
        ("start", "mkdir /var/lib/docker/x/cwd: no space left on device", "start.workdir_missing"),
    ],
)
def test_words_that_users_choose_prove_nothing(doing: str, message: str, not_code: str) -> None:
    assert answer(with_image(a_story(failed(3, doing, message)), "app:429")).verdict.code != not_code
