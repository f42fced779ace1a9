"""What a plan wants to change right after an apply: nothing, but for what emulators are known to lose.

    python3 drift.py PLAN.json      from `terraform show -json`

Ends with 1 for a change that is not known, and for a known one that no longer comes: then its line
below goes, since it would hide a mistake of ours.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

KNOWN = {
    ("aws_cloudtrail", "cloud_watch_logs_group_arn"): "ministack does not keep a trail's log group",
    ("aws_cloudtrail", "cloud_watch_logs_role_arn"): "ministack does not keep a trail's log group",
    ("aws_cloudtrail", "tags_all"): "ministack does not keep a trail's tags",
}


def changes(plan: dict) -> list[tuple[str, str, str]]:
    """Address, type and attribute of each change; an attribute `create` or `delete` for whole resources."""
    found = []
    for resource in plan.get("resource_changes", []):
        change = resource["change"]
        if change["actions"] in (["no-op"], ["read"]):
            continue
        if change["actions"] != ["update"]:
            found.append((resource["address"], resource["type"], "+".join(change["actions"])))
            continue
        before, after, unknown = change["before"], change["after"], change.get("after_unknown", {})
        names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        names |= {name for name, is_unknown in unknown.items() if is_unknown}
        found.extend((resource["address"], resource["type"], name) for name in sorted(names))
    for name, change in plan.get("output_changes", {}).items():
        if change["actions"] != ["no-op"]:
            found.append((f"output {name}", "output", name))
    return found


def main(path: str) -> int:
    """Tells what is wrong; the exit code."""
    found = changes(json.loads(Path(path).read_text(encoding="utf-8")))
    wrong = [f"{address}: {name} would change" for address, kind, name in found if (kind, name) not in KNOWN]
    seen = {(kind, name) for _, kind, name in found}
    wrong += [f"{kind}.{name} no longer drifts: remove its line" for kind, name in KNOWN if (kind, name) not in seen]
    print("\n".join(wrong) if wrong else f"no drift but {len(seen)} known attributes")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
