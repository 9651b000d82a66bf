//! The configuration file, oaktap.toml.

use std::path::{Path, PathBuf};

use oaktap::device::app::App;
use serde::Deserialize;

use crate::cli::fleet::ConfiguredCameras;
use crate::cli::present::{Usage, advised};
use crate::cli::text_file::read_text;

pub(crate) const CONFIG_FILE: &str = "oaktap.toml";

/// The contents of oaktap.toml.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConfigFile {
    /// The cameras that run the application, with their names.
    pub(crate) cameras: ConfiguredCameras,
    /// The depthai wheel that contains the firmware.
    pub(crate) firmware: Option<PathBuf>,
    pub(crate) application: App,
}

impl ConfigFile {
    /// Reads the file. Resolves paths in it relative to its folder.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = read_text(path)?;
        let mut file: Self = toml::from_str(&text).map_err(|error| {
            let error = Usage(format!("cannot parse {}: {error}", path.display()));
            advised(error.into(), "README.md shows an example, and `oaktap build --help` lists the settings")
        })?;
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
}
