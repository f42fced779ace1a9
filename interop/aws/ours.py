"""The command `lake` on an emulated Glue, with a bucket of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
from botocore.config import Config

RUN_S_MAX = 300


class Ours:
    """Statements for the command, whose settings name the warehouse; the rest is in the environment."""

    def __init__(self, lake: str, settings: Path, warehouse: str) -> None:
        self.warehouse = warehouse
        self.settings = settings
        self._command = [lake, "sql", "--config", str(settings), "--format", "json"]

    @classmethod
    @contextlib.contextmanager
    def on_new_bucket(cls, lake: str) -> Iterator[Ours]:
        """A lake in a bucket that nobody else uses."""
        bucket = f"lake-{uuid.uuid4().hex}"
        client = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
        region = os.environ["AWS_REGION"]
        # The oldest region is the one that must not be named.
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        client.create_bucket(Bucket=bucket, **where)
        warehouse = f"s3://{bucket}/lake/"
        with tempfile.TemporaryDirectory() as folder:
            settings = Path(folder) / "lake.toml"
            settings.write_text(f'[catalogs.glue]\ntype = "glue"\nwarehouse = "{warehouse}"\n', encoding="utf-8")
            yield cls(lake, settings, warehouse)

    def rows(self, sql: str) -> list[dict]:
        """What statements answer."""
        command = [*self._command, sql]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=RUN_S_MAX)
        if done.returncode != 0:
            raise AssertionError(f"{sql}\n{done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
