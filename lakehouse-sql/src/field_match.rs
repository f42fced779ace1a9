//! Which field of its column each field of a struct's value goes to.

use arrow::datatypes::{FieldRef, Fields};
use lakehouse_core::error::{Error, Result};
use lakehouse_core::name::{hint, quote};

/// The place among the fields of `column` for each of those of `given`: by name, in any case of
/// letters, or by place where the value's fields have no names, as in `ROW(1, 'a')`.
///
/// # Errors
/// For a field that the column does not have or that is given twice, and for another number of
/// fields without names: what has no place would be lost.
pub(crate) fn field_places(given: &Fields, column: &Fields) -> Result<Vec<usize>> {
    if is_unnamed(given)
        && given
            .iter()
            .all(|field| place_of(field.name(), column).is_none())
    {
        if given.len() != column.len() {
            return Err(Error::invalid(format!(
                "the value has {} fields, the column has {}",
                given.len(),
                column.len()
            )));
        }
        return Ok((0..given.len()).collect());
    }
    let mut places = Vec::with_capacity(given.len());
    for field in given {
        let place = place_of(field.name(), column).ok_or_else(|| {
            let names = column.iter().map(|place| place.name().as_str());
            Error::invalid(format!(
                "the value has a field {}, which the column does not have{}",
                quote(field.name()),
                hint(field.name(), names)
            ))
        })?;
        if places.contains(&place) {
            return Err(Error::invalid(format!(
                "the value has two fields for field {} of the column",
                quote(column[place].name())
            )));
        }
        places.push(place);
    }
    Ok(places)
}

/// The fields of a value beside those of the column that they go to; none where they do not fit.
pub(crate) fn matched<'a>(
    given: &'a Fields,
    column: &'a Fields,
) -> Vec<(&'a FieldRef, &'a FieldRef)> {
    let places = field_places(given, column).unwrap_or_default();
    let columns = places.into_iter().map(|place| &column[place]);
    given.iter().zip(columns).collect()
}

fn place_of(name: &str, column: &Fields) -> Option<usize> {
    let is_same = |field: &FieldRef| field.name() == name;
    let is_alike = |field: &FieldRef| field.name().eq_ignore_ascii_case(name);
    let exact = column.iter().position(is_same);
    exact.or_else(|| column.iter().position(is_alike))
}

/// Whether the fields have the names that the engine gives to those without.
fn is_unnamed(fields: &Fields) -> bool {
    let mut fields = fields.iter().enumerate();
    fields.all(|(index, field)| *field.name() == format!("c{index}"))
}
