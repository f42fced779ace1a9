//! The value of a partition transform of a column, as an expression of the engine.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, new_empty_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Fields, Schema as ArrowSchema, SchemaRef};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use iceberg::spec::Transform;

use crate::error::{Error, Result};
use crate::table::field_id;
use crate::write::{nested_column, transform};

/// `bucket[16](id)` and its kin of a column of rows that are to be written.
#[derive(Debug, Eq)]
pub(super) struct TransformValue {
    transform: Transform,
    column: Arc<dyn PhysicalExpr>,
    /// The way from the column to a field of a struct.
    path: Vec<usize>,
    stored: DataType,
    result: DataType,
}

impl TransformValue {
    /// The value of the field `source_id`; `None` when the table has no such column outside of
    /// lists and maps.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unsupported`] for a transform that does not take the column.
    pub(super) fn find(
        transform: Transform,
        source_id: i32,
        stored: &ArrowSchema,
        input: &SchemaRef,
    ) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let Some((path, stored)) = field_path(stored.fields(), source_id) else {
            return Ok(None);
        };
        let Some((first, path)) = path.split_first() else {
            return Ok(None);
        };
        let Some(field) = input.fields().get(*first) else {
            return Err(Error::invalid("the rows have fewer columns than the table"));
        };
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), *first));
        if transform == Transform::Identity && path.is_empty() {
            return Ok(Some(column));
        }
        // The transform of no values has the type of its values.
        let result = transform::apply(transform, &new_empty_array(&stored))?;
        Ok(Some(Arc::new(Self {
            transform,
            column,
            path: path.to_vec(),
            stored,
            result: result.data_type().clone(),
        })))
    }

    fn values(&self, column: &ArrayRef) -> Result<ArrayRef> {
        let values = nested_column(column, &self.path)?;
        let values = match values.data_type() == &self.stored {
            true => values,
            false => cast(&values, &self.stored)?,
        };
        transform::apply(self.transform, &values)
    }
}

fn field_path(fields: &Fields, id: i32) -> Option<(Vec<usize>, DataType)> {
    fields.iter().enumerate().find_map(|(place, field)| {
        if field_id(field.metadata()) == Some(id) {
            return Some((vec![place], field.data_type().clone()));
        }
        let DataType::Struct(children) = field.data_type() else {
            return None;
        };
        let (path, data_type) = field_path(children, id)?;
        Some(([vec![place], path].concat(), data_type))
    })
}

impl PartialEq for TransformValue {
    fn eq(&self, other: &Self) -> bool {
        self.transform == other.transform
            && self.column.eq(&other.column)
            && self.path == other.path
            && self.stored == other.stored
    }
}

impl Hash for TransformValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.transform.hash(state);
        self.column.hash(state);
        self.path.hash(state);
        self.stored.hash(state);
    }
}

impl fmt::Display for TransformValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}", self.transform, self.column)?;
        for place in &self.path {
            write!(f, ".{place}")?;
        }
        write!(f, ")")
    }
}

impl PhysicalExpr for TransformValue {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn data_type(&self, _: &ArrowSchema) -> EngineResult<DataType> {
        Ok(self.result.clone())
    }

    fn nullable(&self, _: &ArrowSchema) -> EngineResult<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> EngineResult<ColumnarValue> {
        let column = self.column.evaluate(batch)?.into_array(batch.num_rows())?;
        Ok(ColumnarValue::Array(self.values(&column)?))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.column]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> EngineResult<Arc<dyn PhysicalExpr>> {
        let column = children
            .pop()
            .ok_or_else(|| Error::internal("a transform needs a column"))?;
        Ok(Arc::new(Self {
            transform: self.transform,
            column,
            path: self.path.clone(),
            stored: self.stored.clone(),
            result: self.result.clone(),
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
