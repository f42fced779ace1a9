//! What partition values promise of every row in the partition.

use iceberg::spec::Transform;

use super::{
    Comparison, Datum, PartitionColumn, PartitionLayout, Predicate, any_of, apply, neighbour,
    on_field, one_more_when_negative, points_of, project_prefix,
};

/// Conditions on partition fields of which each alone implies that every row of the partition
/// matches `leaf`, a predicate without parts (the specification's strict projection).
pub(crate) fn strict_conditions(leaf: &Predicate, layout: &PartitionLayout) -> Vec<Predicate> {
    let Some(source_id) = leaf_field(leaf) else {
        return Vec::new();
    };
    layout
        .columns
        .iter()
        .filter(|column| column.source_id == source_id && column.result_type.is_some())
        .filter_map(|column| strict_leaf(leaf, column))
        .collect()
}

fn leaf_field(leaf: &Predicate) -> Option<i32> {
    match leaf {
        Predicate::Compare { field_id, .. }
        | Predicate::In { field_id, .. }
        | Predicate::NotIn { field_id, .. }
        | Predicate::IsNull { field_id }
        | Predicate::IsNotNull { field_id }
        | Predicate::StartsWith { field_id, .. }
        | Predicate::Bucket { field_id, .. } => Some(*field_id),
        Predicate::AlwaysTrue | Predicate::AlwaysFalse | Predicate::And(_) | Predicate::Or(_) => {
            None
        }
    }
}

/// `None` when no partition value promises the condition.
fn strict_leaf(leaf: &Predicate, column: &PartitionColumn) -> Option<Predicate> {
    let field_id = column.field_id;
    let transform = column.transform;
    match transform {
        Transform::Void | Transform::Unknown => return None,
        Transform::Identity => return on_field(leaf, field_id),
        _ => {}
    }
    match leaf {
        // Every transform but `void` maps NULL to NULL and nothing else to NULL.
        Predicate::IsNull { .. } => Some(Predicate::IsNull { field_id }),
        Predicate::IsNotNull { .. } => Some(Predicate::IsNotNull { field_id }),
        Predicate::Compare {
            comparison: Comparison::NotEq,
            literal,
            ..
        } => elsewhere(std::slice::from_ref(literal), column),
        Predicate::NotIn { literals, .. } => elsewhere(literals, column),
        Predicate::Compare {
            comparison,
            literal,
            ..
        } => strict_comparison(*comparison, literal, column),
        Predicate::In { literals, .. } => {
            let each = literals
                .iter()
                .filter_map(|literal| strict_comparison(Comparison::Eq, literal, column));
            Some(any_of(each))
        }
        // A cut prefix says less than the prefix.
        Predicate::StartsWith { prefix, .. } => match project_prefix(prefix, column)? {
            whole @ Predicate::StartsWith { .. } => Some(whole),
            _ => None,
        },
        Predicate::Bucket {
            buckets,
            comparison,
            number,
            ..
        } if transform == Transform::Bucket(*buckets) => Some(Predicate::Compare {
            field_id,
            comparison: *comparison,
            literal: Datum::int(*number),
        }),
        _ => None,
    }
}

/// The partition is none of those in which rows with one of the values are found.
fn elsewhere(literals: &[Datum], column: &PartitionColumn) -> Option<Predicate> {
    let mut points = Vec::with_capacity(literals.len());
    for literal in literals {
        points.extend(points_of(column.transform, literal)?);
    }
    Some(Predicate::NotIn {
        field_id: column.field_id,
        literals: points,
    })
}

/// Transforms that keep the order: f(x) < f(v) implies x < v, and for discrete values x <= v is
/// x < v + 1.
fn strict_comparison(
    comparison: Comparison,
    literal: &Datum,
    column: &PartitionColumn,
) -> Option<Predicate> {
    let transform = column.transform;
    if matches!(transform, Transform::Bucket(_)) {
        return None;
    }
    let field_id = column.field_id;
    let beyond = |step| neighbour(literal, step);
    let (comparison, end) = match comparison {
        Comparison::Lt => (Comparison::Lt, literal.clone()),
        Comparison::Gt => (Comparison::Gt, literal.clone()),
        // Without a next value, f(x) < f(v) still is enough.
        Comparison::LtEq => (Comparison::Lt, beyond(1).unwrap_or_else(|| literal.clone())),
        Comparison::GtEq => (
            Comparison::Gt,
            beyond(-1).unwrap_or_else(|| literal.clone()),
        ),
        Comparison::Eq => {
            let least = strict_comparison(Comparison::GtEq, literal, column)?;
            let most = strict_comparison(Comparison::LtEq, literal, column)?;
            return Some(Predicate::And(vec![least, most]));
        }
        Comparison::NotEq => return None,
    };
    let end = apply(transform, &end)?;
    // Rows from before 1970 may stand one partition too late.
    let end = match comparison {
        Comparison::Gt => one_more_when_negative(transform, &end).unwrap_or(end),
        _ => end,
    };
    Some(Predicate::Compare {
        field_id,
        comparison,
        literal: end,
    })
}
