//! Key columns as one column of bytes, equal where the keys are.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;

use super::columns;
use super::key::ColumnPath;
use super::key_set::row_converter;
use crate::error::Error;

/// Computes the bytes of a key from the columns it is made of.
///
/// Joining on bytes compares NULL, NaN and every type as [`super::key_set::KeySet`] does.
#[derive(Debug, Clone)]
pub(super) struct KeyBytes {
    /// The top-level columns that the key is in.
    roots: Vec<Arc<dyn PhysicalExpr>>,
    /// Where the key is in them.
    paths: Vec<ColumnPath>,
    types: Vec<DataType>,
}

impl KeyBytes {
    /// The key at `paths`, whose roots are positions in `roots`.
    pub(super) fn new(
        roots: Vec<Arc<dyn PhysicalExpr>>,
        paths: Vec<ColumnPath>,
        types: Vec<DataType>,
    ) -> Self {
        Self {
            roots,
            paths,
            types,
        }
    }
}

impl fmt::Display for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("key(")?;
        for (position, root) in self.roots.iter().enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(f, "{comma}{root}")?;
        }
        f.write_str(")")
    }
}

impl PartialEq for KeyBytes {
    fn eq(&self, other: &Self) -> bool {
        self.paths == other.paths && self.types == other.types && self.roots == other.roots
    }
}

impl Eq for KeyBytes {}

impl Hash for KeyBytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.paths.hash(state);
        self.types.hash(state);
        self.roots.hash(state);
    }
}

impl PhysicalExpr for KeyBytes {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn data_type(&self, _input: &Schema) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn nullable(&self, _input: &Schema) -> Result<bool> {
        Ok(false)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let mut arrays = Vec::with_capacity(self.roots.len());
        for root in &self.roots {
            arrays.push(root.evaluate(batch)?.into_array(batch.num_rows())?);
        }
        let keys = columns(&self.paths, &arrays)?;
        let rows = row_converter(&self.types)?.convert_columns(&keys)?;
        Ok(ColumnarValue::Array(Arc::new(rows.try_into_binary()?)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.roots.iter().collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        if children.len() != self.roots.len() {
            return Err(DataFusionError::from(Error::internal(
                "a key was given another number of columns",
            )));
        }
        Ok(Arc::new(Self {
            roots: children,
            ..self.as_ref().clone()
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
