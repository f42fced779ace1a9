"""Runs a program in a lake that stands on emulators, then looks where its tables lie, from outside.

    python3 in_lake.py LAKE PROGRAM

The lake's settings files are named by LAKE_SETTINGS_TOML and LAKE_SETTINGS_JSON, its emulators by the
variables of an AWS SDK. LAKE is the command `lake`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

QUESTION = "SELECT sum(amount) FROM gold.daily"


class WrongError(Exception):
    """A table is not where or how it should be: says which."""


def bucket_and_key(location: str) -> tuple[str, str]:
    """The parts of an s3:// location."""
    parts = urlsplit(location)
    return parts.netloc, parts.path.lstrip("/")


class Lake:
    """Glue and S3, as anybody sees them who knows nothing of the program."""

    def __init__(self, settings: dict) -> None:
        self.key = settings["kms_key"]
        region = settings["region"]
        self.glue = boto3.client("glue", region_name=region)
        self.s3 = boto3.client("s3", region_name=region, config=Config(s3={"addressing_style": "path"}))

    def check_table(self, home: str, table: dict) -> int:
        """That a table and all of its files lie in its database's folder, encrypted; how many files."""
        name = f"{table['DatabaseName']}.{table['Name']}"
        metadata = table["Parameters"]["metadata_location"]
        folder = table["StorageDescriptor"]["Location"].rstrip("/") + "/"
        if not folder.startswith(home + "/") or not metadata.startswith(folder):
            raise WrongError(f"{name} is not in its database's folder {home}: {folder}, {metadata}")
        bucket, prefix = bucket_and_key(folder)
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        files = [found["Key"] for page in pages for found in page.get("Contents", [])]
        if bucket_and_key(metadata)[1] not in files:
            raise WrongError(f"{name}: there is no file {metadata}")
        for file in files:
            head = self.s3.head_object(Bucket=bucket, Key=file)
            how = (head.get("ServerSideEncryption"), head.get("SSEKMSKeyId"))
            if how != ("aws:kms", self.key):
                raise WrongError(f"{name}: {file} is encrypted by {how}, not with {self.key}")
        return len(files)

    def check(self) -> None:
        """All tables of all databases, of which each has some."""
        for database in self.glue.get_databases()["DatabaseList"]:
            tables = self.glue.get_tables(DatabaseName=database["Name"])["TableList"]
            if not tables:
                raise WrongError(f"the database {database['Name']} has no table")
            home = database["LocationUri"].rstrip("/")
            files = sum(self.check_table(home, table) for table in tables)
            print(f"{database['Name']}: {len(tables)} tables with {files} files in {home}, encrypted")


def main(lake: str, program: str) -> int:
    """The program, the check, and the same lake by its other settings file; the exit code."""
    config = os.environ["LAKE_SETTINGS_TOML"]
    settings = tomllib.loads(Path(config).read_text(encoding="utf-8"))
    done = subprocess.run([program, "--config", config], check=False)
    if done.returncode != 0:
        return done.returncode
    try:
        Lake(settings["catalogs"][settings["default_catalog"]]).check()
    except WrongError as error:
        print(f"in_lake: {error}", file=sys.stderr)
        return 1
    asked = [lake, "sql", "--config", os.environ["LAKE_SETTINGS_JSON"], QUESTION]
    return subprocess.run(asked, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
