//! Rows keep their ids, and unchanged ones the number of the commit that wrote them.

use std::collections::BTreeMap;

use iceberg::spec::FormatVersion;
use lakehouse_core::commit::RowStatement;
use lakehouse_core::provider::RowAction;

use super::fixture::{Fixture, Statement, action};
use super::three_files;

/// By id: the row's id and the sequence number of its last change.
async fn lineage(fixture: &Fixture) -> BTreeMap<i64, (String, String)> {
    let rows = fixture
        .rows("SELECT id, _row_id, _last_updated_sequence_number FROM t")
        .await;
    let parts = rows.iter().map(|row| row.split('|').collect::<Vec<_>>());
    parts
        .map(|row| {
            (
                row[0].parse().unwrap(),
                (row[1].to_owned(), row[2].to_owned()),
            )
        })
        .collect()
}

#[tokio::test]
async fn rows_keep_their_ids_through_every_mode() {
    for mode in [None, Some("copy-on-write"), Some("merge-on-read")] {
        let fixture = three_files(FormatVersion::V3, mode).await;
        let mut before = lineage(&fixture).await;
        assert_eq!(before[&250], ("250".to_owned(), "3".to_owned()));
        // The second round meets rows whose lineage is stored beside them. In the third all columns
        // are new, which reads no file where rows are deleted in their places.
        let rounds: [(i64, &[&str]); 3] = [
            (7, &["amount"]),
            (5, &["amount"]),
            (3, &["id", "name", "amount"]),
        ];
        for (divisor, update) in rounds {
            let rows = format!(
                "SELECT CASE WHEN id % 2 = 0 THEN {} ELSE {} END AS action, _file, _pos, _row_id, \
                 id, name, amount + 1 AS amount FROM t WHERE id % {divisor} = 0 \
                 UNION ALL SELECT {}, arrow_cast(NULL, 'Utf8View') AS f, arrow_cast(NULL, 'Int64') AS p, \
                 arrow_cast(NULL, 'Int64') AS r, arrow_cast({}, 'Int64') AS i, arrow_cast('new', 'Utf8View'), \
                 arrow_cast(0, 'Int64')",
                action(RowAction::Update),
                action(RowAction::Delete),
                action(RowAction::Insert),
                1000 + divisor,
            );
            let statement = Statement {
                kind: RowStatement::Merge,
                update,
                insert: true,
                rows: &rows,
            };
            fixture.run(&statement).await.unwrap();
            let number = fixture.table().await.metadata().last_sequence_number();
            let after = lineage(&fixture).await;
            let mut ids: Vec<&String> = after.values().map(|(id, _)| id).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), after.len(), "{mode:?}: an id twice");
            for (id, (row_id, sequence_number)) in &after {
                let Some((row_id_before, number_before)) = before.get(id) else {
                    assert_eq!(*id, 1000 + divisor);
                    assert_eq!(*sequence_number, number.to_string());
                    continue;
                };
                assert_eq!(row_id, row_id_before, "{mode:?} {id}");
                let expected = match id % divisor {
                    0 => number.to_string(),
                    _ => number_before.clone(),
                };
                assert_eq!(*sequence_number, expected, "{mode:?} {id}");
            }
            let gone = |id: i64| id % divisor == 0 && id % 2 != 0;
            let kept = before.keys().filter(|id| !gone(**id)).count();
            assert_eq!(after.len(), kept + 1);
            before = after;
        }
    }
}
