"""Finds the command `terraform`, or installs it into the build folder, and prints its path.

    python3 install.py

The one on PATH is taken where it is new enough. Else the version below comes from releases.hashicorp.com,
or from the place of the same layout that TERRAFORM_RELEASES names, and is taken only when its SHA-256 is
the one below. Ends with 3 when there is none to be had, and with 4 when what came is not what was released:
says what to do.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

OLDEST = (1, 9)
"""A variable's validation may look at other variables since then."""
RELEASES = "https://releases.hashicorp.com/terraform"
VERSION = "1.11.4"
SHA256 = {
    "darwin_amd64": "a56d5002b9f7647291faccc3dd1a70350e60fb61e4c45037629508b8fdc2575b",
    "darwin_arm64": "867e0808fa971217043e25b7a792b10720c79b1546f8a68479b74f138be73e18",
    "linux_amd64": "1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc",
    "linux_arm64": "a43d1d0da9b9bab214a8305a39db0e40869572594ccf50c416a7756499143633",
}
"""Of the archives, by platform, from the release's list of sums."""
ANSWER_S_MAX = 60
ARCHIVE_BYTES_MAX = 256 << 20
MISSING, FAILED = 3, 4


class MissingError(Exception):
    """There is no terraform to be had: says what to do."""


class WrongError(Exception):
    """What came is not what was released."""


def on_path() -> Path | None:
    """The one that is installed, where it is new enough."""
    found = shutil.which("terraform")
    if found is None:
        return None
    # A configuration file that is named and not there makes it warn.
    environment = {name: value for name, value in os.environ.items() if name != "TF_CLI_CONFIG_FILE"}
    asked = [found, "version", "-json"]
    done = subprocess.run(asked, env=environment | {"CHECKPOINT_DISABLE": "1"}, capture_output=True, check=False)
    try:
        version = json.loads(done.stdout)["terraform_version"]
        return Path(found) if tuple(map(int, version.split(".")[:2])) >= OLDEST else None
    except (ValueError, KeyError):
        return None


def this_platform() -> str:
    """As the releases name it."""
    machine = platform.machine().lower()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    return f"{platform.system().lower()}_{machine}"


def installed(target: Path, releases: str = RELEASES, sums: dict[str, str] = SHA256) -> Path:
    """The pinned version in the build folder, downloaded unless it is there."""
    program = target / f"terraform-{VERSION}" / "terraform"
    if program.is_file():
        return program
    name = this_platform()
    if name not in sums:
        raise MissingError(f"no terraform is pinned for {name}: {_by_hand()}")
    url = f"{releases.rstrip('/')}/{VERSION}/terraform_{VERSION}_{name}.zip"
    archive = _downloaded(url)
    found = hashlib.sha256(archive).hexdigest()
    if found != sums[name]:
        raise WrongError(f"{url} is not what was released: its SHA-256 is {found}, and should be {sums[name]}")
    program.parent.mkdir(parents=True, exist_ok=True)
    # It appears when it is complete, whoever else does the same now.
    with tempfile.NamedTemporaryFile(dir=program.parent, prefix="part.", delete=False) as part:
        part.write(zipfile.ZipFile(io.BytesIO(archive)).read("terraform"))
    os.chmod(part.name, 0o755)
    os.replace(part.name, program)
    return program


def _downloaded(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_S_MAX) as answer:
            archive = answer.read(ARCHIVE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        raise MissingError(f"{url} cannot be had ({error}): {_by_hand()}") from None
    if len(archive) > ARCHIVE_BYTES_MAX:
        raise WrongError(f"{url} is larger than {ARCHIVE_BYTES_MAX} bytes")
    return archive


def _by_hand() -> str:
    oldest = ".".join(map(str, OLDEST))
    return (
        f"install terraform {oldest} or newer (developer.hashicorp.com/terraform/install), "
        "or let TERRAFORM_RELEASES name a mirror of its releases"
    )


def main() -> int:
    """Prints the path; the exit code."""
    here = Path(__file__).resolve()
    target = Path(os.environ.get("CARGO_TARGET_DIR") or here.parents[2] / "target").resolve()
    try:
        print(on_path() or installed(target, os.environ.get("TERRAFORM_RELEASES") or RELEASES))
    except MissingError as error:
        print(f"terraform: {error}", file=sys.stderr)
        return MISSING
    except WrongError as error:
        print(f"terraform: {error}", file=sys.stderr)
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
