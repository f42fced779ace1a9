"""Runs a program beside the emulators with the name of a new bucket as its argument.

    python3 emulators.py run -- PYTHON in_bucket.py PROGRAM
"""

from __future__ import annotations

import subprocess
import sys
import uuid

import boto3
from botocore.config import Config


def main(program: str) -> int:
    """Makes the bucket and runs the program; its exit code."""
    bucket = f"lake-{uuid.uuid4().hex}"
    client = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
    region = client.meta.region_name
    # The oldest region is the one that must not be named.
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    client.create_bucket(Bucket=bucket, **where)
    return subprocess.run([program, bucket], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
