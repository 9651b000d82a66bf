//! Parses and formats recordings as sources: `file:PATH[?speed=2&loop&camera=NAME&then=PATH]`.

use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use super::check_name;
use crate::recording::playback::Speed;

/// A camera of a recording, with the options of its playback. Parsing its text form returns the same value.
#[derive(Clone, Debug, PartialEq)]
pub struct FileSpec {
    /// Path of the recording.
    pub path: PathBuf,
    /// Files in which the recording of this camera continues, in the order of their times.
    pub later: Vec<PathBuf>,
    /// Name of the camera. Required if the recording has several.
    pub camera: Option<String>,
    /// Playback speed.
    pub speed: Speed,
    /// Restarts the playback at the end.
    pub looped: bool,
}

impl FileSpec {
    /// Plays the only camera of a recording, once and at the recorded speed.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), later: Vec::new(), camera: None, speed: Speed::default(), looped: false }
    }

    /// Parses the text after `file:`.
    ///
    /// # Errors
    /// A message with the invalid part and the expected one.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let path = match path.strip_prefix("//") {
            None => path,
            Some(rest) => match rest.strip_prefix("localhost").unwrap_or(rest) {
                path if path.starts_with('/') => path,
                _ => return Err(format!("`//{rest}` is on another host; expected file:PATH or file:///PATH")),
            },
        };
        let mut spec = Self::new(path_from_bytes(unescape(path))?);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (key, value) {
                ("speed", _) => spec.speed = value.parse().map_err(|expected| format!("`{pair}`: {expected}"))?,
                ("loop", "" | "on" | "true" | "1") => spec.looped = true,
                ("loop", "off" | "false" | "0") => spec.looped = false,
                ("loop", _) => return Err(format!("`{pair}`: expected on or off")),
                ("camera", "") => return Err("missing camera name".to_owned()),
                ("camera", _) => {
                    let name = String::from_utf8(unescape(value));
                    spec.camera = Some(name.map_err(|_| format!("`{pair}`: expected a name in UTF-8"))?);
                }
                ("then", "") => return Err("missing path of the next file".to_owned()),
                ("then", _) => spec.later.push(path_from_bytes(unescape(value))?),
                _ => return Err(format!("unknown option `{key}`; expected speed, loop, camera or then")),
            }
        }
        Ok(spec)
    }

    /// Returns the name of the camera, or that of the file without its extension.
    #[must_use]
    pub fn name(&self) -> String {
        let stem = || self.path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        self.camera.clone().or_else(stem).unwrap_or_else(|| "file".to_owned())
    }
}

impl fmt::Display for FileSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = path_bytes(&self.path);
        // Two slashes would be parsed as the start of a host name.
        f.write_str(if path.starts_with(b"//") { "file://" } else { "file:" })?;
        escape(f, &path, b"?")?;
        let mut separator = '?';
        let mut next = |f: &mut fmt::Formatter<'_>| f.write_char(std::mem::replace(&mut separator, '&'));
        if self.speed != Speed::default() {
            next(f)?;
            write!(f, "speed={}", self.speed)?;
        }
        if self.looped {
            next(f)?;
            f.write_str("loop")?;
        }
        if let Some(camera) = &self.camera {
            next(f)?;
            f.write_str("camera=")?;
            escape(f, camera.as_bytes(), b"&?=")?;
        }
        for path in &self.later {
            next(f)?;
            f.write_str("then=")?;
            escape(f, &path_bytes(path), b"&?=")?;
        }
        Ok(())
    }
}

/// Returns a word of a command line as the text of a source. A recording whose path is not UTF-8 becomes a `file:` URI that
/// opens it; the word may have a name before the path and options after it.
#[must_use]
pub fn source_text(word: &OsStr) -> String {
    if let Some(text) = word.to_str() {
        return text.to_owned();
    }
    let word = path_bytes(Path::new(word)).into_owned();
    let exists = |bytes: &[u8]| path_from_bytes(bytes.to_vec()).is_ok_and(|path| path.exists());
    let split = word.iter().position(|byte| *byte == b'=').filter(|_| !exists(&word));
    let named = split.and_then(|at| Some((str::from_utf8(&word[..at]).ok()?, &word[at + 1..])));
    let (name, source) = match named.filter(|(name, _)| check_name(name).is_ok()) {
        Some((name, source)) => (format!("{name}="), source),
        None => (String::new(), &word[..]),
    };
    let scheme = if source.starts_with(b"file:") { "" } else { "file:" };
    match path_from_bytes(source.to_vec()) {
        Ok(path) if !scheme.is_empty() && (path.exists() || !source.contains(&b'?')) => {
            format!("{name}{}", FileSpec::new(path))
        }
        _ => {
            let mut text = name + scheme;
            for chunk in source.utf8_chunks() {
                text.push_str(chunk.valid());
                escape_bytes(&mut text, chunk.invalid()).expect("writing to a string cannot fail");
            }
            text
        }
    }
}

/// Writes bytes with a special meaning as `%` and two hexadecimal digits.
fn escape(f: &mut fmt::Formatter<'_>, bytes: &[u8], special: &[u8]) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            let is_special = c == '%' || c.is_control() || u8::try_from(c).is_ok_and(|c| special.contains(&c));
            if is_special {
                escape_bytes(f, c.encode_utf8(&mut [0; 4]).as_bytes())?;
            } else {
                f.write_char(c)?;
            }
        }
        escape_bytes(f, chunk.invalid())?;
    }
    Ok(())
}

fn escape_bytes(to: &mut impl fmt::Write, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(to, "%{byte:02X}"))
}

/// Reverses [`escape`]. A `%` without two hexadecimal digits after it stands for itself.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let digit = |byte: &u8| (*byte as char).to_digit(16);
    let mut rest = text.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let [first, after @ ..] = rest {
        match (first, after) {
            (b'%', [high, low, after @ ..]) if digit(high).is_some() && digit(low).is_some() => {
                let value = |byte| digit(byte).unwrap_or(0) as u8;
                bytes.push(16 * value(high) + value(low));
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

fn path_from_bytes(bytes: Vec<u8>) -> Result<PathBuf, String> {
    if bytes.is_empty() {
        return Err("missing file name".to_owned());
    }
    if bytes.contains(&0) {
        return Err("file names cannot contain a zero byte".to_owned());
    }
    #[cfg(unix)]
    let path = PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes));
    #[cfg(not(unix))]
    let path = String::from_utf8(bytes).map(PathBuf::from).map_err(|_| "expected a name in UTF-8".to_owned())?;
    Ok(path)
}

fn path_bytes(path: &Path) -> std::borrow::Cow<'_, [u8]> {
    #[cfg(unix)]
    let bytes = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).into();
    #[cfg(not(unix))]
    let bytes = path.to_string_lossy().into_owned().into_bytes().into();
    bytes
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;
    use crate::source::NamedSource;

    #[test]
    fn words_that_are_not_utf_8_are_recordings_with_a_name_and_options() {
        let parsed = |word: &[u8]| source_text(OsStr::from_bytes(word)).parse::<NamedSource>().expect("a source");
        let file = |path: &[u8]| FileSpec::new(OsStr::from_bytes(path));
        let looped = |path: &[u8]| FileSpec { looped: true, ..file(path) };
        for (word, name, spec) in [
            (&b"50%\xff.mcap"[..], None, file(b"50%\xff.mcap")),
            (b"a#=\xff.mcap", None, file(b"a#=\xff.mcap")),
            (b"\xff=a.mcap", None, file(b"\xff=a.mcap")),
            (b"front=/\xff/a.mcap", Some("front"), file(b"/\xff/a.mcap")),
            (b"\xff.mcap?loop", None, looped(b"\xff.mcap")),
            (b"front=file:\xff%41.mcap?loop", Some("front"), looped(b"\xffA.mcap")),
        ] {
            let NamedSource { name: found, spec: crate::source::SourceSpec::File(found_spec) } = parsed(word) else {
                panic!("a recording: {word:?}")
            };
            assert_eq!((found.as_deref(), found_spec), (name, spec), "{}", word.escape_ascii());
        }
        assert_eq!(source_text(OsStr::new("front=192.168.1.50")), "front=192.168.1.50");
    }
}
