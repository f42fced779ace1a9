"""A Trino server of ours: fetched once, started on a free port of the loopback, asked over HTTP.

    python3 trino.py java          prints the Java it would use; exit code 3 where there is none
    python3 trino.py fetch FOLDER  makes FOLDER/trino-server-… ready
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import processes

VERSION = "476"
ARCHIVE = f"io/trino/trino-server/{VERSION}/trino-server-{VERSION}.tar.gz"
SHA256 = "cfd5accde17e8ebd251eeeb78aed1f490e77bb3a164d95a0f454bf8a7c1cbd3f"
CENTRAL = "https://repo1.maven.org/maven2"
"""Maven Central; the environment variable MAVEN_MIRROR names another server with the same layout."""
PLUGINS = {"iceberg", "geospatial", "tpch", "memory"}
"""What is kept of a gigabyte: Iceberg, and what the server does not start without."""
JAVA_MIN = 24
TIMEOUT_S = 120
READY_S_MAX = 180.0
STOP_S_MAX = 30.0
MISSING = 3

JVM = """-server
-Xmx1536M
-XX:+UseG1GC
-XX:+ExitOnOutOfMemoryError
--add-modules=jdk.incubator.vector
--enable-native-access=ALL-UNNAMED
--sun-misc-unsafe-memory-access=allow
-Djdk.attach.allowAttachSelf=true
"""


class TrinoError(Exception):
    """A statement failed: says why, and by which of Trino's names."""

    def __init__(self, sql: str, error: dict) -> None:
        super().__init__(f"{sql}\n{error.get('errorName')}: {error.get('message')}")
        self.name = error.get("errorName", "")


def java_home() -> Path | None:
    """The folder of a Java that is new enough: TRINO_JAVA_HOME, JAVA_HOME, or a usual place."""
    named = [Path(os.environ[name]) for name in ("TRINO_JAVA_HOME", "JAVA_HOME") if os.environ.get(name)]
    usual = sorted(Path("/usr/lib/jvm").glob("*")) if Path("/usr/lib/jvm").is_dir() else []
    return next((home for home in [*named, *usual] if _major(home) >= JAVA_MIN), None)


def _major(home: Path) -> int:
    java = home / "bin" / "java"
    if not java.is_file():
        return 0
    told = subprocess.run([str(java), "-version"], capture_output=True, text=True, check=False, timeout=30).stderr
    found = re.search(r'version "(\d+)', told)
    return int(found.group(1)) if found else 0


def fetched(folder: Path) -> Path:
    """The unpacked server, downloaded if it is missing; its checksum is pinned."""
    server = folder / f"trino-server-{VERSION}"
    if (server / "ready").is_file():
        return server
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(server, ignore_errors=True)
    mirror = os.environ.get("MAVEN_MIRROR", CENTRAL).rstrip("/")
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".tar.gz") as archive:
        with urllib.request.urlopen(f"{mirror}/{ARCHIVE}", timeout=TIMEOUT_S) as answer:
            shutil.copyfileobj(answer, archive)
        archive.flush()
        with Path(archive.name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != SHA256:
            raise SystemExit(f"{ARCHIVE}: SHA-256 is {found}, expected {SHA256}")
        # Files that plugins share are links to each other, so all are unpacked before some go.
        subprocess.run(["tar", "xzf", archive.name, "-C", str(folder)], check=True, timeout=600)
    for plugin in (server / "plugin").iterdir():
        if plugin.name not in PLUGINS:
            shutil.rmtree(plugin)
    (server / "ready").touch()
    return server


class Trino:
    """A server that answers statements."""

    def __init__(self, port: int, catalog: str) -> None:
        self._url = f"http://{processes.LOOPBACK}:{port}"
        self._catalog = catalog

    def rows(self, sql: str) -> list[list]:
        """What a statement answers."""
        headers = {"X-Trino-User": "interop", "X-Trino-Catalog": self._catalog, "X-Trino-Time-Zone": "UTC"}
        request = urllib.request.Request(f"{self._url}/v1/statement", data=sql.encode(), headers=headers)
        rows: list[list] = []
        while True:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                told = json.load(answer)
            if "error" in told:
                raise TrinoError(sql, told["error"])
            rows.extend(told.get("data", []))
            if "nextUri" not in told:
                return rows
            request = urllib.request.Request(told["nextUri"], headers=headers)

    def is_ready(self) -> bool:
        """Whether it takes statements."""
        with contextlib.suppress(OSError, urllib.error.URLError, ValueError):
            with urllib.request.urlopen(f"{self._url}/v1/info", timeout=5) as answer:
                return json.load(answer).get("starting") is False
        return False


@contextlib.contextmanager
def started(server: Path, java: Path, catalog: str) -> Iterator[Trino]:
    """A server that stops with the block; statements are about the catalog of that name."""
    port = processes.free_port()
    with tempfile.TemporaryDirectory() as folder:
        etc = Path(folder) / "etc"
        etc.mkdir()
        (etc / "jvm.config").write_text(JVM, encoding="utf-8")
        (etc / "node.properties").write_text(
            f"node.environment=interop\nnode.id=interop\nnode.data-dir={folder}/data\n"
            f"node.bind-ip={processes.LOOPBACK}\n",
            encoding="utf-8",
        )
        (etc / "config.properties").write_text(
            "coordinator=true\nnode-scheduler.include-coordinator=true\n"
            f"node.internal-address={processes.LOOPBACK}\nhttp-server.http.port={port}\n"
            f"discovery.uri=http://{processes.LOOPBACK}:{port}\n"
            "catalog.management=dynamic\ncatalog.store=memory\nquery.max-memory-per-node=384MB\n"
            f"memory.heap-headroom-per-node=256MB\nplugin.dir={server / 'plugin'}\n",
            encoding="utf-8",
        )
        log = Path(folder) / "log"
        environment = {**os.environ, "JAVA_HOME": str(java)}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(server / "bin" / "launcher"), "run", f"--etc-dir={etc}"],
                env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                preexec_fn=processes.end_with_parent,
            )
        try:
            trino = Trino(port, catalog)
            _wait(trino, process, log)
            yield trino
        finally:
            process.terminate()
            try:
                process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(trino: Trino, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + READY_S_MAX
    while not trino.is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            told = log.read_text(encoding="utf-8", errors="replace")[-processes.LOG_BYTES_SHOWN :]
            raise SystemExit(f"Trino did not start:\n{told}")
        time.sleep(0.3)


def main(command: str, folder: str = ".") -> int:
    """An exit code."""
    if command == "fetch":
        print(fetched(Path(folder).resolve()))
        return 0
    home = java_home()
    print(home or f"Trino {VERSION} wants Java {JAVA_MIN} or newer: install one, TRINO_JAVA_HOME names it")
    return 0 if home else MISSING


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
