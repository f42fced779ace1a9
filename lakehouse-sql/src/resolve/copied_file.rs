//! The file of a `COPY … FROM` as a table, with the columns that its target takes from it.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{
    DECIMAL256_MAX_PRECISION, DataType, Field, FieldRef, Fields, Schema as ArrowSchema, SchemaRef,
};
use datafusion::catalog::TableProvider;
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::common::Column;
use datafusion::datasource::ViewTable;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::execution::session_state::SessionState;
use datafusion::functions::core::expr_fn::nullif;
use datafusion::logical_expr::{LogicalPlanBuilder, UNNAMED_TABLE};
use datafusion::object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use datafusion::prelude::{Expr, lit};
use datafusion::sql::sqlparser::ast::Ident;
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::name::{Name, hint, quote};
use lakehouse_core::table::{Table, read_schema};

use super::name;
use crate::hex_text::is_bytes;
use crate::statement::{CopiedFile, CopyFormat, CsvForm};

/// A file to be copied, and how its columns find those of the target.
pub(super) struct Opened {
    pub(super) provider: Arc<dyn TableProvider>,
    /// Whether columns go to those of the same name, instead of by position.
    pub(super) by_name: bool,
}

/// Opens a file for a copy into the columns `listed` of a table, or into all.
///
/// # Errors
/// [`ErrorKind::NotFound`] when there is no such file; [`ErrorKind::InvalidInput`] for one with
/// columns that have no place in the table. Each names the file.
pub(super) async fn open(
    file: &CopiedFile,
    listed: &[Ident],
    target: &Table,
    state: &SessionState,
) -> Result<Opened> {
    let opened = open_file(file, listed, target, state).await;
    opened.map_err(|error| {
        error
            .with_context("file", &file.location)
            .with_context("line", file.place.line)
            .with_context("column", file.place.column)
    })
}

async fn open_file(
    file: &CopiedFile,
    listed: &[Ident],
    target: &Table,
    state: &SessionState,
) -> Result<Opened> {
    let url = ListingTableUrl::parse(&file.location)?;
    if url.is_collection() || url.get_glob().is_some() {
        return Err(Error::unsupported(
            "COPY … FROM reads one file; copy the files of a folder one by one",
        ));
    }
    let store = state.runtime_env().object_store(&url).map_err(|error| {
        Error::unsupported("there is no store of this kind to copy from")
            .with_source(Error::from(error))
    })?;
    let found = store.head(url.prefix()).await.map_err(Error::from)?;
    let schema = Arc::new(read_schema(target.schema())?);
    let columns = wanted(listed, &schema)?;
    let source = Source {
        file,
        found,
        store,
        state,
        columns,
        is_listed: !listed.is_empty(),
    };
    source.open(url).await
}

/// The target's columns that the file's go to, in order.
fn wanted(listed: &[Ident], schema: &SchemaRef) -> Result<Vec<Field>> {
    let fields = schema.fields();
    if listed.is_empty() {
        return Ok(fields.iter().map(|field| field.as_ref().clone()).collect());
    }
    listed
        .iter()
        .map(|column| {
            let field = name(column).find(fields, |field| field.name())?;
            let field = field.ok_or_else(|| {
                let names = fields.iter().map(|field| field.name().as_str());
                let hint = hint(&column.value, names);
                Error::not_found(format!("the table has no column {column}{hint}"))
            })?;
            Ok(field.as_ref().clone())
        })
        .collect()
}

struct Source<'a> {
    file: &'a CopiedFile,
    found: ObjectMeta,
    store: Arc<dyn ObjectStore>,
    state: &'a SessionState,
    columns: Vec<Field>,
    is_listed: bool,
}

impl Source<'_> {
    async fn open(&self, url: ListingTableUrl) -> Result<Opened> {
        if self.found.size == 0 {
            let provider = Arc::new(EmptyTable::new(self.texts()));
            let by_name = false;
            return Ok(Opened { provider, by_name });
        }
        let (format, schema, by_name): (Arc<dyn FileFormat>, _, _) = match &self.file.format {
            CopyFormat::Csv(form) => {
                let by_name = form.header && !self.is_listed;
                let format: Arc<dyn FileFormat> = Arc::new(self.csv(form)?);
                let schema = match by_name {
                    true => self.checked(&self.inferred(&format).await?)?,
                    false => self.texts(),
                };
                (format, schema, by_name)
            }
            CopyFormat::Json => {
                let format: Arc<dyn FileFormat> = Arc::new(
                    JsonFormat::default()
                        // Keys that come late are looked for, too.
                        .with_schema_infer_max_rec(usize::MAX)
                        .with_file_compression_type(self.compression()?),
                );
                let schema = self.json(&self.inferred(&format).await?)?;
                (format, schema, !self.is_listed)
            }
            CopyFormat::Parquet => {
                let format: Arc<dyn FileFormat> = Arc::new(ParquetFormat::default());
                let schema = self.parquet(&self.inferred(&format).await?)?;
                (format, schema, !self.is_listed)
            }
        };
        let options = ListingOptions::new(format)
            .with_file_extension("")
            .with_collect_stat(false);
        let config = ListingTableConfig::new(url)
            .with_listing_options(options)
            .with_schema(schema);
        let provider: Arc<dyn TableProvider> = Arc::new(ListingTable::try_new(config)?);
        let provider = match &self.file.format {
            CopyFormat::Csv(CsvForm {
                null: Some(text), ..
            }) => without(provider, text)?,
            _ => provider,
        };
        Ok(Opened { provider, by_name })
    }

    fn compression(&self) -> Result<FileCompressionType> {
        let name = match &self.file.compression {
            Some(name) if name == "none" => "",
            Some(name) => name,
            None => {
                let location = self.file.location.to_lowercase();
                let endings = [
                    (".gz", "gzip"),
                    (".bz2", "bzip2"),
                    (".xz", "xz"),
                    (".zst", "zstd"),
                ];
                let known = endings.iter().find(|(end, _)| location.ends_with(end));
                known.map_or("", |(_, name)| name)
            }
        };
        name.parse::<FileCompressionType>().map_err(|error| {
            Error::unsupported(format!(
                "files packed by {name:?} are not copied; known are gzip, bzip2, xz, zstd and none"
            ))
            .with_source(Error::from(error))
        })
    }

    fn csv(&self, form: &CsvForm) -> Result<CsvFormat> {
        Ok(CsvFormat::default()
            .with_has_header(form.header)
            .with_delimiter(form.delimiter)
            .with_quote(form.quote)
            .with_escape(form.escape)
            // All as text: what a text means is what it means in an INSERT.
            .with_schema_infer_max_rec(0)
            .with_newlines_in_values(true)
            .with_file_compression_type(self.compression()?))
    }

    async fn inferred(&self, format: &Arc<dyn FileFormat>) -> Result<SchemaRef> {
        let objects = [self.found.clone()];
        let inferred = format.infer_schema(self.state, &self.store, &objects).await;
        Ok(inferred?)
    }

    /// The wanted columns as texts, in order.
    fn texts(&self) -> SchemaRef {
        let text = |field: &Field| Field::new(field.name(), DataType::Utf8, true);
        Arc::new(ArrowSchema::new(
            self.columns.iter().map(text).collect::<Fields>(),
        ))
    }

    /// The wanted column that a column of the file goes to.
    fn place(&self, column: &str) -> Result<Option<&Field>> {
        let found = Name::new(column).find(&self.columns, |field| field.name())?;
        Ok(found)
    }

    /// A file's columns, each of which must be one of the target's and none of them twice.
    fn checked(&self, schema: &SchemaRef) -> Result<SchemaRef> {
        let mut taken = HashSet::new();
        for field in schema.fields() {
            let Some(place) = self.place(field.name())? else {
                let names = self.columns.iter().map(|field| field.name().as_str());
                let advice = match self.file.format {
                    CopyFormat::Csv(_) => {
                        "; name the table's columns to take the file's by their position"
                    }
                    CopyFormat::Json | CopyFormat::Parquet => {
                        "; name the columns that are to be copied"
                    }
                };
                return Err(Error::invalid(format!(
                    "the file has a column {} that the table does not have{}{advice}",
                    quote(field.name()),
                    hint(field.name(), names),
                )));
            };
            if !taken.insert(place.name()) {
                return Err(Error::invalid(format!(
                    "the file has column {} twice",
                    quote(field.name())
                )));
            }
        }
        Ok(Arc::clone(schema))
    }

    /// The file's columns that are wanted: those listed, in their order, or all.
    fn selected(&self, schema: &SchemaRef) -> Result<Vec<Field>> {
        if !self.is_listed {
            let checked = self.checked(schema)?;
            return Ok(checked
                .fields()
                .iter()
                .map(|f| f.as_ref().clone())
                .collect());
        }
        self.columns
            .iter()
            .map(|wanted| {
                let fields = schema.fields();
                let found = Name::new(wanted.name()).find(fields, |field| field.name())?;
                let found = found.ok_or_else(|| {
                    let names = fields.iter().map(|field| field.name().as_str());
                    Error::new(
                        ErrorKind::InvalidInput,
                        format!(
                            "the file has no column {}{}",
                            quote(wanted.name()),
                            hint(wanted.name(), names)
                        ),
                    )
                })?;
                Ok(found.as_ref().clone())
            })
            .collect()
    }

    fn parquet(&self, schema: &SchemaRef) -> Result<SchemaRef> {
        Ok(Arc::new(ArrowSchema::new(self.selected(schema)?)))
    }

    fn json(&self, schema: &SchemaRef) -> Result<SchemaRef> {
        let mut fields = self.selected(schema)?;
        for field in &mut fields {
            if let Some(wanted) = self.place(field.name())? {
                *field = json_field(field, wanted.data_type())?;
            }
        }
        Ok(Arc::new(ArrowSchema::new(fields)))
    }
}

/// Digits of the widest decimal that are behind its point, for numbers that whole ones are taken
/// from: a fraction of fewer digits is seen, and refused.
const FRACTION_DIGITS: i8 = 56;

/// A field of a JSON file as it is read for a column: structs in the column's order, and numbers for
/// decimals and whole numbers with their digits, of which doubles would lose some.
fn json_field(field: &Field, wanted: &DataType) -> Result<Field> {
    let data_type = match (field.data_type(), wanted) {
        (
            DataType::Int64 | DataType::Float64,
            DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale),
        ) => {
            // One digit more than is kept tells how to round; readers cut the others off.
            let precision = precision.saturating_add(2).min(DECIMAL256_MAX_PRECISION);
            DataType::Decimal256(precision, scale.saturating_add(1))
        }
        (DataType::Float64, wanted) if wanted.is_integer() => {
            DataType::Decimal256(DECIMAL256_MAX_PRECISION, FRACTION_DIGITS)
        }
        (DataType::Float64, wanted) if wanted.is_string() => return Err(unquoted(field)),
        (DataType::Struct(given), DataType::Struct(wanted)) => {
            let mut fields = Vec::with_capacity(wanted.len());
            for wanted in wanted {
                let found = given.iter().find(|given| given.name() == wanted.name());
                fields.push(match found {
                    Some(found) => json_part(found, wanted.data_type())?,
                    None => Field::new(wanted.name(), wanted.data_type().clone(), true),
                });
            }
            let is_known = |given: &&Arc<Field>| wanted.iter().all(|w| w.name() != given.name());
            if let Some(unknown) = given.iter().find(is_known) {
                return Err(Error::invalid(format!(
                    "the file has a field {} in column {} that the table does not have",
                    quote(unknown.name()),
                    quote(field.name())
                )));
            }
            DataType::Struct(fields.into())
        }
        (DataType::List(given), DataType::List(wanted) | DataType::LargeList(wanted)) => {
            DataType::List(Arc::new(json_part(given, wanted.data_type())?))
        }
        // A map is an object whose keys are not columns.
        (DataType::Struct(given), DataType::Map(entries, sorted)) => {
            DataType::Map(json_entries(given, entries)?, *sorted)
        }
        (given, _) => given.clone(),
    };
    Ok(Field::new(field.name(), data_type, true))
}

/// As [`json_field`], for what is inside of a column: there the reader takes digits for bytes.
fn json_part(field: &Field, wanted: &DataType) -> Result<Field> {
    match field.data_type().is_string() && is_bytes(wanted) {
        true => Ok(Field::new(field.name(), wanted.clone(), true)),
        false => json_field(field, wanted),
    }
}

/// The entries of a map whose values are those of an object of `given` keys.
fn json_entries(given: &Fields, entries: &FieldRef) -> Result<FieldRef> {
    let DataType::Struct(pair) = entries.data_type() else {
        return Ok(Arc::clone(entries));
    };
    let [key, value] = pair.as_ref() else {
        return Ok(Arc::clone(entries));
    };
    let is = |field: &Arc<Field>, kind: DataType| *field.data_type() == kind;
    let broken = given.iter().find(|field| is(field, DataType::Float64));
    let whole = given.iter().find(|field| is(field, DataType::Int64));
    let value = match broken.or(whole.filter(|_| value.data_type().is_decimal())) {
        Some(number) if !value.data_type().is_nested() => {
            let read = json_field(number, value.data_type())?;
            match value.data_type().is_floating() {
                true => Arc::clone(value),
                false => Arc::new(read.with_name(value.name())),
            }
        }
        _ => Arc::clone(value),
    };
    let pair = DataType::Struct([Arc::clone(key), value].into_iter().collect());
    Ok(Arc::new(entries.as_ref().clone().with_data_type(pair)))
}

/// Numbers are read as doubles where they are not all whole, and are not written as they were.
fn unquoted(field: &Field) -> Error {
    Error::invalid(format!(
        "{} has numbers in the file that are not all whole ones of 64 bits, and is a VARCHAR in the \
         table, which would get other digits; write them as texts in the file, or copy them into a \
         DECIMAL",
        quote(field.name())
    ))
}

/// The rows of a table of texts with NULL where a text says so; an empty one is NULL already.
fn without(table: Arc<dyn TableProvider>, null: &str) -> Result<Arc<dyn TableProvider>> {
    let schema = table.schema();
    let values = schema.fields().iter().map(|field| {
        let value = Expr::Column(Column::new_unqualified(field.name()));
        nullif(value, lit(null)).alias(field.name())
    });
    let rows = LogicalPlanBuilder::scan(UNNAMED_TABLE, provider_as_source(table), None)?;
    let rows = rows.project(values.collect::<Vec<_>>())?.build()?;
    Ok(Arc::new(ViewTable::new(rows, None)))
}
