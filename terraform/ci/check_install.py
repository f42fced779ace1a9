"""Checks the installation of terraform against releases of our own on the loopback.

    python3 check_install.py
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import os
import subprocess
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import install

PROGRAM = "#!/bin/sh\necho installed\n"


def archive() -> bytes:
    """A release: the program and its licence."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("LICENSE.txt", "-")
        file.writestr("terraform", PROGRAM)
    return packed.getvalue()


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder's files on the loopback."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def refused(how: type[Exception], target: Path, releases: str, sums: dict[str, str]) -> str:
    """Why nothing was installed; nothing is left of the attempt."""
    try:
        install.installed(target, releases, sums)
    except how as error:
        assert not list(target.rglob("*")), "a refused release has left files"
        return str(error)
    raise AssertionError("something was installed that must not be")


def main() -> None:
    """All cases."""
    name = install.this_platform()
    packed = archive()
    sums = {name: hashlib.sha256(packed).hexdigest()}
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1"
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        folder, target = Path(temporary, "releases"), Path(temporary, "target")
        target.mkdir()
        release = folder / install.VERSION / f"terraform_{install.VERSION}_{name}.zip"
        release.parent.mkdir(parents=True)
        releases = stack.enter_context(served(folder))

        said = refused(install.MissingError, target, releases, sums)
        assert "404" in said and "TERRAFORM_RELEASES" in said, said
        release.write_bytes(packed)
        assert "its SHA-256 is" in refused(install.WrongError, target, releases, install.SHA256)
        assert "no terraform is pinned" in refused(install.MissingError, target, releases, {"other": sums[name]})

        program = install.installed(target, releases, sums)
        done = subprocess.run([program], capture_output=True, text=True, check=True)
        assert done.stdout == "installed\n", done
        assert list(program.parent.iterdir()) == [program]
        # Nobody is asked for what is there.
        release.unlink()
        assert install.installed(target, releases, sums) == program


if __name__ == "__main__":
    main()
