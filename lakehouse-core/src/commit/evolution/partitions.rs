//! Changes of a table's partitioning; files that are there stay in the partitions they are in.

use iceberg::TableUpdate;
use iceberg::spec::{
    FormatVersion, PrimitiveType, Schema, TableMetadata, Transform, Type, UnboundPartitionField,
    UnboundPartitionSpec,
};

use super::ColumnPath;
use super::draft::Draft;
use crate::catalog::foreign_type::refuse_write;
use crate::commit::change::Step;
use crate::error::{Error, ErrorKind, Result};
use crate::name::{Name, hint, quote};
use crate::table::{Table, type_text};

/// The id below that of the first partition field.
const IDS_BEGIN: i32 = 999;

/// Changes how new files are divided into partitions, all operations or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EvolvePartitions {
    /// What is changed, one after the other.
    pub operations: Vec<PartitionOperation>,
}

/// One change of a table's partitioning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionOperation {
    /// Adds a field.
    Add(NewPartitionField),
    /// Drops a field; in tables of format version 1 it stays as one without values.
    Drop(PartitionFieldReference),
    /// Puts one field in place of another.
    Replace {
        /// The field that goes.
        dropped: PartitionFieldReference,
        /// The field that comes.
        added: NewPartitionField,
    },
}

/// A partition field to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPartitionField {
    /// The column its values are made of.
    pub column: ColumnPath,
    /// What is done with the column's values.
    pub transform: Transform,
    /// Its name; made of column and transform when unset.
    pub name: Option<String>,
}

/// A partition field that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionFieldReference {
    /// By its name.
    Name(Name),
    /// By column and transform; a column alone may also be the name of a field.
    Term {
        /// The column.
        column: ColumnPath,
        /// What is done with the column's values.
        transform: Transform,
    },
}

impl EvolvePartitions {
    /// What these changes come to on a table's state; nothing when it is so already.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a column or field that is not there,
    /// [`ErrorKind::AlreadyExists`] for a field that is, [`ErrorKind::InvalidInput`] for what the
    /// format forbids, by its rule, [`ErrorKind::Unsupported`] for the values of a `fixed` column.
    pub fn updates(&self, metadata: &TableMetadata) -> Result<Vec<TableUpdate>> {
        refuse_write(metadata)?;
        let spec = self.applied(metadata).map_err(|(_, error)| error)?;
        let is_same = |known: &iceberg::spec::PartitionSpec| {
            let fields = known
                .fields()
                .iter()
                .cloned()
                .map(UnboundPartitionField::from);
            fields.eq(spec.fields.iter().cloned())
        };
        let current = metadata.default_partition_spec();
        if is_same(current) {
            return Ok(Vec::new());
        }
        if let Some(known) = metadata.partition_specs_iter().find(|known| is_same(known)) {
            let spec_id = known.spec_id();
            return Ok(vec![TableUpdate::SetDefaultSpec { spec_id }]);
        }
        let unbound = UnboundPartitionSpec::builder()
            .add_partition_fields(spec.fields)
            .map_err(|error| {
                let error = Error::from(error);
                Error::invalid(format!(
                    "the partitioning is not possible: {}",
                    error.message()
                ))
                .with_source(error)
            })?
            .build();
        Ok(vec![
            TableUpdate::AddSpec { spec: unbound },
            TableUpdate::SetDefaultSpec { spec_id: -1 },
        ])
    }

    /// The operation, by its place, that [`Self::updates`] refuses on this state.
    pub fn refused(&self, metadata: &TableMetadata) -> Option<usize> {
        self.applied(metadata).err().map(|(index, _)| index)
    }

    fn applied<'a>(
        &self,
        metadata: &'a TableMetadata,
    ) -> std::result::Result<SpecDraft<'a>, (usize, Error)> {
        let mut spec = SpecDraft::new(metadata);
        for (index, operation) in self.operations.iter().enumerate() {
            let applied = match operation {
                PartitionOperation::Add(new) => spec.add(new),
                PartitionOperation::Drop(field) => spec.drop(field),
                PartitionOperation::Replace { dropped, added } => spec.replace(dropped, added),
            };
            applied.map_err(|error| (index, error))?;
        }
        Ok(spec)
    }

    pub(in crate::commit) fn plan(&self, table: &Table) -> Result<Step> {
        Ok(Step::of_metadata(table, self.updates(table.metadata())?))
    }
}

/// The fields of the current spec with the changes so far.
struct SpecDraft<'a> {
    metadata: &'a TableMetadata,
    columns: Draft<'a>,
    fields: Vec<UnboundPartitionField>,
    last_id: i32,
}

impl<'a> SpecDraft<'a> {
    fn new(metadata: &'a TableMetadata) -> Self {
        let current = metadata.default_partition_spec();
        let fields = current.fields().iter().cloned();
        Self {
            metadata,
            columns: Draft::new(metadata),
            fields: fields.map(UnboundPartitionField::from).collect(),
            last_id: metadata.last_partition_id().max(IDS_BEGIN),
        }
    }

    fn is_v1(&self) -> bool {
        self.metadata.format_version() == FormatVersion::V1
    }

    /// The place of a field that has values.
    fn position(&self, reference: &PartitionFieldReference) -> Result<usize> {
        let live: Vec<&UnboundPartitionField> = self
            .fields
            .iter()
            .filter(|field| field.transform != Transform::Void || !self.is_v1())
            .collect();
        let by_name = |name: &Name| name.find(&live, |field| &field.name);
        let (found, shown) = match reference {
            PartitionFieldReference::Name(name) => (by_name(name)?, name.to_string()),
            PartitionFieldReference::Term { column, transform } => {
                let source = self.columns.try_find(column);
                let id = source.ok().flatten().map(|found| found.field.id);
                let by_term = live
                    .iter()
                    .find(|field| Some(field.source_id) == id && field.transform == *transform);
                match (by_term, transform, column.names()) {
                    (None, Transform::Identity, [name]) => (by_name(name)?, name.to_string()),
                    (None, Transform::Identity, _) => (None, column.to_string()),
                    (by_term, transform, _) => (by_term, format!("{transform}({column})")),
                }
            }
        };
        let found = found.and_then(|found| self.fields.iter().position(|field| field == *found));
        found.ok_or_else(|| {
            let names = live.iter().map(|field| field.name.as_str());
            Error::not_found(format!(
                "the table is not partitioned by {shown}{}",
                hint(&shown, names)
            ))
        })
    }

    fn drop(&mut self, reference: &PartitionFieldReference) -> Result<()> {
        let position = self.position(reference)?;
        if self.is_v1() {
            self.refuse_second_void(position)?;
            // Ids of version 1 are counted by place: what is dropped leaves an empty one. It gives
            // up a column's name, which only the identity of the column may have.
            let schema = self.metadata.current_schema();
            let field = &mut self.fields[position];
            field.transform = Transform::Void;
            if schema.field_by_name(&field.name).is_some() {
                field.name = format!("{}_{}", field.name, field.field_id.unwrap_or_default());
            }
        } else {
            self.fields.remove(position);
        }
        Ok(())
    }

    /// The format crate knows one field without values of a column.
    fn refuse_second_void(&self, position: usize) -> Result<()> {
        let field = &self.fields[position];
        let is_twin = |other: &&UnboundPartitionField| {
            other.source_id == field.source_id && other.transform == Transform::Void
        };
        match self.fields.iter().find(is_twin) {
            None => Ok(()),
            Some(other) => Err(Error::unsupported(format!(
                "partition field {} cannot be dropped: tables of format version 1 keep what is \
                 dropped, here {} of the same column, and this library keeps one of a column; raise \
                 the format version first (SET TBLPROPERTIES ('format-version' = '2'))",
                quote(&field.name),
                quote(&other.name)
            ))),
        }
    }

    fn replace(
        &mut self,
        dropped: &PartitionFieldReference,
        added: &NewPartitionField,
    ) -> Result<()> {
        let position = self.position(dropped)?;
        let (source, path) = self.source(added)?;
        let old = &self.fields[position];
        if old.source_id != source || old.transform != added.transform {
            self.drop(dropped)?;
            return self.add(added);
        }
        // The same values under another name are the same field.
        let name = match &added.name {
            Some(name) => name.clone(),
            None => default_name(&path, added.transform),
        };
        if old.name != name {
            self.free_name(&name, source, added.transform)?;
            self.fields[position].name = name;
        }
        Ok(())
    }

    fn add(&mut self, new: &NewPartitionField) -> Result<()> {
        let (source, path) = self.source(new)?;
        if let Some(twin) = self
            .fields
            .iter()
            .find(|field| field.source_id == source && field.transform == new.transform)
        {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!(
                    "the table is partitioned by {} of column {} already, as {}",
                    new.transform,
                    quote(&path),
                    quote(&twin.name)
                ),
            ));
        }
        let finer = self.fields.iter().find(|field| {
            field.source_id == source && is_time(field.transform) && is_time(new.transform)
        });
        if let Some(field) = finer {
            return Err(Error::invalid(format!(
                "partition field {} is {} of the same column, and one of the two says all that \
                 the other does: use REPLACE PARTITION FIELD",
                quote(&field.name),
                field.transform
            )));
        }
        let known = self.known(source, new);
        let name = match (&new.name, &known) {
            (Some(name), _) => name.clone(),
            (None, Some((_, name))) => name.clone(),
            (None, None) => default_name(&path, new.transform),
        };
        self.free_name(&name, source, new.transform)?;
        let id = match known {
            Some((id, _)) => id,
            None => self.fresh_id()?,
        };
        let field = UnboundPartitionField {
            source_id: source,
            field_id: Some(id),
            name,
            transform: new.transform,
        };
        self.fields.push(field);
        Ok(())
    }

    /// The column of a new field, by id and path.
    fn source(&self, new: &NewPartitionField) -> Result<(i32, String)> {
        let found = self.columns.find(&new.column)?;
        let refused = |why: String| {
            Err(Error::invalid(format!(
                "a table cannot be partitioned by column {}: {why}",
                found.shown()
            )))
        };
        if found
            .parents
            .iter()
            .any(|parent| !parent.field_type.is_struct())
        {
            return refused("it is in a list or map".to_owned());
        }
        let kind = &found.field.field_type;
        if !kind.is_primitive() {
            return refused("its type is nested".to_owned());
        }
        let is_offered = !matches!(new.transform, Transform::Void | Transform::Unknown);
        if !is_offered || new.transform.result_type(kind).is_err() {
            return refused(format!(
                "transform {} does not take {}",
                new.transform,
                type_text(kind)
            ));
        }
        refuse_fixed(&found.shown(), kind, new.transform)?;
        let names = found.parents.iter().chain([&found.field]);
        let names: Vec<&str> = names.map(|field| field.name.as_str()).collect();
        Ok((found.field.id, names.join(".")))
    }

    /// An equal field of an earlier spec: its id says in all specs that the values are the same.
    fn known(&self, source: i32, new: &NewPartitionField) -> Option<(i32, String)> {
        if self.is_v1() {
            return None;
        }
        let mut specs: Vec<_> = self.metadata.partition_specs_iter().collect();
        specs.sort_by_key(|spec| std::cmp::Reverse(spec.spec_id()));
        let mut fields = specs.into_iter().flat_map(|spec| spec.fields());
        let known = fields.find(|field| {
            field.source_id == source
                && field.transform == new.transform
                && new.name.as_ref().is_none_or(|name| *name == field.name)
                // Another field of this spec may have been given the name since.
                && !self.fields.iter().any(|own| {
                    own.field_id == Some(field.field_id)
                        || (new.name.is_none() && own.name == field.name)
                })
        })?;
        Some((known.field_id, known.name.clone()))
    }

    fn fresh_id(&mut self) -> Result<i32> {
        let last = match self.is_v1() {
            true => self.fields.iter().filter_map(|field| field.field_id).max(),
            false => Some(self.last_id),
        };
        self.last_id = last.unwrap_or(IDS_BEGIN).checked_add(1).ok_or_else(|| {
            Error::unsupported("the table has used up the ids that partition fields can have")
        })?;
        Ok(self.last_id)
    }

    /// Makes sure that a field may have a name; one without values gives it up.
    fn free_name(&mut self, name: &str, source: i32, transform: Transform) -> Result<()> {
        if name.is_empty() {
            return Err(Error::invalid("a partition field needs a name"));
        }
        if let Some(holder) = self.fields.iter_mut().find(|field| field.name == name) {
            if holder.transform != Transform::Void {
                return Err(Error::new(
                    ErrorKind::AlreadyExists,
                    format!("there is a partition field {} already", quote(name)),
                ));
            }
            holder.name = format!("{name}_{}", holder.field_id.unwrap_or_default());
        }
        let column = self.metadata.current_schema().field_by_name(name);
        match column {
            Some(column) if transform != Transform::Identity || column.id != source => {
                Err(Error::invalid(format!(
                    "a partition field cannot be called {}: a column has that name; give it \
                     another one with AS",
                    quote(name)
                )))
            }
            _ => Ok(()),
        }
    }
}

/// Refuses a new table's partitioning that is within the format, and that other engines do not read.
///
/// # Errors
/// [`ErrorKind::Unsupported`] by the column's name.
pub(in crate::commit) fn check_new(schema: &Schema, spec: &UnboundPartitionSpec) -> Result<()> {
    for field in spec.fields() {
        if let Some(column) = schema.field_by_id(field.source_id) {
            let path = schema.name_by_field_id(column.id).unwrap_or(&column.name);
            refuse_fixed(&quote(path), &column.field_type, field.transform)?;
        }
    }
    Ok(())
}

/// Iceberg's Java library, 1.12 and before, takes the first byte of a `fixed` value in a manifest
/// for a length. Tables that have such partitions already are read and written as the format has
/// them.
fn refuse_fixed(column: &str, kind: &Type, transform: Transform) -> Result<()> {
    match (kind, transform) {
        (Type::Primitive(PrimitiveType::Fixed(_)), Transform::Identity) => {
            Err(Error::unsupported(format!(
                "a table cannot be partitioned by the values of column {column}, which is {}: Iceberg's \
                 Java library, and with it Spark and Trino, could not read it; partition by a bucket of \
                 the column, or make it BINARY",
                type_text(kind)
            )))
        }
        _ => Ok(()),
    }
}

fn is_time(transform: Transform) -> bool {
    matches!(
        transform,
        Transform::Year | Transform::Month | Transform::Day | Transform::Hour
    )
}

/// The name of a field that is added without one, as Iceberg's Java library gives it.
fn default_name(path: &str, transform: Transform) -> String {
    match transform {
        Transform::Identity => path.to_owned(),
        Transform::Bucket(buckets) => format!("{path}_bucket_{buckets}"),
        Transform::Truncate(width) => format!("{path}_trunc_{width}"),
        other => format!("{path}_{other}"),
    }
}
