"""S3, Secrets Manager and others behind ``ecscope up``: moto answers what our signature check and IAM let through."""

from __future__ import annotations

import json
import os
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

import clients
from tests.contract.control.live import LivePlane, Programs

pytestmark = pytest.mark.timeout(600)  # the first one installs moto

REGION, ACCOUNT = "us-east-1", "000000000000"
READER = {"AccessKeyId": "AKIAREADERREADERREAD", "SecretAccessKey": "reader"}
STATEMENTS = [
    {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::mine/*"},
    {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::mine"},
    {
        "Effect": "Allow",
        "Action": "secretsmanager:GetSecretValue",
        "Resource": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:mine-??????",
    },
    {"Effect": "Allow", "Action": "ssm:GetParameter*", "Resource": f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/mine/*"},
    {"Effect": "Allow", "Action": ["sqs:ListQueues", "lambda:ListFunctions"], "Resource": "*"},
]
IAM = {
    "UserDetailList": [
        {
            "UserName": "reader",
            "UserPolicyList": [
                {"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Statement": STATEMENTS}},
            ],
            "AccessKeys": [READER],
        }
    ]
}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlane]:
    folder = tmp_path_factory.mktemp("live")
    (folder / "iam.json").write_text(json.dumps(IAM))
    with pytest.MonkeyPatch.context() as patch:
        try:
            patch.setenv("ECSCOPE_MOTO_PYTHON", str(clients.moto() / "python"))
        except clients.Unavailable as error:
            pytest.fail(str(error), pytrace=False)
        with LivePlane(folder, agents=0, iam_file=folder / "iam.json") as live:
            yield live


def client(live: LivePlane, service: str, key: dict[str, str] | None = None, **settings: Any) -> Any:
    """``key``: the reader's, or the administrator's without."""
    own = live.plane.administrator
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=settings.pop("endpoint_url", live.plane.url),
        aws_access_key_id=key["AccessKeyId"] if key else own.access_key_id,
        aws_secret_access_key=key["SecretAccessKey"] if key else own.secret_access_key,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=60, **settings),
    )


def refusal(call: Any, **members: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**members)
    return f"{refused.value.response['Error']['Code']}: {refused.value.response['Error']['Message']}"


def test_objects(live: LivePlane, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = client(live, "s3")
    s3.create_bucket(Bucket="mine")
    large = os.urandom(6 << 20)
    odd = "a folder/ü+%2F~.bin"
    s3.put_object(Bucket="mine", Key=odd, Body=large, Metadata={"made-by": "me"}, ContentType="image/x")
    found = s3.get_object(Bucket="mine", Key=odd)
    assert found["Body"].read() == large
    assert (found["Metadata"], found["ContentType"]) == ({"made-by": "me"}, "image/x")
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="mine")["Contents"]] == [odd]
    assert s3.head_object(Bucket="mine", Key=odd)["ContentLength"] == len(large)
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: resolve("127.0.0.1", *rest, **more))
    by_host = client(
        live, "s3", endpoint_url=live.plane.url.replace("127.0.0.1", "localhost"), s3={"addressing_style": "virtual"}
    )
    assert by_host.get_object(Bucket="mine", Key=odd, Range="bytes=0-3")["Body"].read() == large[:4]
    assert refusal(s3.get_object, Bucket="mine", Key="none").startswith("NoSuchKey: ")
    wrong = client(live, "s3", {**READER, "SecretAccessKey": "wrong"})
    assert refusal(wrong.get_object, Bucket="mine", Key=odd).startswith("SignatureDoesNotMatch: ")


@pytest.mark.parametrize("version", ["s3v4", None])
def test_a_presigned_url(live: LivePlane, version: str | None) -> None:
    """boto3's own choice is version 2 here."""
    s3 = client(live, "s3", signature_version=version)
    s3.create_bucket(Bucket="urls")
    put = s3.generate_presigned_url("put_object", {"Bucket": "urls", "Key": "a b", "ContentType": "text/x"})
    request = urllib.request.Request(put, data=b"by a browser", method="PUT", headers={"Content-Type": "text/x"})
    assert urllib.request.urlopen(request).status == 200
    get = s3.generate_presigned_url("get_object", {"Bucket": "urls", "Key": "a b"})
    assert ("X-Amz-Signature" in get) is (version == "s3v4")
    assert urllib.request.urlopen(get).read() == b"by a browser"
    for url, said in (
        (get.replace("a%20b", "other"), b"<Code>SignatureDoesNotMatch</Code>"),
        (get.split("?")[0], b"is at /urls/a b here"),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(url)
        assert said in refused.value.read()


def test_a_body_in_pieces(live: LivePlane) -> None:
    """As SDKs send streams; boto3 does so over TLS only."""

    class InPieces(S3SigV4Auth):
        def payload(self, request: Any) -> str:
            return "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

    s3 = client(live, "s3")
    s3.create_bucket(Bucket="pieces")
    key = live.plane.administrator
    for body, status in (
        (b"5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n", 200),
        (b"5\r\nhello\r\n6\r\n worl", 400),
    ):
        headers = {
            "Content-Encoding": "aws-chunked",
            "x-amz-decoded-content-length": "11",
            "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "x-amz-trailer": "x-amz-checksum-crc32",
            "x-amz-sdk-checksum-algorithm": "CRC32",
        }
        request = AWSRequest("PUT", f"{live.plane.url}/pieces/it", headers=headers, data=body)
        InPieces(Credentials(key.access_key_id, key.secret_access_key), "s3", REGION).add_auth(request)
        sent = urllib.request.Request(request.url, data=body, method="PUT", headers=dict(request.headers.items()))
        try:
            assert urllib.request.urlopen(sent).status == status
        except urllib.error.HTTPError as error:
            assert (error.code, b"<Code>IncompleteBody</Code>" in error.read()) == (status, True)
    found = s3.get_object(Bucket="pieces", Key="it", ChecksumMode="ENABLED")
    assert (found["Body"].read(), found["ChecksumCRC32"]) == (b"hello world", "DUoRhQ==")
    assert "ContentEncoding" not in found


def test_rights_are_about_the_resource(live: LivePlane) -> None:
    admin = client(live, "s3")
    for bucket in ("mine", "others"):
        admin.create_bucket(Bucket=bucket)
        admin.put_object(Bucket=bucket, Key="it", Body=b"x")
    s3 = client(live, "s3", READER)
    s3.put_object(Bucket="mine", Key="it", Body=b"y")
    assert s3.get_object(Bucket="mine", Key="it")["Body"].read() == b"y"
    denied = "AccessDenied: User: arn:aws:iam::000000000000:user/reader is not authorized to perform: "
    assert refusal(s3.get_object, Bucket="others", Key="it").startswith(
        f"{denied}s3:GetObject on resource: arn:aws:s3:::oth"
    )
    copy = {"Bucket": "mine", "Key": "copy", "CopySource": "others/it"}
    assert refusal(s3.copy_object, **copy).startswith(f"{denied}s3:GetObject on resource: arn:aws:s3:::others/it")
    some = {"Objects": [{"Key": "it"}]}
    assert refusal(s3.delete_objects, Bucket="mine", Delete=some).startswith(f"{denied}s3:DeleteObject")
    assert refusal(s3.list_buckets).startswith(f"{denied}s3:ListAllMyBuckets on resource: *")

    secrets = client(live, "secretsmanager")
    for name in ("mine", "minetoo"):
        arn = secrets.create_secret(Name=name, SecretString=f"of {name}")["ARN"]
    reader = client(live, "secretsmanager", READER)
    assert reader.get_secret_value(SecretId="mine")["SecretString"] == "of mine"
    said = refusal(reader.get_secret_value, SecretId="minetoo")
    assert said.startswith("AccessDeniedException: ")
    assert f"secretsmanager:GetSecretValue on resource: {arn} " in said, "by its whole ARN, whatever it was called"
    assert "on resource: arn:aws:secretsmanager:us-east-1:000000000000:secret:none " in refusal(
        reader.get_secret_value, SecretId="none"
    )

    parameters = client(live, "ssm")
    parameters.put_parameter(Name="/mine/a", Value="v", Type="SecureString")
    reader = client(live, "ssm", READER)
    assert reader.get_parameter(Name="/mine/a:1", WithDecryption=True)["Parameter"]["Value"] == "v"
    assert "ssm:GetParameters on resource: arn:aws:ssm:us-east-1:000000000000:parameter/b " in refusal(
        reader.get_parameters, Names=["/mine/a", "b"]
    )

    client(live, "sqs", READER).list_queues()
    assert "sqs:CreateQueue on resource: *" in refusal(client(live, "sqs", READER).create_queue, QueueName="q")
    client(live, "lambda", READER).list_functions()
    assert "lambda:DeleteFunction on resource: *" in refusal(
        client(live, "lambda", READER).delete_function, FunctionName="f"
    )
    assert "sns:CreateTopic on resource: *" in refusal(client(live, "sns", READER).create_topic, Name="t")


def test_nobody_gets_at_moto_itself(live: LivePlane) -> None:
    """Its reset would forget everything; a bucket of that name leads there."""
    s3 = client(live, "s3")
    assert refusal(s3.put_object, Bucket="moto-api", Key="reset", Body=b"").startswith("NotImplemented: Nothing is at ")


def test_who_somebody_is(live: LivePlane) -> None:
    assert client(live, "sts", READER).get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:user/reader"
    admin = client(live, "sts").get_caller_identity()
    assert (admin["Account"], admin["Arn"]) == (ACCOUNT, "arn:aws:iam::000000000000:user/administrator")
    said = refusal(client(live, "sts").assume_role, RoleArn="arn:aws:iam::1:role/x", RoleSessionName="me")
    assert said.startswith("NotImplemented: sts:AssumeRole is not available here")


def test_moto_is_killed(live: LivePlane) -> None:
    """All that was answered is there again, as it was."""
    secrets, keys, s3 = client(live, "secretsmanager"), client(live, "kms"), client(live, "s3")
    made = secrets.create_secret(Name="kept", SecretBinary=b"\0\xff")
    key = keys.create_key()["KeyMetadata"]["KeyId"]
    cipher = keys.encrypt(KeyId=key, Plaintext=b"plain")["CiphertextBlob"]
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="k", Body=b"v")
    told = secrets.describe_secret(SecretId="kept")
    moto = live.plane._others._moto
    os.kill(moto.pid, signal.SIGKILL)
    again = secrets.describe_secret(SecretId="kept")
    assert moto.starts == 2
    assert {k: v for k, v in again.items() if k != "ResponseMetadata"} == {
        k: v for k, v in told.items() if k != "ResponseMetadata"
    }
    assert secrets.get_secret_value(SecretId=made["ARN"])["SecretBinary"] == b"\0\xff"
    assert keys.decrypt(CiphertextBlob=cipher)["Plaintext"] == b"plain"
    os.kill(moto.pid, signal.SIGKILL)
    s3.put_object(Bucket="kept", Key="k2", Body=b"v2")
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="kept")["Contents"]] == ["k", "k2"]


def test_the_aws_cli(live: LivePlane, programs: Programs) -> None:
    programs.environment["AWS_ENDPOINT_URL"] = live.plane.url
    made = json.loads(
        programs.output("aws", "secretsmanager", "create-secret", "--name", "cli", "--secret-string", "s")
    )
    got = json.loads(programs.output("aws", "secretsmanager", "get-secret-value", "--secret-id", made["ARN"]))
    assert got["SecretString"] == "s"
    programs.output("aws", "ssm", "put-parameter", "--name", "/cli", "--value", "v", "--type", "String")
    assert json.loads(programs.output("aws", "ssm", "get-parameter", "--name", "/cli"))["Parameter"]["Value"] == "v"
    programs.output("aws", "s3", "mb", "s3://cli")
    programs.output("aws", "s3", "cp", __file__, "s3://cli/it")
    assert programs.output("aws", "s3", "cp", "s3://cli/it", "-") == Path(__file__).read_text()


def test_without_moto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ECSCOPE_MOTO_PYTHON", raising=False)
    with LivePlane(tmp_path, agents=0) as live:
        said = refusal(client(live, "secretsmanager").list_secrets)
        assert said.startswith("NotImplemented: Secrets Manager is answered by moto, which is not installed: run `pip")
        assert said.endswith("set AWS_ENDPOINT_URL_SECRETS_MANAGER to where Secrets Manager is, such as "
                             "https://secretsmanager.us-east-1.amazonaws.com")  # fmt: skip
        assert refusal(client(live, "s3").list_buckets).startswith("NotImplemented: S3 is answered by moto")
        assert client(live, "sts").get_caller_identity()["Account"] == ACCOUNT
        assert live.plane._others._moto.starts == 0
