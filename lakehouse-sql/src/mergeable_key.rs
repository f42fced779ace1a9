//! Which keys sorting brings together as hashing does.

use arrow::datatypes::DataType;

/// Whether values of a type that are neighbours when sorted are those that hashing finds equal.
/// Floats have NaN and two zeros.
pub(crate) fn is_mergeable(key: &DataType) -> bool {
    let is_bytes = matches!(
        key,
        DataType::Utf8
            | DataType::Utf8View
            | DataType::LargeUtf8
            | DataType::Binary
            | DataType::BinaryView
            | DataType::LargeBinary
            | DataType::Boolean
    );
    let is_interval = matches!(key, DataType::Interval(_) | DataType::Duration(_));
    is_bytes || (key.is_primitive() && !key.is_floating() && !is_interval)
}
