//! TPC-H: its tables loaded into a lake, its 22 queries, and the standard's answers.

#[path = "../../examples/tpch/rows.rs"]
mod rows;

use lakehouse::core::runtime::blocking;
use lakehouse::{Error, Lakehouse, Result};
use tpchgen::q_and_a::answers_sf1;
use tpchgen::text::TextPool;

/// Order lines at scale 1.
const LINES_AT_SCALE_1: f64 = 6_001_215.0;

/// A scale at which every table has rows, and few.
const SMALL_SCALE: f64 = 0.001;

/// The names of the tables; a table stands after those its rows refer to.
pub fn tables() -> impl Iterator<Item = &'static str> {
    rows::TABLES.iter().map(|table| table.name)
}

/// How the tables are filled.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// 1 makes about 1 GB of text.
    pub scale: f64,
    /// Order lines of one commit, roughly; smaller tables are inserted whole.
    pub lines_per_commit: f64,
    /// The text that comments are cut from; the standard's unless given.
    pub text: Option<&'static TextPool>,
}

impl Load {
    /// The standard's rows, in commits of a million order lines.
    pub fn at_scale(scale: f64) -> Self {
        Self {
            scale,
            lines_per_commit: 1_000_000.0,
            text: None,
        }
    }
}

/// Makes tables of TPC-H in the lake's default namespace and fills them: those that `wanted` says,
/// with `properties` of theirs (empty for none, or a clause that follows the columns).
///
/// # Errors
/// When a table of such a name exists, or the lake cannot be written to.
pub async fn load(
    lake: &Lakehouse,
    load: Load,
    wanted: impl Fn(&str) -> bool,
    properties: &str,
) -> Result<()> {
    let session = lake.session()?;
    for table in rows::TABLES {
        if !wanted(table.name) {
            continue;
        }
        let parts = parts(table.name, &load);
        for part in 1..=parts {
            let batches = blocking(move || {
                let source = rows::Source {
                    scale: load.scale,
                    text: load.text.unwrap_or_else(TextPool::get_or_init_default),
                };
                table.batches(&source, part, parts)
            })
            .await??;
            if let (1, Some(first)) = (part, batches.first()) {
                let columns = rows::definition(&first.schema());
                let create = format!("CREATE TABLE {} ({columns}) {properties}", table.name);
                session.sql(&create).await?.collect().await?;
            }
            session.register_batches("part_of_table", batches).await?;
            let insert = format!("INSERT INTO {} SELECT * FROM part_of_table", table.name);
            session.sql(&insert).await?.collect().await?;
        }
    }
    Ok(())
}

/// The columns of a table as `CREATE TABLE` takes them.
///
/// # Errors
/// [`lakehouse::ErrorKind::NotFound`] for a name that is none of [`tables`].
pub fn definition(name: &str) -> Result<String> {
    let table = rows::TABLES.iter().find(|table| table.name == name);
    let table = table.ok_or_else(|| Error::not_found(format!("TPC-H has no table {name}")))?;
    let source = rows::Source {
        scale: SMALL_SCALE,
        text: TextPool::get_or_init_default(),
    };
    let batches = table.batches(&source, 1, 1)?;
    let first = batches.first();
    let first = first.ok_or_else(|| Error::internal(format!("{name} has no rows")))?;
    Ok(rows::definition(&first.schema()))
}

/// In how many commits a table is loaded.
fn parts(table: &str, load: &Load) -> i32 {
    let lines = match table {
        "lineitem" => LINES_AT_SCALE_1,
        "orders" | "partsupp" => LINES_AT_SCALE_1 / 3.0,
        _ => 0.0,
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float is cut to the range of the int"
    )]
    let parts = (lines * load.scale / load.lines_per_commit).ceil() as i32;
    parts.max(1)
}

/// The query of a number from 1 to 22, with the parameters of the standard's validation run.
pub fn query(number: usize) -> Option<&'static str> {
    QUERIES.get(number.checked_sub(1)?).copied()
}

/// The columns of the answer that a query is ordered by, by their names.
pub fn order(number: usize) -> Vec<&'static str> {
    let ordered = query(number).and_then(|sql| sql.rsplit_once("order by"));
    let columns = ordered.map_or("", |(_, columns)| columns);
    let columns = columns.split("limit").next().unwrap_or_default();
    let names = columns.split([',', ';']).map(str::trim);
    names
        .filter_map(|column| column.split_whitespace().next())
        .collect()
}

/// The standard's answer to a query at scale 1: a header and rows, columns separated by `|`.
pub fn answer(number: usize) -> Option<&'static str> {
    answers_sf1::answer(i32::try_from(number).ok()?)
}

/// How many queries there are.
pub const QUERY_COUNT: usize = QUERIES.len();

const QUERIES: [&str; 22] = [
    include_str!("../queries/q01.sql"),
    include_str!("../queries/q02.sql"),
    include_str!("../queries/q03.sql"),
    include_str!("../queries/q04.sql"),
    include_str!("../queries/q05.sql"),
    include_str!("../queries/q06.sql"),
    include_str!("../queries/q07.sql"),
    include_str!("../queries/q08.sql"),
    include_str!("../queries/q09.sql"),
    include_str!("../queries/q10.sql"),
    include_str!("../queries/q11.sql"),
    include_str!("../queries/q12.sql"),
    include_str!("../queries/q13.sql"),
    include_str!("../queries/q14.sql"),
    include_str!("../queries/q15.sql"),
    include_str!("../queries/q16.sql"),
    include_str!("../queries/q17.sql"),
    include_str!("../queries/q18.sql"),
    include_str!("../queries/q19.sql"),
    include_str!("../queries/q20.sql"),
    include_str!("../queries/q21.sql"),
    include_str!("../queries/q22.sql"),
];
