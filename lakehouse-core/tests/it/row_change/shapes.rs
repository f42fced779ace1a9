//! Tables of every shape: partitions, specs and schemas that changed, nested columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float32Array, Int32Array, Int64Array, ListArray, StringArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use iceberg::spec::{
    FormatVersion, ListType, Literal, NestedField, PrimitiveType, StructType, Transform, Type,
    UnboundPartitionSpec,
};
use lakehouse_core::commit::RowStatement;
use lakehouse_core::provider::RowAction;

use super::fixture::{Fixture, Statement, action, batch, optional, schema};
use super::{ALL, all_modes, amount, columns, line, numbered, row_id, set_modes};

fn by(source: i32, name: &str, transform: Transform) -> UnboundPartitionSpec {
    let spec = UnboundPartitionSpec::builder().add_partition_field(source, name, transform);
    spec.unwrap().build()
}

#[tokio::test]
async fn d18_rows_go_to_their_partition_of_the_current_spec() {
    for (version, mode) in all_modes() {
        let spec = by(1, "hundred", Transform::Truncate(100));
        let fixture = Fixture::partitioned(columns(), spec, version).await;
        set_modes(&fixture, mode).await;
        fixture.append(numbered(0..250)).await;
        // In format version 1 fields of a spec stay, as nothing.
        if version != FormatVersion::V1 {
            let spec = by(3, "amount_bucket", Transform::Bucket(3));
            fixture.repartition(spec).await;
        }
        fixture.append(numbered(250..400)).await;
        // The column that files are partitioned by changes too, in both specs.
        for divisor in [17, 2] {
            let before = fixture.rows(ALL).await;
            let rows = format!(
                "SELECT {} AS action, _file, _pos, {}id + 1000 AS id, \
                 CASE WHEN id % 3 = 0 THEN NULL ELSE amount + 1 END AS amount FROM t \
                 WHERE id % {divisor} = 0 AND id < 1000",
                action(RowAction::Update),
                row_id(version)
            );
            let statement = Statement {
                kind: RowStatement::Update,
                update: &["id", "amount"],
                insert: false,
                rows: &rows,
            };
            let mut expected: Vec<String> = before
                .into_iter()
                .map(|row| {
                    let parts: Vec<&str> = row.split('|').collect();
                    let id: i64 = parts[0].parse().unwrap();
                    if id % divisor != 0 || id >= 1000 {
                        return row;
                    }
                    let amount = parts[2].parse::<i64>().ok().filter(|_| id % 3 != 0);
                    let amount = amount.map_or("-".to_owned(), |amount| (amount + 1).to_string());
                    format!("{}|{}|{amount}", id + 1000, parts[1])
                })
                .collect();
            expected.sort();
            fixture.run(&statement).await.unwrap();
            assert_eq!(fixture.rows(ALL).await, expected, "{version:?} {mode:?}");
            // Pruning by partitions finds them.
            let found = fixture
                .rows("SELECT count(*) FROM t WHERE id >= 1000")
                .await;
            let moved = expected
                .iter()
                .filter(|row| row.split('|').next().unwrap().parse::<i64>().unwrap() >= 1000);
            assert_eq!(found, [moved.count().to_string()]);
        }
        let of_current = fixture.plan().await;
        let spec_id = fixture.table().await.partition_spec().spec_id();
        assert!(
            of_current
                .files
                .iter()
                .any(|file| file.spec_id() == spec_id)
        );
    }
}

#[tokio::test]
async fn old_files_come_in_the_current_schema() {
    for (version, mode) in all_modes() {
        let old = schema(vec![
            optional(1, "id", PrimitiveType::Int),
            optional(2, "ratio", PrimitiveType::Float),
            optional(3, "gone", PrimitiveType::String),
        ]);
        let fixture = Fixture::new(old, version).await;
        set_modes(&fixture, mode).await;
        let ids: ArrayRef = Arc::new(Int32Array::from_iter_values(0..20));
        let ratios: ArrayRef = Arc::new(Float32Array::from_iter_values((0..20_u8).map(f32::from)));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("x"); 20]));
        fixture.append(batch(vec![ids, ratios, texts])).await;
        let mut fields = vec![
            optional(1, "key", PrimitiveType::Long),
            optional(2, "ratio", PrimitiveType::Double),
        ];
        let mut added = NestedField::optional(4, "added", Type::Primitive(PrimitiveType::Int));
        if version == FormatVersion::V3 {
            added = added
                .with_initial_default(Literal::int(7))
                .with_write_default(Literal::int(7));
        }
        fields.push(added.into());
        fixture.evolve(schema(fields)).await;
        let default = if version == FormatVersion::V3 {
            "7"
        } else {
            "-"
        };
        let rows = format!(
            "SELECT {} AS action, _file, _pos, {}ratio + 0.25 AS ratio FROM t WHERE key % 5 = 1",
            action(RowAction::Update),
            row_id(version)
        );
        let statement = Statement {
            kind: RowStatement::Update,
            update: &["ratio"],
            insert: false,
            rows: &rows,
        };
        fixture.run(&statement).await.unwrap();
        let mut expected: Vec<String> = (0..20)
            .map(|id| {
                let quarter = if id % 5 == 1 { "25" } else { "0" };
                format!("{id}|{id}.{quarter}|{default}")
            })
            .collect();
        expected.sort();
        let all = "SELECT key, ratio, added FROM t";
        assert_eq!(fixture.rows(all).await, expected, "{version:?} {mode:?}");
    }
}

#[tokio::test]
async fn nested_columns_are_kept_and_changed() {
    for (version, mode) in all_modes() {
        let inner = NestedField::optional(4, "b", Type::Primitive(PrimitiveType::String));
        let number = NestedField::optional(3, "a", Type::Primitive(PrimitiveType::Long));
        let fields = StructType::new(vec![number.into(), inner.into()]);
        let element = NestedField::list_element(6, Type::Primitive(PrimitiveType::Long), false);
        let fixture = Fixture::new(
            schema(vec![
                optional(1, "id", PrimitiveType::Long),
                NestedField::optional(2, "s", Type::Struct(fields)).into(),
                NestedField::optional(5, "l", Type::List(ListType::new(element.into()))).into(),
            ]),
            version,
        )
        .await;
        set_modes(&fixture, mode).await;
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..20));
        let texts: StringArray = (0..20)
            .map(|id| (id % 3 != 0).then(|| format!("t{id}")))
            .collect();
        let children = Fields::from(vec![
            Field::new("a", DataType::Int64, true),
            Field::new("b", DataType::Utf8, true),
        ]);
        let valid = (0..20).map(|id| id % 7 != 0).collect::<Vec<bool>>();
        let structs = StructArray::new(
            children,
            vec![Arc::clone(&ids), Arc::new(texts)],
            Some(valid.into()),
        );
        let item = Arc::new(Field::new("element", DataType::Int64, true));
        let lists = ListArray::new(
            item,
            OffsetBuffer::from_lengths((0..20).map(|id| id % 2)),
            Arc::new(Int64Array::from_iter_values(
                (0..20).filter(|id| id % 2 == 1),
            )),
            None,
        );
        fixture
            .append(batch(vec![ids, Arc::new(structs), Arc::new(lists)]))
            .await;
        let all = "SELECT id, s, l FROM t";
        let before = fixture.rows(all).await;
        let of = |rows: &[String], id: i64| {
            let start = format!("{id}|");
            rows.iter().find(|row| row.starts_with(&start)).unwrap()[start.len()..].to_owned()
        };
        // Each third row takes the columns of a neighbour.
        let rows = format!(
            "SELECT {} AS action, t._file, t._pos, {}o.s, o.l FROM t \
             JOIN (SELECT id, s, l FROM t) AS o ON o.id = t.id + 1 WHERE t.id % 3 = 1",
            action(RowAction::Update),
            if version == FormatVersion::V3 {
                "t._row_id, "
            } else {
                ""
            },
        );
        let statement = Statement {
            kind: RowStatement::Update,
            update: &["s", "l"],
            insert: false,
            rows: &rows,
        };
        fixture.run(&statement).await.unwrap();
        let after = fixture.rows(all).await;
        for id in 0..19 {
            let source = if id % 3 == 1 { id + 1 } else { id };
            assert_eq!(
                of(&after, id),
                of(&before, source),
                "{version:?} {mode:?} {id}"
            );
        }
    }
}

#[tokio::test]
async fn a_large_file_is_read_in_parts() {
    // By row groups, and within the only one.
    for (mode, group_bytes) in [("merge-on-read", "100000"), ("copy-on-write", "134217728")] {
        {
            let fixture = Fixture::new(columns(), FormatVersion::V3).await;
            set_modes(&fixture, Some(mode)).await;
            for (key, value) in [
                ("write.parquet.row-group-size-bytes", group_bytes),
                ("write.parquet.compression-codec", "uncompressed"),
                ("write.parquet.page-row-limit", "1000"),
            ] {
                fixture.set_property(key, value).await;
            }
            const ROWS: i64 = 700_000;
            fixture.append(numbered(0..ROWS)).await;
            let size = fixture.plan().await.size_bytes();
            assert!(size > 17 << 20, "{size}");
            let rows = format!(
                "SELECT {} AS action, _file, _pos, _row_id, -1 AS amount FROM t \
                 WHERE id % 1000 = 3 OR id BETWEEN 350000 AND 351000",
                action(RowAction::Update),
            )
            .replace("-1 AS", "arrow_cast(-1, 'Int64') AS");
            let statement = Statement {
                kind: RowStatement::Update,
                update: &["amount"],
                insert: false,
                rows: &rows,
            };
            let is_updated = |id: i64| id % 1000 == 3 || (350_000..=351_000).contains(&id);
            let updated = (0..ROWS).filter(|id| is_updated(*id)).count() as u64;
            assert_eq!(fixture.run(&statement).await.unwrap(), (0, updated, 0));
            let wrong = "SELECT id FROM t WHERE (id IS DISTINCT FROM _row_id) \
                OR (name IS DISTINCT FROM \
                CASE WHEN id % 5 <> 0 THEN concat('a name that says ', id) END) \
                OR (amount IS DISTINCT FROM \
                CASE WHEN id % 1000 = 3 OR id BETWEEN 350000 AND 351000 THEN -1 \
                WHEN id % 4 <> 0 THEN id * 10 END)";
            assert_eq!(fixture.rows(wrong).await, [""; 0], "{mode} {group_bytes}");
            let count = fixture
                .rows("SELECT count(*), count(DISTINCT id) FROM t")
                .await;
            assert_eq!(count, ["700000|700000"]);
        }
    }
}

#[tokio::test]
async fn numbered_rows_are_what_they_say() {
    let fixture = Fixture::new(columns(), FormatVersion::V2).await;
    fixture.append(numbered(0..9)).await;
    let expected: Vec<String> = (0..9).map(|id| line(id, amount(id))).collect();
    assert_eq!(fixture.rows(ALL).await, expected);
}
