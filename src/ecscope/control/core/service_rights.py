"""What requests to the services beside ECS ask IAM about. Pure.

S3, Secrets Manager, SSM, KMS and STS ask about the ARN of the resource, every other one about ``service:Operation`` on
``*``.

Source: Service Authorization Reference, "Actions, resources, and condition keys" of each of the five.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping

import msgspec

from ecscope.control.core.records import Json

EVERYTHING = ("*",)
_KEY_ID_BYTES = 36
"""With which moto's ciphertexts begin."""


class Question(msgspec.Struct, frozen=True):
    """May this be done, on all of these?"""

    action: str
    """``s3:GetObject``."""
    resources: tuple[str, ...]
    """ARNs, or ``*`` alone."""
    context: Mapping[str, tuple[str, ...]] = {}
    """Condition key, in lower case → its values."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request to any service but S3."""

    service: str
    """As it is signed for: ``secretsmanager``."""
    operation: str
    """``GetSecretValue``."""
    region: str
    account: str
    body: Json = {}
    """Its members."""

    @property
    def action(self) -> str:
        return f"{self.service}:{self.operation}"

    def arn(self, resource: str) -> str:
        """In this region and account."""
        return f"arn:aws:{self.service}:{self.region}:{self.account}:{resource}"


def named(call: Call) -> tuple[str, ...]:
    """Secrets and keys that are named otherwise than by their whole ARN, which only moto knows."""
    match call.service:
        case "secretsmanager":
            return tuple(_texts(call.body, "SecretId", "SecretIdList"))
        case "kms":
            return tuple(_keys_of(call))
        case _:
            return ()


def questions(call: Call, arns: Mapping[str, str]) -> tuple[Question, ...]:
    """All of it must be allowed.

    ``arns``: for each of ``named``, its ARN; what does not exist is left out.
    """
    match call.service:
        case "secretsmanager":
            return _of_secrets(call, arns)
        case "ssm":
            return (Question(call.action, tuple(_parameters(call)) or EVERYTHING),)
        case "kms":
            resources = [arns.get(name, _key_arn(call, name)) for name in _keys_of(call)]
            if call.operation in {"CreateAlias", "UpdateAlias", "DeleteAlias"}:
                resources += [call.arn(alias) for alias in _texts(call.body, "AliasName")]
            return (Question(call.action, tuple(dict.fromkeys(resources)) or EVERYTHING),)
        case "sts":
            return (Question(call.action, tuple(_texts(call.body, "RoleArn")) or EVERYTHING),)
        case _:
            return (Question(call.action, EVERYTHING),)


def _texts(body: Json, *members: str) -> Iterator[str]:
    for member in members:
        value = body.get(member)
        listed = value if isinstance(value, list) else [value]
        yield from (each for each in listed if isinstance(each, str) and each)


def _of_secrets(call: Call, arns: Mapping[str, str]) -> tuple[Question, ...]:
    found = [arns.get(name, name if name.startswith("arn:") else call.arn(f"secret:{name}")) for name in named(call)]
    if call.operation == "BatchGetSecretValue":  # which wants the right to read each one as well
        read = tuple(found) or (call.arn("secret:*"),)
        return (Question(call.action, EVERYTHING), Question("secretsmanager:GetSecretValue", read))
    if call.operation == "CreateSecret":
        found = [call.arn(f"secret:{name}") for name in _texts(call.body, "Name")]
    return (Question(call.action, tuple(found) or EVERYTHING),)


def _parameters(call: Call) -> Iterator[str]:
    if call.operation in {"AddTagsToResource", "RemoveTagsFromResource", "ListTagsForResource"}:
        names = _texts(call.body, "ResourceId") if call.body.get("ResourceType") == "Parameter" else iter(())
    elif "Parameter" in call.operation and call.operation != "DescribeParameters":
        names = _texts(call.body, "Name", "Names", "Path")
    else:
        return
    for name in names:
        if name.startswith("arn:"):
            parts = name.split(":")
            yield ":".join(parts[:6])  # without a version or a label
        else:
            yield call.arn(f"parameter/{name.partition(':')[0].removeprefix('/')}")


def _keys_of(call: Call) -> Iterator[str]:
    if call.operation in {"ListKeys", "ListAliases", "CreateKey", "GenerateRandom"}:
        return
    given = [*_texts(call.body, "KeyId", "TargetKeyId", "SourceKeyId", "DestinationKeyId")]
    yield from given
    if not given or call.operation == "ReEncrypt":
        for blob in _texts(call.body, "CiphertextBlob"):
            try:
                yield base64.b64decode(blob)[:_KEY_ID_BYTES].decode("ascii")
            except ValueError:  # neither base64 nor of moto
                continue


def _key_arn(call: Call, name: str) -> str:
    if name.startswith("arn:"):
        return name
    return call.arn(name if name.startswith("alias/") else f"key/{name}")


# --- S3 -----------------------------------------------------------------------------------------------------------


class S3Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request to S3."""

    method: str
    bucket: str
    """``""``: it is about all of them."""
    key: str
    """Decoded; ``""``: it is about the bucket."""
    query: Mapping[str, str] = {}
    copy_source: str = ""
    """``x-amz-copy-source``: ``bucket/key``, decoded, perhaps with ``?versionId=…``."""
    deleted: tuple[tuple[str, str], ...] = ()
    """Keys and versions (``""``: none) that ``POST ?delete`` names."""


_OF_BUCKET: Mapping[str, str] = {
    "accelerate": "AccelerateConfiguration", "acl": "BucketAcl", "analytics": "AnalyticsConfiguration",
    "cors": "BucketCORS", "encryption": "EncryptionConfiguration",
    "intelligent-tiering": "IntelligentTieringConfiguration", "inventory": "InventoryConfiguration",
    "lifecycle": "LifecycleConfiguration", "location": "BucketLocation", "logging": "BucketLogging",
    "metrics": "MetricsConfiguration", "notification": "BucketNotification",
    "object-lock": "BucketObjectLockConfiguration", "ownershipControls": "BucketOwnershipControls",
    "policy": "BucketPolicy", "policyStatus": "BucketPolicyStatus", "publicAccessBlock": "BucketPublicAccessBlock",
    "replication": "ReplicationConfiguration", "requestPayment": "BucketRequestPayment", "tagging": "BucketTagging",
    "versioning": "BucketVersioning", "website": "BucketWebsite",
}  # fmt: skip
"""Parameter of the query → what is got and put; to delete it is to put it, but for two."""
_DELETED_BY_NAME = {"policy": "s3:DeleteBucketPolicy", "website": "s3:DeleteBucketWebsite"}
_OF_OBJECT: Mapping[str, str] = {
    "acl": "Acl", "tagging": "Tagging", "retention": "Retention", "legal-hold": "LegalHold", "torrent": "Torrent",
}  # fmt: skip
_WITH_VERSIONS = frozenset({"Acl", "Tagging", "Torrent"})
_LISTS = {
    "versions": "s3:ListBucketVersions",
    "uploads": "s3:ListBucketMultipartUploads",
}


def s3_questions(call: S3Call) -> tuple[Question, ...]:
    """All of it must be allowed."""
    if not call.bucket:
        return (Question("s3:ListAllMyBuckets" if call.method in {"GET", "HEAD"} else "s3:Unknown", EVERYTHING),)
    bucket = f"arn:aws:s3:::{call.bucket}"
    if call.key:
        return tuple(_of_object(call, f"{bucket}/{call.key}"))
    if call.method == "POST" and "delete" in call.query:
        plain = tuple(f"{bucket}/{key}" for key, version in call.deleted if not version)
        old = tuple(f"{bucket}/{key}" for key, version in call.deleted if version)
        asked = (Question("s3:DeleteObject", plain), Question("s3:DeleteObjectVersion", old))
        return tuple(each for each in asked if each.resources) or (Question("s3:DeleteObject", (f"{bucket}/*",)),)
    prefix = {"s3:prefix": (call.query["prefix"],)} if "prefix" in call.query else {}
    return (Question(_action_on_bucket(call), (bucket,), prefix),)


def _action_on_bucket(call: S3Call) -> str:
    for parameter, what in _OF_BUCKET.items():
        if parameter in call.query:
            if call.method == "DELETE" and parameter in _DELETED_BY_NAME:
                return _DELETED_BY_NAME[parameter]
            return f"s3:{'Get' if call.method in {'GET', 'HEAD'} else 'Put'}{what}"
    for parameter, action in _LISTS.items():
        if parameter in call.query:
            return action
    plain = {"GET": "s3:ListBucket", "HEAD": "s3:ListBucket", "PUT": "s3:CreateBucket", "DELETE": "s3:DeleteBucket"}
    return plain.get(call.method, "s3:Unknown")


def _of_object(call: S3Call, arn: str) -> Iterator[Question]:
    version = "Version" if call.query.get("versionId") else ""
    reads = call.method in {"GET", "HEAD"}
    if call.copy_source:
        source, _, of_version = call.copy_source.removeprefix("/").partition("?versionId=")
        yield Question(f"s3:GetObject{'Version' if of_version else ''}", (f"arn:aws:s3:::{source}",))
    for parameter, what in _OF_OBJECT.items():
        if parameter in call.query:
            verb = "Get" if reads else "Delete" if call.method == "DELETE" else "Put"
            yield Question(f"s3:{verb}Object{version if what in _WITH_VERSIONS else ''}{what}", (arn,))
            return
    if "attributes" in call.query:
        yield Question(f"s3:GetObject{version}", (arn,))
        yield Question(f"s3:GetObject{version}Attributes", (arn,))
    elif "uploadId" in call.query and call.method in {"GET", "DELETE"}:
        yield Question("s3:ListMultipartUploadParts" if reads else "s3:AbortMultipartUpload", (arn,))
    elif "restore" in call.query:
        yield Question("s3:RestoreObject", (arn,))
    elif reads or "select" in call.query:
        yield Question(f"s3:GetObject{version}", (arn,))
    elif call.method == "DELETE":
        yield Question(f"s3:DeleteObject{version}", (arn,))
    else:
        yield Question("s3:PutObject", (arn,))
