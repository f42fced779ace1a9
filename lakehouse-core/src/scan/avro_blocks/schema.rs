//! An Avro schema, as far as it takes to walk over rows.

use std::collections::HashMap;

use serde_json::Value as Json;

use crate::scan::avro_header::{take_bytes, take_long};

/// Deeper rows than those of any manifest; a schema that names itself ends here.
const DEPTH_MAX: u32 = 64;

/// How rows of a file are laid out.
#[derive(Debug)]
pub(crate) struct RowSchema {
    root: Layout,
    /// Records, enums and fixed types by name, for those used a second time.
    named: HashMap<String, Layout>,
}

#[derive(Debug, Clone)]
enum Layout {
    Null,
    Boolean,
    /// Int and long: both are varints.
    Integer,
    /// Float, double and fixed.
    Fixed(usize),
    /// Bytes and string.
    Bytes,
    Enum(usize),
    Array(Box<Layout>),
    Map(Box<Layout>),
    Union(Vec<Layout>),
    Record(Vec<Layout>),
    Named(String),
}

impl RowSchema {
    /// `None` when the JSON is no Avro schema.
    pub(crate) fn parse(schema: &Json) -> Option<Self> {
        let mut named = HashMap::new();
        let root = layout(schema, &mut named)?;
        Some(Self { root, named })
    }

    /// Walks over one row; `None` when the bytes are no such row.
    pub(crate) fn skip_row(&self, bytes: &mut &[u8]) -> Option<()> {
        self.skip(&self.root, bytes, DEPTH_MAX)
    }

    fn skip(&self, layout: &Layout, bytes: &mut &[u8], depth: u32) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match layout {
            Layout::Null => Some(()),
            Layout::Boolean => {
                let (byte, rest) = bytes.split_first()?;
                *bytes = rest;
                (*byte <= 1).then_some(())
            }
            Layout::Integer => take_long(bytes).map(drop),
            Layout::Fixed(size) => {
                *bytes = bytes.get(*size..)?;
                Some(())
            }
            Layout::Bytes => take_bytes(bytes).map(drop),
            Layout::Enum(symbols) => {
                let symbol = usize::try_from(take_long(bytes)?).ok()?;
                (symbol < *symbols).then_some(())
            }
            Layout::Array(items) => {
                self.skip_items(bytes, |schema, bytes| schema.skip(items, bytes, depth))
            }
            Layout::Map(values) => self.skip_items(bytes, |schema, bytes| {
                take_bytes(bytes)?;
                schema.skip(values, bytes, depth)
            }),
            Layout::Union(variants) => {
                let variant = usize::try_from(take_long(bytes)?).ok()?;
                self.skip(variants.get(variant)?, bytes, depth)
            }
            Layout::Record(fields) => fields
                .iter()
                .try_for_each(|field| self.skip(field, bytes, depth)),
            Layout::Named(name) => self.skip(self.named.get(name)?, bytes, depth),
        }
    }

    fn skip_items(
        &self,
        bytes: &mut &[u8],
        mut skip: impl FnMut(&Self, &mut &[u8]) -> Option<()>,
    ) -> Option<()> {
        loop {
            let mut count = take_long(bytes)?;
            if count == 0 {
                return Some(());
            }
            // A negative count is followed by the size of the block.
            if count < 0 {
                count = count.checked_neg()?;
                take_long(bytes)?;
            }
            // Items that take no bytes at all (of type null) are as good as none.
            if usize::try_from(count).ok()? > bytes.len() {
                return None;
            }
            for _ in 0..count {
                skip(self, bytes)?;
            }
        }
    }
}

/// The parser bounds the depth of JSON, and with it this recursion.
fn layout(schema: &Json, named: &mut HashMap<String, Layout>) -> Option<Layout> {
    match schema {
        Json::String(name) => Some(simple(name)),
        Json::Array(variants) => {
            let variants = variants.iter().map(|variant| layout(variant, named));
            Some(Layout::Union(variants.collect::<Option<_>>()?))
        }
        Json::Object(entries) => {
            let made = match entries.get("type")? {
                Json::String(name) => match name.as_str() {
                    "record" | "error" => {
                        let fields = entries.get("fields")?.as_array()?;
                        let fields = fields.iter().map(|field| layout(field.get("type")?, named));
                        Layout::Record(fields.collect::<Option<_>>()?)
                    }
                    "enum" => Layout::Enum(entries.get("symbols")?.as_array()?.len()),
                    "fixed" => Layout::Fixed(usize::try_from(entries.get("size")?.as_u64()?).ok()?),
                    "array" => Layout::Array(Box::new(layout(entries.get("items")?, named)?)),
                    "map" => Layout::Map(Box::new(layout(entries.get("values")?, named)?)),
                    simple_name => simple(simple_name),
                },
                nested => layout(nested, named)?,
            };
            if let (Layout::Record(_) | Layout::Enum(_) | Layout::Fixed(_), Some(name)) =
                (&made, entries.get("name").and_then(Json::as_str))
            {
                named.insert(simple_name(name).to_owned(), made.clone());
            }
            Some(made)
        }
        _ => None,
    }
}

fn simple(name: &str) -> Layout {
    match name {
        "null" => Layout::Null,
        "boolean" => Layout::Boolean,
        "int" | "long" => Layout::Integer,
        "float" => Layout::Fixed(4),
        "double" => Layout::Fixed(8),
        "bytes" | "string" => Layout::Bytes,
        other => Layout::Named(simple_name(other).to_owned()),
    }
}

/// A name without its namespace.
fn simple_name(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
