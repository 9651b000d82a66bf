//! Reads and writes a camera's configuration. Every write is verified by reading back.

use super::client::RequestData;
use super::config::{Config, ConfigError};
use super::conversation::Caller;
use super::error::ClientError;
use super::message::{Memory, Request};

/// Offset that selects the default place of the configuration (bootloader.md 3.1).
const DEFAULT_OFFSET: i64 = -1;
/// Error texts of a camera without a configuration (bootloader.md 8).
const NO_CONFIG: [&str; 2] = ["No config available", "No configuration data available"];

/// Describes a camera whose configuration is only partly written.
const HALF_WRITTEN: &str = "the camera could lose its settings";

/// Reason for not reading or writing the configuration.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The session failed, or the camera refused.
    #[error(transparent)]
    Camera(#[from] ClientError),
    /// The stored or the new configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration read back is not the one written.
    #[error("the configuration read back differs from the one written, although the camera reported success")]
    Differs,
}

impl Caller {
    /// Reads the configuration. `None` when the camera has none and uses its defaults.
    ///
    /// # Errors
    /// When the camera refuses, or its configuration cannot be parsed.
    pub async fn settings(&self) -> Result<Option<Config>, SettingsError> {
        match self.read(Request::GetConfig { memory: Memory::Auto, offset: DEFAULT_OFFSET, max: 0 }).await {
            Ok(bytes) => Ok(Some(Config::parse(&bytes)?)),
            Err(ClientError::Refused { why, .. }) if NO_CONFIG.iter().any(|text| why.contains(text)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces the whole configuration and reads it back.
    ///
    /// # Errors
    /// When the camera refuses, or the configuration read back differs.
    pub async fn store_settings(&self, settings: &Config) -> Result<(), SettingsError> {
        let data = RequestData::new(settings.to_bytes()?);
        let (total, packets) = (data.total(), data.packets());
        let _hold = self.hold(HALF_WRITTEN);
        self.write(
            Request::SetConfig { memory: Memory::Auto, offset: DEFAULT_OFFSET, clear: false, total, packets },
            data,
        )
        .await?;
        if self.settings().await?.as_ref() == Some(settings) { Ok(()) } else { Err(SettingsError::Differs) }
    }

    /// Deletes the configuration, so that the camera uses its defaults, which include DHCP.
    ///
    /// # Errors
    /// When the camera refuses, or still has a configuration.
    pub async fn clear_settings(&self) -> Result<(), SettingsError> {
        let request =
            Request::SetConfig { memory: Memory::Auto, offset: DEFAULT_OFFSET, clear: true, total: 0, packets: 0 };
        let _hold = self.hold(HALF_WRITTEN);
        self.ask(request).await?;
        if self.settings().await?.is_none() { Ok(()) } else { Err(SettingsError::Differs) }
    }
}
