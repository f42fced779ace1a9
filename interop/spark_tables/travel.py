"""Tables with a past: branches, tags, rollbacks, published and expired snapshots."""

from __future__ import annotations

from spark_session import Spark
from spark_tables import Question, everything, past, properties


def build(spark: Spark) -> dict[str, list[Question]]:
    """Makes the tables and returns the questions by table name."""
    spark.sql("CREATE NAMESPACE travel", "CREATE NAMESPACE folder.travel")
    return {
        "travel.prices_v2": _prices(spark, "travel.prices_v2", 2),
        "travel.prices_v3": _prices(spark, "travel.prices_v3", 3),
        "folder.travel.prices": _prices(spark, "folder.travel.prices", 2),
        "travel.branched": _branched(spark),
        "travel.rolled_back": _rolled_back(spark),
        "travel.picked": _picked(spark),
        "travel.expired": _expired(spark),
        "travel.empty": _empty(spark),
        "travel.overwritten": _overwritten(spark),
    }


def _prices(spark: Spark, name: str, version: int) -> list[Question]:
    spark.sql(
        f"CREATE TABLE {name} (sku STRING, price DECIMAL(9, 2)) USING iceberg TBLPROPERTIES ({properties(version)})",
        f"INSERT INTO {name} VALUES ('apple', 1.20), ('pear', 0.80)",
        f"ALTER TABLE {name} CREATE TAG opening RETAIN 365 DAYS",
        f"UPDATE {name} SET price = price * 2 WHERE sku = 'apple'",
        f"INSERT INTO {name} VALUES ('plum', 2.50)",
        f"ALTER TABLE {name} CREATE TAG `Größe 1`",
        f"DELETE FROM {name} WHERE sku = 'pear'",
        f"ALTER TABLE {name} ADD COLUMN stock INT FIRST",
        f"INSERT INTO {name} VALUES (7, 'fig', 3.00)",
    )
    if name.startswith("folder."):
        return everything(name)
    t = f"{{{name}}}"
    count = len(spark.log(name))
    return [
        *everything(name),
        *past(spark, name),
        *[Question(f"SELECT * FROM {{{name}@time:{at}}}") for at in range(count)],
        *[Question(f"SELECT * FROM {{{name}@after:{at}}}") for at in range(count)],
        Question(f"SELECT * FROM {{{name}@tag:opening}}"),
        Question(f"SELECT now.sku, now.price, was.price AS was FROM {t} AS now "
                 f"LEFT JOIN {{{name}@tag:opening}} AS was ON was.sku = now.sku"),
        Question(f"SELECT sku FROM {{{name}@snapshot:2}} WHERE price > 1"),
        Question(f"SELECT count(*) AS n FROM {{{name}@branch:main}}"),
        Question(f"SELECT sku FROM {{{name}@snapshot:0}} EXCEPT SELECT sku FROM {t}"),
    ]


def _branched(spark: Spark) -> list[Question]:
    """Branches with rows, deletes and a schema that main went on to change."""
    name = "travel.branched"
    spark.sql(
        f"CREATE TABLE {name} (id INT, w STRING) USING iceberg TBLPROPERTIES ({properties(2)})",
        f"INSERT INTO {name} VALUES (1, 'a'), (2, 'b'), (3, 'c')",
        f"ALTER TABLE {name} CREATE BRANCH audit",
        f"INSERT INTO {name}.branch_audit VALUES (10, 'only audit')",
        f"DELETE FROM {name}.branch_audit WHERE id = 1",
        f"ALTER TABLE {name} CREATE TAG before_change",
        f"INSERT INTO {name} VALUES (4, 'main')",
        f"ALTER TABLE {name} ADD COLUMN x INT",
        f"INSERT INTO {name} VALUES (5, 'main', 5)",
        f"ALTER TABLE {name} CREATE BRANCH late",
        f"UPDATE {name}.branch_late SET x = id WHERE x IS NULL",
        f"ALTER TABLE {name} CREATE OR REPLACE BRANCH moved",
        f"DELETE FROM {name} WHERE id = 2",
        f"CALL spark.system.fast_forward('{name}', 'moved', 'main')",
    )
    return [
        *everything(name),
        # A branch is read with the table's present schema, a tag and a snapshot with their own.
        *[Question(f"SELECT * FROM {{{name}@branch:{branch}}}") for branch in ("audit", "late", "moved", "main")],
        Question(f"SELECT * FROM {{{name}@tag:before_change}}"),
        Question(f"SELECT * FROM {name}.branch_audit"),
        Question(f"SELECT * FROM {name}.tag_before_change"),
        Question(f"SELECT id FROM {{{name}@branch:audit}} WHERE w = 'only audit'"),
        Question(f"SELECT count(*) AS n, sum(x) AS x FROM {{{name}@branch:late}}"),
        Question(f"SELECT id FROM {{{name}@branch:audit}} EXCEPT SELECT id FROM {{{name}}}"),
        *past(spark, name),
    ]


def _rolled_back(spark: Spark) -> list[Question]:
    """Times at which a state was current that was taken back later."""
    name = "travel.rolled_back"
    spark.sql(f"CREATE TABLE {name} (id INT) USING iceberg", *[f"INSERT INTO {name} VALUES ({at})" for at in range(3)])
    first, second = (snapshot for snapshot, _ in spark.log(name)[:2])
    spark.sql(f"CALL spark.system.rollback_to_snapshot('{name}', {second})", f"INSERT INTO {name} VALUES (10)",
              f"CALL spark.system.set_current_snapshot('{name}', {first})", f"INSERT INTO {name} VALUES (20)")
    log = spark.log(name)
    return [*everything(name), *past(spark, name),
            *[Question(f"SELECT * FROM {{{name}@time:{at}}}") for at in range(len(log))]]


def _picked(spark: Spark) -> list[Question]:
    """A staged snapshot, published by cherry-pick."""
    name = "travel.picked"
    spark.sql(f"CREATE TABLE {name} (id INT) USING iceberg TBLPROPERTIES ('write.wap.enabled' = 'true')",
              f"INSERT INTO {name} VALUES (1)", "SET spark.wap.id = audited", f"INSERT INTO {name} VALUES (2), (3)",
              "RESET spark.wap.id", f"INSERT INTO {name} VALUES (4)",
              f"CALL spark.system.publish_changes('{name}', 'audited')")
    return [*everything(name), *past(spark, name), Question(f"SELECT count(*) AS n FROM {{{name}.snapshots}}")]


def _expired(spark: Spark) -> list[Question]:
    """What is left after Spark expired all but the last two snapshots and a tag's."""
    name = "travel.expired"
    spark.sql(f"CREATE TABLE {name} (id INT, w STRING) USING iceberg TBLPROPERTIES ({properties(3)})",
              f"INSERT INTO {name} VALUES (1, 'a'), (2, 'b')", f"INSERT INTO {name} VALUES (3, 'c')",
              f"ALTER TABLE {name} CREATE TAG kept", f"DELETE FROM {name} WHERE id = 1",
              f"INSERT OVERWRITE {name} SELECT * FROM {name} WHERE id <> 2", f"INSERT INTO {name} VALUES (4, 'd')",
              f"DELETE FROM {name} WHERE id = 3",
              f"CALL spark.system.expire_snapshots(table => '{name}', older_than => TIMESTAMP '2999-01-01', "
              "retain_last => 2, clean_expired_metadata => true)")
    return [*everything(name), *past(spark, name), Question(f"SELECT * FROM {{{name}@tag:kept}}"),
            Question(f"SELECT count(*) AS n FROM {{{name}.snapshots}}")]


def _empty(spark: Spark) -> list[Question]:
    name = "travel.empty"
    spark.sql(f"CREATE TABLE {name} (id INT, w STRING) USING iceberg PARTITIONED BY (w)",
              f"ALTER TABLE {name} CREATE BRANCH b")
    return [*everything(name), Question(f"SELECT count(*) AS n, max(id) AS m FROM {{{name}}} WHERE w = 'a'"),
            Question(f"SELECT * FROM {{{name}@branch:b}}")]


def _overwritten(spark: Spark) -> list[Question]:
    """Partitions replaced, by their values and by whatever rows came; then all rows dropped."""
    name = "travel.overwritten"
    spark.sql(f"CREATE TABLE {name} (id INT, p STRING) USING iceberg PARTITIONED BY (p)",
              f"INSERT INTO {name} VALUES (1, 'a'), (2, 'b'), (3, NULL)",
              "SET spark.sql.sources.partitionOverwriteMode = dynamic",
              f"INSERT OVERWRITE {name} VALUES (4, 'a'), (5, NULL)",
              "SET spark.sql.sources.partitionOverwriteMode = static",
              f"INSERT OVERWRITE {name} PARTITION (p = 'b') SELECT 6",
              f"DELETE FROM {name} WHERE p = 'a'", f"TRUNCATE TABLE {name}", f"INSERT INTO {name} VALUES (7, 'c')")
    return [*everything(name), *past(spark, name)]
