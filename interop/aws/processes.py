"""Emulators as processes of ours: started on free ports of the loopback, waited for, stopped by id.

Each has a session of its own, so that what it starts stops with it, and a folder of its own for its
home, temporary files and log. On Linux the kernel ends it when we end, however that comes about.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import environments

LOOPBACK = "127.0.0.1"
REGION = "eu-central-1"
READY_S_MAX = 60.0
"""How long an emulator may take until it answers; they take a second or two."""
STOP_S_MAX = 10.0
"""How long it may take to end before it is killed."""
PORTS_TRIED_MAX = 3
"""Between our choice of a free port and its use somebody else may take it."""
LOG_BYTES_SHOWN = 8_000
SET_PARENT_DEATH_SIGNAL = 1


class FailedError(Exception):
    """An emulator did not come up: says what it printed."""


@dataclasses.dataclass(frozen=True)
class Emulator:
    """How one emulator is started and asked whether it is ready."""

    name: str
    program: str
    ready_path: str

    def command(self, port: int) -> list[str]:
        """The program and its arguments."""
        command = [str(environments.program(self.name, "python")), "-u"]
        command.append(str(environments.program(self.name, self.program)))
        return [*command, "-H", LOOPBACK, "-p", str(port)] if self.name == "moto" else command

    def variables(self, port: int) -> dict[str, str]:
        """What it reads from its environment, beside what every process has."""
        if self.name == "moto":
            return {"MOTO_PORT": str(port)}
        return {
            "BIND_HOST": LOOPBACK,  # without it, ministack listens on every address
            "GATEWAY_PORT": str(port),
            "LOCALSTACK_HOSTNAME": LOOPBACK,
            "MINISTACK_HOST": LOOPBACK,
            "MINISTACK_REGION": REGION,
        }


EMULATORS = (
    Emulator("ministack", "ministack", "/_ministack/ready"),
    Emulator("moto", "moto_server", "/moto-api/data.json"),
)


@dataclasses.dataclass
class Running:
    """An emulator that answers."""

    emulator: Emulator
    process: subprocess.Popen[bytes]
    endpoint: str


@contextlib.contextmanager
def started(emulators: tuple[Emulator, ...] = EMULATORS) -> Iterator[list[Running]]:
    """Starts emulators, and stops all of them at the end, however that comes about."""
    folder = Path(tempfile.mkdtemp(prefix="lakehouse-emulators-"))
    running: list[Running] = []
    try:
        for emulator in emulators:
            running.append(_start(emulator, folder / emulator.name))
        yield running
    finally:
        _stop([one.process for one in running])
        shutil.rmtree(folder, ignore_errors=True)


def _start(emulator: Emulator, folder: Path) -> Running:
    for name in ("home", "tmp", "state"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    for _ in range(PORTS_TRIED_MAX):
        port = _free_port()
        with log.open("wb") as output:
            process = subprocess.Popen(
                emulator.command(port),
                cwd=folder,
                env=_environment(folder) | emulator.variables(port),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        try:
            trouble = _wait(process, f"http://{LOOPBACK}:{port}{emulator.ready_path}")
        except BaseException:
            _stop([process])
            raise
        if trouble is None:
            return Running(emulator, process, f"http://{LOOPBACK}:{port}")
        _stop([process])
        printed = log.read_bytes()[-LOG_BYTES_SHOWN:].decode(errors="replace").strip()
        if "in use" not in printed:
            break
    raise FailedError(f"{emulator.name} {trouble}; it printed:\n{printed or '(nothing)'}")


def _environment(folder: Path) -> dict[str, str]:
    """Our environment, less what would reach into an AWS account, other emulators or Docker."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MINISTACK_"))}
    return kept | {
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "STATE_DIR": str(folder / "state"),
        "S3_DATA_DIR": str(folder / "state" / "s3"),
        "DOCKER_HOST": f"unix://{folder}/no-docker",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def end_with_parent() -> None:
    """In a new process: asks the kernel to end it when the process that started it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((LOOPBACK, 0))
        return found.getsockname()[1]


def _wait(process: subprocess.Popen[bytes], url: str) -> str | None:
    """Waits until the process answers; else says what happened instead."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + READY_S_MAX
    last = "no answer"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return f"ended with {process.returncode} before it was ready"
        try:
            with opener.open(url, timeout=2) as answer:
                if answer.status == 200:
                    return None
        except (OSError, urllib.error.URLError) as error:
            last = str(error)
        time.sleep(0.05)
    return f"was not ready after {READY_S_MAX:.0f} s ({last})"


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """Ends processes with all they started: kindly first, then not; waits until they are gone."""
    for process in processes:
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S_MAX
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """To the whole session: the group's id is the process's own, and outlives it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
