"""What a request to S3, Secrets Manager, SSM, KMS, STS or any other service asks IAM about."""

from __future__ import annotations

from typing import Any

from ecscope.control.core.service_rights import Call, Question, S3Call, named, questions, s3_questions
from tests.tables import each_row

SECRET = "arn:aws:secretsmanager:eu-west-1:1:secret:db-AbCdEf"
KEY_ID = "b5843cfc-4374-4e91-a2fe-c27139bc0d08"
CIPHERTEXT = "YjU4NDNjZmMtNDM3NC00ZTkxLWEyZmUtYzI3MTM5YmMwZDA4RvbQZpO7"
S, P, K = "arn:aws:secretsmanager:eu-west-1:1:secret:", "arn:aws:ssm:eu-west-1:1:", "arn:aws:kms:eu-west-1:1:"


def asked(action: str, *resources: str, **context: Any) -> Question:
    return Question(action, resources, context)


@each_row(
    "operation, body, arns, expected",
    [
        (
            "secretsmanager:GetSecretValue",
            {"SecretId": "db"},
            {"db": SECRET},
            (asked("secretsmanager:GetSecretValue", SECRET),),
        ),
        ("secretsmanager:GetSecretValue", {"SecretId": "no"}, {}, (asked("secretsmanager:GetSecretValue", f"{S}no"),)),
        ("secretsmanager:GetSecretValue", {"SecretId": SECRET}, {}, (asked("secretsmanager:GetSecretValue", SECRET),)),
        ("secretsmanager:CreateSecret", {"Name": "db"}, {}, (asked("secretsmanager:CreateSecret", f"{S}db"),)),
        ("secretsmanager:ListSecrets", {}, {}, (asked("secretsmanager:ListSecrets", "*"),)),
        (
            "secretsmanager:BatchGetSecretValue",
            {"SecretIdList": ["db", "x"]},
            {"db": SECRET},
            (
                asked("secretsmanager:BatchGetSecretValue", "*"),
                asked("secretsmanager:GetSecretValue", SECRET, f"{S}x"),
            ),
        ),
        (
            "secretsmanager:BatchGetSecretValue",
            {"Filters": []},
            {},
            (asked("secretsmanager:BatchGetSecretValue", "*"), asked("secretsmanager:GetSecretValue", f"{S}*")),
        ),
        ("ssm:GetParameter", {"Name": "/a/b"}, {}, (asked("ssm:GetParameter", f"{P}parameter/a/b"),)),
        ("ssm:GetParameter", {"Name": "a:3"}, {}, (asked("ssm:GetParameter", f"{P}parameter/a"),)),
        ("ssm:GetParameter", {"Name": f"{P}parameter/a:3"}, {}, (asked("ssm:GetParameter", f"{P}parameter/a"),)),
        (
            "ssm:GetParameters",
            {"Names": ["a", "/b"]},
            {},
            (asked("ssm:GetParameters", f"{P}parameter/a", f"{P}parameter/b"),),
        ),
        ("ssm:GetParametersByPath", {"Path": "/a/"}, {}, (asked("ssm:GetParametersByPath", f"{P}parameter/a/"),)),
        ("ssm:DescribeParameters", {"Name": "a"}, {}, (asked("ssm:DescribeParameters", "*"),)),
        ("ssm:SendCommand", {"Name": "a"}, {}, (asked("ssm:SendCommand", "*"),)),
        (
            "ssm:AddTagsToResource",
            {"ResourceType": "Parameter", "ResourceId": "/a"},
            {},
            (asked("ssm:AddTagsToResource", f"{P}parameter/a"),),
        ),
        ("kms:Encrypt", {"KeyId": "alias/x"}, {"alias/x": f"{K}key/1"}, (asked("kms:Encrypt", f"{K}key/1"),)),
        ("kms:Encrypt", {"KeyId": "alias/x"}, {}, (asked("kms:Encrypt", f"{K}alias/x"),)),
        ("kms:Decrypt", {"CiphertextBlob": CIPHERTEXT}, {}, (asked("kms:Decrypt", f"{K}key/{KEY_ID}"),)),
        ("kms:Decrypt", {"CiphertextBlob": "///"}, {}, (asked("kms:Decrypt", "*"),)),
        (
            "kms:CreateAlias",
            {"AliasName": "alias/x", "TargetKeyId": "1"},
            {},
            (asked("kms:CreateAlias", f"{K}key/1", f"{K}alias/x"),),
        ),
        ("kms:CreateKey", {}, {}, (asked("kms:CreateKey", "*"),)),
        ("sts:AssumeRole", {"RoleArn": "arn:x"}, {}, (asked("sts:AssumeRole", "arn:x"),)),
        ("sqs:SendMessage", {"QueueUrl": "http://x/1/q"}, {}, (asked("sqs:SendMessage", "*"),)),
        ("ssm:GetParameter", {"Name": 3}, {}, (asked("ssm:GetParameter", "*"),)),
    ],
)
def test_of_a_service(operation: str, body: Any, arns: dict[str, str], expected: tuple[Question, ...]) -> None:
    service, _, name = operation.partition(":")
    call = Call(service=service, operation=name, region="eu-west-1", account="1", body=body)
    assert arns.keys() <= set(named(call))
    assert questions(call, arns) == expected


B = "arn:aws:s3:::b"


@each_row(
    "call, expected",
    [
        (("GET", "", "", {}), (asked("s3:ListAllMyBuckets", "*"),)),
        (("PUT", "b", "", {}), (asked("s3:CreateBucket", B),)),
        (("HEAD", "b", "", {}), (asked("s3:ListBucket", B),)),
        (("GET", "b", "", {"list-type": "2", "prefix": "x/"}), (asked("s3:ListBucket", B, **{"s3:prefix": ("x/",)}),)),
        (("GET", "b", "", {"versions": ""}), (asked("s3:ListBucketVersions", B),)),
        (("GET", "b", "", {"location": ""}), (asked("s3:GetBucketLocation", B),)),
        (("PUT", "b", "", {"lifecycle": ""}), (asked("s3:PutLifecycleConfiguration", B),)),
        (("DELETE", "b", "", {"lifecycle": ""}), (asked("s3:PutLifecycleConfiguration", B),)),
        (("DELETE", "b", "", {"policy": ""}), (asked("s3:DeleteBucketPolicy", B),)),
        (("DELETE", "b", "", {}), (asked("s3:DeleteBucket", B),)),
        (("POST", "b", "", {}), (asked("s3:Unknown", B),)),
        (("GET", "b", "k/l", {}), (asked("s3:GetObject", f"{B}/k/l"),)),
        (("HEAD", "b", "k", {"versionId": "1"}), (asked("s3:GetObjectVersion", f"{B}/k"),)),
        (("PUT", "b", "k", {"partNumber": "1", "uploadId": "u"}), (asked("s3:PutObject", f"{B}/k"),)),
        (("POST", "b", "k", {"uploads": ""}), (asked("s3:PutObject", f"{B}/k"),)),
        (("GET", "b", "k", {"uploadId": "u"}), (asked("s3:ListMultipartUploadParts", f"{B}/k"),)),
        (("DELETE", "b", "k", {"uploadId": "u"}), (asked("s3:AbortMultipartUpload", f"{B}/k"),)),
        (("DELETE", "b", "k", {"versionId": "1"}), (asked("s3:DeleteObjectVersion", f"{B}/k"),)),
        (("PUT", "b", "k", {"tagging": ""}), (asked("s3:PutObjectTagging", f"{B}/k"),)),
        (("GET", "b", "k", {"acl": "", "versionId": "1"}), (asked("s3:GetObjectVersionAcl", f"{B}/k"),)),
        (("GET", "b", "k", {"retention": ""}), (asked("s3:GetObjectRetention", f"{B}/k"),)),
    ],
)
def test_of_s3(call: tuple[str, str, str, dict[str, str]], expected: tuple[Question, ...]) -> None:
    method, bucket, key, query = call
    assert s3_questions(S3Call(method=method, bucket=bucket, key=key, query=query)) == expected


def test_a_copy_reads_its_source() -> None:
    call = S3Call(method="PUT", bucket="b", key="k", copy_source="/other/a b?versionId=1")
    assert s3_questions(call) == (
        asked("s3:GetObjectVersion", "arn:aws:s3:::other/a b"),
        asked("s3:PutObject", f"{B}/k"),
    )


def test_several_are_deleted() -> None:
    call = S3Call(method="POST", bucket="b", key="", query={"delete": ""}, deleted=(("x", ""), ("y", "1")))
    assert s3_questions(call) == (asked("s3:DeleteObject", f"{B}/x"), asked("s3:DeleteObjectVersion", f"{B}/y"))
    none = S3Call(method="POST", bucket="b", key="", query={"delete": ""})
    assert s3_questions(none) == (asked("s3:DeleteObject", f"{B}/*"),)
