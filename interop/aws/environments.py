"""The Python environments of the emulators: where they lie, and whether they are what is asked for.

They lie in the build folder (`CARGO_TARGET_DIR`, or `target/` of the repository), so what keeps that
folder between runs keeps them too. An environment is stamped with the requirements it was made from,
and made again when those change.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
STAMP = "requirements.installed"
INSTALL_S_MAX = 900
"""How long one installation may take."""


class MissingError(Exception):
    """The machine lacks what the emulators need: says what to do."""


class InstallError(Exception):
    """An environment could not be made; what went wrong has been printed."""


def target_folder() -> Path:
    """The build folder, by the rule that cargo has."""
    named = os.environ.get("CARGO_TARGET_DIR")
    return Path(named).resolve() if named else HERE.parent.parent / "target"


def folder_of(emulator: str) -> Path:
    """Where an emulator's environment lies."""
    return target_folder() / f"interop-{emulator}-venv"


def requirements_of(emulator: str) -> Path:
    """The exact versions an emulator's environment has."""
    return HERE / f"requirements-{emulator}.txt"


def is_ready(emulator: str) -> bool:
    """Whether the environment was made from the requirements as they are now."""
    stamp = folder_of(emulator) / STAMP
    wanted = requirements_of(emulator).read_text(encoding="utf-8")
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted


def program(emulator: str, name: str) -> Path:
    """A program of an emulator's environment; raises `MissingError` where that is not ready."""
    if not is_ready(emulator):
        install = f"python3 {HERE / 'emulators.py'} install"
        raise MissingError(
            f"the Python environment of {emulator} is missing or not the one asked for "
            f"({folder_of(emulator)}): run `{install}`"
        )
    return folder_of(emulator) / "bin" / name


def install(emulator: str) -> bool:
    """Makes the environment unless it is ready; whether there was anything to do."""
    with _locked(target_folder() / "interop-emulators.lock"):
        if is_ready(emulator):
            return False
        _make(folder_of(emulator), requirements_of(emulator))
    return True


def _make(folder: Path, requirements: Path) -> None:
    try:
        import ensurepip  # noqa: F401, PLC0415 - Debian has it in a package of its own
    except ImportError:
        raise MissingError("install python3 with its venv module (Debian: python3-venv), 3.11+") from None
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in ([sys.executable, "-m", "venv", "--clear", str(folder)], [*pip, "-r", str(requirements)]):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, timeout=INSTALL_S_MAX, check=False)
        if done.returncode != 0:
            raise InstallError(f"{folder.name} could not be made: {' '.join(command)} ended with {done.returncode}")
    (folder / STAMP).write_text(requirements.read_text(encoding="utf-8"), encoding="utf-8")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One at a time, over all processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
