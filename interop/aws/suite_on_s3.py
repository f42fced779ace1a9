"""The tables of the interop suite in an emulated Glue and S3: PyIceberg's read by us, ours read by PyIceberg.

    python3 emulators.py run -- PYTHON suite_on_s3.py LAKE

PYTHON is that of the environment of `beside_pyiceberg.py`, LAKE the command `lake` with AWS in it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pyiceberg.catalog import Catalog

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import compare  # noqa: E402 - the suite lies beside this folder
import duck  # noqa: E402
import our_tables  # noqa: E402
import read_tables  # noqa: E402
import write_tables  # noqa: E402
from beside_pyiceberg import theirs as glue  # noqa: E402
from lake import Lake  # noqa: E402
from ours import Ours  # noqa: E402
from questions import ask  # noqa: E402
from tables import evolution, partitions, travel, types  # noqa: E402


def we_read_theirs(lake: Lake, catalog: Catalog) -> int:
    """Every question about every table of PyIceberg's; the number of wrong answers."""
    connection = duck.connect()
    reader = write_tables.PyIcebergTables(catalog)
    records: list[dict] = []
    for module in (types, partitions, evolution, travel):
        for name, questions in module.build(catalog).items():
            records += write_tables.answer_all(connection, name, questions, reader.refer, with_witness=False)
    wrong = 0
    for question, problem in ask(lake, records):
        if problem is not None:
            wrong += 1
            print(f"DIFFERS {question['id']}: {question['sql']}\n  {problem.text}")
    print(f"{len(records)} questions about PyIceberg's tables in S3, {wrong} wrong")
    return wrong


def they_read_ours(lake: Lake, catalog: Catalog) -> int:
    """Every table of ours at every snapshot, by PyIceberg; then with rows of PyIceberg's. How many readings differ."""
    before = {name for (name, *_) in catalog.list_namespaces()}
    # Databases of Glue do not nest.
    lake.run("--", compare.OUR_SCRIPT.read_text(encoding="utf-8").replace("shop.back", "shop_back"))
    our_tables.make(lake, 2)
    made = [name for (name, *_) in catalog.list_namespaces() if name not in before]
    names = sorted(".".join(ident) for namespace in made for ident in catalog.list_tables(namespace))
    wrong = 0
    for name in names:
        readers = read_tables.Readers(catalog.load_table(name))
        wrong += compare.compare_readers(lake, readers, name, ("PyIceberg",))
        if name not in compare.READ_ONLY:
            wrong += compare.compare_after_their_append(lake, readers, name)
    print(f"{len(names)} tables of ours in S3, {wrong} readings by PyIceberg differ")
    return wrong


def main(command: str) -> int:
    """Runs both ways; an exit code."""
    with Ours.on_new_bucket(command) as ours:
        lake, catalog = Lake(command, None, ours.settings), glue(ours.warehouse)
        wrong = we_read_theirs(lake, catalog) + they_read_ours(lake, catalog)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
