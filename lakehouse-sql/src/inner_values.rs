//! Times and numbers inside of lists, structs and maps, read by the rules of those that stand alone.
//!
//! The engine casts what is inside of a value by itself: it takes a text's zone for nothing, a time
//! without zone for one in UTC, a text without digits for 0, and cuts nanoseconds and fractions. So
//! what is inside is read first, and the engine's cast finds values of the right type.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeListArray, GenericListArray, MapArray,
    OffsetSizeTrait, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast_with_options, nullif};
use arrow::datatypes::{DataType, FieldRef, Fields};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::Expr;

use crate::assignment::{is_checked, stored_numbers};
use crate::field_match::field_places;
use crate::local_time::{Misfit, is_cut, is_utc, local_times, read_times, stored_times};
use crate::of_columns::of_columns;
use crate::text_decimal::{is_text, read_decimals};

/// What values are read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// A cast that somebody wrote.
    Cast(Misfit),
    /// A column: nothing may be lost.
    Store,
}

/// The value with those of its inner values read that are times in `target`, or decimals where it
/// has texts; `None` where the engine's cast does the same. `zone` is the session's.
pub(crate) fn read_inner_values(
    value: &Expr,
    given: &DataType,
    target: &DataType,
    zone: &Arc<str>,
    purpose: Purpose,
) -> Option<Expr> {
    if !given.is_nested() {
        return None;
    }
    let function = ScalarUDF::from(InnerValues {
        signature: Signature::any(1, Volatility::Immutable),
        target: Reading { zone, purpose }.of_type(given, target)?,
        zone: Arc::clone(zone),
        purpose,
    });
    let call = ScalarFunction::new_udf(Arc::new(function), vec![value.clone()]);
    Some(Expr::ScalarFunction(call))
}

/// The value of a call of [`read_inner_values`] for a cast: who stores it decides anew what may be
/// cut off.
pub(crate) fn unread(expr: Expr) -> Expr {
    if let Expr::ScalarFunction(ScalarFunction { func, args }) = &expr
        && let Some(read) = func.inner().as_any().downcast_ref::<InnerValues>()
        && let (Purpose::Cast(Misfit::Cut), [value]) = (read.purpose, args.as_slice())
    {
        return value.clone();
    }
    expr
}

/// Which inner values are read.
#[derive(Clone, Copy)]
struct Reading<'a> {
    zone: &'a str,
    purpose: Purpose,
}

impl Reading<'_> {
    /// The type of values that are read; `None` where none is.
    fn of_type(self, given: &DataType, target: &DataType) -> Option<DataType> {
        let inner = |given: &FieldRef, target: &FieldRef| {
            let read = self.of_type(given.data_type(), target.data_type())?;
            Some(Arc::new(given.as_ref().clone().with_data_type(read)))
        };
        match (given, target) {
            (DataType::List(given), DataType::List(target)) => {
                inner(given, target).map(DataType::List)
            }
            (DataType::LargeList(given), DataType::List(target)) => {
                inner(given, target).map(DataType::LargeList)
            }
            (
                DataType::FixedSizeList(given, size),
                DataType::List(target) | DataType::FixedSizeList(target, _),
            ) => Some(DataType::FixedSizeList(inner(given, target)?, *size)),
            (DataType::Map(given, sorted), DataType::Map(target, _)) => {
                let (DataType::Struct(pair), DataType::Struct(target)) =
                    (given.data_type(), target.data_type())
                else {
                    return None;
                };
                let pair = self.of_fields(pair, |place| target.get(place))?;
                let entries = given.as_ref().clone().with_data_type(pair);
                Some(DataType::Map(Arc::new(entries), *sorted))
            }
            (DataType::Struct(given), DataType::Struct(target)) => {
                let places = field_places(given, target).ok()?;
                self.of_fields(given, |index| target.get(*places.get(index)?))
            }
            (given, target) => self.is_read(given, target).then(|| target.clone()),
        }
    }

    fn of_fields<'a>(
        self,
        given: &Fields,
        target: impl Fn(usize) -> Option<&'a FieldRef>,
    ) -> Option<DataType> {
        let mut is_any = false;
        let fields = given.iter().enumerate().map(|(place, field)| {
            let read = target(place)
                .and_then(|target| self.of_type(field.data_type(), target.data_type()));
            is_any |= read.is_some();
            match read {
                Some(read) => Arc::new(field.as_ref().clone().with_data_type(read)),
                None => Arc::clone(field),
            }
        });
        let fields: Fields = fields.collect();
        is_any.then_some(DataType::Struct(fields))
    }

    /// Whether the engine's cast of one value may give another one.
    fn is_read(self, given: &DataType, target: &DataType) -> bool {
        match (given, target) {
            (
                text,
                DataType::Timestamp(..)
                | DataType::Date32
                | DataType::Time32(_)
                | DataType::Time64(_),
            ) if text.is_string() => true,
            (text, decimal) if is_text(text) && decimal.is_decimal() => true,
            (
                DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, None),
                DataType::Timestamp(_, Some(_)),
            ) if !is_utc(self.zone) => true,
            (DataType::Timestamp(_, Some(zone)), DataType::Timestamp(_, None)) if !is_utc(zone) => {
                true
            }
            (given, target) if is_cut(given, target) || is_checked(given, target) => {
                self.purpose == Purpose::Store
            }
            _ => false,
        }
    }
}

/// See [`read_inner_values`].
#[derive(Debug, PartialEq, Eq, Hash)]
struct InnerValues {
    signature: Signature,
    target: DataType,
    zone: Arc<str>,
    purpose: Purpose,
}

impl InnerValues {
    fn read(&self, values: &ArrayRef, target: &DataType) -> EngineResult<ArrayRef> {
        if values.data_type() == target {
            return Ok(Arc::clone(values));
        }
        let nulls = values.nulls().cloned();
        Ok(match target {
            DataType::List(field) => self.read_lists::<i32>(values, field)?,
            DataType::LargeList(field) => self.read_lists::<i64>(values, field)?,
            DataType::FixedSizeList(field, size) => {
                let read = self.read(values.as_fixed_size_list().values(), field.data_type())?;
                let field = Arc::clone(field);
                Arc::new(FixedSizeListArray::try_new(field, *size, read, nulls)?)
            }
            DataType::Map(field, sorted) => {
                let maps = values.as_map();
                let (first, length, offsets) = within(maps.offsets());
                let entries: ArrayRef = Arc::new(maps.entries().slice(first, length));
                let entries = self.read(&entries, field.data_type())?;
                let (field, entries) = (Arc::clone(field), entries.as_struct().clone());
                Arc::new(MapArray::try_new(field, offsets, entries, nulls, *sorted)?)
            }
            DataType::Struct(fields) => {
                // What stands in the fields of a NULL is nobody's.
                let absent = nulls
                    .as_ref()
                    .map(|nulls| BooleanArray::new(!nulls.inner(), None));
                let given = values.as_struct().columns().iter().zip(fields);
                let read = given.map(|(values, field)| match &absent {
                    Some(absent) if values.data_type() != field.data_type() => {
                        self.read(&nullif(values, absent)?, field.data_type())
                    }
                    _ => self.read(values, field.data_type()),
                });
                let read = read.collect::<EngineResult<_>>()?;
                let fields = fields.clone();
                let structs = StructArray::try_new_with_length(fields, read, nulls, values.len());
                Arc::new(structs?)
            }
            target => self.read_alone(values, target)?,
        })
    }

    fn read_lists<O: OffsetSizeTrait>(
        &self,
        values: &ArrayRef,
        field: &FieldRef,
    ) -> EngineResult<ArrayRef> {
        let lists = values.as_list::<O>();
        let (first, length, offsets) = within(lists.offsets());
        let read = self.read(&lists.values().slice(first, length), field.data_type())?;
        let nulls = lists.nulls().cloned();
        let lists = GenericListArray::try_new(Arc::clone(field), offsets, read, nulls)?;
        Ok(Arc::new(lists))
    }

    fn read_alone(&self, values: &ArrayRef, target: &DataType) -> EngineResult<ArrayRef> {
        if let (DataType::Timestamp(unit, Some(_)), DataType::Timestamp(_, None)) =
            (values.data_type(), target)
        {
            let local = local_times(values, *unit)?;
            return self.read_alone(&local, target);
        }
        if values.data_type() == target {
            return Ok(Arc::clone(values));
        }
        if let (Purpose::Cast(misfit), DataType::Timestamp(_, None), DataType::Timestamp(_, None)) =
            (self.purpose, values.data_type(), target)
        {
            return Ok(cast_with_options(values, target, &misfit.options())?);
        }
        if is_text(values.data_type()) && target.is_decimal() {
            let is_try = self.purpose == Purpose::Cast(Misfit::Null);
            return Ok(read_decimals(values, target, is_try)?);
        }
        match self.purpose {
            Purpose::Store if is_checked(values.data_type(), target) => {
                Ok(stored_numbers(values, target)?)
            }
            Purpose::Store => Ok(stored_times(values, target, &self.zone)?),
            Purpose::Cast(misfit) => Ok(read_times(values, target, &self.zone, misfit)?),
        }
    }
}

/// Where the elements of lists begin, how many there are, and the offsets from there: a slice of
/// lists has all elements of the whole.
fn within<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> (usize, usize, OffsetBuffer<O>) {
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    let shifted = offsets.iter().map(|offset| *offset - first).collect();
    (
        first.as_usize(),
        (last - first).as_usize(),
        OffsetBuffer::new(shifted),
    )
}

impl ScalarUDFImpl for InnerValues {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "inner_values"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(self.target.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        of_columns(&args, |[values]| self.read(values, &self.target))
    }
}
