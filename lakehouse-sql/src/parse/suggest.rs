//! The nearest known word to a misspelled one.

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

/// Insertions, deletions, replacements and swaps of neighbours that turn `from` into `to`.
fn edit_distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let mut before_previous: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=to.len()).collect();
    for (i, from_char) in from.iter().enumerate() {
        let mut current = vec![i + 1];
        for (j, to_char) in to.iter().enumerate() {
            let replaced = previous[j] + usize::from(from_char != to_char);
            let mut edits = replaced.min(previous[j + 1] + 1).min(current[j] + 1);
            if i > 0 && j > 0 && *from_char == to[j - 1] && from[i - 1] == *to_char {
                edits = edits.min(before_previous[j - 1] + 1);
            }
            current.push(edits);
        }
        before_previous = std::mem::replace(&mut previous, current);
    }
    previous.last().copied().unwrap_or(from.len())
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
