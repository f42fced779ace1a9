//! Rows that another engine deletes and changes across files from before and after a new column.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use datafusion::prelude::SessionConfig;
use iceberg::spec::{
    FormatVersion, Literal, NestedField, PrimitiveType, Schema, Type, UnboundPartitionSpec,
};
use lakehouse_testkit::{PositionDeletes, write_deletion_vectors, write_equality_deletes};
use parquet::file::properties::WriterProperties;

use super::evolution::{batch, optional, schema};
use super::handmade::{FileSpec, HandMade, rows};

/// `id` and the new column.
type Row = (i64, Option<i64>);

fn longs(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(Int64Array::from_iter(values))
}

/// Row groups of 16 rows and pages of four, so that filters skip both.
fn finely() -> WriterProperties {
    WriterProperties::builder()
        .set_max_row_group_row_count(Some(16))
        .set_data_page_row_count_limit(4)
        .set_write_batch_size(4)
        .build()
}

/// What the new column holds in files that have it: NULL, the default and others, in turns.
fn extra(id: i64) -> Option<i64> {
    match id % 5 {
        0 => None,
        1 => Some(7),
        _ => Some(id),
    }
}

/// A table, and which rows it has left.
struct Evolved {
    made: HandMade,
    version: FormatVersion,
    default: Option<i64>,
    left: Vec<Row>,
    old: FileSpec,
    new: FileSpec,
}

impl Evolved {
    /// Ids 0..100 in a file from before the column, 100..200 in one from after it.
    async fn new(version: FormatVersion, default: Option<i64>) -> Self {
        let before = schema(vec![
            optional(1, "id", PrimitiveType::Long),
            optional(2, "name", PrimitiveType::Long),
        ]);
        let spec = UnboundPartitionSpec::builder().build();
        let mut made = HandMade::of_version(before, spec, version);
        let ids = || longs((0..100).map(Some));
        let old = made.write(&batch(vec![ids(), ids()]), finely());
        made.commit(vec![old.clone()]).await;
        let mut column = NestedField::optional(3, "extra", Type::Primitive(PrimitiveType::Long));
        if let Some(default) = default {
            column = column.with_initial_default(Literal::long(default));
        }
        // In front of the others, where a reader that goes by place takes one for the other.
        made.evolve(schema(vec![
            column.into(),
            optional(1, "id", PrimitiveType::Long),
            optional(2, "name", PrimitiveType::Long),
        ]));
        let rows: Vec<Row> = (100..200).map(|id| (id, extra(id))).collect();
        let new = write(&mut made, &rows);
        made.commit(vec![new.clone()]).await;
        let left = (0..100).map(|id| (id, default)).chain(rows).collect();
        Self {
            made,
            version,
            default,
            left,
            old,
            new,
        }
    }

    /// Deletes rows of both files by their places, and adds `rows` in the same commit.
    async fn delete_places(&mut self, name: &str, old: Range<u64>, new: Range<u64>, rows: &[Row]) {
        let (a, b) = (self.old.path.clone(), self.new.path.clone());
        let mut delta = self.made.delta();
        if self.version == FormatVersion::V2 {
            let place = |path: &str, row: u64| (path.to_owned(), i64::try_from(row).unwrap());
            let places = old.clone().map(|row| place(&a, row));
            let deletes = PositionDeletes::new(places.chain(new.clone().map(|row| place(&b, row))));
            let file = deletes.write(&self.made.path(name)).unwrap().build();
            delta = delta.add(file.unwrap());
        } else {
            let vectors = [
                (a.as_str(), vec![old.clone()]),
                (b.as_str(), vec![new.clone()]),
            ];
            for vector in write_deletion_vectors(&self.made.path(name), &vectors).unwrap() {
                delta = delta.add(vector.build().unwrap());
            }
        }
        let added = write(&mut self.made, rows);
        self.made.commit_delta(delta.add(added.data_file())).await;
        let is_gone = |id: i64| {
            let id = u64::try_from(id).unwrap();
            old.contains(&id) || (id >= 100 && new.contains(&(id - 100)))
        };
        self.left.retain(|(id, _)| !is_gone(*id));
        self.left.extend(rows);
    }

    /// Deletes rows by values of the new column, of `id` too where `keys` have one, and adds `rows`
    /// in the same commit.
    async fn delete_keys(&mut self, keys: &[(Option<i64>, Option<i64>)], rows: &[Row]) {
        let has_ids = keys.iter().any(|(id, _)| id.is_some());
        let mut columns = vec![longs(keys.iter().map(|(_, extra)| *extra))];
        let mut fields = vec![optional(3, "extra", PrimitiveType::Long)];
        if has_ids {
            columns.push(longs(keys.iter().map(|(id, _)| *id)));
            fields.push(optional(1, "id", PrimitiveType::Long));
        }
        let added = write(&mut self.made, rows);
        let path = format!("{}.deletes", added.path);
        let keys_schema: Schema = schema(fields);
        let deletes = write_equality_deletes(&path, &keys_schema, &columns).unwrap();
        let delta = self.made.delta().add(added.data_file());
        self.made
            .commit_delta(delta.add(deletes.build().unwrap()))
            .await;
        let matches = |row: &Row, (id, extra): &(Option<i64>, Option<i64>)| {
            row.1 == *extra && (!has_ids || Some(row.0) == *id)
        };
        self.left
            .retain(|row| !keys.iter().any(|key| matches(row, key)));
        self.left.extend(rows);
    }

    /// Asks with filters that are pushed into the scan, on either column and on both.
    async fn check(&mut self, step: &str) {
        type Filter = (&'static str, fn(&Row) -> bool);
        let filters: [Filter; 9] = [
            ("extra IS NULL", |row| row.1.is_none()),
            ("extra = 7", |row| row.1 == Some(7)),
            ("extra <> 7", |row| row.1.is_some_and(|extra| extra != 7)),
            ("extra > 140", |row| row.1 > Some(140)),
            ("id BETWEEN 8 AND 33", |row| (8..=33).contains(&row.0)),
            ("id BETWEEN 98 AND 109", |row| (98..=109).contains(&row.0)),
            ("id = 142", |row| row.0 == 142),
            ("extra = 7 AND id < 25", |row| {
                row.1 == Some(7) && row.0 < 25
            }),
            ("extra IS NULL AND name >= 90", |row| {
                row.1.is_none() && row.0 >= 90
            }),
        ];
        // By keys in memory, in pieces of files, and by a join.
        for (key_bytes_max, partitions) in [(None, 3), (Some(0), 1)] {
            self.made.set_key_bytes_max(key_bytes_max);
            let config = SessionConfig::new()
                .with_target_partitions(partitions)
                .with_repartition_file_min_size(1);
            let context = self.made.context(config);
            for (condition, holds) in filters {
                let wanted: Vec<Row> = self.left.iter().copied().filter(holds).collect();
                let sql = format!("SELECT id, extra FROM t WHERE {condition}");
                let what = format!("{:?} {:?} {step}: {condition}", self.version, self.default);
                assert_eq!(rows(&context, &sql).await, texts(&wanted), "{what}");
            }
            let values = self.left.iter().filter(|row| row.1.is_some()).count();
            let counts = format!("{}|{values}", self.left.len());
            let sql = "SELECT count(*), count(extra) FROM t";
            assert_eq!(rows(&context, sql).await, [counts], "{step}");
        }
    }
}

/// A file with the new column, whose rows have their id as their name.
fn write(made: &mut HandMade, rows: &[Row]) -> FileSpec {
    let ids = || longs(rows.iter().map(|(id, _)| Some(*id)));
    let extras = longs(rows.iter().map(|(_, extra)| *extra));
    made.write(&batch(vec![extras, ids(), ids()]), finely())
}

fn texts(rows: &[Row]) -> Vec<String> {
    let text = |(id, extra): &Row| match extra {
        Some(extra) => format!("{id}|{extra}"),
        None => format!("{id}|-"),
    };
    let mut texts: Vec<String> = rows.iter().map(text).collect();
    texts.sort();
    texts
}

#[tokio::test]
async fn d11_deletes_reach_the_right_rows_of_files_older_and_newer_than_a_column() {
    for (version, default) in [
        (FormatVersion::V2, None),
        (FormatVersion::V3, None),
        (FormatVersion::V3, Some(7)),
    ] {
        let mut t = Evolved::new(version, default).await;
        t.check("as written").await;
        // An update, too: old rows go by their places, and come again with other values.
        let updated = [(10, Some(300)), (101, None)];
        t.delete_places("places", 10..24, 1..9, &updated).await;
        t.check("by places").await;
        // Pairs that differ only in what an old file is taken to hold.
        let pairs = [
            (Some(30), None),
            (Some(31), Some(7)),
            (Some(32), Some(32)),
            (Some(110), None),
            (Some(111), Some(7)),
            (Some(112), Some(112)),
            (Some(113), None),
            (Some(101), None),
        ];
        t.delete_keys(&pairs, &[(30, None), (31, Some(7))]).await;
        t.check("by pairs").await;
        assert!(t.left.contains(&(113, Some(113))));
        // Rows of the same commit stay, whatever they hold.
        let same = [(400, Some(7)), (401, Some(142)), (402, None)];
        t.delete_keys(&[(None, Some(7)), (None, Some(142))], &same)
            .await;
        t.check("by values").await;
        assert_eq!(t.left.contains(&(0, default)), default.is_none());
        t.delete_keys(&[(None, None)], &[(403, None)]).await;
        t.check("by NULL").await;
        assert!(!t.left.contains(&(0, default)) && t.left.contains(&(403, None)));
    }
}

/// As reading the JSON of another engine's metadata notes it; the format crate cannot hold it.
#[tokio::test]
async fn a_default_in_nanoseconds_is_the_value_in_older_files() {
    let none = UnboundPartitionSpec::builder().build();
    let id = || optional(1, "id", PrimitiveType::Long);
    let mut made = HandMade::of_version(schema(vec![id()]), none, FormatVersion::V3);
    let rows = batch(vec![Arc::new(Int64Array::from(vec![1, 2]))]);
    let file = made.write(&rows, WriterProperties::default());
    made.commit(vec![file]).await;
    made.evolve(schema(vec![
        id(),
        optional(2, "local", PrimitiveType::TimestampNs),
        optional(3, "instant", PrimitiveType::TimestamptzNs),
        optional(4, "other", PrimitiveType::TimestampNs),
    ]));
    let schema_id = made.table().schema().schema_id();
    let noted = format!(
        r#"{{"{schema_id}": {{"2": {{"initial": -1, "write": null}}, "3": {{"initial": 1, "write": 1}}}}}}"#
    );
    made.set_property("lakehouse.nanosecond-defaults", &noted);
    let found = made.rows("SELECT * FROM t WHERE id = 2").await;
    let wanted = "2|1969-12-31T23:59:59.999999999|1970-01-01T00:00:00.000000001Z|-";
    assert_eq!(found, [wanted]);
    let later = "SELECT count(*) FROM t WHERE local < TIMESTAMP '1970-01-01' AND other IS NULL";
    assert_eq!(made.rows(later).await, ["2"]);
}
