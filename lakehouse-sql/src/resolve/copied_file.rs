//! The file of a `COPY … FROM` as a table, with the columns that its target takes from it.

mod csv_records;
mod csv_table;
mod json_type;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::Column;
use datafusion::datasource::ViewTable;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{LogicalPlanBuilder, UNNAMED_TABLE};
use datafusion::object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use datafusion::prelude::Expr;
use datafusion::sql::sqlparser::ast::Ident;
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::name::{Name, hint, quote};
use lakehouse_core::table::{Table, read_schema};

use self::csv_records::Emptiness;
use self::csv_table::{CsvFile, CsvRows};
use self::json_type::json_field;
use super::name;
use super::read_file::refuse_special;
use crate::statement::{CopiedFile, CopyFormat, CsvForm};
use crate::unique_keys::{has_maps, unique_keys};

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
    refuse_special(&url).await?;
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
            self.check_may_be_empty()?;
            let provider = Arc::new(EmptyTable::new(self.texts()));
            let by_name = false;
            return Ok(Opened { provider, by_name });
        }
        let (format, schema): (Arc<dyn FileFormat>, _) = match &self.file.format {
            CopyFormat::Csv(form) => return self.csv(form).await,
            CopyFormat::Json => {
                let format: Arc<dyn FileFormat> = Arc::new(
                    JsonFormat::default()
                        // Keys that come late are looked for, too.
                        .with_schema_infer_max_rec(usize::MAX)
                        .with_file_compression_type(self.compression()?),
                );
                let schema = self.json(&self.inferred(&format).await?)?;
                (format, schema)
            }
            CopyFormat::Parquet => {
                let format: Arc<dyn FileFormat> = Arc::new(ParquetFormat::default());
                let schema = self.parquet(&self.inferred(&format).await?)?;
                (format, schema)
            }
        };
        let options = ListingOptions::new(format)
            .with_file_extension("")
            .with_collect_stat(false);
        let config = ListingTableConfig::new(url)
            .with_listing_options(options)
            .with_schema(schema);
        let provider = with_unique_keys(Arc::new(ListingTable::try_new(config)?))?;
        Ok(Opened {
            provider,
            by_name: !self.is_listed,
        })
    }

    /// A file of no bytes has no rows where nothing has to frame them.
    fn check_may_be_empty(&self) -> Result<()> {
        let what = match self.file.format {
            CopyFormat::Parquet => "Parquet file",
            _ if self.compression()?.is_compressed() => "packed file",
            _ => return Ok(()),
        };
        Err(Error::corrupt(format!(
            "the file has 0 bytes, which is no {what}; it may have been cut off: copy it anew"
        )))
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

    async fn csv(&self, form: &CsvForm) -> Result<Opened> {
        let file = CsvFile {
            store: Arc::clone(&self.store),
            path: self.found.location.clone(),
            compression: self.compression()?,
            form: form.clone(),
        };
        let by_name = form.header && !self.is_listed;
        // All as text: what a text means is what it means in an INSERT.
        let schema = match by_name {
            true => {
                let names = file.header().await?.into_iter();
                let fields = names.map(|name| Field::new(name, DataType::Utf8, true));
                self.checked(&Arc::new(ArrowSchema::new(fields.collect::<Fields>())))?
            }
            false => self.texts(),
        };
        if schema.fields().is_empty() {
            let provider = Arc::new(EmptyTable::new(self.texts()));
            let by_name = false;
            return Ok(Opened { provider, by_name });
        }
        let columns = schema.fields().iter().map(|field| {
            let wanted = self.place(field.name())?.map(Field::data_type);
            Ok(match wanted.is_some_and(has_empty_value) {
                true => Emptiness::Kept,
                false => Emptiness::Null,
            })
        });
        let rows = CsvRows {
            file,
            schema: Arc::clone(&schema),
            columns: columns.collect::<Result<_>>()?,
        };
        let provider = Arc::new(StreamingTable::try_new(schema, vec![Arc::new(rows)])?);
        Ok(Opened { provider, by_name })
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

/// Whether an empty text says a value of a type.
fn has_empty_value(data_type: &DataType) -> bool {
    let is_bytes = matches!(
        data_type,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView
    );
    is_bytes || data_type.is_string()
}

/// The rows of a table; a map with a key twice is an error.
fn with_unique_keys(table: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
    let schema = table.schema();
    if !schema
        .fields()
        .iter()
        .any(|field| has_maps(field.data_type()))
    {
        return Ok(table);
    }
    let values = schema.fields().iter().map(|field| {
        let value = Expr::Column(Column::new_unqualified(field.name()));
        match has_maps(field.data_type()) {
            true => {
                let place = format!("column {} of the file", quote(field.name()));
                unique_keys(place, value).alias(field.name())
            }
            false => value,
        }
    });
    let rows = LogicalPlanBuilder::scan(UNNAMED_TABLE, provider_as_source(table), None)?;
    let rows = rows.project(values.collect::<Vec<_>>())?.build()?;
    Ok(Arc::new(ViewTable::new(rows, None)))
}
