//! Reasons for which a bootloader boots no application, as far as the bootloader itself reports them.

use std::fmt;

use super::target::{FlashTarget, application_details};
use crate::bootloader::config::HostWait;
use crate::bootloader::{Caller, ClientError, Memory, SettingsError, Version};

/// The reason for which a camera boots no application after a reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootObstacle {
    /// None of the memories from which it may boot has an application.
    NoApplication(Vec<Memory>),
    /// Its settings let the bootloader wait for a host forever.
    WaitsForever,
}

impl BootObstacle {
    /// Returns advice for the user.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        match self {
            Self::NoApplication(_) => {
                "it waits in its bootloader: `oaktap flash` writes an application; --no-wait resets without waiting for one"
            }
            Self::WaitsForever => {
                "`oaktap network CAMERA dhcp --host-wait 30s`, or `static` likewise, limits the wait; --no-wait resets \
                 without waiting for the application"
            }
        }
    }
}

impl fmt::Display for BootObstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoApplication(memories) => {
                let memories: Vec<_> = memories.iter().map(ToString::to_string).collect();
                write!(f, "it has no application to boot (memory: {})", memories.join(", "))
            }
            Self::WaitsForever => {
                f.write_str("its settings let its bootloader wait for a host forever, so it boots no application")
            }
        }
    }
}

/// Returns the reason for which the camera boots no application, if its bootloader reports one. Reads no application, so a
/// damaged one is not found.
///
/// # Errors
/// See [`ClientError`].
pub async fn boot_obstacle(caller: &Caller) -> Result<Option<BootObstacle>, ClientError> {
    let target = FlashTarget::ask(caller).await?;
    let settings = match target.bootloader.version {
        version if version < Version::FLASHES_OVER_NETWORK => None,
        _ => match caller.settings().await {
            Ok(settings) => settings,
            Err(SettingsError::Camera(error)) if !error.is_refusal() => return Err(error),
            // The bootloader uses its defaults then.
            Err(_) => None,
        },
    };
    let network = settings.as_ref().and_then(|settings| settings.network().ok());
    if network.and_then(|network| network.host_wait) == Some(HostWait::Forever) {
        return Ok(Some(BootObstacle::WaitsForever));
    }
    let chosen = settings.and_then(|settings| settings.application_memory().ok().flatten());
    let mut empty = Vec::new();
    for details in target.memories() {
        if chosen.is_some_and(|chosen| chosen != Memory::Auto && chosen != details.memory) {
            continue;
        }
        match application_details(caller, &target, details.memory).await? {
            Some(details) if !details.present => {}
            // It may have one.
            _ => return Ok(None),
        }
        empty.push(details.memory);
    }
    Ok((!empty.is_empty()).then_some(BootObstacle::NoApplication(empty)))
}
