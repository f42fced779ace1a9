//! Names as Glue keeps them: lower case, one level.

use lakehouse_core::error::{Error, Result};
use lakehouse_core::name::{NamespaceIdent, TableIdent, quote};

/// The longest name Glue takes, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// The database of a namespace in a lookup, folded; `None` for a nested one, which Glue cannot have.
pub(super) fn database(namespace: &NamespaceIdent) -> Option<String> {
    match namespace.as_ref().as_slice() {
        [name] => Some(name.to_lowercase()),
        _ => None,
    }
}

/// Database and table of a lookup, folded.
pub(super) fn table(ident: &TableIdent) -> Option<(String, String)> {
    Some((database(ident.namespace())?, ident.name().to_lowercase()))
}

/// The database of a namespace that is to be made.
///
/// # Errors
/// [`lakehouse_core::error::ErrorKind::Unsupported`] for nested namespaces,
/// [`lakehouse_core::error::ErrorKind::InvalidInput`] for names that Glue does not keep as written.
pub(super) fn new_database(namespace: &NamespaceIdent) -> Result<String> {
    let parts = namespace.as_ref().as_slice();
    let [name] = parts else {
        return Err(Error::unsupported(format!(
            "namespace {:?} is nested, and databases of Glue do not nest; use one name, such as {}",
            parts.join("."),
            quote(&parts.join("_").to_lowercase())
        )));
    };
    check_new("namespace", name)?;
    Ok(name.clone())
}

/// # Errors
/// As [`new_database`].
pub(super) fn check_new(kind: &str, name: &str) -> Result<()> {
    let folded = name.to_lowercase();
    if folded != name {
        return Err(Error::invalid(format!(
            "Glue keeps names in lower case: call the {kind} {} instead of {}",
            quote(&folded),
            quote(name)
        )));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Error::invalid(format!(
            "the name of a {kind} in Glue may have {NAME_BYTES_MAX} bytes, {} has {}",
            quote(name),
            name.len()
        )));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "the name of a {kind} in Glue must not hold control characters: {name:?}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lakehouse_core::error::ErrorKind;

    use super::*;

    fn namespace(parts: &[&str]) -> NamespaceIdent {
        NamespaceIdent::from_strs(parts).unwrap()
    }

    #[test]
    fn lookups_fold_and_new_names_are_refused_with_a_hint() {
        assert_eq!(database(&namespace(&["Silver"])).unwrap(), "silver");
        assert_eq!(database(&namespace(&["a", "b"])), None);
        let upper = new_database(&namespace(&["Silver"])).unwrap_err();
        assert_eq!(upper.kind(), ErrorKind::InvalidInput);
        assert!(upper.to_string().contains("\"silver\""), "{upper}");
        let nested = new_database(&namespace(&["a", "b"])).unwrap_err();
        assert_eq!(nested.kind(), ErrorKind::Unsupported);
        assert!(nested.to_string().contains("\"a_b\""), "{nested}");
        assert!(check_new("table", &"x".repeat(256)).is_err());
        assert!(check_new("table", "a\nb").is_err());
        assert!(check_new("table", "straße_表").is_ok());
    }
}
