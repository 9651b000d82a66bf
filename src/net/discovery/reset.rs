//! Back into the bootloader, and waiting for a camera to be something else than it was.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use tokio::time::Instant;

use super::{FindError, Targets, WINDOW, find};
use crate::discovery::{CameraState, DiscoveredCamera, Query};

/// How long a camera may take from its application into its bootloader (bootloader.md 1: what the vendor's client waits).
pub const RESET_LIMIT: Duration = Duration::from_secs(15);
/// How long a single camera that was named may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// A reset that left the camera as it was for so long got lost: nobody confirms it.
const LOST: Duration = Duration::from_secs(2);

/// Why a camera is not in its bootloader.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResetError {
    /// Nobody could be asked.
    #[error(transparent)]
    Find(#[from] FindError),
    /// Nobody answered at that address.
    #[error("no camera answers at {ip}, UDP port {port}")]
    NotFound {
        /// The address.
        ip: Ipv4Addr,
        /// The port.
        port: u16,
    },
    /// A host uses it (bootloader.md 1: refused by the vendor's client too).
    #[error("camera {id} at {ip} is in use by a host")]
    InUse {
        /// The camera.
        id: String,
        /// Its address.
        ip: Ipv4Addr,
    },
    /// The reset could not be sent.
    #[error("the reset could not be sent to {ip}: {error}")]
    Unsent {
        /// The camera's address.
        ip: Ipv4Addr,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// It was sent, and nothing came of it.
    #[error("camera {id} was told to enter its bootloader and did not within {} s: {}", limit.as_secs_f32(), last_words(*last))]
    Silent {
        /// The camera.
        id: String,
        /// How long it was waited for.
        limit: Duration,
        /// What it said last.
        last: Option<CameraState>,
    },
}

fn last_words(last: Option<CameraState>) -> String {
    last.map_or_else(|| "it does not answer".to_owned(), |state| format!("last it said \"{state}\""))
}

impl ResetError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::Find(_) => return None,
            Self::NotFound { .. } | Self::Unsent { .. } => "`oaktap doctor CAMERA` finds out why",
            Self::InUse { .. } => "end the program that is connected to it, or power-cycle the camera",
            Self::Silent { .. } => {
                "power-cycle the camera: its bootloader waits for a host before it starts the application"
            }
        })
    }
}

/// Tells the camera at `ip` to leave its application and enter its bootloader, and waits until it is there. A camera
/// that is there already is left as it is. **The application stops.** Its address may be another one afterwards.
///
/// # Errors
/// It is not there, or not within `limit` ([`RESET_LIMIT`]).
pub async fn reset_to_bootloader(ip: Ipv4Addr, port: u16, limit: Duration) -> Result<DiscoveredCamera, ResetError> {
    let survey = find(&Targets::only(ip, port), PATIENCE.min(limit), |_| true).await?;
    let Some(camera) = survey.cameras.into_iter().next() else { return Err(ResetError::NotFound { ip, port }) };
    match camera.state {
        CameraState::Bootloader => return Ok(camera),
        CameraState::Booted => return Err(ResetError::InUse { id: camera.id, ip }),
        CameraState::FlashBooted | CameraState::Other(_) => {}
    }
    let unsent = |error| ResetError::Unsent { ip, error };
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(unsent)?;
    let reset = || socket.send_to(&Query::Reset.to_bytes(), (ip, port)).map_err(unsent);
    reset()?;
    let start = Instant::now();
    let mut sent = start;
    let mut last = None;
    while let Some(left) = limit.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
        let mut seen = None;
        let found = wait_for(&camera.id, &[ip], port, left.min(LOST), |camera| {
            seen = Some(camera.state);
            // Another host may be quicker.
            matches!(camera.state, CameraState::Bootloader | CameraState::Booted)
        })
        .await?;
        match found {
            Some(camera) if camera.state == CameraState::Booted => return Err(ResetError::InUse { id: camera.id, ip }),
            Some(camera) => return Ok(camera),
            None => {}
        }
        last = seen.or(last);
        if seen == Some(camera.state) && sent.elapsed() >= LOST {
            reset()?;
            sent = Instant::now();
        }
    }
    Err(ResetError::Silent { id: camera.id, limit, last })
}

/// Asks again and again, by broadcast and at the addresses that are known, until the camera with this id `is` what it is
/// waited for. `None`: it was not within `limit`.
///
/// # Errors
/// Nobody can be asked.
pub async fn wait_for(
    id: &str,
    known: &[Ipv4Addr],
    port: u16,
    limit: Duration,
    mut is: impl FnMut(&DiscoveredCamera) -> bool,
) -> Result<Option<DiscoveredCamera>, FindError> {
    let start = Instant::now();
    // On loopback there is nobody to broadcast to, and a camera there is a simulated one.
    let broadcast = known.is_empty() || known.iter().any(|ip| !ip.is_loopback());
    let targets = Targets { broadcast, addresses: known.to_vec(), port, ..Targets::default() };
    while let Some(left) = limit.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
        let mut there = None;
        find(&targets, WINDOW.min(left), |camera| {
            let is = camera.id == id && is(camera);
            there = is.then(|| camera.clone());
            is
        })
        .await?;
        if there.is_some() {
            return Ok(there);
        }
    }
    Ok(None)
}
