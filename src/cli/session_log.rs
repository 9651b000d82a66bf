//! The log of a session: its states, and reminders while no frames arrive.

use std::sync::Arc;

use oaktap::net::clock::received_now;
use oaktap::source::SessionState;
use oaktap::stats::Ledger;
use oaktap::sync::locked;
use tokio::sync::watch;

use super::only_labels::Only;
use super::present;
use super::status_lines::Since;
use super::stream_failure::{LastTrouble, note_trouble};
use super::waiting::Waiting;

/// Prints each new state of a session, and reminders while no frames arrive. `is_one_of_several`: the command continues with other
/// cameras after an error that ends the session, so it is printed at once.
pub(super) async fn print_states(
    name: String,
    mut changes: watch::Receiver<SessionState>,
    (trouble, since): (LastTrouble, Arc<Since>),
    mut live_names: Option<(Arc<Only>, Ledger)>,
    (mut waiting, is_one_of_several): (Waiting, bool),
) {
    let mut printed = String::new();
    let mut pauses = false;
    loop {
        let state = changes.borrow_and_update().clone();
        since.of(state.word(), received_now().unix_ns);
        note_trouble(&mut locked(&trouble), &state);
        let (line, help) = match &state {
            SessionState::Ended { error: Some(error) } if is_one_of_several => {
                present::log(&format!("{name}: given up: {}", error.kind));
                let help = error.help().filter(|help| waiting.advised().is_new(help));
                help.inspect(|help| present::log(&format!("help: {name}: {}", present::naming_camera(help, &name))));
                return;
            }
            SessionState::Ended { .. } => return,
            SessionState::Connecting { .. } if !printed.is_empty() => (printed.clone(), None),
            // The window shows it, beside the position of the playback.
            SessionState::Outside(_) => (printed.clone(), None),
            // Once: a camera may pause after each picture.
            SessionState::Paused if pauses => (printed.clone(), None),
            SessionState::Paused => {
                pauses = true;
                (state.to_string(), None)
            }
            SessionState::Lost { reason, retry_in } if reason.is_refusal() => {
                (format!("{}; retrying every {} s", reason.kind, retry_in.as_secs()), reason.help())
            }
            SessionState::Lost { reason, .. } if reason.kind.was_connected() => {
                (format!("connection lost: {}; reconnecting", reason.kind), reason.help())
            }
            SessionState::Lost { reason, .. } => (format!("{}; retrying", reason.kind), reason.help()),
            SessionState::Connecting { .. }
            | SessionState::Waiting
            | SessionState::Subscribed { .. }
            | SessionState::Absent { .. }
            | SessionState::Silent
            | SessionState::Streaming
            | SessionState::Stalled => (state.to_string(), None),
        };
        let is_new = waiting.observe(&state, &line);
        if line != printed && is_new {
            present::log(&format!("{name}: {line}"));
            let help = help.filter(|help| waiting.advised().is_new(help));
            help.inspect(|help| present::log(&format!("help: {name}: {}", present::naming_camera(help, &name))));
        }
        printed = line;
        // The names have been received with the first frame.
        if let Some((only, ledger)) = live_names.take_if(|_| matches!(state, SessionState::Streaming)) {
            only.warn(&name, &ledger.snapshot());
        }
        loop {
            tokio::select! {
                Ok(()) = changes.changed() => break,
                text = waiting.reminder(&printed) => present::log(&format!("{name}: {text}")),
                else => return,
            }
        }
    }
}
