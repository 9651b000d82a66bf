//! The words of the HUD: the state of a camera as text.

use super::design::{ColoredText, Ink, ink_of};
use super::hud::HudLevel;
use super::recording::CameraRecording;
use crate::frame::{Geometry, PayloadKind};
use crate::hub::LaneCounts;
use crate::source::SessionState;
use crate::stats::{HealthGauge, Stats};
use crate::units::{rounded_latency, rounded_mbit_s};
use crate::view::{FrameKind, ViewHealth};

/// The values that the HUD shows of a camera.
#[derive(Clone, Debug)]
pub(super) struct CameraStatus {
    pub(super) name: String,
    pub(super) state: SessionState,
    /// The recording is paused or at its end, so that it has no rate.
    pub(super) held: bool,
    pub(super) stats: Stats,
    pub(super) health: ViewHealth,
    /// The next step for the user.
    pub(super) help: Option<String>,
    /// Time since the last byte of the shown picture arrived.
    pub(super) age_ns: Option<u64>,
    /// Minimum confidence of drawn boxes, 0 to 1.
    pub(super) threshold: f32,
    /// `None`: recording is off.
    pub(super) recording: Option<CameraRecording>,
    /// A word for damage or a new connection that was counted a short time ago.
    pub(super) trouble: Option<&'static str>,
}

impl CameraStatus {
    /// Returns whether the HUD shows something else than before.
    pub(super) fn differs(&self, before: &Self, level: HudLevel) -> bool {
        match level {
            HudLevel::Off => false,
            HudLevel::Line => line(self) != line(before),
            HudLevel::Full => {
                // The status line is shown where the full HUD has no room.
                let intervals = |status: &Self| status.stats.intervals_us().collect::<Vec<_>>();
                line(self) != line(before) || rows(self) != rows(before) || intervals(self) != intervals(before)
            }
        }
    }

    /// Returns whether frames arrive.
    pub(super) fn sends(&self) -> bool {
        matches!(self.state, SessionState::Streaming) && !self.held
    }

    /// Returns whether frames arrive, but none of them became a picture.
    fn is_unseen(&self) -> bool {
        self.health.error.is_some() && self.age_ns.is_none()
    }

    /// Returns the color of the camera's state.
    pub(super) fn ink(&self) -> Ink {
        match ink_of(&self.state) {
            Ink::Good if self.is_unseen() => Ink::Alarm,
            Ink::Good if self.health.error.is_some() => Ink::Warning,
            Ink::Good if self.trouble.is_some() => Ink::Warning,
            ink => ink,
        }
    }
}

fn milliseconds(ns: u64) -> String {
    match ns as f64 / 1e6 {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1e3),
    }
}

fn bytes(bytes: u64) -> String {
    match bytes as f64 {
        few if few < 1e4 => format!("{few} B"),
        some if some < 1e7 => format!("{:.0} kB", some / 1e3),
        many => format!("{:.1} MB", many / 1e6),
    }
}

/// Formats size and format: `640x352 BGR888p`.
fn picture_format(kind: Option<FrameKind>) -> String {
    match kind {
        None => "no picture yet".to_owned(),
        Some(FrameKind { geometry: Some(Geometry { format, width, height, .. }), payload, .. }) => match payload {
            PayloadKind::Raw | PayloadKind::Jpeg => format!("{width}x{height} {format}"),
            PayloadKind::H264 | PayloadKind::H265 => format!("{width}x{height} {}", payload.name()),
        },
        Some(FrameKind { geometry: None, payload: PayloadKind::Raw, .. }) => "unknown layout".to_owned(),
        Some(FrameKind { payload, size: Some(size), .. }) => format!("{size} {}", payload.name()),
        Some(FrameKind { payload, .. }) => payload.name().to_owned(),
    }
}

/// Returns the stream's errors, without the drops that this program chose. Estimates carry `~`.
fn stream_errors(stats: &Stats) -> Vec<(String, &'static str)> {
    let frames = &stats.frames;
    let sign = if stats.missing_is_estimate() { "~" } else { "" };
    let all = [
        ("", frames.withdrawn + stats.bad_pictures, "damaged", "damaged"),
        ("", frames.lost, "lost", "lost"),
        (sign, frames.missing, "missing", "missing"),
        ("", stats.bad_detections, "bad boxes", "bad boxes"),
        ("", stats.reconnects(), "reconnect", "reconnects"),
        ("", stats.reboots, "reboot", "reboots"),
    ];
    let wrong = all.into_iter().filter(|(_, count, ..)| *count > 0);
    wrong.map(|(sign, count, one, many)| (format!("{sign}{count}"), if count == 1 { one } else { many })).collect()
}

/// Formats the number of missing frames, as in the table at the end.
fn missing(stats: &Stats) -> String {
    format!("   {}{} missing", if stats.missing_is_estimate() { "~" } else { "" }, stats.frames.missing)
}

/// Formats the temperature and load that the camera reports.
fn camera_health(stats: &Stats) -> Option<String> {
    let health = &stats.health;
    let celsius = health.celsius.map(|gauge| format!("{:.1} °C", gauge.last));
    let load = |name: &str, gauge: Option<HealthGauge>| gauge.map(|gauge| format!("{name} {:.0} %", gauge.last));
    let all = [celsius, load("css", health.css), load("mss", health.mss)];
    let all: Vec<_> = all.into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join("   "))
}

fn dropped(stats: &Stats) -> u64 {
    // Drops that a user can see: frames that were not converted, pictures that were not shown.
    stats.lanes.iter().filter(|lane| !lane.keeps).map(|LaneCounts { dropped, .. }| dropped).sum()
}

/// Returns the facts of the status line, the most important one first: those that do not fit into a narrow tile are left
/// out. Each is written whole, so that no number stands without its word.
pub(super) fn line(status: &CameraStatus) -> Vec<Vec<ColoredText>> {
    let (stats, rates) = (&status.stats, status.stats.rates());
    let mut facts = vec![vec![(status.ink(), "● ".to_owned()), (Ink::Text, status.name.clone())]];
    let sends = status.sends();
    // Measured from the second frame on: also after a seek.
    let has_rates = sends && rates.fps_arrival > 0.0;
    if status.is_unseen() && matches!(status.state, SessionState::Streaming) {
        facts.push(vec![(status.ink(), "  no picture".to_owned())]);
    } else if status.trouble.is_some() || !matches!(status.state, SessionState::Streaming) {
        facts.push(vec![(status.ink(), format!("  {}", state_word(status)))]);
    }
    facts.extend(status.recording.iter().flat_map(|recording| recording.line(sends)));
    let fact = |ink: Ink, value: String, unit: &str| vec![(ink, format!("  {value}")), (Ink::Dim, format!(" {unit}"))];
    if has_rates {
        facts.push(fact(Ink::Text, format!("{:.1}", rates.fps_arrival), "fps"));
    }
    for (count, what) in stream_errors(stats) {
        facts.push(fact(if count.starts_with('~') { Ink::Dim } else { Ink::Warning }, count, what));
    }
    if status.health.failed > 0 {
        facts.push(fact(Ink::Warning, status.health.failed.to_string(), "not shown"));
    }
    if has_rates {
        facts.push(fact(Ink::Text, rounded_mbit_s(rates.mbit_s), "Mbit/s"));
    }
    if dropped(stats) > 0 {
        facts.push(fact(Ink::Dim, dropped(stats).to_string(), "dropped"));
    }
    if let Some(HealthGauge { last, .. }) = stats.health.celsius {
        facts.push(vec![(Ink::Dim, format!("  {last:.0} °C"))]);
    }
    if let Some(age) = status.age_ns {
        facts.push(fact(Ink::Dim, milliseconds(age), "old"));
    }
    let dialect = status.health.last.map(|kind| format!(" {}", kind.dialect)).unwrap_or_default();
    facts.push(vec![(Ink::Dim, format!("  {}{dialect}", picture_format(status.health.last)))]);
    facts
}

/// Returns the captions and texts of the full HUD. Rows about the stream and about this program are separate.
pub(super) fn rows(status: &CameraStatus) -> Vec<(&'static str, Vec<ColoredText>)> {
    let CameraStatus { stats, health, .. } = status;
    let (frames, rates, latency) = (&stats.frames, stats.rates(), stats.latency_us());
    let fine = |good: bool| if good { Ink::Text } else { Ink::Warning };
    let plain = |text: String| vec![(Ink::Text, text)];
    let dialect = health.last.map(|kind| format!("  {}", kind.dialect)).unwrap_or_default();
    let percentile = |q: f64| rounded_latency(latency.value_at_quantile(q));
    let mut rows = vec![
        ("picture", plain(format!("{}{dialect}", picture_format(health.last)))),
        ("stream", plain(format!("{} frames   {} stale", frames.received, frames.stale))),
        (
            "",
            vec![
                (fine(frames.withdrawn == 0), format!("{} damaged", frames.withdrawn)),
                (
                    fine(frames.lost == 0),
                    if frames.lost > 0 { format!("   {} lost", frames.lost) } else { String::new() },
                ),
                (fine(frames.missing == 0 || stats.missing_is_estimate()), missing(stats)),
                (fine(stats.damaged_bytes == 0), format!("   {} skipped", bytes(stats.bytes().skipped))),
            ],
        ),
        (
            "",
            vec![
                (fine(stats.resyncs == 0), format!("{} resyncs", stats.resyncs)),
                (fine(stats.reconnects() == 0), format!("   {} reconnects", stats.reconnects())),
                (fine(stats.reboots == 0), format!("   {} reboots", stats.reboots)),
            ],
        ),
        (
            "decode",
            vec![
                (Ink::Text, format!("{} pictures", frames.pictures)),
                (fine(health.failed == 0), format!("   {} failed", health.failed)),
                (fine(stats.bad_detections == 0), format!("   {} bad boxes", stats.bad_detections)),
            ],
        ),
        ("shown", plain(format!("{}   {} dropped", frames.shown, dropped(stats)))),
    ];
    if status.sends() {
        let jitter = milliseconds((rates.jitter_us * 1e3) as u64);
        let measured =
            |text: String| if rates.fps_arrival > 0.0 { plain(text) } else { vec![(Ink::Dim, "-".to_owned())] };
        let rates = [
            ("fps", measured(format!("{:.2} camera   {:.2} here", rates.fps_device, rates.fps_arrival))),
            ("rate", measured(format!("{} Mbit/s   jitter {jitter}", rounded_mbit_s(rates.mbit_s)))),
        ];
        // After the row of the picture.
        rows.splice(1..1, rates);
    }
    if let Some(camera) = camera_health(stats) {
        rows.push(("camera", plain(camera)));
    }
    if !latency.is_empty() {
        rows.push(("latency", plain(format!("{} p50   {} p99", percentile(0.5), percentile(0.99)))));
    }
    if let Some(age) = status.age_ns {
        rows.push(("age", plain(milliseconds(age))));
    }
    if status.threshold > 0.0 {
        rows.push(("boxes", plain(format!("confidence from {:.0} %", status.threshold * 100.0))));
    }
    rows.extend(status.recording.iter().flat_map(CameraRecording::rows));
    rows
}

/// Returns the state in one or a few words, as the page does: `lost` is the number of lost frames.
pub(super) fn state_word(status: &CameraStatus) -> String {
    match &status.state {
        SessionState::Outside(outside) => outside.to_string(),
        SessionState::Lost { .. } if status.stats.frames.received == 0 => "not connected".to_owned(),
        SessionState::Lost { .. } => "no connection".to_owned(),
        // The counts of the status line may not fit beside the dot, whose color says that something happened.
        state @ SessionState::Streaming => status.trouble.unwrap_or(state.word()).to_owned(),
        state => state.word().to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests;
