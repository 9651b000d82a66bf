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
        let mut file = Self::parse(&read_text(path)?).map_err(|faults| {
            let error = Usage(format!("cannot parse {}: {faults}", path.display()));
            advised(error.into(), "README.md shows an example; `oaktap build --help` explains the settings")
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
    fn parse(text: &str) -> Result<Self, String> {
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
        faults.sort();
        faults.dedup();
        let line = |(at, what): &Fault| {
            let before = text.get(..*at).unwrap_or(text);
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            format!("line {line}, column {column}: {what}")
        };
        match &*faults {
            [fault] => Err(line(fault)),
            faults => {
                let count = if faults.len() < FAULTS_MAX {
                    format!("{} faults", faults.len())
                } else {
                    "many faults".to_owned()
                };
                Err(format!("{count}\n  {}", faults.iter().map(line).collect::<Vec<_>>().join("\n  ")))
            }
        }
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
