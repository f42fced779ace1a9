"""Writes the tables of inputs and outputs into the modules' READMEs, from what their code says.

    python3 readme.py            writes
    python3 readme.py --check    fails if a table is not up to date
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

MODULES = Path(__file__).resolve().parent.parent / "modules"
BEGIN, END = "<!-- inputs and outputs, by ci/readme.py -->", "<!-- end -->"
BLOCK = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
DESCRIPTION = re.compile(r'^  description = (?:"((?:[^"\\]|\\.)*)"|<<-(\w+)\n(.*?)^  \2)$', re.MULTILINE | re.DOTALL)
DEFAULT = re.compile(r"^  default +=(.*?)(?=^  \S|\Z)", re.MULTILINE | re.DOTALL)
DEFAULT_SHOWN_MAX = 40


def blocks(file: Path) -> Iterator[tuple[str, str, str]]:
    """Name, description and default (`required`) of each variable or output."""
    for _, name, body in BLOCK.findall(file.read_text(encoding="utf-8")):
        described = DESCRIPTION.search(body)
        if described is None:
            raise SystemExit(f"{file}: {name} has no description")
        text = described[1].replace('\\"', '"') if described[1] is not None else described[3]
        default = DEFAULT.search(body)
        shown = "required" if default is None else f"`{' '.join(default[1].split())}`"
        if len(shown) > DEFAULT_SHOWN_MAX:
            shown = "see variables.tf"
        # A table's cell is one line of Markdown, in which `<name>` would be a tag.
        line = " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
        yield name, line, shown


def tables(module: Path) -> str:
    """Both tables."""
    lines = ["## Inputs", "", "| Name | What it is | Default |", "|---|---|---|"]
    lines += [f"| `{name}` | {text} | {default} |" for name, text, default in blocks(module / "variables.tf")]
    lines += ["", "## Outputs", "", "| Name | What it is |", "|---|---|"]
    lines += [f"| `{name}` | {text} |" for name, text, _ in blocks(module / "outputs.tf")]
    return "\n".join(lines)


def main(check: bool) -> int:
    """Writes or checks; the exit code."""
    stale = []
    for module in sorted(MODULES.iterdir()):
        readme = module / "README.md"
        text = readme.read_text(encoding="utf-8")
        before, rest = text.split(BEGIN)
        after = rest.split(END)[1]
        wanted = f"{before}{BEGIN}\n\n{tables(module)}\n\n{END}{after}"
        if wanted != text:
            stale.append(module.name)
            if not check:
                readme.write_text(wanted, encoding="utf-8")
    if check and stale:
        print(f"not up to date: {', '.join(stale)}; run python3 terraform/ci/readme.py")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
