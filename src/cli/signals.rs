//! Ctrl-C and its like -> a wish to stop. The second one ends the process at once.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Context as _;

/// What shells report for a process that Ctrl-C ended: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// Whether the user asked to stop. Clones share one answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// From here on, SIGINT and SIGTERM ask to stop instead of killing.
    pub(crate) fn on_signals(&self) -> anyhow::Result<()> {
        let stop = self.clone();
        let heard = move || {
            if std::mem::replace(&mut *stop.flag(), true) {
                std::process::exit(INTERRUPTED);
            }
            stop.0.1.notify_all();
        };
        ctrlc::set_handler(heard).context("Ctrl-C cannot be listened for")
    }

    /// Whether the user asked.
    pub(crate) fn asked(&self) -> bool {
        *self.flag()
    }

    /// Waits until the user asks, not longer than until `moment`.
    pub(crate) fn wait_until(&self, moment: Option<Instant>) -> bool {
        let mut asked = self.flag();
        while !*asked {
            match moment.map(|moment| moment.saturating_duration_since(Instant::now())) {
                None => asked = self.0.1.wait(asked).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => break,
                Some(left) => asked = self.0.1.wait_timeout(asked, left).unwrap_or_else(PoisonError::into_inner).0,
            }
        }
        *asked
    }

    fn flag(&self) -> MutexGuard<'_, bool> {
        // A plain flag.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
