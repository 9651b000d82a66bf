//! Shows the progress of a session with a bootloader, and holds signals back while the camera cannot boot.

use std::io::IsTerminal as _;
use std::time::Instant;

use oaktap::bootloader::{ConversationEvent, TransferProgress};
use oaktap::net::talk::TalkEvent;

use super::camera_label::CameraLabel;
use super::present;
use super::signals::{Stop, StopHold};

/// The progress of a session, in the status line.
pub(super) struct SessionProgress<'a> {
    /// The id of the camera, and its name.
    id: String,
    stop: &'a Stop,
    bar: bool,
    what: String,
    since: Instant,
    held: Option<Held>,
}

/// Work that must not be stopped.
struct Held {
    /// Describes the camera if it was stopped now.
    otherwise: &'static str,
    since: Instant,
    /// Bytes of the data that is written.
    total: u64,
    sent: u64,
    /// Share of `total`.
    written: f64,
    /// Bytes of the complete blocks that were read back, and of the current one.
    read: (u64, u64),
    _hold: StopHold,
}

impl Held {
    fn add(&mut self, progress: TransferProgress) {
        match progress {
            TransferProgress::Sent { bytes, total } => {
                (self.sent, self.total, self.written, self.read) = (bytes, total, 0.0, (0, 0));
            }
            TransferProgress::Written(written) => self.written = written.into(),
            TransferProgress::Read { bytes, total } if bytes == total => self.read = (self.read.0 + total, 0),
            TransferProgress::Read { bytes, .. } => self.read.1 = bytes,
        }
    }

    /// Returns the rest of the time, if sending, writing and reading back take equally long.
    fn left(&self) -> String {
        let share = |bytes: u64| bytes.min(self.total) as f64 / self.total.max(1) as f64;
        let done = (share(self.sent) + self.written + share(self.read.0 + self.read.1)) / 3.0;
        match self.since.elapsed().as_secs_f64() * (1.0 - done) / done {
            left if left.is_finite() => format!("{} s", left.ceil().max(1.0)),
            _ => "about a minute".to_owned(),
        }
    }
}

impl<'a> SessionProgress<'a> {
    pub(super) fn new(label: &CameraLabel, stop: &'a Stop) -> Self {
        let bar = std::io::stderr().is_terminal();
        Self { id: label.to_string(), stop, bar, what: String::new(), since: Instant::now(), held: None }
    }

    pub(super) fn show(&mut self, told: &TalkEvent) {
        match told {
            TalkEvent::Conversation(ConversationEvent::Step(what)) => {
                self.what.clone_from(what);
                self.since = Instant::now();
                present::say(&format!("{}: {what}", self.id));
            }
            TalkEvent::Conversation(ConversationEvent::Progress(progress)) => {
                if let Some(held) = &mut self.held {
                    held.add(*progress);
                }
                if self.bar {
                    present::status_of(&self.id, &self.line(*progress));
                }
            }
            TalkEvent::Conversation(ConversationEvent::HoldBegins(otherwise)) => {
                self.held = Some(Held {
                    otherwise,
                    since: Instant::now(),
                    total: 0,
                    sent: 0,
                    written: 0.0,
                    read: (0, 0),
                    _hold: self.stop.hold(),
                });
            }
            TalkEvent::Conversation(ConversationEvent::HoldEnds) => self.held = None,
            TalkEvent::StopHeld => {
                if let Some(held) = &self.held {
                    let text = format!("cannot stop now, {} left: {}", held.left(), held.otherwise);
                    present::say(&format!("{}: {text}", self.id));
                }
            }
        }
    }

    fn line(&self, progress: TransferProgress) -> String {
        let Self { id, what, .. } = self;
        match progress {
            TransferProgress::Sent { bytes, total } | TransferProgress::Read { bytes, total } => {
                let seconds = self.since.elapsed().as_secs_f64().max(1e-3);
                let rate = bytes as f64 / seconds;
                let left = (total.saturating_sub(bytes)) as f64 / rate.max(1.0);
                let percent = 100.0 * bytes as f64 / total.max(1) as f64;
                let what = if what.is_empty() { String::new() } else { format!("{what}: ") };
                format!("{id}: {what}{percent:3.0} %, {:.1} MB/s, {left:.0} s left", rate / 1e6)
            }
            TransferProgress::Written(share) => format!("{id}: the camera is writing: {:3.0} %", 100.0 * share),
        }
    }

    pub(super) fn end(&self) {
        if self.bar {
            present::status_of(&self.id, "");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_without_an_id_and_a_step_without_a_name_leave_no_empty_parts() {
        let stop = Stop::default();
        let line = |id: &str, what: &str| {
            let label = CameraLabel::found(id.to_owned(), Some("one".to_owned()));
            let mut progress = SessionProgress::new(&label, &stop);
            progress.what = what.to_owned();
            progress.line(TransferProgress::Sent { bytes: 5, total: 5 })
        };
        assert!(line("", "").starts_with("one: 100 %, "), "{}", line("", ""));
        assert!(line("14442C10", "writing").starts_with("14442C10 (one): writing: 100 %, "));
    }
}
