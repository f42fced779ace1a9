//! Structs with fewer fields than their column: the others get the table's write defaults.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, MapArray, StructArray};
use arrow::compute::nullif;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::ScalarValue;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::Expr;
use iceberg::spec::{NestedFieldRef, Type};
use lakehouse_core::error::{Error, Result};
use lakehouse_core::name::quote;
use lakehouse_core::provider::write_default;

use crate::field_match::field_places;
use crate::of_columns::of_columns;

/// A value of type `given` with the fields that the type `target` of `column` has beside its own;
/// none where the engine's cast, which makes them NULL, does the same.
///
/// # Errors
/// For a field that is required and has no default.
pub(super) fn filled(
    value: &Expr,
    given: &DataType,
    target: &DataType,
    column: &NestedFieldRef,
) -> Result<Option<Expr>> {
    let Some((fill, data_type)) = fill(given, target, &column.field_type, &column.name)? else {
        return Ok(None);
    };
    let function = ScalarUDF::from(Filled {
        signature: Signature::any(1, Volatility::Immutable),
        fill,
        data_type,
    });
    let call = ScalarFunction::new_udf(Arc::new(function), vec![value.clone()]);
    Ok(Some(Expr::ScalarFunction(call)))
}

/// How a value is completed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Fill {
    Same,
    /// Its fields, by their place in what is given or with their value.
    Struct(Fields, Vec<Part>),
    List(FieldRef, Box<Self>),
    /// The values of a map.
    Map(FieldRef, Box<Self>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Part {
    Given(usize, Fill),
    Default(ScalarValue),
}

/// How values of a type are completed and the type they then have; none where nothing is missing
/// that is not NULL.
fn fill(
    given: &DataType,
    target: &DataType,
    field_type: &Type,
    path: &str,
) -> Result<Option<(Fill, DataType)>> {
    Ok(match (given, target, field_type) {
        (DataType::Struct(given), DataType::Struct(targets), Type::Struct(wanted)) => {
            fill_struct(given, targets, wanted.fields(), path)?
        }
        (DataType::List(given), DataType::List(target), Type::List(wanted)) => {
            let path = format!("{path}.element");
            let wanted = &wanted.element_field.field_type;
            let element = fill(given.data_type(), target.data_type(), wanted, &path)?;
            element.map(|(fill, data_type)| {
                let element = retyped(given, data_type);
                let data_type = DataType::List(Arc::clone(&element));
                (Fill::List(element, Box::new(fill)), data_type)
            })
        }
        (DataType::Map(given, sorted), DataType::Map(target, _), Type::Map(wanted)) => {
            let (DataType::Struct(pair), DataType::Struct(target)) =
                (given.data_type(), target.data_type())
            else {
                return Ok(None);
            };
            let ([key, value], [_, target]) = (pair.as_ref(), target.as_ref()) else {
                return Ok(None);
            };
            let path = format!("{path}.value");
            let wanted = &wanted.value_field.field_type;
            let filled = fill(value.data_type(), target.data_type(), wanted, &path)?;
            filled.map(|(fill, data_type)| {
                let value = retyped(value, data_type);
                let pair = DataType::Struct([Arc::clone(key), value].into_iter().collect());
                let entries = retyped(given, pair);
                let data_type = DataType::Map(Arc::clone(&entries), *sorted);
                (Fill::Map(entries, Box::new(fill)), data_type)
            })
        }
        (
            DataType::LargeList(given) | DataType::FixedSizeList(given, _),
            DataType::List(target),
            Type::List(wanted),
        ) => {
            let path = format!("{path}.element");
            let wanted = &wanted.element_field.field_type;
            match fill(given.data_type(), target.data_type(), wanted, &path)? {
                None => None,
                Some(_) => {
                    return Err(Error::unsupported(format!(
                        "structs in lists of fixed size and large lists get no defaults of fields \
                         that they do not have; give those of column {} all fields",
                        quote(&path)
                    )));
                }
            }
        }
        _ => None,
    })
}

fn fill_struct(
    given: &Fields,
    targets: &Fields,
    wanted: &[NestedFieldRef],
    path: &str,
) -> Result<Option<(Fill, DataType)>> {
    let places = field_places(given, targets)?;
    let mut parts = Vec::with_capacity(targets.len());
    let mut fields = Vec::with_capacity(targets.len());
    let mut is_needed = false;
    for (place, (target, wanted)) in targets.iter().zip(wanted).enumerate() {
        let path = format!("{path}.{}", wanted.name);
        let Some(index) = places.iter().position(|given| *given == place) else {
            if wanted.required && wanted.write_default.is_none() {
                return Err(Error::invalid(format!(
                    "the value has no field {}, which is required and has no default",
                    quote(&path)
                )));
            }
            is_needed |= wanted.write_default.is_some();
            parts.push(Part::Default(write_default(wanted, target.data_type())?));
            fields.push(Arc::clone(target));
            continue;
        };
        let own = given[index].as_ref();
        // The engine's cast goes by the names as they are.
        is_needed |= own.name() != target.name();
        let own = &own.clone().with_name(target.name());
        match fill(
            own.data_type(),
            target.data_type(),
            &wanted.field_type,
            &path,
        )? {
            None => {
                parts.push(Part::Given(index, Fill::Same));
                fields.push(Arc::new(own.clone()));
            }
            Some((fill, data_type)) => {
                is_needed = true;
                parts.push(Part::Given(index, fill));
                fields.push(retyped(own, data_type));
            }
        }
    }
    let fields = Fields::from(fields);
    let data_type = DataType::Struct(fields.clone());
    Ok(is_needed.then_some((Fill::Struct(fields, parts), data_type)))
}

fn retyped(field: &Field, data_type: DataType) -> FieldRef {
    Arc::new(field.clone().with_data_type(data_type))
}

impl Fill {
    fn apply(&self, given: &ArrayRef) -> EngineResult<ArrayRef> {
        Ok(match self {
            Self::Same => Arc::clone(given),
            Self::Struct(fields, parts) => {
                let given = given.as_struct();
                let part = |part: &Part| match part {
                    Part::Given(index, fill) => fill.apply(given.column(*index)),
                    Part::Default(value) => {
                        let values = value.to_array_of_size(given.len())?;
                        Ok(match given.nulls().filter(|_| !value.is_null()) {
                            Some(nulls) => {
                                nullif(&values, &BooleanArray::new(!nulls.inner(), None))?
                            }
                            None => values,
                        })
                    }
                };
                let columns = parts.iter().map(part).collect::<EngineResult<_>>()?;
                Arc::new(StructArray::try_new_with_length(
                    fields.clone(),
                    columns,
                    given.nulls().cloned(),
                    given.len(),
                )?)
            }
            Self::List(element, fill) => {
                let given = given.as_list::<i32>();
                let values = fill.apply(given.values())?;
                let (offsets, nulls) = (given.offsets().clone(), given.nulls().cloned());
                Arc::new(ListArray::try_new(
                    Arc::clone(element),
                    offsets,
                    values,
                    nulls,
                )?)
            }
            Self::Map(entries, fill) => {
                let given = given.as_map();
                let columns = vec![Arc::clone(given.keys()), fill.apply(given.values())?];
                let DataType::Struct(pair) = entries.data_type() else {
                    return Err(Error::internal("a map must have entries").into());
                };
                let pairs = StructArray::try_new(pair.clone(), columns, None)?;
                let (offsets, nulls) = (given.offsets().clone(), given.nulls().cloned());
                Arc::new(MapArray::try_new(
                    Arc::clone(entries),
                    offsets,
                    pairs,
                    nulls,
                    false,
                )?)
            }
        })
    }
}

/// A value with its missing fields.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Filled {
    signature: Signature,
    fill: Fill,
    data_type: DataType,
}

impl ScalarUDFImpl for Filled {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "with_default_fields"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(self.data_type.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        of_columns(&args, |[given]| self.fill.apply(given))
    }
}
