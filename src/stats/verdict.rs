//! Judges the counts: which of them mean that something is missing, and the words for them.

use super::{BusCounts, FrameCounts, Stats, StreamCounts, VideoCounts};
use crate::hub::LaneCounts;
use crate::units::count;

/// What a count says about the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Something is missing: exit code 3.
    Loss,
    /// The camera is not streaming at the end: exit code 3.
    Down,
    /// Frames may be missing: exit code 3 with `--strict`.
    Doubt,
}

/// A count that is not 0 although it is in a stream without errors.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Name of the count in the JSON output.
    pub count: &'static str,
    /// What it says about the stream.
    pub weight: Weight,
    /// The amount and the words for it.
    pub text: String,
}

/// Words for amounts of one and of several, for all that reports the same damage.
pub mod words {
    /// Frames that proved to be damaged after they had arrived.
    pub const WITHDRAWN: [&str; 2] = ["damaged frame", "damaged frames"];
    /// Frames of which only a part arrived.
    pub const LOST: [&str; 2] = ["lost frame", "lost frames"];
    /// Times that the start of the next frame had to be searched for.
    pub const RESYNCS: [&str; 2] = ["loss of frame sync", "losses of frame sync"];
    /// Bytes of no intact frame.
    pub const DAMAGED_BYTES: [&str; 2] = ["skipped byte", "skipped bytes"];
    /// Frames whose detections could not be parsed completely.
    pub const BAD_DETECTIONS: [&str; 2] = ["frame with unreadable detections", "frames with unreadable detections"];
    /// Frames whose JPEG ends early.
    pub const BAD_PICTURES: [&str; 2] = ["frame whose JPEG ends early", "frames whose JPEG ends early"];
    /// Frames whose numbers the camera left out.
    pub const NOT_SENT: [&str; 2] = ["frame not sent", "frames not sent"];
    /// Frames that a recording misses.
    pub const MISSING_IN_RECORDING: [&str; 2] = ["frame missing in the recording", "frames missing in the recording"];
    /// Connections after the first.
    pub const RECONNECTS: [&str; 2] = ["reconnect", "reconnects"];
}

/// Name, weight, amount, and the words for one and for several.
type Row = (&'static str, Weight, fn(&Stats) -> u64, [&'static str; 2]);

/// The counts that decide the exit code. README has the same table.
const COUNTS: [Row; 26] = [
    ("withdrawn", Weight::Loss, |stats| stats.frames.withdrawn, words::WITHDRAWN),
    ("lost", Weight::Loss, |stats| stats.frames.lost - stats.frames.no_memory, words::LOST),
    (
        "no_memory",
        Weight::Loss,
        |stats| stats.frames.no_memory,
        [
            "frame dropped, because all cameras together used up --buffer",
            "frames dropped, because all cameras together used up --buffer",
        ],
    ),
    ("resyncs", Weight::Loss, |stats| stats.resyncs, words::RESYNCS),
    ("damaged_bytes", Weight::Loss, |stats| stats.damaged_bytes, words::DAMAGED_BYTES),
    ("bad_detections", Weight::Loss, |stats| stats.bad_detections, words::BAD_DETECTIONS),
    ("bad_pictures", Weight::Loss, |stats| stats.bad_pictures, words::BAD_PICTURES),
    (
        "video.failed",
        Weight::Loss,
        // A frame that proves to be damaged has been decoded before.
        |stats| stats.video.failed.saturating_sub(stats.frames.withdrawn),
        ["frame of video that could not be decoded", "frames of video that could not be decoded"],
    ),
    (
        "wrong_layouts",
        Weight::Loss,
        |stats| stats.wrong_layouts,
        ["frame with a wrongly guessed layout", "frames with a wrongly guessed layout"],
    ),
    ("numbers.not_sent", Weight::Loss, |stats| stats.numbers().map_or(0, |counts| counts.not_sent), words::NOT_SENT),
    (
        "numbers.damaged",
        Weight::Loss,
        // The other counts have those of which a part arrived, and those that a recording or a bus misses.
        |stats| {
            let damaged = stats.numbers().map_or(0, |counts| counts.damaged);
            let on_bus = stats.bus.as_ref().map_or(0, |bus| bus.missing);
            damaged.saturating_sub(stats.frames.lost).saturating_sub(stats.missing_in_recording).saturating_sub(on_bus)
        },
        ["frame lost in damaged bytes", "frames lost in damaged bytes"],
    ),
    (
        "dropped_by_camera",
        Weight::Loss,
        // The camera has left out the numbers of the frames that it dropped.
        |stats| stats.dropped_by_camera.saturating_sub(stats.numbers().map_or(0, |counts| counts.not_sent)),
        ["frame dropped by the camera", "frames dropped by the camera"],
    ),
    ("missing_in_recording", Weight::Loss, |stats| stats.missing_in_recording, words::MISSING_IN_RECORDING),
    (
        "bus.missing",
        Weight::Loss,
        |stats| stats.bus.as_ref().map_or(0, BusCounts::lost_on_bus),
        ["frame lost on the bus", "frames lost on the bus"],
    ),
    (
        "bus.dropped_here",
        Weight::Loss,
        |stats| stats.bus.as_ref().map_or(0, |bus| bus.dropped_here),
        ["frame dropped here, because oaktap was too slow", "frames dropped here, because oaktap was too slow"],
    ),
    (
        "bus.invalid",
        Weight::Loss,
        |stats| stats.bus.as_ref().map_or(0, |bus| bus.invalid),
        ["message that is not an intact frame", "messages that are not intact frames"],
    ),
    (
        "datagrams.messages_missing",
        Weight::Loss,
        // Of a camera that numbers its frames, the other counts have these.
        |stats| match (stats.datagrams, stats.numbers()) {
            (Some(datagrams), None) => datagrams.messages_missing,
            _ => 0,
        },
        ["frame of which no datagram arrived", "frames of which no datagram arrived"],
    ),
    (
        "datagrams.messages_repeated",
        Weight::Loss,
        |stats| stats.datagrams.map_or(0, |datagrams| datagrams.messages_repeated),
        ["message with a number that was used before", "messages with a number that was used before"],
    ),
    (
        "datagrams.invalid",
        Weight::Loss,
        |stats| stats.datagrams.map_or(0, |datagrams| datagrams.invalid),
        ["datagram that was not understood", "datagrams that were not understood"],
    ),
    ("down_at_end", Weight::Down, |stats| u64::from(stats.down_at_end()), ["", ""]),
    (
        "estimated",
        Weight::Doubt,
        |stats| stats.frames.estimated,
        ["frame missing by estimate (~)", "frames missing by estimate (~)"],
    ),
    (
        "numbers.restarts",
        Weight::Doubt,
        |stats| stats.numbers().map_or(0, |counts| counts.restarts),
        [
            "frame number that does not continue the one before: missing frames cannot be counted",
            "frame numbers that do not continue the ones before: missing frames cannot be counted",
        ],
    ),
    (
        "bus.restarts",
        Weight::Doubt,
        |stats| stats.bus.as_ref().map_or(0, |bus| bus.restarts),
        ["restart of the far receiver", "restarts of the far receiver"],
    ),
    ("reconnects", Weight::Doubt, Stats::reconnects, words::RECONNECTS),
    ("reboots", Weight::Doubt, |stats| stats.reboots, ["reboot of the camera", "reboots of the camera"]),
    (
        "replacements",
        Weight::Doubt,
        |stats| stats.replacements,
        ["other camera at the same address", "other cameras at the same address"],
    ),
];

impl Stats {
    /// Returns whether every frame, every byte and every item of every lane is accounted for.
    #[must_use]
    pub fn balances(&self) -> bool {
        let FrameCounts { received, confirmed, withdrawn, pending, .. } = self.frames;
        let VideoCounts { taken, decoded, failed, skipped, pending: owed } = self.video;
        received == confirmed + withdrawn + pending
            && received == self.streams.received()
            && taken == decoded + failed + skipped + owed
            && self.closed.balance()
            && self.open.balance()
            && self.datagrams.is_none_or(|counts| counts.balance())
            && self.sequence.counts().is_none_or(|counts| counts.balance())
            && self.lanes.iter().all(|lane| lane.offered == lane.taken + lane.dropped + lane.queued)
    }

    /// Returns the counts because of which the program may exit with code 3, losses first.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let of_count = |(name, weight, of, [one, many]): &Row| {
            let amount = Some(of(self)).filter(|amount| *amount > 0)?;
            let text = match *name {
                _ if *weight == Weight::Down => self.outage_text(),
                // The numbers of the far receiver do not show on which side of it these were lost: its own counts do.
                "numbers.not_sent" if self.bus.is_some() => {
                    let [one, many] = ["", "s"].map(|end| format!("frame{end} that the far receiver did not receive"));
                    count(amount, &one, &many)
                }
                "withdrawn" => count(amount, one, many) + &self.by_stream(|of| of.withdrawn),
                "lost" => count(amount, one, many) + &self.by_stream(|of| of.lost),
                _ => count(amount, one, many),
            };
            Some(Finding { count: name, weight: *weight, text })
        };
        let mut findings: Vec<Finding> = COUNTS.iter().filter_map(of_count).collect();
        if self.outages.total_ns() > 0 && !self.down_at_end() {
            let finding = Finding { count: "not_streaming_seconds", weight: Weight::Doubt, text: self.outage_text() };
            findings.push(finding);
        }
        let lanes = self.lanes.iter().filter(|lane| lane.keeps && lane.dropped > 0);
        let of_lane = |LaneCounts { name, dropped, offered, .. }: &LaneCounts| Finding {
            count: "lanes",
            weight: Weight::Loss,
            text: format!("{dropped} of {} dropped, because {name} was too slow", count(*offered, "frame", "frames")),
        };
        findings.splice(0..0, lanes.map(of_lane));
        findings
    }

    /// Returns the streams of the camera with a part in a count, if it has several.
    fn by_stream(&self, of: impl Fn(&StreamCounts) -> u64) -> String {
        let streams = self.streams();
        let parts: Vec<_> =
            streams.iter().filter(|stream| of(stream) > 0).map(|stream| (&stream.name, of(stream))).collect();
        match &parts[..] {
            [] => String::new(),
            [(name, _)] => format!(" (stream `{name}`)"),
            parts => {
                let parts: Vec<_> = parts.iter().map(|(name, frames)| format!("`{name}` {frames}")).collect();
                format!(" (streams {})", parts.join(", "))
            }
        }
    }

    fn outage_text(&self) -> String {
        let seconds = |ns: u64| ns as f64 / 1e9;
        let (down, watched) = (seconds(self.outages.total_ns()), seconds(self.outages.watched_ns()));
        if self.outages.awaits_first() {
            return format!("no frame received in {watched:.1} s");
        }
        let end = if self.down_at_end() { ", not at the end either" } else { "" };
        format!("not streaming for {down:.1} s of {watched:.1} s{end}")
    }

    /// Returns whether the stream had stopped at the latest known time, and not because we stopped it.
    #[must_use]
    pub const fn down_at_end(&self) -> bool {
        self.outages.is_open()
    }

    /// Returns whether there are frames, and everything that the camera sent was received and reached every lossless lane: no damage, no
    /// skipped bytes other than records of unknown kinds, no unreadable detections, no gap in the camera's numbers. If not,
    /// the program exits with code 3. Estimates do not count; see [`Self::certainly_lossless`].
    #[must_use]
    pub fn lossless(&self) -> bool {
        !self.outages.awaits_first() && self.findings().iter().all(|finding| finding.weight != Weight::Loss)
    }

    /// Returns whether the stream was [lossless](Self::lossless), and nothing suggests that frames may be missing: no gap in
    /// the rhythm of frames without numbers, no time without a stream, no reconnect, no reboot of the camera. Decides the
    /// exit code with `--strict`.
    #[must_use]
    pub fn certainly_lossless(&self) -> bool {
        self.findings().is_empty()
    }

    /// Returns whether [`FrameCounts::missing`] is an estimate, to be shown with `~`.
    #[must_use]
    pub fn missing_is_estimate(&self) -> bool {
        self.frames.missing_is_estimate()
    }
}
