"""The settings files that a lake puts out: both say the same, and name what the library reads.

    python3 settings.py lake.toml lake.json
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

KEYS = {"type", "region", "warehouse", "kms_key"}


def main(toml: str, as_json: str) -> int:
    """Tells what is wrong; the exit code."""
    settings = tomllib.loads(Path(toml).read_text(encoding="utf-8"))
    same = json.loads(Path(as_json).read_text(encoding="utf-8"))
    if settings != same:
        print(f"the files differ:\n{settings}\n{same}")
        return 1
    catalog = settings["catalogs"][settings["default_catalog"]]
    if catalog["type"] != "glue" or not catalog["warehouse"].startswith("s3://") or catalog.keys() - KEYS:
        print(f"not what the library reads: {catalog}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
