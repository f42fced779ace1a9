//! The eight TPC-H tables: rows of `tpchgen` as Arrow batches, one part of a table at a time.

use std::fmt::Display;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int32Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use tpchgen::dates::TPCHDate;
use tpchgen::decimal::TPCHDecimal;
use tpchgen::distribution::Distributions;
use tpchgen::generators::{
    Customer, CustomerGenerator, LineItem, LineItemGenerator, Nation, NationGenerator, Order,
    OrderGenerator, Part, PartGenerator, PartSupp, PartSuppGenerator, Region, RegionGenerator,
    Supplier, SupplierGenerator,
};
use tpchgen::text::TextPool;

/// Rows of one batch at most.
const BATCH_ROWS_MAX: usize = 65_536;

/// What rows depend on: how many there are, and the text their comments are cut from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    /// 1 makes about 1 GB of text.
    pub(crate) scale: f64,
    /// The standard pool gives the standard rows; a small one is made faster and changes comments
    /// only.
    pub(crate) text: &'a TextPool,
}

/// A table of TPC-H.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TpchTable {
    /// The name in the standard.
    pub(crate) name: &'static str,
    batches: fn(&Source<'_>, i32, i32) -> Result<Vec<RecordBatch>, ArrowError>,
}

impl TpchTable {
    /// Part `part` of `parts` (counted from 1) of the table's rows.
    pub(crate) fn batches(
        &self,
        source: &Source<'_>,
        part: i32,
        parts: i32,
    ) -> Result<Vec<RecordBatch>, ArrowError> {
        (self.batches)(source, part, parts)
    }
}

/// All tables; a table stands after those its rows refer to.
pub(crate) const TABLES: [TpchTable; 8] = [
    TpchTable {
        name: "region",
        batches: |source, part, parts| {
            let rows = RegionGenerator::new_with_distributions_and_text_pool(words(), source.text);
            // The generator knows one part only.
            in_batches(rows.iter().take(if part == parts { 5 } else { 0 }), region)
        },
    },
    TpchTable {
        name: "nation",
        batches: |source, part, parts| {
            let rows = NationGenerator::new_with_distributions_and_text_pool(words(), source.text);
            in_batches(rows.iter().take(if part == parts { 25 } else { 0 }), nation)
        },
    },
    TpchTable {
        name: "supplier",
        batches: |source, part, parts| {
            let rows = SupplierGenerator::new_with_distributions_and_text_pool(
                source.scale,
                part,
                parts,
                words(),
                source.text,
            );
            in_batches(rows.iter(), supplier)
        },
    },
    TpchTable {
        name: "customer",
        batches: |source, part, parts| {
            let rows = CustomerGenerator::new_with_distributions_and_text_pool(
                source.scale,
                part,
                parts,
                words(),
                source.text,
            );
            in_batches(rows.iter(), customer)
        },
    },
    TpchTable {
        name: "part",
        batches: |source, part, parts| {
            let rows = PartGenerator::new_with_distributions_and_text_pool(
                source.scale,
                part,
                parts,
                words(),
                source.text,
            );
            in_batches(rows.iter(), self::part)
        },
    },
    TpchTable {
        name: "partsupp",
        batches: |source, part, parts| {
            let rows =
                PartSuppGenerator::new_with_text_pool(source.scale, part, parts, source.text);
            in_batches(rows.iter(), part_supplier)
        },
    },
    TpchTable {
        name: "orders",
        batches: |source, part, parts| {
            let rows = OrderGenerator::new_with_distributions_and_text_pool(
                source.scale,
                part,
                parts,
                words(),
                source.text,
            );
            in_batches(rows.iter(), order)
        },
    },
    TpchTable {
        name: "lineitem",
        batches: |source, part, parts| {
            let rows = LineItemGenerator::new_with_distributions_and_text_pool(
                source.scale,
                part,
                parts,
                words(),
                source.text,
            );
            in_batches(rows.iter(), line_item)
        },
    },
];

/// The columns of a table as `CREATE TABLE` takes them.
pub(crate) fn definition(schema: &Schema) -> String {
    let columns: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| {
            let data_type = match field.data_type() {
                DataType::Int64 => "BIGINT".to_owned(),
                DataType::Int32 => "INT".to_owned(),
                DataType::Date32 => "DATE".to_owned(),
                DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
                _ => "VARCHAR".to_owned(),
            };
            format!("{} {data_type} NOT NULL", field.name())
        })
        .collect();
    columns.join(", ")
}

fn words() -> &'static Distributions {
    Distributions::static_default()
}

/// Cuts rows into batches; the work is done while the rows are made, so few are kept at once.
fn in_batches<R>(
    mut rows: impl Iterator<Item = R>,
    batch: fn(&[R]) -> Result<RecordBatch, ArrowError>,
) -> Result<Vec<RecordBatch>, ArrowError> {
    let mut batches = Vec::new();
    loop {
        let chunk: Vec<R> = rows.by_ref().take(BATCH_ROWS_MAX).collect();
        if chunk.is_empty() {
            return Ok(batches);
        }
        batches.push(batch(&chunk)?);
    }
}

fn region(rows: &[Region<'_>]) -> Result<RecordBatch, ArrowError> {
    batch([
        ("r_regionkey", longs(rows, |row| row.r_regionkey)),
        ("r_name", texts(rows, |row| row.r_name)),
        ("r_comment", texts(rows, |row| row.r_comment)),
    ])
}

fn nation(rows: &[Nation<'_>]) -> Result<RecordBatch, ArrowError> {
    batch([
        ("n_nationkey", longs(rows, |row| row.n_nationkey)),
        ("n_name", texts(rows, |row| row.n_name)),
        ("n_regionkey", longs(rows, |row| row.n_regionkey)),
        ("n_comment", texts(rows, |row| row.n_comment)),
    ])
}

fn supplier(rows: &[Supplier]) -> Result<RecordBatch, ArrowError> {
    batch([
        ("s_suppkey", longs(rows, |row| row.s_suppkey)),
        ("s_name", texts(rows, |row| row.s_name)),
        ("s_address", texts(rows, |row| row.s_address.to_string())),
        ("s_nationkey", longs(rows, |row| row.s_nationkey)),
        ("s_phone", texts(rows, |row| row.s_phone.to_string())),
        ("s_acctbal", decimals(rows, |row| row.s_acctbal)?),
        ("s_comment", texts(rows, |row| row.s_comment.clone())),
    ])
}

fn customer(rows: &[Customer<'_>]) -> Result<RecordBatch, ArrowError> {
    batch([
        ("c_custkey", longs(rows, |row| row.c_custkey)),
        ("c_name", texts(rows, |row| row.c_name)),
        ("c_address", texts(rows, |row| row.c_address.to_string())),
        ("c_nationkey", longs(rows, |row| row.c_nationkey)),
        ("c_phone", texts(rows, |row| row.c_phone.to_string())),
        ("c_acctbal", decimals(rows, |row| row.c_acctbal)?),
        ("c_mktsegment", texts(rows, |row| row.c_mktsegment)),
        ("c_comment", texts(rows, |row| row.c_comment)),
    ])
}

fn part(rows: &[Part<'_>]) -> Result<RecordBatch, ArrowError> {
    batch([
        ("p_partkey", longs(rows, |row| row.p_partkey)),
        ("p_name", texts(rows, |row| row.p_name.to_string())),
        ("p_mfgr", texts(rows, |row| row.p_mfgr)),
        ("p_brand", texts(rows, |row| row.p_brand)),
        ("p_type", texts(rows, |row| row.p_type)),
        ("p_size", ints(rows, |row| row.p_size)),
        ("p_container", texts(rows, |row| row.p_container)),
        ("p_retailprice", decimals(rows, |row| row.p_retailprice)?),
        ("p_comment", texts(rows, |row| row.p_comment)),
    ])
}

fn part_supplier(rows: &[PartSupp<'_>]) -> Result<RecordBatch, ArrowError> {
    batch([
        ("ps_partkey", longs(rows, |row| row.ps_partkey)),
        ("ps_suppkey", longs(rows, |row| row.ps_suppkey)),
        ("ps_availqty", ints(rows, |row| row.ps_availqty)),
        ("ps_supplycost", decimals(rows, |row| row.ps_supplycost)?),
        ("ps_comment", texts(rows, |row| row.ps_comment)),
    ])
}

fn order(rows: &[Order<'_>]) -> Result<RecordBatch, ArrowError> {
    batch([
        ("o_orderkey", longs(rows, |row| row.o_orderkey)),
        ("o_custkey", longs(rows, |row| row.o_custkey)),
        (
            "o_orderstatus",
            texts(rows, |row| row.o_orderstatus.as_str()),
        ),
        ("o_totalprice", decimals(rows, |row| row.o_totalprice)?),
        ("o_orderdate", dates(rows, |row| row.o_orderdate)),
        ("o_orderpriority", texts(rows, |row| row.o_orderpriority)),
        ("o_clerk", texts(rows, |row| row.o_clerk)),
        ("o_shippriority", ints(rows, |row| row.o_shippriority)),
        ("o_comment", texts(rows, |row| row.o_comment)),
    ])
}

fn line_item(rows: &[LineItem<'_>]) -> Result<RecordBatch, ArrowError> {
    batch([
        ("l_orderkey", longs(rows, |row| row.l_orderkey)),
        ("l_partkey", longs(rows, |row| row.l_partkey)),
        ("l_suppkey", longs(rows, |row| row.l_suppkey)),
        ("l_linenumber", ints(rows, |row| row.l_linenumber)),
        // The generator counts whole pieces; the standard's column is a decimal.
        (
            "l_quantity",
            decimals(rows, |row| TPCHDecimal(row.l_quantity * 100))?,
        ),
        (
            "l_extendedprice",
            decimals(rows, |row| row.l_extendedprice)?,
        ),
        ("l_discount", decimals(rows, |row| row.l_discount)?),
        ("l_tax", decimals(rows, |row| row.l_tax)?),
        ("l_returnflag", texts(rows, |row| row.l_returnflag)),
        ("l_linestatus", texts(rows, |row| row.l_linestatus)),
        ("l_shipdate", dates(rows, |row| row.l_shipdate)),
        ("l_commitdate", dates(rows, |row| row.l_commitdate)),
        ("l_receiptdate", dates(rows, |row| row.l_receiptdate)),
        ("l_shipinstruct", texts(rows, |row| row.l_shipinstruct)),
        ("l_shipmode", texts(rows, |row| row.l_shipmode)),
        ("l_comment", texts(rows, |row| row.l_comment)),
    ])
}

/// A batch of these columns, none of which holds nulls.
fn batch<const N: usize>(columns: [(&str, ArrayRef); N]) -> Result<RecordBatch, ArrowError> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, values)| Field::new(*name, values.data_type().clone(), false))
        .collect();
    let values = columns.into_iter().map(|(_, values)| values).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), values)
}

fn longs<R>(rows: &[R], value: impl Fn(&R) -> i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(rows.iter().map(value)))
}

fn ints<R>(rows: &[R], value: impl Fn(&R) -> i32) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(rows.iter().map(value)))
}

fn dates<R>(rows: &[R], value: impl Fn(&R) -> TPCHDate) -> ArrayRef {
    Arc::new(Date32Array::from_iter_values(
        rows.iter().map(|row| value(row).to_unix_epoch()),
    ))
}

fn decimals<R>(rows: &[R], value: impl Fn(&R) -> TPCHDecimal) -> Result<ArrayRef, ArrowError> {
    let cents = rows.iter().map(|row| i128::from(value(row).into_inner()));
    let array = Decimal128Array::from_iter_values(cents).with_precision_and_scale(15, 2)?;
    Ok(Arc::new(array))
}

fn texts<'r, R, T: Display>(rows: &'r [R], value: impl Fn(&'r R) -> T) -> ArrayRef {
    let values = rows.iter().map(|row| value(row).to_string());
    Arc::new(StringArray::from_iter_values(values))
}
