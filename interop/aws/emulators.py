"""Emulated AWS on the loopback: ministack (S3, Glue, KMS, STS, …) and moto (Lake Formation).

    python3 emulators.py install            their environments, in the build folder
    python3 emulators.py run -- COMMAND …   starts them, runs the command with their variables, stops them
    python3 emulators.py up                 starts them for other shells, prints lines for the shell
    python3 emulators.py down               stops those
    python3 emulators.py serve              for programs: prints one line of JSON, stops when its input ends

`--only ministack` (or `moto`) starts one of them. Exit codes: 3 what is needed is missing, 4 an
emulator or environment did not come up, 2 wrong arguments; `run` ends as the command does.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, NoReturn

import environments
import processes

UP_S_MAX = 30.0
"""Beyond what the emulators may take themselves, until `up` hears of them."""
MISSING, FAILED = 3, 4


def variables(running: list[processes.Running]) -> dict[str, str]:
    """What an AWS SDK needs to speak to the emulators, and to nobody else."""
    endpoints = {one.emulator.name: one.endpoint for one in running}
    first = endpoints.get("ministack") or endpoints["moto"]
    named = {f"{name.upper()}_ENDPOINT_URL": endpoint for name, endpoint in endpoints.items()}
    return named | {
        "AWS_ENDPOINT_URL": first,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": processes.REGION,
        "AWS_DEFAULT_REGION": processes.REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": _no_proxy(),
        "no_proxy": _no_proxy(),
    }


def _no_proxy() -> str:
    known = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    return ",".join(dict.fromkeys([*filter(None, known.split(",")), processes.LOOPBACK, "localhost"]))


def environment(running: list[processes.Running]) -> dict[str, str]:
    """Ours with those variables, and without others that name an account, profile or endpoint."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | variables(running)


def install(chosen: tuple[processes.Emulator, ...]) -> int:
    """Makes the environments that are not ready."""
    for emulator in chosen:
        done = "installed" if environments.install(emulator.name) else "ready"
        print(f"{emulator.name}: {done} ({environments.folder_of(emulator.name)})")
    return 0


def run(chosen: tuple[processes.Emulator, ...], command: list[str]) -> int:
    """Runs a command beside the emulators; its exit code."""
    with processes.started(chosen) as running:
        child = subprocess.Popen(command, env=environment(running), preexec_fn=processes.end_with_parent)
        try:
            code = child.wait()
        except BaseException:
            child.terminate()
            try:
                child.wait(processes.STOP_S_MAX)
            except subprocess.TimeoutExpired:
                child.kill()
            raise
    return code if code >= 0 else 128 - code


def serve(chosen: tuple[processes.Emulator, ...]) -> int:
    """Prints where the emulators are, and stops them when whoever reads that has gone."""
    with processes.started(chosen) as running:
        print(json.dumps({"variables": variables(running)}), flush=True)
        while sys.stdin.buffer.read(4096):
            pass
    return 0


class Kept:
    """The emulators that `up` leaves behind, as their keeper's lock and note tell of them."""

    def __init__(self) -> None:
        folder = environments.target_folder()
        folder.mkdir(parents=True, exist_ok=True)
        self.lock_path = folder / "interop-emulators-up.lock"
        self.note = folder / "interop-emulators-up.json"
        self.log = folder / "interop-emulators-up.log"

    def locked(self) -> IO[str] | None:
        """The keeper's lock, which goes with its process; none while another has it."""
        file = self.lock_path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file

    def told(self) -> dict | None:
        """What the keeper has written: its process id and the variables."""
        try:
            return json.loads(self.note.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None


def keep(chosen: tuple[processes.Emulator, ...]) -> int:
    """The process behind `up`: lives until `down` ends it."""
    kept = Kept()
    lock = kept.locked()
    if lock is None:
        return FAILED
    try:
        with processes.started(chosen) as running:
            told = {"process": os.getpid(), "variables": variables(running)}
            partial = kept.note.with_suffix(".part")
            partial.write_text(json.dumps(told), encoding="utf-8")
            partial.replace(kept.note)
            while True:
                signal.pause()
    finally:
        kept.note.unlink(missing_ok=True)


def up(chosen: tuple[processes.Emulator, ...]) -> int:
    """Starts a keeper unless there is one, and prints what a shell needs."""
    kept = Kept()
    lock = kept.locked()
    if lock is not None:
        for emulator in chosen:
            environments.program(emulator.name, emulator.program)
        kept.note.unlink(missing_ok=True)
        lock.close()
        only = [f"--only={emulator.name}" for emulator in chosen]
        with kept.log.open("wb") as log:
            keeper = subprocess.Popen([sys.executable, __file__, *only, "keep"], stdin=subprocess.DEVNULL,
                                      stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        deadline = time.monotonic() + len(chosen) * processes.READY_S_MAX + UP_S_MAX
        while kept.told() is None and keeper.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if kept.told() is None and keeper.poll() is None:
            keeper.terminate()
    told = kept.told()
    if told is None:
        printed = kept.log.read_text(errors="replace") if kept.log.is_file() else ""
        raise processes.FailedError(printed or "the emulators are being started or stopped by somebody else")
    for name in sorted(os.environ):
        if name.startswith("AWS_") and name not in told["variables"]:
            print(f"unset {name}")
    for name, value in told["variables"].items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def down() -> int:
    """Ends the keeper, by its id, and waits until it has gone."""
    kept = Kept()
    deadline = time.monotonic() + 2 * processes.STOP_S_MAX
    asked: set[int] = set()
    while (lock := kept.locked()) is None:
        # Its lock is held, so the note's process is the keeper and nobody who has its id by now.
        told = kept.told()
        if told is not None and told["process"] not in asked:
            asked.add(told["process"])
            os.kill(told["process"], signal.SIGTERM)
        if time.monotonic() > deadline:
            raise processes.FailedError(f"the keeper does not end: {told}")
        time.sleep(0.05)
    lock.close()
    kept.note.unlink(missing_ok=True)
    return 0


def _ended(number: int, _frame: object) -> NoReturn:
    """Signals leave by the same way as everything else, so that what was started is stopped."""
    raise SystemExit(128 + number)


def main(arguments: list[str]) -> int:
    """Does what the command line says; the exit code."""
    names = [emulator.name for emulator in processes.EMULATORS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=names, help="may be repeated; default: all")
    parser.add_argument("task", choices=["install", "run", "up", "down", "serve", "keep"])
    parser.add_argument("command", nargs=argparse.REMAINDER, help="for `run`, behind `--`")
    asked = parser.parse_args(arguments)
    command = asked.command[1:] if asked.command[:1] == ["--"] else asked.command
    if bool(command) != (asked.task == "run"):
        parser.error("`run` wants a command behind `--`, the others take none")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _ended)
    chosen = tuple(one for one in processes.EMULATORS if one.name in (asked.only or names))
    tasks = {"install": install, "up": up, "serve": serve, "keep": keep}
    try:
        if asked.task == "run":
            return run(chosen, command)
        return down() if asked.task == "down" else tasks[asked.task](chosen)
    except environments.MissingError as error:
        print(f"emulators: {error}", file=sys.stderr)
        return MISSING
    except (environments.InstallError, processes.FailedError) as error:
        print(f"emulators: {error}", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
