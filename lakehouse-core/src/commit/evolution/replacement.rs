//! A new definition in the place of a table's: which columns keep their ids, and which get new ones.

use std::collections::HashMap;
use std::sync::Arc;

use iceberg::TableUpdate;
use iceberg::spec::{
    FormatVersion, NestedField, NestedFieldRef, PrimitiveType, Schema, SortOrder, TableMetadata,
    Transform, Type, UnboundPartitionField, UnboundPartitionSpec,
};

use super::draft::{Draft, children, with_children};
use super::schema::is_same;
use super::{UpgradeFormat, default_value, partitions, promotion};
use crate::catalog::foreign_type::refuse_write;
use crate::commit::NewTable;
use crate::error::{Error, Result};
use crate::name::quote;
use crate::table::type_text;

/// The id below that of the first partition field.
const IDS_BEGIN: i32 = 999;

/// The updates that give a table the definition of `new`, its location apart.
///
/// Columns keep the ids of those of the same name whose values they can hold, so that branches are
/// still read; the others get ids that no column ever had. Every part of the definition is set,
/// also where it stays as it is, so that the catalog checks that nobody has changed it.
///
/// # Errors
/// [`crate::error::ErrorKind::InvalidInput`] for a format version below the table's and for names
/// of columns that partition fields have; [`crate::error::ErrorKind::Unsupported`] for what the
/// format version does not have.
pub(in crate::commit) fn replacement(
    metadata: &TableMetadata,
    new: &NewTable,
) -> Result<Vec<TableUpdate>> {
    refuse_write(metadata)?;
    let version = new.format_version;
    let mut updates = UpgradeFormat { version }.updates(metadata)?;
    default_value::check_new(new.schema.as_struct().fields(), version)?;
    if let Some(spec) = &new.partition_spec {
        partitions::check_new(&new.schema, spec)?;
    }
    let mut columns = Columns {
        metadata,
        format: version,
        draft: Draft::new(metadata),
        ids: HashMap::new(),
    };
    let known = columns.draft.fields.clone();
    columns.draft.fields = columns.level(&known, new.schema.as_struct().fields())?;
    columns.draft.identifiers = columns.identifiers(&new.schema)?;
    let schema = columns.schema()?;
    check_partition_names(metadata, &schema)?;
    match metadata
        .schemas_iter()
        .find(|known| is_same(known, &schema))
    {
        Some(known) => updates.push(TableUpdate::SetCurrentSchema {
            schema_id: known.schema_id(),
        }),
        None => updates.extend([
            TableUpdate::AddSchema {
                schema: schema.clone(),
            },
            TableUpdate::SetCurrentSchema { schema_id: -1 },
        ]),
    }
    updates.extend(columns.spec(new.partition_spec.as_ref(), &schema)?);
    updates.extend(columns.order(new.sort_order.as_ref())?);
    let changed: HashMap<_, _> = new
        .properties
        .iter()
        .filter(|(key, value)| metadata.properties().get(*key) != Some(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if !changed.is_empty() {
        updates.push(TableUpdate::SetProperties { updates: changed });
    }
    Ok(updates)
}

/// The columns of a new definition on their way to ids of the table.
struct Columns<'a> {
    metadata: &'a TableMetadata,
    format: FormatVersion,
    draft: Draft<'a>,
    /// The table's ids by those of the new definition.
    ids: HashMap<i32, i32>,
}

impl Columns<'_> {
    /// The fields of a table, struct, list or map, where `own` are there already.
    fn level(
        &mut self,
        own: &[NestedFieldRef],
        new: &[NestedFieldRef],
    ) -> Result<Vec<NestedFieldRef>> {
        let mut known = Vec::with_capacity(new.len());
        for field in new {
            let twin = own.iter().find(|own| own.name == field.name);
            let twin = twin.filter(|own| self.keeps_id(own, field));
            let id = match twin {
                Some(own) => own.id,
                None => self.draft.fresh_id()?,
            };
            self.ids.insert(field.id, id);
            known.push((id, twin));
        }
        let fields = new.iter().zip(known);
        fields
            .map(|(field, (id, own))| self.field(field, id, own).map(Arc::new))
            .collect()
    }

    fn field(
        &mut self,
        new: &NestedField,
        id: i32,
        own: Option<&NestedFieldRef>,
    ) -> Result<NestedField> {
        let own_children = own.map_or_else(Vec::new, |own| children(&own.field_type));
        let inner = self.level(&own_children, &children(&new.field_type))?;
        let field_type = with_children(&new.field_type, inner)?;
        let mut field = NestedField::new(id, &new.name, field_type, new.required);
        field.doc.clone_from(&new.doc);
        field.write_default.clone_from(&new.write_default);
        // What old rows have in a column never changes.
        field.initial_default = match own {
            Some(own) => kept_default(own, &new.field_type)?,
            None => new.initial_default.clone(),
        };
        Ok(field)
    }

    /// Whether the values that a column has in files can be read as the new one's.
    fn keeps_id(&self, own: &NestedField, new: &NestedField) -> bool {
        let is_required_now = new.required && !own.required;
        !is_required_now && self.holds(own.id, &own.field_type, &new.field_type)
    }

    fn holds(&self, id: i32, own: &Type, new: &Type) -> bool {
        match (own, new) {
            (Type::Primitive(own), Type::Primitive(new)) => {
                own == new || self.is_promotion(id, own, new)
            }
            // Its fields are looked at one by one.
            (Type::Struct(_), Type::Struct(_)) => true,
            (Type::List(own), Type::List(new)) => {
                self.keeps_id(&own.element_field, &new.element_field)
            }
            (Type::Map(own), Type::Map(new)) => {
                type_text(&own.key_field.field_type) == type_text(&new.key_field.field_type)
                    && self.keeps_id(&own.value_field, &new.value_field)
            }
            _ => false,
        }
    }

    fn is_promotion(&self, id: i32, own: &PrimitiveType, new: &PrimitiveType) -> bool {
        let changes_partitions = self
            .metadata
            .partition_specs_iter()
            .flat_map(|spec| spec.fields())
            .any(|field| field.source_id == id && promotion::changes_result(own, &field.transform));
        promotion::is_promotion(own, new, self.format) && !changes_partitions
    }

    fn id_of(&self, id: i32) -> Result<i32> {
        let id = self.ids.get(&id).copied();
        id.ok_or_else(|| Error::internal("a definition names a column that it does not have"))
    }

    fn identifiers(&self, new: &Schema) -> Result<std::collections::BTreeSet<i32>> {
        new.identifier_field_ids()
            .map(|id| self.id_of(id))
            .collect()
    }

    fn schema(&self) -> Result<Schema> {
        let ids = self.metadata.schemas_iter().map(|known| known.schema_id());
        self.draft
            .schema(ids.max().map_or(0, |highest| highest.saturating_add(1)))
    }

    fn spec(
        &self,
        new: Option<&UnboundPartitionSpec>,
        schema: &Schema,
    ) -> Result<Vec<TableUpdate>> {
        let mut wanted = Vec::new();
        for field in new.map(UnboundPartitionSpec::fields).unwrap_or_default() {
            wanted.push(UnboundPartitionField {
                source_id: self.id_of(field.source_id)?,
                field_id: None,
                name: field.name.clone(),
                transform: field.transform,
            });
        }
        let fields = match self.format {
            FormatVersion::V1 => self.fields_of_v1(wanted, schema)?,
            FormatVersion::V2 | FormatVersion::V3 => self.numbered(wanted)?,
        };
        let known = self.metadata.partition_specs_iter().find(|known| {
            let known = known.fields().iter().cloned();
            known
                .map(UnboundPartitionField::from)
                .eq(fields.iter().cloned())
        });
        if let Some(known) = known {
            let spec_id = known.spec_id();
            return Ok(vec![TableUpdate::SetDefaultSpec { spec_id }]);
        }
        let spec = UnboundPartitionSpec::builder().add_partition_fields(fields);
        let spec = spec.map_err(|error| {
            let error = Error::from(error);
            let message = format!("the partitioning is not possible: {}", error.message());
            Error::invalid(message).with_source(error)
        })?;
        Ok(vec![
            TableUpdate::AddSpec { spec: spec.build() },
            TableUpdate::SetDefaultSpec { spec_id: -1 },
        ])
    }

    /// Fields with ids: that of an equal field of any spec, or a new one.
    fn numbered(
        &self,
        mut fields: Vec<UnboundPartitionField>,
    ) -> Result<Vec<UnboundPartitionField>> {
        let mut last_id = self.metadata.last_partition_id().max(IDS_BEGIN);
        for field in &mut fields {
            let specs = self.metadata.partition_specs_iter();
            let known = specs
                .flat_map(|spec| spec.fields())
                .filter(|known| {
                    known.source_id == field.source_id && known.transform == field.transform
                })
                .map(|known| known.field_id)
                .max();
            field.field_id = Some(match known {
                Some(id) => id,
                None => next(&mut last_id)?,
            });
        }
        Ok(fields)
    }

    /// The fields of a spec of version 1, where ids are counted by place: those that are there
    /// stay, without values where they are no longer wanted.
    fn fields_of_v1(
        &self,
        mut wanted: Vec<UnboundPartitionField>,
        schema: &Schema,
    ) -> Result<Vec<UnboundPartitionField>> {
        let names: Vec<String> = wanted.iter().map(|field| field.name.clone()).collect();
        let mut fields = Vec::new();
        for known in self.metadata.default_partition_spec().fields() {
            let mut field = UnboundPartitionField::from(known.clone());
            let place = wanted.iter().position(|wanted| {
                wanted.source_id == field.source_id && wanted.transform == field.transform
            });
            if let Some(place) = place {
                field.name = wanted.remove(place).name;
                fields.push(field);
                continue;
            }
            if schema.field_by_id(field.source_id).is_none() {
                return Err(Error::unsupported(format!(
                    "partition field {} has no column in the new definition, and tables of format \
                     version 1 keep all of their partition fields; add 'format-version' = '2'",
                    quote(&field.name)
                )));
            }
            field.transform = Transform::Void;
            if names.contains(&field.name) || schema.field_by_name(&field.name).is_some() {
                field.name = format!("{}_{}", field.name, known.field_id);
            }
            fields.push(field);
        }
        let mut last_id = fields.iter().filter_map(|field| field.field_id).max();
        for mut field in wanted {
            field.field_id = Some(next(last_id.get_or_insert(IDS_BEGIN))?);
            fields.push(field);
        }
        Ok(fields)
    }

    fn order(&self, new: Option<&SortOrder>) -> Result<Vec<TableUpdate>> {
        let mut fields = new.map(|order| order.fields.clone()).unwrap_or_default();
        for field in &mut fields {
            field.source_id = self.id_of(field.source_id)?;
        }
        let known = self
            .metadata
            .sort_orders_iter()
            .find(|order| order.fields == fields);
        if let Some(known) = known {
            let sort_order_id = known.order_id;
            return Ok(vec![TableUpdate::SetDefaultSortOrder { sort_order_id }]);
        }
        let ids = self.metadata.sort_orders_iter().map(|order| order.order_id);
        let order_id = match fields.is_empty() {
            true => 0,
            false => ids.max().unwrap_or(0).saturating_add(1),
        };
        Ok(vec![
            TableUpdate::AddSortOrder {
                sort_order: SortOrder { order_id, fields },
            },
            TableUpdate::SetDefaultSortOrder { sort_order_id: -1 },
        ])
    }
}

fn kept_default(own: &NestedField, new: &Type) -> Result<Option<iceberg::spec::Literal>> {
    let Some(value) = own.initial_default.clone() else {
        return Ok(None);
    };
    match (own.field_type.as_ref(), new) {
        (Type::Primitive(from), Type::Primitive(to)) if from != to => {
            promotion::widened(value, from, to).map(Some)
        }
        _ => Ok(Some(value)),
    }
}

fn next(last_id: &mut i32) -> Result<i32> {
    *last_id = last_id.checked_add(1).ok_or_else(|| {
        Error::unsupported("the table has used up the ids that partition fields can have")
    })?;
    Ok(*last_id)
}

/// Refuses new names that partition fields of earlier specs have: in a partition's values one name
/// must mean one thing.
fn check_partition_names(metadata: &TableMetadata, schema: &Schema) -> Result<()> {
    for field in metadata
        .partition_specs_iter()
        .flat_map(|spec| spec.fields())
    {
        let is_new = |known: &Arc<Schema>| known.field_by_name(&field.name).is_none();
        if schema.field_by_name(&field.name).is_some() && metadata.schemas_iter().all(is_new) {
            return Err(Error::invalid(format!(
                "a column cannot be called {}: a partition field of the table's history has that \
                 name",
                quote(&field.name)
            )));
        }
    }
    Ok(())
}
