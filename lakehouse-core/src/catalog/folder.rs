//! Folders of new tables.

use uuid::Uuid;

use crate::name::TableIdent;
use crate::storage::join;

/// The longest readable part of a folder's name, in bytes; file systems allow 255 in all.
const READABLE_BYTES_MAX: usize = 120;

/// A folder that no table had before: the namespace's own location or one below the warehouse, the
/// table's name, and an identifier.
pub(super) fn table_folder(
    warehouse: &str,
    namespace_location: Option<&str>,
    ident: &TableIdent,
    id: Uuid,
) -> String {
    let root = match namespace_location.filter(|location| !location.is_empty()) {
        Some(location) => location.to_owned(),
        None => ident
            .namespace()
            .iter()
            .fold(warehouse.to_owned(), |folder, part| {
                join(&folder, &readable(part))
            }),
    };
    join(
        &root,
        &format!("{}-{}", readable(ident.name()), id.simple()),
    )
}

/// A name that every store, shell and URL reader takes as one plain segment. Different names may
/// become one: the identifier keeps the folders apart.
fn readable(name: &str) -> String {
    let mut safe = String::new();
    for letter in name.chars() {
        let plain = letter.is_alphanumeric() || letter == '_' || letter == '-';
        // A leading dot would hide the folder, or name the one above.
        let inner_dot = letter == '.' && !safe.is_empty();
        let kept = if plain || inner_dot { letter } else { '_' };
        if safe.len() + kept.len_utf8() > READABLE_BYTES_MAX {
            break;
        }
        safe.push(kept);
    }
    if safe.is_empty() {
        "_".to_owned()
    } else {
        safe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(warehouse: &str, parts: &[&str]) -> String {
        let ident = TableIdent::from_strs(parts).unwrap();
        table_folder(warehouse, None, &ident, Uuid::nil())
    }

    #[test]
    fn the_warehouse_is_kept_byte_for_byte_and_names_stay_readable() {
        let id = Uuid::nil().simple();
        assert_eq!(folder("/l", &["a", "b", "t"]), format!("/l/a/b/t-{id}"));
        assert_eq!(
            folder("file:///l%20ä/", &["größe", "t"]),
            format!("file:///l%20ä/größe/t-{id}")
        );
    }

    #[test]
    fn t14_any_name_becomes_one_plain_segment() {
        for name in [
            "..",
            "a/b",
            "a%2Fb#1?",
            "\"q\"",
            " ",
            "\u{0}",
            "",
            "日本\u{301}",
        ] {
            let folder = folder("/l", &[name, name]);
            assert_eq!(folder.matches('/').count(), 3, "{folder:?}");
            assert!(
                !folder.contains(['%', '#', '?', '"', ' ', '\u{0}']) && !folder.contains("/."),
                "{folder:?}"
            );
        }
        assert!(folder("/l", &["n", &"ü".repeat(500)]).len() < 255);
    }

    #[test]
    fn a_namespaces_own_location_is_honoured() {
        let ident = TableIdent::from_strs(["a", "t"]).unwrap();
        let folder = table_folder("/l", Some("/elsewhere/"), &ident, Uuid::nil());
        assert!(folder.starts_with("/elsewhere/t-"), "{folder}");
    }
}
