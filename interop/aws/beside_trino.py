"""Trino's Glue catalog and ours read, write and race on the same tables; what is written for Athena runs in Trino.

    python3 emulators.py run -- PYTHON beside_trino.py LAKE FOLDER

PYTHON is that of moto's environment, LAKE the command `lake` with AWS in it; the server is kept in FOLDER.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import trino
from beside import change_theirs, make_ours, race
from ours import Ours
from trino import Trino

ATHENA = Path(__file__).resolve().parent.parent.parent / "athena"
RACED = 15
"""Commits of each side in the race."""
MOMENT_S = 1.5
"""Until tables are old enough to be asked for as they were a second ago."""


def add_catalog(server: Trino, warehouse: str) -> None:
    """Trino's catalog `glue`, of the same emulators."""
    endpoint, region = os.environ["AWS_ENDPOINT_URL"], os.environ["AWS_REGION"]
    key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    settings = {
        "iceberg.catalog.type": "glue",
        "hive.metastore.glue.endpoint-url": endpoint,
        "hive.metastore.glue.region": region,
        "hive.metastore.glue.aws-access-key": key,
        "hive.metastore.glue.aws-secret-key": secret,
        "hive.metastore.glue.default-warehouse-dir": warehouse,
        "fs.native-s3.enabled": "true",
        "s3.endpoint": endpoint,
        "s3.region": region,
        "s3.path-style-access": "true",
        "s3.aws-access-key": key,
        "s3.aws-secret-key": secret,
    }
    shown = ", ".join(f"\"{name}\" = '{value}'" for name, value in settings.items())
    server.rows(f"CREATE CATALOG glue USING iceberg WITH ({shown})")


def they_read_ours(ours: Ours, server: Trino) -> None:
    """Our table, changed in all ways, as Trino sees it; then its changes as we do."""
    make_ours(ours)
    found = server.rows("SELECT id, segment, kind, price, day FROM shared.ours ORDER BY id")
    assert found == [[1, None, "card", "12.50", "2025-01-13"], [3, None, "card", "8.00", None]], found
    server.rows("INSERT INTO shared.ours (id, kind, price) VALUES (4, 'gift', DECIMAL '1.00')")
    server.rows("UPDATE shared.ours SET segment = 'vip' WHERE id = 1")
    server.rows("DELETE FROM shared.ours WHERE id = 3")
    rows = ours.rows("SELECT id, segment, CAST(price AS STRING) AS price FROM shared.ours ORDER BY id")
    assert [(row["id"], row.get("segment"), row["price"]) for row in rows] == [(1, "vip", "12.50"), (4, None, "1.00")], rows


def we_read_theirs(ours: Ours, server: Trino) -> None:
    """Trino's table, evolved by it, as we see it; then our changes of it."""
    for sql in (
        "CREATE TABLE shared.theirs (id BIGINT, kind VARCHAR) WITH (partitioning = ARRAY['kind'])",
        "INSERT INTO shared.theirs VALUES (1, 'card'), (2, 'cash')",
        "ALTER TABLE shared.theirs ADD COLUMN note VARCHAR",
        "ALTER TABLE shared.theirs RENAME COLUMN kind TO label",
        "INSERT INTO shared.theirs VALUES (3, 'card', 'late')",
        "DELETE FROM shared.theirs WHERE id = 2",
    ):
        server.rows(sql)
    change_theirs(ours)
    found = server.rows("SELECT id, label, note FROM shared.theirs ORDER BY id")
    assert found == [[3, "card", "late"], [5, "gift", "ours"]], found
    ours.rows("ALTER TABLE shared.theirs RENAME TO shared.renamed")
    assert server.rows("SELECT count(*) FROM shared.renamed") == [[2]]
    server.rows("DROP TABLE shared.renamed")
    names = [row for row in ours.rows("SHOW TABLES IN shared") if "renamed" in str(row)]
    assert names == [], names


def race_them(ours: Ours, server: Trino) -> tuple[int, int]:
    """How often Trino had to be asked again, and how many rows there are."""

    def append(number: int) -> bool:
        try:
            server.rows(f"INSERT INTO shared.raced VALUES ('theirs', {number})")
        except trino.TrinoError as error:
            if error.name != "ICEBERG_COMMIT_ERROR":
                raise
            return False
        return True

    return race(ours, RACED, append, lambda: server.rows("SELECT writer, number FROM shared.raced"))


def statements(file: str) -> list[str]:
    """The statements of a file of `athena/`, without comments."""
    lines = (ATHENA / file).read_text(encoding="utf-8").splitlines()
    code = "\n".join(line for line in lines if not line.startswith("--"))
    return [statement.strip() for statement in code.split(";") if statement.strip()]


def athena(ours: Ours, server: Trino) -> tuple[int, int]:
    """Athena is Trino with fewer settings: checks and views, on tables of ours. How many of each there were."""
    for sql in (
        "CREATE NAMESPACE bronze", "CREATE NAMESPACE silver", "CREATE NAMESPACE gold",
        "CREATE TABLE bronze.events (event_id BIGINT, kind STRING, customer_id BIGINT, amount DECIMAL(10, 2), "
        "happened_at TIMESTAMP_NTZ)",
        "CREATE TABLE silver.transactions (transaction_id BIGINT, customer_id BIGINT, amount DECIMAL(10, 2), "
        "booked_at TIMESTAMP_NTZ)",
        "INSERT INTO bronze.events VALUES (1, 'card', 7, 120, CAST(now() AS TIMESTAMP)), "
        "(2, 'cash', 8, 3.5, TIMESTAMP '2025-01-13 11:00:00')",
        "INSERT INTO silver.transactions SELECT event_id, customer_id, amount, happened_at FROM bronze.events",
    ):
        ours.rows(sql)
    time.sleep(MOMENT_S)
    checks = statements("queries.sql")
    for sql in checks:
        # The tables are a moment old.
        now = sql.replace("interval '1' day", "interval '1' second") if "FOR TIMESTAMP" in sql else sql
        found = server.rows(now)
        assert len(found) == 1 and found[0][1] == 0, (sql, found)
    views = statements("views.sql")
    for sql in views:
        server.rows(sql)
    assert server.rows("SELECT revenue FROM gold.customer_value ORDER BY place") == [["120.00"], ["3.50"]]
    return len(checks), len(views)


def main(lake: str, folder: str) -> int:
    """Runs all parts; an exit code."""
    java = trino.java_home()
    if java is None:
        print(f"Trino wants Java {trino.JAVA_MIN} or newer")
        return trino.MISSING
    server_folder = trino.fetched(Path(folder).resolve())
    with Ours.on_new_bucket(lake) as ours, trino.started(server_folder, java, "glue") as server:
        add_catalog(server, ours.warehouse)
        ours.rows("CREATE NAMESPACE shared")
        they_read_ours(ours, server)
        print("Trino reads and writes our table")
        we_read_theirs(ours, server)
        print("we read and write Trino's table")
        conflicts, rows = race_them(ours, server)
        print(f"a race of {rows} commits: none lost, {conflicts} conflicts that Trino did not get over by itself")
        checks, views = athena(ours, server)
        print(f"{checks} checks and {views} views for Athena run in Trino")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
