//! The configuration in the camera: read, and written so that it is proved.

use super::config::{Config, ConfigError};
use super::{Caller, ClientError, Data, Memory, Request};

/// At the usual place (bootloader.md 3.1).
const USUAL: i64 = -1;
/// What the camera says when there is none (bootloader.md 8).
const NONE: [&str; 2] = ["No config available", "No configuration data available"];

/// Why the configuration was not read or written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The camera cannot be talked to, or says no.
    #[error(transparent)]
    Camera(#[from] ClientError),
    /// What is stored in the camera, or should be, is no configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What was read back is not what was written.
    #[error("the configuration was read back, and is not what was written although the camera said so")]
    Differs,
}

impl Caller {
    /// The configuration; `None` when the camera has none and uses its defaults.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn settings(&self) -> Result<Option<Config>, SettingsError> {
        match self.read(Request::GetConfig { memory: Memory::Auto, offset: USUAL, max: 0 }).await {
            Ok(bytes) => Ok(Some(Config::parse(&bytes)?)),
            Err(ClientError::Refused { why, .. }) if NONE.iter().any(|none| why.contains(none)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the configuration, all of it, and reads it back.
    ///
    /// # Errors
    /// It was not written, or is not what was written.
    pub async fn store_settings(&self, settings: &Config) -> Result<(), SettingsError> {
        let data = Data::new(settings.to_bytes()?);
        let (total, packets) = (data.total(), data.packets());
        self.write(Request::SetConfig { memory: Memory::Auto, offset: USUAL, clear: false, total, packets }, data)
            .await?;
        if self.settings().await?.as_ref() == Some(settings) { Ok(()) } else { Err(SettingsError::Differs) }
    }

    /// Deletes the configuration: the camera uses its defaults from then on, DHCP among them.
    ///
    /// # Errors
    /// It was not deleted, or is still there.
    pub async fn clear_settings(&self) -> Result<(), SettingsError> {
        let request = Request::SetConfig { memory: Memory::Auto, offset: USUAL, clear: true, total: 0, packets: 0 };
        self.ask(request).await?;
        if self.settings().await?.is_none() { Ok(()) } else { Err(SettingsError::Differs) }
    }
}
