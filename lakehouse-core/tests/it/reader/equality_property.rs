//! Tables made by random appends and equality deletes, compared with a simple model.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};
use datafusion::prelude::SessionConfig;
use iceberg::spec::{DataFile, Literal, PrimitiveType, Struct, Transform, UnboundPartitionSpec};
use lakehouse_testkit::PositionDeletes;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

use super::evolution::{batch, optional, schema};
use super::handmade::{FileSpec, HandMade, rows};

const LETTERS: [Option<&str>; 3] = [None, Some("a"), Some("b")];

/// The values of a row that deletes compare.
#[derive(Debug, Clone, Copy)]
struct Values {
    number: Option<i64>,
    letter: Option<&'static str>,
}

/// Where a file belongs: nowhere, or in one of two partitions.
type Place = Option<i32>;

#[derive(Debug, Clone)]
enum File {
    Data(Place, Vec<Values>),
    Deletes(Place, Vec<i32>, Vec<Values>),
    /// Positions in one of the data files so far.
    Positions(usize, Vec<usize>),
}

#[derive(Debug)]
struct Row {
    id: i64,
    sequence_number: usize,
    place: Place,
    values: Values,
    has_deleted_position: bool,
}

#[derive(Debug)]
struct Delete {
    sequence_number: usize,
    place: Place,
    ids: Vec<i32>,
    keys: Vec<Values>,
}

impl Delete {
    fn removes(&self, row: &Row) -> bool {
        let equal = |key: &Values| {
            self.ids.iter().all(|id| match id {
                2 => key.number == row.values.number,
                _ => key.letter == row.values.letter,
            })
        };
        row.sequence_number < self.sequence_number
            && (self.place.is_none() || self.place == row.place)
            && self.keys.iter().any(equal)
    }
}

fn values() -> impl Strategy<Value = Values> {
    let number = prop_oneof![1 => Just(None), 6 => (0..8_i64).prop_map(Some)];
    (number, 0..LETTERS.len()).prop_map(|(number, letter)| Values {
        number,
        letter: LETTERS[letter],
    })
}

fn file() -> impl Strategy<Value = File> {
    let place = || prop_oneof![Just(None), Just(Some(0)), Just(Some(1))];
    let ids = proptest::sample::select(vec![vec![2], vec![3], vec![2, 3], vec![3, 2]]);
    prop_oneof![
        (place(), proptest::collection::vec(values(), 1..30))
            .prop_map(|(place, rows)| File::Data(place, rows)),
        (place(), ids, proptest::collection::vec(values(), 0..4))
            .prop_map(|(place, ids, keys)| File::Deletes(place, ids, keys)),
        (0..9_usize, proptest::collection::vec(0..30_usize, 1..5))
            .prop_map(|(file, positions)| File::Positions(file, positions)),
    ]
}

fn commits() -> impl Strategy<Value = Vec<Vec<File>>> {
    proptest::collection::vec(proptest::collection::vec(file(), 1..4), 1..5)
}

fn column(id: i32, rows: &[Values]) -> ArrayRef {
    match id {
        2 => Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.number))),
        _ => Arc::new(StringArray::from_iter(rows.iter().map(|row| row.letter))),
    }
}

struct Tables {
    made: HandMade,
    rows: Vec<Row>,
    /// Data files, each with its first row.
    files: Vec<(FileSpec, usize)>,
    deletes: Vec<Delete>,
    partitioned: i32,
    deletes_written: u32,
}

impl Tables {
    fn new() -> Self {
        let mut made = HandMade::new(schema(vec![
            optional(1, "id", PrimitiveType::Long),
            optional(2, "number", PrimitiveType::Long),
            optional(3, "letter", PrimitiveType::String),
            optional(4, "place", PrimitiveType::Int),
        ]));
        let spec = UnboundPartitionSpec::builder()
            .add_partition_field(4, "place", Transform::Identity)
            .unwrap()
            .build();
        let partitioned = made.repartition(spec);
        Self {
            made,
            rows: Vec::new(),
            files: Vec::new(),
            deletes: Vec::new(),
            partitioned,
            deletes_written: 0,
        }
    }

    async fn commit(&mut self, sequence_number: usize, files: Vec<File>) {
        let mut written = Vec::new();
        for file in files {
            match file {
                File::Data(place, rows) => {
                    let first = self.rows.len();
                    let file = self.data(sequence_number, place, &rows);
                    let file = self.placed(file, place);
                    written.push((file.spec_id, file.data_file()));
                    self.files.push((file, first));
                }
                File::Deletes(place, ids, keys) => {
                    let columns = ids.iter().map(|id| column(*id, &keys)).collect();
                    let file = self.made.write_deletes(&ids, columns);
                    let file = self.placed(file, place);
                    written.push((file.spec_id, file.data_file()));
                    self.deletes.push(Delete {
                        sequence_number,
                        place,
                        ids,
                        keys,
                    });
                }
                File::Positions(file, positions) => {
                    written.extend(self.positions(file, positions));
                }
            }
        }
        if written.is_empty() {
            return;
        }
        let delta = written
            .into_iter()
            .fold(self.made.delta(), |delta, (spec_id, file)| {
                delta.in_spec(spec_id).add(file)
            });
        self.made.commit_delta(delta).await;
    }

    fn placed(&self, mut file: FileSpec, place: Place) -> FileSpec {
        file.spec_id = 0;
        if let Some(place) = place {
            file.spec_id = self.partitioned;
            file.partition = Struct::from_iter([Some(Literal::int(place))]);
        }
        file
    }

    fn positions(&mut self, file: usize, mut positions: Vec<usize>) -> Option<(i32, DataFile)> {
        let (of, first) = &self.files.get(file % self.files.len().max(1))?;
        let mut starts = self.files.iter().map(|(_, first)| *first);
        let end = starts.find(|next| next > first).unwrap_or(self.rows.len());
        let rows = &mut self.rows[*first..end];
        positions.retain(|position| *position < rows.len());
        for position in &positions {
            rows[*position].has_deleted_position = true;
        }
        let positions = positions
            .into_iter()
            .map(|row| (&of.path, i64::try_from(row).unwrap()));
        self.deletes_written += 1;
        let path = self
            .made
            .path(&format!("positions-{}.parquet", self.deletes_written));
        let file = PositionDeletes::new(positions).write(&path).unwrap();
        let file = file
            .clone()
            .partition(of.partition.clone())
            .build()
            .unwrap();
        Some((of.spec_id, file))
    }

    fn data(&mut self, sequence_number: usize, place: Place, rows: &[Values]) -> FileSpec {
        let first = self.rows.len();
        for (position, values) in rows.iter().enumerate() {
            self.rows.push(Row {
                id: i64::try_from(first + position).unwrap(),
                sequence_number,
                place,
                values: *values,
                has_deleted_position: false,
            });
        }
        let ids = self.rows[first..].iter().map(|row| row.id);
        let rows = batch(vec![
            Arc::new(Int64Array::from_iter_values(ids)),
            column(2, rows),
            column(3, rows),
            Arc::new(Int32Array::from(vec![place; rows.len()])),
        ]);
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(7))
            .build();
        self.made.write(&rows, properties)
    }

    fn live(&self, wanted: impl Fn(&Row) -> bool) -> Vec<String> {
        let live = self.rows.iter().filter(|row| {
            wanted(row)
                && !row.has_deleted_position
                && !self.deletes.iter().any(|delete| delete.removes(row))
        });
        let mut ids: Vec<String> = live.map(|row| row.id.to_string()).collect();
        ids.sort();
        ids
    }

    async fn check(&mut self) {
        // All keys in memory, some of them, none; runs of equal keys end within batches or not.
        // Rows come from files, or from memory once they were read twice.
        let ways = [
            (None, 8_192, 0),
            (None, 3, 2),
            (Some(250), 3, 0),
            (Some(0), 3, 2),
        ];
        for (bytes, batch_size, reads_before) in ways {
            self.made.set_key_bytes_max(bytes);
            let config = SessionConfig::new()
                .with_target_partitions(2)
                .with_batch_size(batch_size);
            let context = self.made.context(config);
            for _ in 0..reads_before {
                rows(&context, "SELECT * FROM t").await;
            }
            let all = rows(&context, "SELECT id FROM t").await;
            assert_eq!(all, self.live(|_| true), "{bytes:?}");
            let sql = "SELECT count(*), count(letter) FROM t WHERE number > 3 AND place = 1";
            let wanted = |row: &Row| {
                row.values.number.is_some_and(|number| number > 3) && row.place == Some(1)
            };
            let count = self.live(wanted).len();
            let letters = self.live(|row| wanted(row) && row.values.letter.is_some());
            let counts = format!("{count}|{}", letters.len());
            assert_eq!(rows(&context, sql).await, [counts], "{bytes:?}");
            let enough = all.len() / 2;
            let limited = rows(&context, &format!("SELECT id FROM t LIMIT {enough}")).await;
            assert_eq!(limited.len(), enough, "{bytes:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn equality_deletes_leave_what_a_model_leaves(commits in commits()) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut tables = Tables::new();
            for (position, files) in commits.into_iter().enumerate() {
                tables.commit(position + 1, files).await;
                tables.check().await;
            }
        });
    }
}
