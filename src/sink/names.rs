//! Names of files: from the time, and from what people call their cameras.

use std::path::Path;

/// What a camera is called in names of files: letters, digits, `-`, `.` and `_`.
pub(super) fn of_camera(name: &str) -> String {
    let name: String =
        name.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '.' | '_') { c } else { '-' }).collect();
    name.trim_matches(['-', '.']).to_owned()
}

/// Whether a person who names this path means a file, because of how it ends; a folder can be called anything.
pub(super) fn is_file(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension)) && !path.is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn camera_names_are_safe_in_file_names() {
        assert_eq!(of_camera("tcp://10.0.0.5:5000"), "tcp---10.0.0.5-5000");
        assert_eq!([of_camera("../../etc"), of_camera(".."), of_camera("T\u{fc}r 1")], ["etc", "", "T\u{fc}r-1"]);
    }
}
