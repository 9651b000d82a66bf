//! File names made from camera names, and file extensions.

use std::path::Path;

/// Returns a camera name that is safe in file names: letters, digits, `-`, `.` and `_`.
pub(super) fn safe_name(name: &str) -> String {
    let name: String =
        name.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '.' | '_') { c } else { '-' }).collect();
    name.trim_matches(['-', '.']).to_owned()
}

/// Returns whether the path has this extension and is not an existing folder.
pub(super) fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension)) && !path.is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn camera_names_are_safe_in_file_names() {
        assert_eq!(safe_name("tcp://10.0.0.5:5000"), "tcp---10.0.0.5-5000");
        assert_eq!([safe_name("../../etc"), safe_name(".."), safe_name("T\u{fc}r 1")], ["etc", "", "T\u{fc}r-1"]);
    }
}
