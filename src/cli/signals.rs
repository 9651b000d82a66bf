//! Stopping on SIGINT and SIGTERM. A second signal ends the process at once.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use oaktap::sync::locked;

/// The exit code that shells report after SIGINT: 128 + 2.
const EXIT_INTERRUPTED: i32 = 130;

/// A flag that a signal sets. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// Makes SIGINT and SIGTERM set the flag instead of ending the process.
    pub(crate) fn on_signals(&self) -> anyhow::Result<()> {
        let stop = self.clone();
        let on_signal = move || {
            if std::mem::replace(&mut *stop.flag(), true) {
                std::process::exit(EXIT_INTERRUPTED);
            }
            stop.0.1.notify_all();
        };
        ctrlc::set_handler(on_signal).context("cannot handle Ctrl-C")
    }

    pub(crate) fn asked(&self) -> bool {
        *self.flag()
    }

    /// Waits for a signal until `moment`, or without limit. Returns whether one was received.
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
        // A panic cannot leave a bool half-written.
        locked(&self.0.0)
    }
}
