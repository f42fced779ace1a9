"""What every engine beside us does alike: the table of ours that it reads, what we do to its own, and the race."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ours import Ours

ATTEMPTS_MAX = 200


def make_ours(ours: Ours) -> None:
    """Our table, changed in all ways."""
    for sql in (
        "CREATE TABLE shared.ours (id BIGINT, kind STRING, amount DECIMAL(10, 2), day DATE, at TIMESTAMP_NTZ) "
        "PARTITIONED BY (kind)",
        "INSERT INTO shared.ours VALUES (1, 'card', 12.50, DATE '2025-01-13', TIMESTAMP '2025-01-13 10:00:00'), "
        "(2, 'cash', 3, NULL, NULL), (3, 'card', 7, NULL, NULL)",
        "UPDATE shared.ours SET amount = 8 WHERE id = 3",
        "DELETE FROM shared.ours WHERE id = 2",
        "ALTER TABLE shared.ours ADD COLUMN segment STRING AFTER id",
        "ALTER TABLE shared.ours RENAME COLUMN amount TO price",
    ):
        ours.rows(sql)


def change_theirs(ours: Ours) -> None:
    """Their table, evolved by them, as we see it; then our changes of it."""
    rows = ours.rows("SELECT id, label, note FROM shared.theirs ORDER BY id")
    assert [(row["id"], row["label"], row.get("note")) for row in rows] == [(1, "card", None), (3, "card", "late")], rows
    ours.rows("DELETE FROM shared.theirs WHERE id = 1")
    ours.rows("INSERT INTO shared.theirs VALUES (5, 'gift', 'ours')")


def race(
    ours: Ours, commits: int, append: Callable[[int], bool], seen_there: Callable[[], list[list]]
) -> tuple[int, int]:
    """Both append rows (writer, number) to one table at once; how often they had to begin again, and how many rows
    there are. `append` says whether it was done, or refused as a conflict; `seen_there` is what they read."""
    ours.rows("CREATE TABLE shared.raced (writer STRING, number BIGINT)")
    failures: list[BaseException] = []
    conflicts = 0

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - the other thread is to end before it is told
            failures.append(error)

    def we() -> None:
        ours.rows(";".join(f"INSERT INTO shared.raced VALUES ('ours', {number})" for number in range(commits)))

    def they() -> None:
        nonlocal conflicts
        for number in range(commits):
            refused = next((attempt for attempt in range(ATTEMPTS_MAX) if append(number)), None)
            assert refused is not None, f"they have no luck with row {number}"
            conflicts += refused

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (we, they)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    want = sorted([writer, number] for writer in ("ours", "theirs") for number in range(commits))
    here = sorted([row["writer"], row["number"]] for row in ours.rows("SELECT writer, number FROM shared.raced"))
    assert here == want, "rows were lost, or are there twice"
    assert sorted(seen_there()) == want, "rows were lost, or are there twice"
    return conflicts, len(want)
