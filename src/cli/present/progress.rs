//! Progress of work on files, on a terminal.

use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use oaktap::recording::Watch;

use super::output::stderr_has_room;
use crate::cli::Ctx;

const STEPS: f64 = 10_000.0;

/// Work that ends before this shows no bar.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// A progress bar on standard error, hidden if that is not a terminal. Clones are the same bar.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    begun: Instant,
}

impl Progress {
    /// Starts a bar, which is shown once the work takes longer than a second.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(STEPS as u64), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent:>3}%  {msg}, {eta} left") {
            bar.set_style(style);
        }
        Self { bar, begun: Instant::now() }
    }

    /// Shows the part that is done, 0 to 1.
    pub(crate) fn show(&self, part: f64, message: String) {
        if self.bar.is_hidden() && self.begun.elapsed() >= SHOWN_AFTER && std::io::stderr().is_terminal() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        if !self.bar.is_hidden() && !stderr_has_room() {
            return;
        }
        self.bar.set_position((part * STEPS) as u64);
        self.bar.set_message(message);
    }

    /// Removes the bar.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Does work on a file while a bar shows its progress. A signal stops it.
pub(crate) fn watched<T>(ctx: &Ctx, path: &Path, work: impl FnOnce(&Watch) -> T) -> anyhow::Result<T> {
    ctx.stop.on_signals()?;
    let progress = Progress::new();
    let (stop, bar, name) = (ctx.stop.clone(), progress.clone(), path.display().to_string());
    let done = work(&Watch::new(move |part| {
        bar.show(part, name.clone());
        if stop.asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }));
    progress.clear();
    Ok(done)
}
