//! Resets a camera into its bootloader, and waits for state changes.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use tokio::time::Instant;

use super::{FindError, RESPONSE_WINDOW, Targets, find};
use crate::discovery::{CameraState, DiscoveredCamera, Query};

/// Time to wait for a camera to enter its bootloader (bootloader.md 1: the limit of the vendor's client).
pub const RESET_TIMEOUT: Duration = Duration::from_secs(15);
/// Time to wait for the answer of a single camera.
const UNICAST_TIMEOUT: Duration = Duration::from_secs(2);
/// Send the reset again if the camera has not changed its state after this time: resets are not acknowledged.
const RESET_RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// Error of [`reset_to_bootloader`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResetError {
    /// The camera could not be queried.
    #[error(transparent)]
    Find(#[from] FindError),
    /// No answer from this address.
    #[error("no camera answers at {ip}, UDP port {port}")]
    NotFound {
        /// The address.
        ip: Ipv4Addr,
        /// The UDP port of the query.
        port: u16,
    },
    /// A host uses the camera (bootloader.md 1: the vendor's client refuses this too).
    #[error("camera {id} at {ip} is in use by a host")]
    InUse {
        /// The camera's id.
        id: String,
        /// The camera's address.
        ip: Ipv4Addr,
    },
    /// The reset could not be sent.
    #[error("cannot send the reset to {ip}: {error}")]
    Unsent {
        /// The camera's address.
        ip: Ipv4Addr,
        /// The system's error.
        #[source]
        error: io::Error,
    },
    /// The reset was sent, but the camera did not enter its bootloader.
    #[error(
        "camera {id} did not enter its bootloader within {} s; {}",
        limit.as_secs_f32(),
        describe_last_state(*last)
    )]
    Silent {
        /// The camera's id.
        id: String,
        /// The time limit.
        limit: Duration,
        /// The last state that the camera reported.
        last: Option<CameraState>,
    },
}

pub(in crate::net) fn describe_last_state(last: Option<CameraState>) -> String {
    last.map_or_else(|| "it does not answer".to_owned(), |state| format!("its last state was \"{state}\""))
}

impl ResetError {
    /// Returns advice for the user.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::Find(_) => return None,
            Self::NotFound { .. } | Self::Unsent { .. } => "`oaktap doctor CAMERA` finds out why",
            Self::InUse { .. } => "end the program that is connected to it, or power-cycle the camera",
            Self::Silent { .. } => {
                "power-cycle the camera: its bootloader waits for a host before it boots the application"
            }
        })
    }
}

/// Resets the camera at `ip` into its bootloader and waits at most `limit` (usually [`RESET_TIMEOUT`]) until it answers
/// from there. **The application stops.** A camera that is in its bootloader already is not reset. The camera's address
/// may change.
///
/// # Errors
/// Fails if no camera answers, if another host uses it, or if it does not enter its bootloader in time.
pub async fn reset_to_bootloader(ip: Ipv4Addr, port: u16, limit: Duration) -> Result<DiscoveredCamera, ResetError> {
    let survey = find(&Targets::only(ip, port), UNICAST_TIMEOUT.min(limit), |_| true).await?;
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
        let found = wait_for(&camera.id, &[ip], port, left.min(RESET_RETRY_INTERVAL), |camera| {
            seen = Some(camera.state);
            // Another host may have connected to the bootloader first.
            matches!(camera.state, CameraState::Bootloader | CameraState::Booted)
        })
        .await?;
        match found {
            Some(camera) if camera.state == CameraState::Booted => return Err(ResetError::InUse { id: camera.id, ip }),
            Some(camera) => return Ok(camera),
            None => {}
        }
        last = seen.or(last);
        if seen == Some(camera.state) && sent.elapsed() >= RESET_RETRY_INTERVAL {
            reset()?;
            sent = Instant::now();
        }
    }
    Err(ResetError::Silent { id: camera.id, limit, last })
}

/// Queries by broadcast and at the `known` addresses until the camera with this id satisfies `condition`. Returns
/// `None` after `limit`.
///
/// # Errors
/// Fails if the interfaces cannot be listed or no UDP socket can be opened.
pub async fn wait_for(
    id: &str,
    known: &[Ipv4Addr],
    port: u16,
    limit: Duration,
    mut condition: impl FnMut(&DiscoveredCamera) -> bool,
) -> Result<Option<DiscoveredCamera>, FindError> {
    let start = Instant::now();
    // A camera on loopback is simulated, and broadcasts do not reach it.
    let broadcast = known.is_empty() || known.iter().any(|ip| !ip.is_loopback());
    let targets = Targets { broadcast, addresses: known.to_vec(), port, ..Targets::default() };
    while let Some(left) = limit.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
        let mut found = None;
        find(&targets, RESPONSE_WINDOW.min(left), |camera| {
            let satisfied = camera.id == id && condition(camera);
            found = satisfied.then(|| camera.clone());
            satisfied
        })
        .await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
