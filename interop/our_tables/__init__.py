"""Tables of ours that were changed in every way we have, for others to read.

The scripts beside this file are run for each format version and, where rows change, for each way of writing
deletes. Braces in them are filled in here.
"""

from __future__ import annotations

from pathlib import Path

from lake import Lake

HERE = Path(__file__).parent
MODES = {"merge": "merge-on-read", "copy": "copy-on-write", "rule": None}
"""How deletes are written, by the word in a schema's name; none leaves it to what is cheaper for each file."""
SCHEMAS = ("merge_v", "copy_v", "rule_v", "forms_v", "only_v3")
"""How the names of all their schemas begin."""
CHANGED = ("merge_v", "copy_v", "rule_v")
"""How the names of schemas begin whose tables were changed row by row, keys staying as they are."""


def make(lake: Lake, version: int) -> None:
    """All of them of one format version."""
    for word, mode in MODES.items():
        given = [] if mode is None else [f"write.{change}.mode" for change in ("delete", "update", "merge")]
        properties = {"format-version": str(version), **{key: mode for key in given}}
        _run(lake, "changed.sql", f"{word}_v{version}", version, properties, mode or "by the rule")
    schema = f"forms_v{version}"
    _run(lake, "forms.sql", schema, version, {"format-version": str(version)}, "by the rule")
    _cherry_pick(lake, f"{schema}.branched", "job-2")
    if version == 3:
        lake.run("-f", str(HERE / "format_3.sql"))


def _run(lake: Lake, script: str, schema: str, version: int, properties: dict[str, str], mode: str) -> None:
    text = (HERE / script).read_text(encoding="utf-8")
    listed = ", ".join(f"'{key}' = '{value}'" for key, value in properties.items())
    for name, value in (("schema", schema), ("version", str(version)), ("properties", listed), ("mode", mode)):
        text = text.replace("{" + name + "}", value)
    lake.run("--", text)


def _cherry_pick(lake: Lake, name: str, staged: str) -> None:
    """Puts a staged snapshot on top of the table: the script cannot know its id."""
    found = lake.json_lines([f"SELECT snapshot_id FROM {name}.snapshots WHERE summary['wap.id'] = '{staged}'"])[0]
    if not isinstance(found, list):
        raise found
    lake.run(f"CALL system.cherrypick_snapshot('{name}', {found[0]['snapshot_id']})")
