//! The order of names with numbers.

use std::cmp::Ordering;

/// Compares names like people do: `line-2` is before `line-10`.
#[must_use]
pub fn natural_order(a: &str, b: &str) -> Ordering {
    let number = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (mut left, mut right) = (a, b);
    while let (Some(x), Some(y)) = (left.chars().next(), right.chars().next()) {
        if !(x.is_ascii_digit() && y.is_ascii_digit()) {
            if x != y {
                return x.cmp(&y);
            }
            (left, right) = (&left[x.len_utf8()..], &right[y.len_utf8()..]);
            continue;
        }
        let ((n, rest), (m, other_rest)) = (left.split_at(number(left)), right.split_at(number(right)));
        let (n, m) = (n.trim_start_matches('0'), m.trim_start_matches('0'));
        let order = n.len().cmp(&m.len()).then_with(|| n.cmp(m));
        if order != Ordering::Equal {
            return order;
        }
        (left, right) = (rest, other_rest);
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_compared_as_numbers() {
        let mut names = ["line-10", "line-2", "line-1", "line-02", "line", "Line-3", "line-2b", "a", "\u{fc}-2"];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(names, ["Line-3", "a", "line", "line-1", "line-02", "line-2", "line-2b", "line-10", "\u{fc}-2"]);
        let long = "9".repeat(100);
        assert_eq!(natural_order(&long, &format!("{long}0")), Ordering::Less, "more digits than an integer has");
    }
}
