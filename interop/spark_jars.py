"""Fetches the jars Spark needs for Iceberg, once, and prints them as a class path.

    python spark_jars.py FOLDER

Each jar's SHA-256 is pinned: what is in the folder or comes over the network is what these scripts
were written for, or nothing is printed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import urllib.request
from pathlib import Path

CENTRAL = "https://repo1.maven.org/maven2"
"""Maven Central; the environment variable MAVEN_MIRROR names another server with the same layout."""
JARS = {
    "org/apache/iceberg/iceberg-spark-runtime-4.1_2.13/1.12.0/iceberg-spark-runtime-4.1_2.13-1.12.0.jar":
        "3123c3798af642dd537230923548e013ef41cc28b6626e5225808cf5670a0f82",
    "org/xerial/sqlite-jdbc/3.50.3.0/sqlite-jdbc-3.50.3.0.jar":
        "a3f53a2aa15ae9425a9e793bbe9c8e5288febeb4b65ef5c1a4e80d4c2045cf08",
}
TIMEOUT_S = 120


def fetched(folder: Path, path: str, expected: str) -> Path:
    """The jar in the folder, downloaded if it is missing or another."""
    target = folder / path.rpartition("/")[2]
    if target.is_file() and _sha256(target) == expected:
        return target
    server = os.environ.get("MAVEN_MIRROR", CENTRAL).rstrip("/")
    partial = target.with_suffix(f".{os.getpid()}.part")
    with urllib.request.urlopen(f"{server}/{path}", timeout=TIMEOUT_S) as answer, partial.open("wb") as file:
        shutil.copyfileobj(answer, file)
    found = _sha256(partial)
    if found != expected:
        partial.unlink()
        raise SystemExit(f"{path}: SHA-256 is {found}, expected {expected}")
    partial.replace(target)
    return target


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(folder: Path) -> None:
    """Prints the class path."""
    folder.mkdir(parents=True, exist_ok=True)
    print(os.pathsep.join(str(fetched(folder, path, expected)) for path, expected in JARS.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
