"""Holds the emulators to what the tests on them rely on, and to what they are known not to do.

    python3 emulators.py run -- <moto's python> check_emulators.py [FAULT_PROXY]

A gap that closes, or a promise that breaks, fails here first, with its name, before a test passes or
fails for the wrong reason. FAULT_PROXY is the program of that name; with it, the same clients speak to
ministack through lost and throttled answers.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
import time
import traceback
import urllib.request
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

REGION = os.environ["AWS_REGION"]
BUCKET = "lake-check"
DATABASE = "check"
WRITERS = 16
ROUNDS = 5


class Service:
    """One emulator's clients: asked once, never again by themselves."""

    def __init__(self, name: str, endpoint: str) -> None:
        self.name = name
        self.endpoint = endpoint
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"},
                        max_pool_connections=WRITERS, read_timeout=30)
        for client in ("s3", "glue", "kms", "sts", "lakeformation"):
            setattr(self, client, boto3.client(client, endpoint_url=endpoint, config=config))


def refused(call: Callable[..., object], *values: object, **named: object) -> str:
    """The code of the error that the call ends with; `nothing` if there is none."""
    try:
        call(*values, **named)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "nothing"


def same(what: str, found: object, expected: object) -> None:
    """Fails where something is not as it is known to be."""
    if found != expected:
        raise AssertionError(f"{what}: {found!r}, known to be {expected!r}")


def racing(one: Callable[[int], str]) -> list[str]:
    """What each of many writers was told."""
    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(one, range(WRITERS)))


class Objects:
    """The bucket's objects."""

    def __init__(self, aws: Service) -> None:
        self._s3 = aws.s3

    def put(self, key: str, body: bytes, **condition: str) -> str:
        """Writes one; its tag."""
        return self._s3.put_object(Bucket=BUCKET, Key=key, Body=body, **condition)["ETag"]

    def get(self, key: str, **how: str) -> bytes:
        """Reads one."""
        return self._s3.get_object(Bucket=BUCKET, Key=key, **how)["Body"].read()


class Tables:
    """The tables of a Glue database, as Iceberg has them."""

    def __init__(self, aws: Service) -> None:
        self._glue = aws.glue

    def create(self, name: str) -> None:
        """Makes one."""
        self._glue.create_table(DatabaseName=DATABASE, TableInput=self._input(name))

    def get(self, name: str = "t", **how: str) -> dict:
        """What is known of one."""
        return self._glue.get_table(DatabaseName=DATABASE, Name=name, **how)["Table"]

    def pointer(self) -> str:
        """Where the metadata of the table `t` is."""
        return self.get()["Parameters"]["metadata_location"]

    def swap(self, version: str, to: str) -> None:
        """Moves the pointer of the table `t`, if its version is the one given."""
        self._glue.update_table(DatabaseName=DATABASE, TableInput=self._input("t", metadata_location=to),
                                VersionId=version, SkipArchive=True)

    @staticmethod
    def _input(name: str, **parameters: str) -> dict:
        columns = [{"Name": "a", "Type": "int"}]
        return {"Name": name, "TableType": "EXTERNAL_TABLE", "Parameters": {"table_type": "ICEBERG", **parameters},
                "StorageDescriptor": {"Location": f"s3://{BUCKET}/{name}", "Columns": columns}}


def bucket_with_versions(aws: Service) -> None:
    """A bucket, versioned, and what a second one of its name is told."""
    make = functools.partial(aws.s3.create_bucket, Bucket=BUCKET,
                             CreateBucketConfiguration={"LocationConstraint": REGION})
    make()
    same("a second bucket", refused(make), "BucketAlreadyOwnedByYou")
    aws.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    same("versioning", aws.s3.get_bucket_versioning(Bucket=BUCKET)["Status"], "Enabled")
    same("location", aws.s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"], REGION)
    elsewhere = boto3.client("s3", endpoint_url=aws.endpoint, region_name="us-west-2")
    same("gap: another region is served", elsewhere.head_bucket(Bucket=BUCKET)["BucketRegion"], REGION)


def conditional_objects(aws: Service) -> None:
    """Writes and reads under conditions, ranges, and one winner among many."""
    objects = Objects(aws)
    first = objects.put("a", b"one", IfNoneMatch="*")
    same("a second If-None-Match", refused(objects.put, "a", b"two", IfNoneMatch="*"), "PreconditionFailed")
    second = objects.put("a", b"two", IfMatch=first)
    same("a stale If-Match", refused(objects.put, "a", b"three", IfMatch=first), "PreconditionFailed")
    same("If-Match of no object", refused(objects.put, "none", b"", IfMatch=first), "NoSuchKey")
    same("the object", objects.get("a", IfMatch=second), b"two")
    same("a stale read", refused(objects.get, "a", IfMatch=first), "PreconditionFailed")
    same("an unchanged read", refused(objects.get, "a", IfNoneMatch=second), "304")
    same("ranges", (objects.get("a", Range="bytes=1-1"), objects.get("a", Range="bytes=-2")), (b"w", b"wo"))
    same("a range behind the end", refused(objects.get, "a", Range="bytes=9-"), "InvalidRange")
    same("versions", len(aws.s3.list_object_versions(Bucket=BUCKET, Prefix="a")["Versions"]), 2)
    copied = aws.s3.copy_object(Bucket=BUCKET, Key="a", CopySource=f"{BUCKET}/a", IfNoneMatch="*",
                                MetadataDirective="REPLACE")
    same("gap: a copy ignores If-None-Match", "CopyObjectResult" in copied, True)
    for at in range(ROUNDS):
        put = functools.partial(refused, objects.put, f"race/{at}", IfNoneMatch="*")
        told = racing(lambda writer, put=put: put(b"%d" % writer))
        same("winners of a race", told.count("nothing"), 1)


def encrypted_objects(aws: Service) -> None:
    """What is told about encryption; nothing is encrypted, and no key is asked for."""
    key = f"arn:aws:kms:{REGION}:000000000000:key/none"
    put = aws.s3.put_object(Bucket=BUCKET, Key="k", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    same("gap: a key that is not there encrypts", put["SSEKMSKeyId"], key)
    same("gap: and decrypts", Objects(aws).get("k"), b"x")


def glue_tables(aws: Service) -> None:
    """Databases and tables, and the gaps around their names and lists."""
    aws.glue.create_database(DatabaseInput={"Name": DATABASE})
    tables = Tables(aws)
    tables.create("t")
    same("a second table", refused(tables.create, "t"), "AlreadyExistsException")
    same("a missing table", refused(tables.get, "none"), "EntityNotFoundException")
    found = tables.get()
    same("parameters", found["Parameters"], {"table_type": "ICEBERG"})
    same("location", found["StorageDescriptor"]["Location"], f"s3://{BUCKET}/t")
    tables.create("Upper")
    same("gap: names keep their case", refused(tables.get, "upper"), "EntityNotFoundException")
    listed = aws.glue.get_tables(DatabaseName=DATABASE, MaxResults=1)
    same("gap: lists have one page", (len(listed["TableList"]), listed.get("NextToken")), (2, None))
    same("gap: every account has the same tables", tables.get(CatalogId="999999999999")["Name"], "t")
    aws.glue.create_table(DatabaseName=DATABASE, TableInput={
        "Name": "link", "TargetTable": {"CatalogId": "000000000000", "DatabaseName": DATABASE, "Name": "t"}})
    same("a link's target (gap at ministack)", "TargetTable" in tables.get("link"), aws.name == "moto")
    same("gap: links are not followed", "table_type" in tables.get("link").get("Parameters", {}), False)
    versions = refused(aws.glue.get_table_versions, DatabaseName=DATABASE, TableName="t")
    same("versions (gap at ministack)", versions, {"ministack": "InvalidAction", "moto": "nothing"}[aws.name])


def glue_versions(aws: Service) -> None:
    """The swap under `VersionId`: ministack compares it, moto does not."""
    tables = Tables(aws)
    read = tables.get()["VersionId"]
    same("a first swap", refused(tables.swap, read, "first"), "nothing")
    stale = {"ministack": "ConcurrentModificationException", "moto": "nothing"}[aws.name]
    same("a swap with a stale VersionId (gap at moto)", refused(tables.swap, read, "second"), stale)
    same("the pointer (gap at moto)", tables.pointer(), {"ministack": "first", "moto": "second"}[aws.name])
    for _ in range(ROUNDS):
        swap = functools.partial(refused, tables.swap, tables.get()["VersionId"])
        told = racing(lambda writer, swap=swap: swap(f"by {writer}"))
        same("winners of a race (gap at moto)", told.count("nothing"), {"ministack": 1, "moto": WRITERS}[aws.name])


def keys(aws: Service) -> None:
    """A key encrypts; disabled, it does not at ministack."""
    key = aws.kms.create_key()["KeyMetadata"]["KeyId"]
    secret = aws.kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    same("decrypted", aws.kms.decrypt(CiphertextBlob=secret)["Plaintext"], b"x")
    aws.kms.disable_key(KeyId=key)
    known = {"ministack": "DisabledException", "moto": "nothing"}[aws.name]
    same("a disabled key (gap at moto)", refused(aws.kms.decrypt, CiphertextBlob=secret), known)


def identity(aws: Service) -> None:
    """Who we are; any secret will do."""
    same("account", len(aws.sts.get_caller_identity()["Account"]), 12)
    role = "arn:aws:iam::123456789012:role/none"
    assumed = aws.sts.assume_role(RoleArn=role, RoleSessionName="check")["AssumedRoleUser"]["Arn"]
    same("gap: a role that is not there is assumed", assumed.endswith("assumed-role/none/check"), True)
    wrong = boto3.client("sts", endpoint_url=aws.endpoint, aws_access_key_id="wrong", aws_secret_access_key="wrong")
    same("gap: a wrong secret is accepted", refused(wrong.get_caller_identity), "nothing")


def lake_formation(aws: Service) -> None:
    """Settings at moto only; metadata without filters nowhere."""
    known = {"ministack": "400", "moto": "nothing"}[aws.name]
    same("settings (gap at ministack)", refused(aws.lakeformation.get_data_lake_settings), known)
    unfiltered = refused(aws.glue.get_unfiltered_table_metadata, CatalogId="000000000000", DatabaseName=DATABASE,
                         Name="t", SupportedPermissionTypes=["COLUMN_PERMISSION"])
    same("gap: unfiltered metadata", unfiltered, {"ministack": "InvalidAction", "moto": "500"}[aws.name])


def loopback_only(aws: Service) -> None:
    """No other address of this machine answers."""
    host, port = urlsplit(aws.endpoint).hostname, urlsplit(aws.endpoint).port
    same("host", host, "127.0.0.1")
    addresses = {found[4][0] for found in _addresses()} - {"127.0.0.1"}
    for address in (address for address in addresses if not address.startswith("127.")):
        try:
            socket.create_connection((address, port), timeout=2).close()
        except OSError:
            continue
        raise AssertionError(f"{aws.endpoint} answers at {address}, too")


def _addresses() -> list[tuple]:
    try:
        return socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    except OSError:
        return []


@contextlib.contextmanager
def proxied(program: str, upstream: str) -> Iterator[str]:
    """The fault proxy in front of a server; it stops when its input ends."""
    with subprocess.Popen([program, upstream, "7"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as proxy:
        try:
            yield proxy.stdout.readline().strip()
        finally:
            proxy.stdin.close()


def asked(endpoint: str, task: str, body: object = None) -> object:
    """What the fault proxy itself answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    data = None if body is None else json.dumps(body).encode()
    with opener.open(f"{endpoint}/_fault_proxy/{task}", data=data, timeout=30) as answer:
        return json.load(answer)


def behind_the_proxy(aws: Service, program: str) -> None:
    """Swaps whose answer is lost are done, swaps that are throttled are not."""
    with proxied(program, aws.endpoint) as endpoint:
        through = Service(aws.name, endpoint)
        tables, objects = Tables(through), Objects(through)

        def swapped(fault: str) -> tuple[str, str]:
            calls = {"service": "glue", "operation": "UpdateTable"}
            asked(endpoint, "rules", {"calls": calls, "when": {"nth": 1}, "faults": [fault]})
            try:
                told = refused(tables.swap, tables.get()["VersionId"], fault)
            except BotoCoreError as error:
                told = type(error).__name__
            return told, Tables(aws).pointer()

        same("a lost answer", swapped("answer_lost"), ("ConnectionClosedError", "answer_lost"))
        same("throttled", swapped("throttled"), ("ThrottlingException", "answer_lost"))
        objects.put("proxied", b"x" * 100_000)
        same("written and read through it", objects.get("proxied"), b"x" * 100_000)
        calls = asked(endpoint, "journal")
        same("journal", [(call["operation"], call["upstream_status"], call["told_status"]) for call in calls], [
            ("GetTable", 200, 200), ("UpdateTable", 200, None), ("GetTable", 200, 200), ("UpdateTable", None, 400),
            ("PutObject", 200, 200), ("GetObject", 200, 200)])


CHECKS = (bucket_with_versions, conditional_objects, encrypted_objects, glue_tables, glue_versions, keys, identity,
          lake_formation, loopback_only)


def main(arguments: list[str]) -> int:
    """Runs all checks; 1 if one fails."""
    services = [Service(name, os.environ[f"{name.upper()}_ENDPOINT_URL"]) for name in ("ministack", "moto")]
    checks = [(aws, check.__name__, functools.partial(check, aws)) for aws in services for check in CHECKS]
    for program in arguments[:1]:
        proxied_check = functools.partial(behind_the_proxy, services[0], program)
        checks.append((services[0], behind_the_proxy.__name__, proxied_check))
    failed = 0
    for aws, name, check in checks:
        started = time.monotonic()
        try:
            check()
        except Exception:  # noqa: BLE001 - the others go on, so that one run shows all there is to mend
            failed += 1
            print(f"FAILS {aws.name}: {name}\n{traceback.format_exc()}")
        else:
            print(f"  {aws.name}: {name} ({time.monotonic() - started:.1f} s)")
    print(f"{len(checks)} checks, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
