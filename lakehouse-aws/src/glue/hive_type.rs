//! Iceberg's types as Glue, Hive and Athena write them.

use iceberg::spec::{PrimitiveType, Type};

/// The type as a column of a Glue table has it. Athena reads the types themselves from Iceberg's
/// metadata, so what Hive cannot say is said by what comes nearest.
pub(super) fn hive_type(of: &Type) -> String {
    match of {
        Type::Primitive(primitive) => primitive_type(primitive),
        Type::Struct(fields) => {
            let fields = fields.fields().iter();
            let fields: Vec<String> = fields
                .map(|field| format!("{}:{}", field.name, hive_type(&field.field_type)))
                .collect();
            format!("struct<{}>", fields.join(","))
        }
        Type::List(list) => format!("array<{}>", hive_type(&list.element_field.field_type)),
        Type::Map(map) => format!(
            "map<{},{}>",
            hive_type(&map.key_field.field_type),
            hive_type(&map.value_field.field_type)
        ),
    }
}

fn primitive_type(of: &PrimitiveType) -> String {
    match of {
        PrimitiveType::Boolean => "boolean",
        PrimitiveType::Int => "int",
        PrimitiveType::Long => "bigint",
        PrimitiveType::Float => "float",
        PrimitiveType::Double => "double",
        PrimitiveType::Decimal { precision, scale } => {
            return format!("decimal({precision},{scale})");
        }
        PrimitiveType::Date => "date",
        PrimitiveType::Timestamp
        | PrimitiveType::Timestamptz
        | PrimitiveType::TimestampNs
        | PrimitiveType::TimestamptzNs => "timestamp",
        PrimitiveType::Time | PrimitiveType::String | PrimitiveType::Uuid => "string",
        PrimitiveType::Fixed(_) | PrimitiveType::Binary => "binary",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use iceberg::spec::{ListType, MapType, NestedField, StructType};

    use super::*;

    #[test]
    fn every_type_has_a_name_in_hive() {
        let expected = [
            (PrimitiveType::Boolean, "boolean"),
            (PrimitiveType::Int, "int"),
            (PrimitiveType::Long, "bigint"),
            (PrimitiveType::Float, "float"),
            (PrimitiveType::Double, "double"),
            (
                PrimitiveType::Decimal {
                    precision: 38,
                    scale: 4,
                },
                "decimal(38,4)",
            ),
            (PrimitiveType::Date, "date"),
            (PrimitiveType::Time, "string"),
            (PrimitiveType::Timestamp, "timestamp"),
            (PrimitiveType::Timestamptz, "timestamp"),
            (PrimitiveType::TimestampNs, "timestamp"),
            (PrimitiveType::TimestamptzNs, "timestamp"),
            (PrimitiveType::String, "string"),
            (PrimitiveType::Uuid, "string"),
            (PrimitiveType::Fixed(16), "binary"),
            (PrimitiveType::Binary, "binary"),
        ];
        for (primitive, hive) in expected {
            assert_eq!(hive_type(&Type::Primitive(primitive)), hive);
        }
    }

    #[test]
    fn nested_types_nest() {
        let long = |id, name: &str| {
            NestedField::optional(id, name, Type::Primitive(PrimitiveType::Long)).into()
        };
        let inner = Type::Struct(StructType::new(vec![long(1, "a"), long(2, "B")]));
        assert_eq!(hive_type(&inner), "struct<a:bigint,B:bigint>");
        let list = Type::List(ListType::new(
            NestedField::list_element(3, inner, false).into(),
        ));
        let map = Type::Map(MapType::new(
            NestedField::map_key_element(4, Type::Primitive(PrimitiveType::String)).into(),
            NestedField::map_value_element(5, list, false).into(),
        ));
        assert_eq!(
            hive_type(&map),
            "map<string,array<struct<a:bigint,B:bigint>>>"
        );
    }
}
