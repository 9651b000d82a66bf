//! The configuration file, oaktap.toml.

use std::path::{Path, PathBuf};

use oaktap::device::app::App;
use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use crate::cli::configured_cameras::{ConfiguredCamera, Fault, cameras};
use crate::cli::plain_words;
use crate::cli::present::{Usage, advised};
use crate::cli::text_file::read_text;

pub(crate) const CONFIG_FILE: &str = "oaktap.toml";

/// Faults to report. A text that is not TOML at all has one in each line.
const FAULTS_MAX: usize = 20;

const CAMERAS_HELP: &str = "[cameras] has a line for each camera, such as front = \"192.168.1.50\"; README.md, \"Build your own \
                            application\", shows an example";
const SETTINGS_HELP: &str = "README.md shows an example; `oaktap build --help` explains the settings";

/// Faults of a file: a text, and where to read more.
#[derive(Debug)]
struct Faults {
    text: String,
    help: &'static str,
}

/// The contents of oaktap.toml.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    /// The cameras that run the application, with their names.
    pub(crate) cameras: Vec<ConfiguredCamera>,
    /// The depthai wheel that contains the firmware.
    pub(crate) firmware: Option<PathBuf>,
    pub(crate) application: App,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Read by [`cameras`].
    #[serde(rename = "cameras")]
    _cameras: IgnoredAny,
    firmware: Option<PathBuf>,
    application: App,
}

impl ConfigFile {
    /// Reads the file. Resolves paths in it relative to its folder.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let mut file = Self::parse(&read_text(path)?).map_err(|Faults { text, help }| {
            advised(Usage(format!("cannot parse {}: {text}", path.display())).into(), help)
        })?;
        file.cameras.iter_mut().for_each(|camera| path.clone_into(&mut camera.file));
        let beside = |named: &mut PathBuf| {
            if let Some(folder) = path.parent() {
                *named = folder.join(&*named);
            }
        };
        if let Some(firmware) = &mut file.firmware {
            beside(firmware);
        }
        if let Some(model) = &mut file.application.model {
            beside(&mut model.blob);
        }
        Ok(file)
    }

    /// Returns every fault, in lines, if there is one.
    fn parse(text: &str) -> Result<Self, Faults> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let fault = |error: &toml::de::Error| -> Fault {
            (error.span().map_or(0, |span| span.start), plain_words::setting(&error.message().replace('\n', ", ")))
        };
        let mut faults: Vec<_> = errors.iter().map(fault).collect();
        let (cameras, of_cameras) = cameras(table.get_ref());
        faults.extend(of_cameras);
        let mut settings = Settings::default();
        let (mut rest, mut removed) = (table, Vec::new());
        // An entry with a fault is removed, so that the next one is found.
        while faults.len() < FAULTS_MAX {
            match Settings::deserialize(Deserializer::from(rest.clone())) {
                Ok(read) => {
                    settings = read;
                    break;
                }
                Err(error) => {
                    let (at, what) = fault(&error);
                    // It is missing because it was removed.
                    let follows = removed.iter().any(|key| error.message() == format!("missing field `{key}`"));
                    faults.extend((!follows).then_some((at, what)));
                    match remove(rest.get_mut(), at) {
                        Some(key) => removed.push(key),
                        None => break,
                    }
                }
            }
        }
        if faults.is_empty() {
            let Settings { firmware, application, .. } = settings;
            return Ok(Self { cameras, firmware, application });
        }
        // A parser reports several faults for each of them.
        let unquoted: Vec<_> = errors.iter().filter_map(|error| unquoted_address(text, error.span()?.start)).collect();
        faults.retain(|(at, _)| !unquoted.iter().any(|(other, _)| line_of(text, *other).0 == line_of(text, *at).0));
        faults.extend(unquoted);
        faults.sort();
        faults.dedup();
        let is_of_cameras = faults.iter().all(|(at, _)| is_in_cameras(text, *at));
        let help = if is_of_cameras { CAMERAS_HELP } else { SETTINGS_HELP };
        let line = |(at, what): &Fault| {
            let before = text.get(..*at).unwrap_or(text);
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            format!("line {line}, column {column}: {what}")
        };
        let text = match &*faults {
            [fault] => line(fault),
            faults => {
                let count = if faults.len() < FAULTS_MAX {
                    format!("{} faults", faults.len())
                } else {
                    "many faults".to_owned()
                };
                format!("{count}\n  {}", faults.iter().map(line).collect::<Vec<_>>().join("\n  "))
            }
        };
        Err(Faults { text, help })
    }
}

/// Returns the first byte of the line at this byte, and the line.
fn line_of(text: &str, at: usize) -> (usize, &str) {
    let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
    (start, text[start..].lines().next().unwrap_or_default())
}

/// Returns the line without its comment: neither the name of a table nor an address without quotes contains `#`.
fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

/// Returns the name of the table that begins above the line at this byte or there, if there is one.
fn table_of(text: &str, at: usize) -> Option<&str> {
    let (start, line) = line_of(text, at);
    let lines = std::iter::once(line).chain(text[..start].lines().rev());
    lines.map(without_comment).find_map(|line| Some(line.strip_prefix('[')?.strip_suffix(']')?.trim()))
}

/// Returns whether the fault at this byte is of the table or the list `cameras`, or of a table that was meant as it.
fn is_in_cameras(text: &str, at: usize) -> bool {
    let key = line_of(text, at).1.split('=').next().unwrap_or_default().trim();
    match table_of(text, at) {
        Some(table) => ["cameras", "camera", "Cameras"].contains(&table),
        None => key == "cameras",
    }
}

/// Returns the fault of a line of cameras in which the addresses have no quotes.
fn unquoted_address(text: &str, at: usize) -> Option<Fault> {
    let (start, line) = line_of(text, at);
    let (key, value) = line.split_once('=')?;
    let value_at = start + key.len() + 1 + (value.len() - value.trim_start().len());
    let (key, value) = (key.trim(), without_comment(value));
    if value.is_empty() || value.contains(['"', '\'', '{']) {
        return None;
    }
    match (table_of(text, at), value.strip_prefix('[').and_then(|value| value.strip_suffix(']'))) {
        (Some("cameras"), None) => Some((value_at, format!("write the address in quotes: {key} = \"{value}\""))),
        (None, Some(list)) if key == "cameras" => {
            let quoted: Vec<_> = list.split(',').map(|camera| format!("\"{}\"", camera.trim())).collect();
            Some((value_at, format!("write each address in quotes: cameras = [{}]", quoted.join(", "))))
        }
        _ => None,
    }
}

/// Removes the innermost entry at this byte. Returns its key, if there was one.
fn remove(table: &mut DeTable<'_>, at: usize) -> Option<String> {
    for (_, value) in table.iter_mut() {
        if let DeValue::Table(inner) = value.get_mut()
            && let Some(key) = remove(inner, at)
        {
            return Some(key);
        }
    }
    let is_there = |(key, value): (&Spanned<_>, &Spanned<_>)| key.span().contains(&at) || value.span().contains(&at);
    let key = table.iter().find(|entry| is_there(*entry)).map(|(key, _)| key.clone());
    let key = key?;
    table.remove(&key).map(|_| key.get_ref().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_of_a_fault_is_about_its_table() {
        for (text, help) in [
            ("[camera]\nfront = \"10.0.0.5\"\n", CAMERAS_HELP),
            ("[cameras] # all\nfront = 10.0.0.5\n", CAMERAS_HELP),
            ("[cameras]\n\"a b\" = \"10.0.0.5\"\nfront = \"10.0.0.6:99999\"\n", CAMERAS_HELP),
            ("[cameras]\nfront = \"10.0.0.5\"\nfront = \"10.0.0.6\"\n", CAMERAS_HELP),
            ("cameras = [10.0.0.5]\n", CAMERAS_HELP),
            ("cameras = [\"10.0.0.5\"]\nfirmwere = \"x\"\n", SETTINGS_HELP),
            ("[cameras]\nfront = 10.0.0.5\n[application]\nfps = \"many\"\n", SETTINGS_HELP),
        ] {
            assert_eq!(ConfigFile::parse(text).expect_err("a fault").help, help, "{text}");
        }
        let faults = ConfigFile::parse("[camera]\nfront = \"10.0.0.5\"\n").expect_err("a fault");
        let text = "line 1, column 2: unknown setting `camera`; did you mean `cameras`? (expected one of `cameras`, `firmware`, \
                    `application`)";
        assert_eq!(faults.text, text);
    }
}
