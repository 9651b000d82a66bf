//! The wait at the end of a command until the applications that it stopped run again.

use std::time::{Duration, Instant};

use oaktap::discovery::CameraState;
use oaktap::net::discovery::wait_for;

use super::camera_arg::{Located, runtime};
use super::camera_label::CameraLabel;
use super::present;
use super::signals::Stop;

/// The limit for applications to run again after a reset: the bootloader waits for a host first, for as long as its settings
/// say.
const APPLICATION_TIMEOUT: Duration = Duration::from_secs(60);
const APPLICATION_QUERY_TIMEOUT: Duration = Duration::from_secs(1);

/// Waits until these cameras run their applications again, at most [`APPLICATION_TIMEOUT`] for all of them, and names those
/// that do not. Also after the user has stopped the work: the next signal ends the wait.
pub(crate) fn until_running(stop: &Stop, stopped: &[(CameraLabel, &Located)]) -> anyhow::Result<()> {
    if stopped.is_empty() {
        return Ok(());
    }
    let signals = stop.signals();
    let before_waiting = *signals.borrow();
    let labels: Vec<_> = stopped.iter().map(|(label, _)| label.to_string()).collect();
    let ends = if stop.asked() { "; Ctrl-C ends the waiting" } else { "" };
    present::say(&format!("waiting until the application runs again{ends}: {}", present::listed(&labels)));
    let until = Instant::now() + APPLICATION_TIMEOUT;
    for (label, located) in stopped {
        let Some(before) = &located.camera else { continue };
        let mut known = before.ips();
        known.push(located.ip);
        let mut last = None;
        // The cameras boot at the same time, so the last one needs a moment only.
        let limit = until.saturating_duration_since(Instant::now()).max(APPLICATION_QUERY_TIMEOUT);
        let runs = wait_for(&before.id, &known, located.udp_port, limit, |camera| {
            last = Some(camera.state);
            camera.state == CameraState::FlashBooted
        });
        let mut signals = signals.clone();
        let ended = async move { signals.wait_for(|count| *count > before_waiting).await.is_ok() };
        let waited = runtime()?.block_on(async {
            tokio::select! {
                found = runs => Some(found),
                true = ended => None,
            }
        });
        match waited {
            None => present::say(&format!("{label}: not waiting for its application; it boots by itself")),
            Some(found) if found.as_ref().is_ok_and(Option::is_some) => {
                present::say(&format!("{label}: runs its application again"));
            }
            Some(_) => {
                let state = last.map_or("it does not answer".to_owned(), |state| format!("state: {state}"));
                let seconds = APPLICATION_TIMEOUT.as_secs();
                let text = format!("{label}: does not run its application {seconds} s after its reset ({state})");
                present::always_say(&format!("{text}\nhelp: `oaktap doctor {}` finds out why", located.ip));
            }
        }
    }
    Ok(())
}
