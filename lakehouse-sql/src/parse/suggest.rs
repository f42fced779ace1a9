//! The nearest known word to a misspelled one.

use lakehouse_core::name::edit_distance;

/// The candidate that differs from `word` by the fewest edits, if they are few enough (one in a
/// short word, two in a longer one) for it to be the likely meaning. Letter case does not count.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let word = word.to_ascii_uppercase();
    let edits_max = if word.len() <= 4 { 1 } else { 2 };
    candidates
        .iter()
        .map(|candidate| {
            (
                edit_distance(&word, &candidate.to_ascii_uppercase()),
                *candidate,
            )
        })
        .filter(|(edits, _)| *edits <= edits_max)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn misspelled_word_finds_its_neighbour() {
        let known = ["SELECT", "SET", "SHOW", "INSERT"];
        assert_eq!(nearest("SELCET", &known), Some("SELECT"));
        assert_eq!(nearest("selec", &known), Some("SELECT"));
        assert_eq!(nearest("SHWO", &known), Some("SHOW"));
        assert_eq!(nearest("BANANA", &known), None);
    }
}
