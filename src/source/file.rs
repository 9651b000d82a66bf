//! A recording as a source, as people write it: `file:PATH[?speed=2&loop&camera=NAME]`.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::recording::playback::Speed;

/// A recording, one of its cameras, and how it is played. Its text form reads back to the same value.
#[derive(Clone, Debug, PartialEq)]
pub struct FileSpec {
    /// The file.
    pub path: PathBuf,
    /// Which of its cameras; not needed when there is one.
    pub camera: Option<String>,
    /// How fast.
    pub speed: Speed,
    /// Whether it begins again at the end.
    pub looped: bool,
}

impl FileSpec {
    /// This file, as it was recorded.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), camera: None, speed: Speed::default(), looped: false }
    }

    /// What stands behind `file:`.
    ///
    /// # Errors
    /// What is wrong with it, and what was expected.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let path = match path.strip_prefix("//") {
            None => path,
            Some(rest) => match rest.strip_prefix("localhost").unwrap_or(rest) {
                path if path.starts_with('/') => path,
                _ => return Err(format!("`//{rest}` is on another host; expected file:PATH or file:///PATH")),
            },
        };
        let mut spec = Self::new(path_of(unescaped(path))?);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (key, value) {
                ("speed", _) => spec.speed = value.parse().map_err(|expected| format!("`{pair}`: {expected}"))?,
                ("loop", "" | "on" | "true" | "1") => spec.looped = true,
                ("loop", "off" | "false" | "0") => spec.looped = false,
                ("loop", _) => return Err(format!("`{pair}`: expected on or off")),
                ("camera", "") => return Err("the name of the camera is missing".to_owned()),
                ("camera", _) => {
                    let name = String::from_utf8(unescaped(value));
                    spec.camera = Some(name.map_err(|_| format!("`{pair}`: expected a name in UTF-8"))?);
                }
                _ => return Err(format!("`{key}` says nothing about a recording; known: speed, loop, camera")),
            }
        }
        Ok(spec)
    }

    /// What to call it when nobody says: the camera, or the file.
    #[must_use]
    pub fn name(&self) -> String {
        let stem = || self.path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        self.camera.clone().or_else(stem).unwrap_or_else(|| "file".to_owned())
    }
}

impl fmt::Display for FileSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = bytes_of(&self.path);
        // Two slashes would be read as the beginning of a host's name.
        f.write_str(if path.starts_with(b"//") { "file://" } else { "file:" })?;
        escaped(f, &path, b"?")?;
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
            escaped(f, camera.as_bytes(), b"&?=")?;
        }
        Ok(())
    }
}

/// Writes what would be read as something else as `%` and two digits.
fn escaped(f: &mut fmt::Formatter<'_>, bytes: &[u8], special: &[u8]) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            let is_special = c == '%' || c.is_control() || u8::try_from(c).is_ok_and(|c| special.contains(&c));
            if is_special {
                c.encode_utf8(&mut [0; 4]).bytes().try_for_each(|byte| write!(f, "%{byte:02X}"))?;
            } else {
                f.write_char(c)?;
            }
        }
        chunk.invalid().iter().try_for_each(|byte| write!(f, "%{byte:02X}"))?;
    }
    Ok(())
}

/// Puts back what [`escaped`] wrote. A `%` without two digits behind it is one.
fn unescaped(text: &str) -> Vec<u8> {
    let digit = |byte: &u8| (*byte as char).to_digit(16);
    let mut rest = text.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let [first, behind @ ..] = rest {
        match (first, behind) {
            (b'%', [high, low, behind @ ..]) if digit(high).is_some() && digit(low).is_some() => {
                let value = |byte| digit(byte).unwrap_or(0) as u8;
                bytes.push(16 * value(high) + value(low));
                rest = behind;
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    bytes
}

fn path_of(bytes: Vec<u8>) -> Result<PathBuf, String> {
    if bytes.is_empty() {
        return Err("the name of the file is missing".to_owned());
    }
    if bytes.contains(&0) {
        return Err("the name of a file contains no zero byte".to_owned());
    }
    #[cfg(unix)]
    let path = PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes));
    #[cfg(not(unix))]
    let path = String::from_utf8(bytes).map(PathBuf::from).map_err(|_| "expected a name in UTF-8".to_owned())?;
    Ok(path)
}

fn bytes_of(path: &Path) -> std::borrow::Cow<'_, [u8]> {
    #[cfg(unix)]
    let bytes = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).into();
    #[cfg(not(unix))]
    let bytes = path.to_string_lossy().into_owned().into_bytes().into();
    bytes
}
