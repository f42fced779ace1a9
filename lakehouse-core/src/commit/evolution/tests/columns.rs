//! Columns added, dropped, renamed, widened and moved.

use super::*;
use crate::name::Name;

const V2: FormatVersion = FormatVersion::V2;

#[test]
fn new_columns_get_ids_that_no_column_ever_had() {
    let table = table(V2);
    let last = table.last_column_id();
    let nested = StructType::new(vec![
        field(1, "p", primitive(PrimitiveType::Int), false),
        field(
            2,
            "q",
            Type::List(ListType::new(Arc::new(NestedField::list_element(
                3,
                primitive(PrimitiveType::Int),
                false,
            )))),
            false,
        ),
    ]);
    let new = NewColumn::new("deep", Type::Struct(nested));
    let after = evolved(
        &table,
        vec![add("plain", PrimitiveType::Int), SchemaOperation::Add(new)],
    );
    assert_eq!(id_of(&after, "plain"), Some(last + 1));
    assert_eq!(id_of(&after, "deep"), Some(last + 2));
    // Those of one level come before those below.
    assert_eq!(id_of(&after, "deep.p"), Some(last + 3));
    assert_eq!(id_of(&after, "deep.q"), Some(last + 4));
    assert_eq!(id_of(&after, "deep.q.element"), Some(last + 5));
    assert_eq!(after.last_column_id(), last + 5);
}

#[test]
fn s03_a_dropped_column_never_gives_its_id_away() {
    let table = table(V2);
    let dropped = evolved(&table, vec![drop("name")]);
    assert_eq!(id_of(&dropped, "name"), None);
    let again = evolved(&dropped, vec![add("name", PrimitiveType::String)]);
    assert_eq!(id_of(&again, "name"), Some(table.last_column_id() + 1));
    // Also within one change.
    let both = evolved(&table, vec![drop("name"), add("name", PrimitiveType::Int)]);
    assert_eq!(id_of(&both, "name"), Some(table.last_column_id() + 1));
}

#[test]
fn columns_stand_where_they_are_put() {
    let table = table(V2);
    let at = |name: &str, position| {
        SchemaOperation::Add(NewColumn {
            position: Some(position),
            ..NewColumn::new(name, primitive(PrimitiveType::Int))
        })
    };
    let after = evolved(
        &table,
        vec![
            at("first", Position::First),
            at("behind", Position::After(Name::new("ID"))),
            SchemaOperation::Move {
                column: path("price"),
                position: Position::First,
            },
            SchemaOperation::Move {
                column: path("first"),
                position: Position::After(Name::new("at")),
            },
            SchemaOperation::Move {
                column: path("point.y"),
                position: Position::First,
            },
        ],
    );
    assert_eq!(
        names(&after),
        [
            "price", "id", "behind", "name", "day", "at", "first", "n", "f", "point", "tags",
            "props"
        ]
    );
    let point = after.current_schema().field_by_name("point").unwrap();
    let Type::Struct(point) = point.field_type.as_ref() else {
        panic!("no struct")
    };
    assert_eq!(point.fields()[0].name, "y");
    let outside = SchemaOperation::Move {
        column: path("point.y"),
        position: Position::After(Name::new("id")),
    };
    assert_refused(
        &refused(&table, outside),
        ErrorKind::NotFound,
        "in the same table or struct",
    );
}

#[test]
fn nested_columns_are_reached_through_structs_lists_and_maps() {
    let table = table(V2);
    let within = |parent: &str, name: &str| {
        SchemaOperation::Add(NewColumn {
            parent: Some(path(parent)),
            ..NewColumn::new(name, primitive(PrimitiveType::Int))
        })
    };
    let after = evolved(
        &table,
        vec![
            within("point", "z"),
            within("tags.element", "c"),
            // A list or map of structs stands for its elements or values.
            within("tags", "d"),
            within("props", "e"),
            rename("tags.element.a", "renamed"),
            set_type("props.value.b", PrimitiveType::Long),
            drop("point.y"),
        ],
    );
    let schema = after.current_schema();
    for name in [
        "point.z",
        "tags.element.c",
        "tags.element.d",
        "props.value.e",
    ] {
        assert!(schema.field_by_name(name).is_some(), "{name}");
    }
    assert_eq!(
        id_of(&after, "tags.element.renamed"),
        id_of(&table, "tags.element.a")
    );
    assert_eq!(id_of(&after, "point.y"), None);
    for (operation, rule) in [
        (within("id", "x"), "no struct"),
        (drop("tags.element"), "part of its list or map"),
        (rename("props.value", "v"), "part of its list or map"),
        (rename("props.key", "k"), "keys of maps are never changed"),
        (
            set_type("props.key", PrimitiveType::Long),
            "keys of maps are never changed",
        ),
    ] {
        assert_refused(&refused(&table, operation), ErrorKind::InvalidInput, rule);
    }
}

#[test]
fn names_that_differ_in_case_alone_are_refused() {
    let table = table(V2);
    for operation in [
        add("ID", PrimitiveType::Int),
        rename("name", "Id"),
        SchemaOperation::Add(NewColumn {
            parent: Some(path("point")),
            ..NewColumn::new("X", primitive(PrimitiveType::Int))
        }),
    ] {
        let error = refused(&table, operation);
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    }
    let twins = StructType::new(vec![
        field(1, "p", primitive(PrimitiveType::Int), false),
        field(2, "P", primitive(PrimitiveType::Int), false),
    ]);
    let new = SchemaOperation::Add(NewColumn::new("twins", Type::Struct(twins)));
    assert_refused(&refused(&table, new), ErrorKind::InvalidInput, "same name");
    // A column may change the case of its own name.
    assert_eq!(
        id_of(&evolved(&table, vec![rename("id", "ID")]), "ID"),
        Some(1)
    );
    for empty in [add("", PrimitiveType::Int), rename("id", "")] {
        assert_refused(&refused(&table, empty), ErrorKind::InvalidInput, "a name");
    }
}

#[test]
fn what_is_there_or_not_may_be_no_error() {
    let table = table(V2);
    let nothing = evolve(vec![
        SchemaOperation::Add(NewColumn {
            if_not_exists: true,
            ..NewColumn::new("NAME", primitive(PrimitiveType::Int))
        }),
        SchemaOperation::Drop {
            column: path("nothing"),
            if_exists: true,
        },
        SchemaOperation::Rename {
            column: path("nothing"),
            name: "x".to_owned(),
            if_exists: true,
        },
    ]);
    assert!(nothing.updates(&table).unwrap().is_empty());
    assert_refused(
        &refused(&table, drop("nam")),
        ErrorKind::NotFound,
        "\"name\"",
    );
}

#[test]
fn a_rename_keeps_the_id_and_names_may_change_places() {
    let table = table(V2);
    let after = evolved(
        &table,
        vec![rename("name", "t"), rename("n", "name"), rename("t", "n")],
    );
    assert_eq!(id_of(&after, "name"), id_of(&table, "n"));
    assert_eq!(id_of(&after, "n"), id_of(&table, "name"));
}

#[test]
fn only_types_that_hold_every_old_value_are_taken() {
    use PrimitiveType as T;
    let table = table(V2);
    let decimal = |precision, scale| T::Decimal { precision, scale };
    for (column, kind) in [
        ("n", T::Long),
        ("f", T::Double),
        ("price", decimal(38, 2)),
        ("point.x", T::Long),
    ] {
        let after = evolved(&table, vec![set_type(column, kind.clone())]);
        let field = after.current_schema().field_by_name(column).unwrap();
        assert_eq!(*field.field_type, primitive(kind));
        assert_eq!(Some(field.id), id_of(&table, column));
    }
    for (column, kind) in [
        ("id", T::Int),
        ("n", T::Double),
        ("n", T::String),
        ("f", T::Long),
        ("price", decimal(4, 2)),
        ("price", decimal(7, 3)),
        ("at", T::Timestamptz),
        ("at", T::Date),
        ("name", T::Binary),
    ] {
        let error = refused(&table, set_type(column, kind));
        assert_refused(&error, ErrorKind::InvalidInput, "every old value");
    }
    let nested = SchemaOperation::SetType {
        column: path("point"),
        data_type: primitive(T::Int),
    };
    assert_refused(
        &refused(&table, nested),
        ErrorKind::InvalidInput,
        "one by one",
    );
    // The type that it has is no change.
    let same = evolve(vec![set_type("n", T::Int)]);
    assert!(same.updates(&table).unwrap().is_empty());
}

#[test]
fn dates_become_timestamps_from_version_3_on() {
    let to_time = || set_type("day", PrimitiveType::Timestamp);
    let error = refused(&table(V2), to_time());
    assert_refused(&error, ErrorKind::Unsupported, "format version 3");
    let v3 = table(FormatVersion::V3);
    let after = evolved(&v3, vec![to_time()]);
    let day = after.current_schema().field_by_name("day").unwrap();
    assert_eq!(*day.field_type, primitive(PrimitiveType::Timestamp));
    let zoned = refused(&v3, set_type("day", PrimitiveType::Timestamptz));
    assert_refused(&zoned, ErrorKind::InvalidInput, "every old value");
    let newer = refused(&table(V2), add("ns", PrimitiveType::TimestampNs));
    assert_refused(&newer, ErrorKind::Unsupported, "format version 3");
}

#[test]
fn null_is_allowed_and_never_forbidden() {
    let table = table(V2);
    let column = |column| path(column);
    let optional = SchemaOperation::SetOptional {
        column: column("id"),
    };
    let after = evolved(&table, vec![optional]);
    assert!(!after.current_schema().field_by_name("id").unwrap().required);
    let required = |name| SchemaOperation::SetRequired {
        column: column(name),
    };
    let error = refused(&after, required("id"));
    assert_refused(&error, ErrorKind::InvalidInput, "may hold NULL");
    // One that is required already is no change.
    assert!(
        evolve(vec![required("id")])
            .updates(&table)
            .unwrap()
            .is_empty()
    );
    let new = SchemaOperation::Add(NewColumn {
        required: true,
        ..NewColumn::new("r", primitive(PrimitiveType::Int))
    });
    let error = refused(&table, new);
    assert_refused(&error, ErrorKind::InvalidInput, "no value for it");
}

#[test]
fn the_last_column_stays() {
    let one = Schema::builder()
        .with_fields([field(1, "only", primitive(PrimitiveType::Int), false)])
        .build()
        .unwrap();
    let built = TableMetadataBuilder::new(
        one,
        UnboundPartitionSpec::default(),
        SortOrder::unsorted_order(),
        "memory:///t".to_owned(),
        V2,
        HashMap::new(),
    );
    let one = built.unwrap().build().unwrap().metadata;
    assert_refused(
        &refused(&one, drop("only")),
        ErrorKind::InvalidInput,
        "only one",
    );
    let list = refused(&table(V2), drop("tags.element.a"));
    assert_refused(&list, ErrorKind::InvalidInput, "only one");
}

#[test]
fn a_schema_that_was_there_keeps_its_id() {
    let table = table(V2);
    let renamed = evolved(&table, vec![rename("name", "title")]);
    assert_eq!(renamed.current_schema_id(), 1);
    let updates = evolve(vec![rename("title", "name")]).updates(&renamed);
    assert_eq!(
        updates.as_ref().unwrap(),
        &[TableUpdate::SetCurrentSchema { schema_id: 0 }]
    );
    let back = applied(&renamed, updates);
    assert_eq!(back.current_schema_id(), 0);
    assert_eq!(back.schemas_iter().len(), 2);
}

#[test]
fn identifiers_are_required_plain_and_outside_of_lists() {
    let table = table(V2);
    let set = |columns: &[&str]| SchemaOperation::SetIdentifiers {
        columns: columns.iter().map(|column| path(column)).collect(),
    };
    let after = evolved(&table, vec![set(&["id", "point.x"])]);
    let mut ids: Vec<i32> = after.current_schema().identifier_field_ids().collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 11]);
    for (column, rule) in [
        ("name", "may be NULL"),
        ("f", "floating-point"),
        ("point", "nested"),
        ("tags.element.a", "list or map"),
        ("props.key", "list or map"),
    ] {
        let error = refused(&table, set(&[column]));
        assert_refused(&error, ErrorKind::InvalidInput, rule);
    }
    // What identifies rows stays so, under any name.
    let named = evolved(&after, vec![rename("id", "key")]);
    assert!(
        named
            .current_schema()
            .identifier_field_ids()
            .any(|id| id == 1)
    );
    for operation in [
        drop("id"),
        drop("point"),
        SchemaOperation::SetOptional { column: path("id") },
        SchemaOperation::SetOptional {
            column: path("point"),
        },
    ] {
        let error = refused(&after, operation);
        assert_refused(&error, ErrorKind::InvalidInput, "identifier field");
    }
    let dropped = |column| SchemaOperation::DropIdentifiers {
        columns: vec![path(column)],
    };
    let less = evolved(&after, vec![dropped("id"), drop("id")]);
    assert_eq!(id_of(&less, "id"), None);
    assert_refused(
        &refused(&after, dropped("name")),
        ErrorKind::NotFound,
        "no identifier",
    );
}

#[test]
fn the_refused_operation_is_known_by_its_place() {
    let table = table(V2);
    let fine = add("fine", PrimitiveType::Int);
    let change = evolve(vec![fine.clone(), drop("nothing"), drop("neither")]);
    assert_eq!(change.refused(&table), Some(1));
    assert_eq!(evolve(vec![fine]).refused(&table), None);
}

#[test]
fn the_name_mapping_learns_new_names() {
    let base = table(V2);
    let mapping = r#"[{"field-id":1,"names":["id"]},{"field-id":2,"names":["name","old"]},
        {"field-id":8,"names":["point"],"fields":[{"field-id":11,"names":["x"]}]}]"#;
    let property = ("schema.name-mapping.default".to_owned(), mapping.to_owned());
    let mapped = base
        .into_builder(None)
        .set_properties(HashMap::from([property]));
    let mapped = mapped.unwrap().build().unwrap().metadata;
    let after = evolved(
        &mapped,
        vec![
            rename("name", "title"),
            rename("point.x", "left"),
            drop("n"),
            add("old", PrimitiveType::Int),
        ],
    );
    let mapping: serde_json::Value =
        serde_json::from_str(&after.properties()["schema.name-mapping.default"]).unwrap();
    let names = |id: i32| {
        let found = mapping.as_array().unwrap().iter();
        let mut found = found.filter(|field| field["field-id"] == id);
        found.next().map(|field| field["names"].clone())
    };
    assert_eq!(names(2), Some(serde_json::json!(["name", "title"])));
    // A name that a new column has means that column.
    assert_eq!(names(18), Some(serde_json::json!(["old"])));
    let point = &mapping[2]["fields"][0];
    assert_eq!(point["names"], serde_json::json!(["x", "left"]));
}

#[test]
fn properties_of_columns_follow_them() {
    let metrics = |column: &str| format!("write.metadata.metrics.column.{column}");
    let table = table(V2).into_builder(None).set_properties(HashMap::from([
        (metrics("name"), "full".to_owned()),
        (metrics("n"), "none".to_owned()),
        (metrics("point.x"), "counts".to_owned()),
        (metrics("f"), "full".to_owned()),
        (metrics("never"), "full".to_owned()),
    ]));
    let table = table.unwrap().build().unwrap().metadata;
    let after = evolved(
        &table,
        vec![
            rename("name", "t"),
            rename("n", "name"),
            rename("t", "n"),
            rename("point", "place"),
            drop("f"),
        ],
    );
    let value = |column: &str| after.properties().get(&metrics(column)).map(String::as_str);
    assert_eq!(value("n"), Some("full"));
    assert_eq!(value("name"), Some("none"));
    assert_eq!(value("place.x"), Some("counts"));
    assert_eq!(value("point.x"), None);
    assert_eq!(value("f"), None);
    assert_eq!(value("never"), Some("full"));
}

#[test]
fn columns_nest_so_deep() {
    let table = table(V2);
    let mut deep = primitive(PrimitiveType::Int);
    for _ in 0..32 {
        deep = Type::Struct(StructType::new(vec![field(1, "in", deep, false)]));
    }
    let error = refused(&table, SchemaOperation::Add(NewColumn::new("deep", deep)));
    assert_refused(&error, ErrorKind::Unsupported, "32 deep");
}
