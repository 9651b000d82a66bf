//! Similarity of names, for suggestions.

/// Letters of a name that are compared. Bounds the work that a long one can cause.
const MAX_COMPARED_LETTERS: usize = 64;

/// Sorts names by their similarity to a misspelled or shortened one, ignoring case: those that begin like it first. Equally
/// similar ones keep their order.
pub(super) fn by_similarity<'a, const N: usize>(misspelled: &str, mut names: [&'a str; N]) -> [&'a str; N] {
    let letters = |name: &str| name.to_lowercase().chars().take(MAX_COMPARED_LETTERS).collect::<Vec<_>>();
    let wanted = letters(misspelled);
    names.sort_by_cached_key(|name| {
        let letters = letters(name);
        (!letters.starts_with(&wanted), edit_distance(&wanted, &letters))
    });
    names
}

/// Returns the number of letters to insert, delete or replace to turn one text into the other.
pub(super) fn edit_distance(one: &[char], other: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, left) in one.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, right) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}
