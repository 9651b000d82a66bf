//! Names of files in commands for a shell.

use std::path::Path;

/// Quotes a path for a POSIX shell, if that is necessary. Bytes that are not UTF-8 become escapes, which Bash and Zsh read.
#[must_use]
pub fn shell_word(path: &Path) -> String {
    let Some(text) = path.to_str() else {
        return format!("$'{}'", path.as_os_str().as_encoded_bytes().escape_ascii());
    };
    let plain = |c: char| c.is_alphanumeric() || "-_./:,=@%+".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_are_quoted() {
        for (path, word) in [
            ("a/b-1.mcap", "a/b-1.mcap"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
            ("$HOME;`x`", "'$HOME;`x`'"),
            ("t\u{fc}r.mcap", "t\u{fc}r.mcap"),
        ] {
            assert_eq!(shell_word(Path::new(path)), word);
        }
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_not_utf_8_are_escaped() {
        use std::os::unix::ffi::OsStrExt as _;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"bad\xff '.csv"));
        assert_eq!(shell_word(path), "$'bad\\xff \\'.csv'");
    }
}
