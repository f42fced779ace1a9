//! How names are written where they are stored.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::{DataType as ArrowType, Fields};
use iceberg::spec::{NestedFieldRef, Schema, Type};

/// Spellings of names by their lower-case form.
#[derive(Debug, Default, Clone)]
pub(crate) struct Spellings {
    by_lower: BTreeMap<String, BTreeSet<String>>,
    /// The columns themselves, without nested ones.
    top: Vec<String>,
    /// For a branch or tag of a table the last two parts of its name in lower case: each stands for
    /// it in other names.
    versioned: Option<[String; 2]>,
}

impl Spellings {
    /// The columns of a schema, nested ones too.
    pub(crate) fn of_schema(schema: &Schema) -> Self {
        let mut spellings = Self::default();
        let fields = schema.as_struct().fields();
        spellings.add_fields(fields);
        spellings.top = fields.iter().map(|field| field.name.clone()).collect();
        spellings
    }

    /// The same of a branch or tag, by the last two parts of its name.
    pub(in crate::resolve) fn of_version(mut self, table: &str, version: &str) -> Self {
        self.versioned = Some([table.to_lowercase(), version.to_lowercase()]);
        self
    }

    /// The other name of a branch or tag that is called `name` in lower case.
    pub(super) fn other_name(&self, name: &str) -> Option<&str> {
        match self.versioned.as_ref()? {
            [table, version] if version == name => Some(table),
            [table, version] if table == name => Some(version),
            _ => None,
        }
    }

    /// The columns of rows, nested ones too.
    pub(crate) fn of_fields(fields: &Fields) -> Self {
        let mut spellings = Self::default();
        spellings.add_arrow_fields(fields);
        spellings
    }

    /// Adds a column itself, beside nested ones.
    pub(super) fn add_column(&mut self, name: &str) {
        self.add(name);
        self.top.push(name.to_owned());
    }

    /// Plain column names, of a table that is not the lake's.
    pub(crate) fn of_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut spellings = Self::default();
        names
            .into_iter()
            .for_each(|name| spellings.add_column(name));
        spellings
    }

    /// The columns themselves, without nested ones.
    pub(in crate::resolve) fn top(&self) -> &[String] {
        &self.top
    }

    fn add_fields(&mut self, fields: &[NestedFieldRef]) {
        for field in fields {
            self.add(&field.name);
            self.add_type(&field.field_type);
        }
    }

    fn add_type(&mut self, field_type: &Type) {
        match field_type {
            Type::Struct(fields) => self.add_fields(fields.fields()),
            Type::List(list) => self.add_type(&list.element_field.field_type),
            Type::Map(map) => {
                self.add_type(&map.key_field.field_type);
                self.add_type(&map.value_field.field_type);
            }
            Type::Primitive(_) => {}
        }
    }

    fn add_arrow_fields(&mut self, fields: &Fields) {
        for field in fields {
            self.add(field.name());
            if let ArrowType::Struct(inner) = field.data_type() {
                self.add_arrow_fields(inner);
            }
        }
    }

    pub(super) fn add(&mut self, name: &str) {
        self.by_lower
            .entry(name.to_lowercase())
            .or_default()
            .insert(name.to_owned());
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (lower, spellings) in &other.by_lower {
            self.by_lower
                .entry(lower.clone())
                .or_default()
                .extend(spellings.iter().cloned());
        }
    }

    /// Whether a column is spelled so.
    pub(in crate::resolve) fn has(&self, name: &str) -> bool {
        self.get(&name.to_lowercase())
            .is_some_and(|spellings| spellings.contains(name))
    }

    pub(super) fn get(&self, lower: &str) -> Option<&BTreeSet<String>> {
        self.by_lower.get(lower)
    }

    /// Whether a name is written in more than one way.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.by_lower.values().any(|spellings| spellings.len() > 1)
    }
}
