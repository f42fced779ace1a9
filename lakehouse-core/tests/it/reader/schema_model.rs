//! Random evolution of schemas, nested ones too, over several files: what is read is what a model
//! of fields and their ids says.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float32Array, Float64Array, Int32Array, Int64Array, ListArray, StringArray,
    StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields};
use iceberg::spec::{ListType, NestedField, NestedFieldRef, PrimitiveType, StructType, Type};
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

use super::evolution::{batch, schema};
use super::handmade::HandMade;

const ROWS: i64 = 3;
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

#[derive(Debug, Clone)]
enum Kind {
    Int,
    Long,
    Float,
    Double,
    Text,
    Struct(Vec<Col>),
    /// The id of the elements, which are structs of these fields.
    List(i32, Vec<Col>),
}

#[derive(Debug, Clone)]
struct Col {
    id: i32,
    name: String,
    kind: Kind,
}

/// One change, chosen by two numbers: where, and what.
type Step = (u8, u8);

struct Model {
    columns: Vec<Col>,
    next_id: i32,
}

impl Model {
    fn new() -> Self {
        let mut model = Self {
            columns: Vec::new(),
            next_id: 1,
        };
        for kind in 0..4 {
            let column = model.column(kind, NAMES[usize::from(kind)]);
            model.columns.push(column);
        }
        model
    }

    fn id(&mut self) -> i32 {
        self.next_id += 1;
        self.next_id - 1
    }

    fn column(&mut self, kind: u8, name: &str) -> Col {
        let id = self.id();
        let kind = match kind % 5 {
            0 => Kind::Int,
            1 => Kind::Struct(vec![self.column(0, "x"), self.column(4, "y")]),
            2 => Kind::List(self.id(), vec![self.column(3, "x"), self.column(0, "y")]),
            3 => Kind::Float,
            _ => Kind::Text,
        };
        let name = name.to_owned();
        Col { id, name, kind }
    }

    fn apply(&mut self, (place, what): Step) {
        // A new column is made before the tree is borrowed; an id that is not used is no harm.
        let added = self.column(place / 7, "new");
        let mut level = &mut self.columns;
        let index = usize::from(place) % level.len();
        if place % 2 == 1
            && let Kind::Struct(inner) | Kind::List(_, inner) = &level[index].kind
            && !inner.is_empty()
        {
            level = match &mut level[index].kind {
                Kind::Struct(inner) | Kind::List(_, inner) => inner,
                _ => unreachable!(),
            };
        }
        let index = usize::from(place) % level.len();
        let free = |level: &[Col]| {
            let taken = |name: &&str| level.iter().any(|column| column.name == **name);
            NAMES
                .iter()
                .find(|name| !taken(name))
                .map(|name| (*name).to_owned())
        };
        match what % 5 {
            0 => {
                if let Some(name) = free(level) {
                    level.insert(index, Col { name, ..added });
                }
            }
            1 if level.len() > 1 => {
                level.remove(index);
            }
            2 => {
                if let Some(name) = free(level) {
                    level[index].name = name;
                }
            }
            3 => level.rotate_left(1),
            _ => {
                let promoted = match &level[index].kind {
                    Kind::Int => Kind::Long,
                    Kind::Float => Kind::Double,
                    other => other.clone(),
                };
                level[index].kind = promoted;
            }
        }
    }
}

fn field_type(kind: &Kind) -> Type {
    match kind {
        Kind::Int => Type::Primitive(PrimitiveType::Int),
        Kind::Long => Type::Primitive(PrimitiveType::Long),
        Kind::Float => Type::Primitive(PrimitiveType::Float),
        Kind::Double => Type::Primitive(PrimitiveType::Double),
        Kind::Text => Type::Primitive(PrimitiveType::String),
        Kind::Struct(inner) => Type::Struct(StructType::new(fields(inner))),
        Kind::List(id, inner) => {
            let element = Type::Struct(StructType::new(fields(inner)));
            let element = NestedField::list_element(*id, element, false);
            Type::List(ListType::new(element.into()))
        }
    }
}

fn fields(columns: &[Col]) -> Vec<NestedFieldRef> {
    columns
        .iter()
        .map(|column| {
            NestedField::optional(column.id, &column.name, field_type(&column.kind)).into()
        })
        .collect()
}

fn is_null(id: i32, row: i64) -> bool {
    (i64::from(id) + row) % 5 == 0
}

fn number(id: i32, row: i64) -> i32 {
    id * 1_000 + i32::try_from(row).unwrap()
}

/// The values of a column in some rows; elements of lists are rows of their own.
fn array(column: &Col, rows: &[i64]) -> ArrayRef {
    let id = column.id;
    let present = |row: &i64| (!is_null(id, *row)).then(|| number(id, *row));
    let numbers = rows.iter().map(present);
    let nulls = NullBuffer::from_iter(rows.iter().map(|row| !is_null(id, *row)));
    match &column.kind {
        Kind::Int => Arc::new(numbers.collect::<Int32Array>()),
        Kind::Long => Arc::new(numbers.map(|n| n.map(i64::from)).collect::<Int64Array>()),
        Kind::Float => Arc::new(
            numbers
                .map(|n| n.map(|n| n as f32 + 0.5))
                .collect::<Float32Array>(),
        ),
        Kind::Double => Arc::new(
            numbers
                .map(|n| n.map(|n| f64::from(n) + 0.5))
                .collect::<Float64Array>(),
        ),
        Kind::Text => Arc::new(
            numbers
                .map(|n| n.map(|n| format!("v{n}")))
                .collect::<StringArray>(),
        ),
        Kind::Struct(inner) => Arc::new(structs(inner, rows, Some(nulls))),
        Kind::List(_, inner) => {
            let elements: Vec<i64> = rows.iter().flat_map(|row| elements(*row)).collect();
            let values = structs(inner, &elements, None);
            let element = Field::new(
                "element",
                arrow::array::Array::data_type(&values).clone(),
                true,
            );
            let offsets = OffsetBuffer::from_lengths(rows.iter().map(|_| 2));
            Arc::new(ListArray::new(
                Arc::new(element),
                offsets,
                Arc::new(values),
                Some(nulls),
            ))
        }
    }
}

fn elements(row: i64) -> [i64; 2] {
    [row * 2, row * 2 + 1]
}

fn structs(inner: &[Col], rows: &[i64], nulls: Option<NullBuffer>) -> StructArray {
    let columns: Vec<ArrayRef> = inner.iter().map(|column| array(column, rows)).collect();
    let fields: Fields = inner
        .iter()
        .zip(&columns)
        .map(|(column, array)| -> Field {
            let data_type: DataType = array.data_type().clone();
            Field::new(&column.name, data_type, true)
        })
        .collect();
    StructArray::new(fields, columns, nulls)
}

/// What a reader sees of a column in a row whose file was written with `stored`.
fn text(column: &Col, stored: &[Col], row: i64) -> String {
    let Some(old) = stored.iter().find(|old| old.id == column.id) else {
        return "-".to_owned();
    };
    if is_null(column.id, row) {
        return "-".to_owned();
    }
    let n = number(column.id, row);
    match (&column.kind, &old.kind) {
        (Kind::Int | Kind::Long, _) => n.to_string(),
        (Kind::Float | Kind::Double, _) => format!("{}.5", n),
        (Kind::Text, _) => format!("v{n}"),
        (Kind::Struct(inner), Kind::Struct(stored)) => struct_text(inner, stored, row),
        (Kind::List(_, inner), Kind::List(_, stored)) => {
            let texts = elements(row).map(|element| struct_text(inner, stored, element));
            format!("[{}]", texts.join(", "))
        }
        other => unreachable!("{other:?}"),
    }
}

fn struct_text(inner: &[Col], stored: &[Col], row: i64) -> String {
    let texts: Vec<String> = inner
        .iter()
        .map(|child| format!("{}: {}", child.name, text(child, stored, row)))
        .collect();
    format!("{{{}}}", texts.join(", "))
}

async fn check(files: Vec<Vec<Step>>) {
    let mut model = Model::new();
    let mut made = HandMade::new(schema(fields(&model.columns)));
    // A new table gets ids of its own; a changed one keeps those that are given.
    made.evolve(schema(fields(&model.columns)));
    let mut written: Vec<(Vec<Col>, Vec<i64>)> = Vec::new();
    for (number, steps) in files.into_iter().enumerate() {
        let first = i64::try_from(number).unwrap() * ROWS;
        let rows: Vec<i64> = (first..first + ROWS).collect();
        let columns = model
            .columns
            .iter()
            .map(|column| array(column, &rows))
            .collect();
        let file = made.write(&batch(columns), WriterProperties::default());
        made.commit(vec![file]).await;
        written.push((model.columns.clone(), rows));
        steps.into_iter().for_each(|step| model.apply(step));
        made.evolve(schema(fields(&model.columns)));

        let mut expected: Vec<String> = Vec::new();
        for (stored, rows) in &written {
            for row in rows {
                let texts: Vec<String> = model
                    .columns
                    .iter()
                    .map(|column| text(column, stored, *row))
                    .collect();
                expected.push(texts.join("|"));
            }
        }
        expected.sort();
        assert_eq!(
            made.rows("SELECT * FROM t").await,
            expected,
            "{:?}",
            model.columns
        );
        // Pruning by any plain column finds the rows that the model has.
        for column in &model.columns {
            if !matches!(column.kind, Kind::Int | Kind::Long) {
                continue;
            }
            for (stored, rows) in &written {
                let wanted = number_of(column, stored, rows[0]);
                let Some(wanted) = wanted else { continue };
                let query = format!(
                    "SELECT count(*) FROM t WHERE \"{}\" = {wanted}",
                    column.name
                );
                assert_eq!(made.rows(&query).await, ["1"], "{query}");
            }
        }
    }
}

fn number_of(column: &Col, stored: &[Col], row: i64) -> Option<i32> {
    let known = stored.iter().any(|old| old.id == column.id);
    (known && !is_null(column.id, row)).then(|| number(column.id, row))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn evolved_tables_read_as_the_model_says(
        files in proptest::collection::vec(
            proptest::collection::vec((any::<u8>(), any::<u8>()), 0..5),
            1..4,
        )
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(check(files));
    }
}
