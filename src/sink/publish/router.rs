//! The connection to a Zenoh router: opens it, and reports its changes.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::sleep;
use zenoh::Session;

use super::PublishCounts;
use crate::net::zenoh::{ZenohRouter, has_router};
use crate::source::Backoff;
use crate::sync::locked;

/// Longest time that the end takes for the messages that wait.
pub(super) const FINISH_MAX: Duration = Duration::from_secs(2);

/// Opens a session, and tries again until it is open; the session then reconnects by itself. Reports each error once. `target`: as
/// users see it.
pub(super) async fn open(router: ZenohRouter, target: String, report: fn(&str)) -> Session {
    let (mut backoff, mut reported) = (Backoff::new(), String::new());
    loop {
        let error = match crate::net::zenoh::open(&router).await {
            Ok(session) => return session,
            Err(error) => error,
        };
        let text = format!("{target}: {error}; retrying");
        if text != reported {
            report(&text);
            if let Some(help) = error.help() {
                report(&format!("help: {help}"));
            }
        }
        reported = text;
        sleep(backoff.delay(false, true)).await;
    }
}

/// The connection of a session, as the last check found it.
#[derive(Debug, Default)]
pub(super) struct Connection {
    /// The session has its router.
    pub(super) is_open: bool,
}

impl Connection {
    /// Finds out whether the session has its router. Counts and reports a change. `published`: the target, and what more to say
    /// about a connection that is open.
    pub(super) async fn check(
        &mut self,
        session: &Session,
        counts: &Mutex<PublishCounts>,
        report: fn(&str),
        (target, published): (&str, &str),
    ) {
        let was_open = std::mem::replace(&mut self.is_open, has_router(session).await);
        if self.is_open == was_open {
            return;
        }
        {
            let mut counts = locked(counts);
            counts.connected = self.is_open;
            counts.connections += u64::from(self.is_open);
        }
        match self.is_open {
            true => report(&format!("publishing on {target}{published}")),
            false => report(&format!("{target}: connection lost; reconnecting")),
        }
    }
}
