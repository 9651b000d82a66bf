//! Sources with the names that users give them: `front=192.168.1.50`.

use std::fmt;
use std::str::FromStr;

use super::{SourceSpec, SourceSpecError};

/// The longest name in characters, so that file names made from it stay below the limits of file systems.
const NAME_MAX: usize = 64;

/// A source, and the name that the user gave it: `URI` or `NAME=URI`.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedSource {
    /// The given name, which files, topics and windows use. `None`: the name is derived from the source.
    pub name: Option<String>,
    /// The source.
    pub spec: SourceSpec,
}

impl From<SourceSpec> for NamedSource {
    fn from(spec: SourceSpec) -> Self {
        Self { name: None, spec }
    }
}

impl FromStr for NamedSource {
    type Err = SourceSpecError;

    fn from_str(text: &str) -> Result<Self, SourceSpecError> {
        let (name, source) = split_name(text)?;
        Ok(Self { name: name.map(str::to_owned), spec: source.parse()? })
    }
}

impl fmt::Display for NamedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.as_ref().map_or(Ok(()), |name| write!(f, "{name}="))?;
        self.spec.fmt(f)
    }
}

/// Splits `NAME=URI` into the name, if there is one, and the rest. A `=` behind a `:` or `?` belongs to the source.
///
/// # Errors
/// The name is not valid.
pub fn split_name(text: &str) -> Result<(Option<&str>, &str), SourceSpecError> {
    match text.split_once('=') {
        Some((name, source)) if !name.contains([':', '?']) => match check_name(name) {
            Ok(()) => Ok((Some(name), source)),
            Err(why) => Err(SourceSpecError::new(text, why)),
        },
        _ => Ok((None, text)),
    }
}

/// Checks a name of a camera: it becomes part of file names, topics and titles.
///
/// # Errors
/// The name is not valid; the text says why.
pub fn check_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let valid = name.chars().all(allowed)
        && name.starts_with(char::is_alphanumeric)
        && name.ends_with(|c: char| c != '.')
        && name.chars().count() <= NAME_MAX;
    if valid {
        Ok(())
    } else {
        Err(format!(
            "invalid name `{}`: expected 1 to {NAME_MAX} letters, digits, `-`, `_` or `.`, with a letter or digit first \
             and no `.` last",
            name.escape_debug()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_before_the_first_equals_sign() {
        for (text, name, source) in [
            ("front=192.168.1.50", Some("front"), "tcp://192.168.1.50:5000"),
            ("door=sim:", Some("door"), "sim:"),
            ("a=file:x.mcap", Some("a"), "file:x.mcap"),
            ("T\u{fc}r_1.b-c=listen://:5001", Some("T\u{fc}r_1.b-c"), "listen://0.0.0.0:5001"),
            ("sim:", None, "sim:"),
            ("file:a=b.mcap", None, "file:a=b.mcap"),
            ("192.168.1.50", None, "tcp://192.168.1.50:5000"),
        ] {
            let named: NamedSource = text.parse().expect(text);
            assert_eq!((named.name.as_deref(), named.spec.to_string().as_str()), (name, source), "{text}");
            assert_eq!(named.to_string().parse(), Ok(named), "{text}");
        }
    }

    #[test]
    fn names_that_cannot_be_file_names_are_refused() {
        let long = format!("{}=sim:", "a".repeat(NAME_MAX + 1));
        for text in ["=sim:", "../a=sim:", "a/b=sim:", ".=sim:", "a.=sim:", "-a=sim:", "a b=sim:", "a\n=sim:", &long] {
            let error = text.parse::<NamedSource>().unwrap_err().to_string();
            assert!(error.contains("invalid name `"), "{error}");
        }
        let error = "front=rtsp://a".parse::<NamedSource>().unwrap_err().to_string();
        assert!(error.starts_with("invalid source `rtsp://a`: `rtsp://` is not supported"), "{error}");
    }
}
