//! The words of the HUD: the state of a camera as text.

use super::design::{ColoredText, Ink, ink_of};
use super::hud::HudLevel;
use super::recording::CameraRecording;
use crate::frame::{Geometry, PayloadKind};
use crate::hub::LaneCounts;
use crate::source::SessionState;
use crate::stats::{HealthGauge, Stats};
use crate::units::rounded_mbit_s;
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
    /// Damage or a new connection was counted a short time ago.
    pub(super) troubled: bool,
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
            Ink::Good if self.troubled => Ink::Warning,
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
    if !matches!(status.state, SessionState::Streaming) {
        facts.push(vec![(status.ink(), format!("  {}", state_word(status)))]);
    } else if status.is_unseen() {
        facts.push(vec![(status.ink(), "  no picture".to_owned())]);
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
    let percentile = |q: f64| milliseconds(latency.value_at_quantile(q).saturating_mul(1000));
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

/// Returns the state in one or a few words. A camera that never sent a frame is not lost.
pub(super) fn state_word(status: &CameraStatus) -> String {
    match &status.state {
        SessionState::Outside(outside) => outside.to_string(),
        SessionState::Lost { .. } if status.stats.frames.received == 0 => "not connected".to_owned(),
        state => state.word().to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::camera::Advise;
    use super::super::tile_message::{Advised, Message, is_past, message};
    use super::*;
    use crate::frame::{DeviceTime, Frame, PixelFormat, Staleness};
    use crate::sink::record::{RecorderCounts, RecorderHealth, RecorderState, RecordersHealth};
    use crate::source::Outside;
    use crate::wire::ByteCounts;

    /// Returns counts of a camera that sends 20 frames per second.
    fn streaming() -> Stats {
        let mut stats = Stats::default();
        for number in 0..3 {
            let mut frame = Frame::with_payload([]);
            (frame.device_time, frame.staleness) = (DeviceTime(50_000 * number as i64), Staleness::Known(false));
            frame.received.mono_ns = 50_000_000 * number;
            stats.event(&crate::wire::Event::Frame(frame.into()));
        }
        stats
    }

    pub(in super::super) fn status() -> CameraStatus {
        let geometry = Geometry::tight(PixelFormat::Bgr888p, 640, 352).expect("a usual geometry");
        CameraStatus {
            name: "front".to_owned(),
            state: SessionState::Streaming,
            held: false,
            stats: streaming(),
            health: ViewHealth {
                last: Some(FrameKind {
                    dialect: "IMG",
                    payload: PayloadKind::Raw,
                    geometry: Some(geometry),
                    size: None,
                }),
                ..ViewHealth::default()
            },
            help: None,
            age_ns: Some(12_400_000),
            threshold: 0.0,
            recording: None,
            troubled: false,
        }
    }

    fn text_of(pieces: &[ColoredText]) -> String {
        pieces.iter().map(|(_, piece)| piece.as_str()).collect()
    }

    fn line_of(status: &CameraStatus) -> String {
        line(status).iter().map(|fact| text_of(fact)).collect()
    }

    #[test]
    fn the_status_line_shows_errors_only_when_there_are_any() {
        let mut status = status();
        assert_eq!(line_of(&status), "● front  20.0 fps  0.0 Mbit/s  12 ms old  640x352 BGR888p IMG");
        let measured = status.stats.clone();
        status.stats.sought();
        assert_eq!(line_of(&status), "● front  12 ms old  640x352 BGR888p IMG", "no rate before the second frame");
        let row = |caption: &str| rows(&status).iter().find(|(of, _)| *of == caption).map(|(_, text)| text_of(text));
        assert_eq!(
            [row("fps"), row("rate")],
            [Some("-".to_owned()), Some("-".to_owned())],
            "the rows keep their places"
        );
        status.stats = measured;
        status.held = true;
        assert_eq!(line_of(&status), "● front  12 ms old  640x352 BGR888p IMG", "a paused replay has no rate");
        let captions = |status: &CameraStatus| rows(status).iter().map(|(caption, _)| *caption).collect::<Vec<_>>();
        assert_eq!(captions(&status)[..2], ["picture", "stream"]);
        status.held = false;
        assert_eq!(captions(&status)[..4], ["picture", "fps", "rate", "stream"]);
        status.stats.frames.withdrawn = 2;
        status.stats.frames.lost = 1;
        status.stats.connections = 3;
        status.health.failed = 7;
        let text = line_of(&status);
        assert!(
            text.contains("  20.0 fps  2 damaged  1 lost  2 reconnects  7 not shown  0.0 Mbit/s  12 ms old"),
            "{text}"
        );
    }

    #[test]
    fn a_low_bit_rate_is_not_zero() {
        let mut stats = Stats::default();
        for number in 0..20 {
            let mut frame = Frame::with_payload([]);
            stats.set_byte_counts(ByteCounts { received: 2000 * number, ..ByteCounts::default() });
            (frame.device_time, frame.staleness) = (DeviceTime(50_000 * number as i64), Staleness::Known(false));
            frame.received.mono_ns = 50_000_000 * number;
            stats.event(&crate::wire::Event::Frame(frame.into()));
        }
        let status = CameraStatus { stats, ..status() };
        let rate = rounded_mbit_s(status.stats.rates().mbit_s);
        assert_eq!(rate, "0.3", "2000 bytes in 50 ms");
        assert!(line_of(&status).contains("  0.3 Mbit/s"), "{}", line_of(&status));
        let all: Vec<_> = rows(&status).iter().map(|(_, pieces)| text_of(pieces)).collect();
        assert!(all.iter().any(|row| row.starts_with("0.3 Mbit/s   jitter")), "{all:?}");
    }

    #[test]
    fn a_camera_without_a_frame_so_far_is_not_lost() {
        let mut status = status();
        status.stats = Stats::default();
        let kind = crate::source::SourceErrorKind::Closed;
        let reason = crate::source::SourceError { conn: Default::default(), kind };
        let reason = std::sync::Arc::new(reason);
        status.state = SessionState::Lost { reason, retry_in: std::time::Duration::from_secs(1) };
        assert_eq!(state_word(&status), "not connected");
        assert_eq!(message(&status, false).expect("a message").short[1], "not connected");
        status.stats.frames.received = 1;
        assert_eq!(state_word(&status), "lost");
    }

    #[test]
    fn the_help_of_a_lost_camera_names_it() {
        let mut status = status();
        let kind = crate::source::SourceErrorKind::ConnectTimeout(std::time::Duration::from_secs(1));
        let reason = std::sync::Arc::new(crate::source::SourceError { conn: Default::default(), kind });
        status.state = SessionState::Lost { reason, retry_in: std::time::Duration::from_secs(1) };
        let mut advised = Advised::default();
        let mut text = |camera: &str, advise: Advise| advised.text(camera, &status.state, &status.health, advise);
        let help = text("front", |help, camera| help.replace("CAMERA", camera));
        assert!(help.as_deref().is_some_and(|help| help.starts_with("`oaktap doctor front` checks")), "{help:?}");
        assert_eq!(text("front", |_, _| panic!("it is formatted once")), help);
        status.help.clone_from(&help);
        assert_eq!(message(&status, true).expect("a message").lines.last(), help.as_ref());
    }

    #[test]
    fn a_camera_in_trouble_is_not_green() {
        let mut status = status();
        assert_eq!(line(&status)[0][0], (Ink::Good, "● ".to_owned()));
        status.troubled = true;
        assert_eq!(line(&status)[0][0], (Ink::Warning, "● ".to_owned()));
    }

    #[test]
    fn a_camera_without_a_picture_is_in_alarm_and_says_why() {
        let mut status = status();
        status.age_ns = None;
        let size = Some(crate::frame::Size::new(98, 66));
        let last = FrameKind { dialect: "IMG", payload: PayloadKind::H265, geometry: None, size };
        status.health = ViewHealth { failed: 3, error: Some("no".to_owned()), help: Some("do this"), last: Some(last) };
        status.help = Advised::default().text("front", &status.state, &status.health, |help, _| help.to_owned());
        assert_eq!(line(&status)[0][0], (Ink::Alarm, "● ".to_owned()));
        assert_eq!(line_of(&status), "● front  no picture  20.0 fps  3 not shown  0.0 Mbit/s  98x66 H265 IMG");
        let shown = message(&status, false).expect("a message");
        assert_eq!(
            (shown.ink, &shown.lines[..]),
            (Ink::Alarm, &["front: no picture", "no", "do this"].map(str::to_owned)[..])
        );
        // After a good picture.
        status.age_ns = Some(900_000_000);
        assert_eq!(line(&status)[0][0].0, Ink::Warning);
        let shown = message(&status, true).expect("a message");
        assert_eq!((shown.ink, shown.lines[0].as_str()), (Ink::Warning, "front: no new picture"));
    }

    #[test]
    fn errors_of_the_stream_and_of_decoding_are_in_separate_rows() {
        let mut status = status();
        status.health.failed = 7;
        status.stats.frames.withdrawn = 1;
        let rows = rows(&status);
        let row = |caption: &str| rows.iter().position(|(found, _)| *found == caption).expect("a row");
        let stream: Vec<_> = rows[row("stream")..row("decode")].iter().flat_map(|(_, pieces)| pieces).collect();
        let decode = &rows[row("decode")].1;
        assert!(stream.iter().any(|(color, text)| *color == Ink::Warning && text == "1 damaged"), "{stream:?}");
        assert!(decode.iter().any(|(color, text)| *color == Ink::Warning && text == "   7 failed"), "{decode:?}");
        assert!(!stream.iter().any(|(_, text)| text.contains("failed")));
    }

    #[test]
    fn records_of_the_camera_are_shown() {
        let mut status = CameraStatus { stats: Stats::default(), ..status() };
        let full =
            |status: &CameraStatus| rows(status).into_iter().map(|(_, pieces)| text_of(&pieces)).collect::<Vec<_>>();
        assert!(full(&status).contains(&"0 damaged   0 missing   0 B skipped".to_owned()), "nothing was received");
        status.stats.frames.received = 1;
        assert!(full(&status).contains(&"0 damaged   0 missing   0 B skipped".to_owned()), "nothing is missing");
        status.stats.frames.missing = 2;
        assert!(full(&status).contains(&"0 damaged   ~2 missing   0 B skipped".to_owned()), "an estimate");
        (status.stats.frames.received, status.stats.frames.missing) = (0, 0);
        let record = |record| crate::wire::Event::Record(record);
        for seq in [3, 4] {
            status.stats.event(&record(crate::wire::Record::Frame { seq, device_time: DeviceTime(0) }));
            let mut frame = Frame::default();
            frame.camera_seq = Some(seq);
            status.stats.event(&crate::wire::Event::Frame(frame.into()));
        }
        status.stats.event(&record(crate::wire::Record::Frame { seq: 7, device_time: DeviceTime(0) }));
        let health = crate::wire::Record::Health { celsius: Some(67.8), css: Some(97.0), mss: None };
        status.stats.event(&record(health));
        assert!(line_of(&status).contains("  2 missing  68 °C  12 ms old"), "{}", line_of(&status));
        let full = full(&status);
        assert!(full.contains(&"0 damaged   2 missing   0 B skipped".to_owned()), "{full:?}");
        assert!(full.contains(&"67.8 °C   css 97 %".to_owned()), "{full:?}");
    }

    #[test]
    fn a_recording_shows_its_errors() {
        let mut status = status();
        let recording = |state, dropped| {
            let cameras = vec![RecorderCounts { recorded: 40, dropped, ..RecorderCounts::default() }];
            let total = RecorderHealth { state, cameras, ..RecorderHealth::default() };
            let health = RecordersHealth { total, bytes_per_s: 27.1e6, seconds_left: Some(7260.0) };
            Some(CameraRecording { health: health.into(), camera: 0, is_part: true })
        };
        status.recording = recording(RecorderState::Recording, 0);
        let text = line_of(&status);
        assert!(text.starts_with("● front  REC  20.0 fps"), "{text}");
        let full = |status: &CameraStatus| rows(status).iter().map(|(_, pieces)| text_of(pieces)).collect::<Vec<_>>();
        assert!(
            full(&status)
                .ends_with(&["40 frames   0 not recorded".to_owned(), "27.1 MB/s   2 h 1 min left".to_owned()])
        );
        status.state = SessionState::Silent;
        assert!(line_of(&status).starts_with("● front  silent  REC: no frames"), "{}", line_of(&status));
        assert_eq!(line(&status)[2][0].0, Ink::Warning, "nothing is recorded");
        status.state = SessionState::Streaming;
        status.recording = recording(RecorderState::Paused { why: "the disk is full".to_owned() }, 3);
        assert_eq!(line(&status)[1], [(Ink::Alarm, "  REC: paused".to_owned())]);
        assert!(line_of(&status).contains("REC: paused  3 not recorded"), "{}", line_of(&status));
        assert_eq!(full(&status).last().map(String::as_str), Some("recording paused: the disk is full"));
        status.recording.as_mut().expect("a recording").is_part = false;
        assert!(line_of(&status).starts_with("● front  3 not recorded  20.0 fps"), "the notice says the rest");
    }

    /// Each word of the status line and of the full HUD is in the table of docs/window.md.
    #[test]
    fn every_word_of_the_hud_is_explained() {
        let docs = include_str!("../../../docs/window.md");
        let table =
            docs.split("## Words of the HUD").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a section");
        let mut status = status();
        let stats = &mut status.stats;
        (stats.connections, stats.reboots, stats.bad_detections, stats.resyncs) = (3, 2, 2, 2);
        (stats.frames.withdrawn, stats.frames.lost, stats.frames.missing, stats.frames.received) = (2, 2, 2, 9);
        stats.lanes = vec![LaneCounts { name: "window", keeps: false, offered: 2, taken: 0, dropped: 2, queued: 0 }];
        let health = crate::wire::Record::Health { celsius: Some(67.8), css: Some(97.0), mss: Some(40.0) };
        stats.event(&crate::wire::Event::Record(health));
        stats.picture(false, 3000);
        (status.health.failed, status.threshold) = (2, 0.5);
        let cameras = vec![RecorderCounts { recorded: 40, dropped: 2, ..RecorderCounts::default() }];
        let total = RecorderHealth { state: RecorderState::Recording, cameras, ..RecorderHealth::default() };
        let health = RecordersHealth { total, bytes_per_s: 27.1e6, seconds_left: Some(7260.0) };
        status.recording = Some(CameraRecording { health: health.into(), camera: 0, is_part: true });
        let mut said = line_of(&status);
        for (caption, pieces) in rows(&status) {
            said.push_str(&format!(" {caption} {}", text_of(&pieces)));
        }
        assert!(
            ["latency", "css", "mss", "jitter", "disk", "dropped", "not shown"].iter().all(|word| said.contains(word))
        );
        // Names, and units behind numbers.
        let known = ["front", "BGR888p", "IMG", "from", "ms", "kB", "B", "MB/s", "h", "min", "Mbit/s", "frames"];
        let words = said.split_whitespace().filter(|word| word.starts_with(char::is_alphabetic));
        for word in words.filter(|word| !known.contains(word)) {
            let named = table.split('`').skip(1).step_by(2).flat_map(str::split_whitespace).any(|found| found == word);
            assert!(named, "`{word}` is not explained");
        }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([0, 400_000, 12_400_000, 3_200_000_000].map(milliseconds), ["0.0 ms", "0.4 ms", "12 ms", "3.2 s"]);
        assert_eq!([0, 9_999, 10_000, 12_345_678].map(bytes), ["0 B", "9999 B", "10 kB", "12.3 MB"]);
    }

    /// As that of a live camera that is lost. The last picture of a recording, and one between two frames, are the right ones.
    #[test]
    fn a_gap_of_a_recording_has_a_message_over_its_gray_picture() {
        let mut status = status();
        let time = std::time::Duration::from_secs;
        for (outside, text) in [
            (Outside::Gap { until: time(38) }, Some("no frames until 0:38")),
            (Outside::Skipped { gap: time(12) }, Some("no frames for 12 s, skipping")),
            (Outside::Between, None),
            (Outside::After, None),
        ] {
            status.state = SessionState::Outside(outside);
            let shown = message(&status, true);
            assert_eq!(is_past(&status), text.is_some(), "{outside}");
            assert_eq!(
                shown.map(|message| message.lines),
                text.map(|text| vec![format!("front: {text}")]),
                "{outside}"
            );
        }
        status.state = SessionState::Streaming;
        status.health.error = Some("H264 cannot be shown".to_owned());
        assert!(!is_past(&status), "the boxes come back with the next frame");
    }

    #[test]
    fn a_live_picture_has_no_message() {
        let mut status = status();
        assert!(message(&status, true).is_none());
        status.state = SessionState::Silent;
        let Message { short, lines, .. } = message(&status, true).expect("a message");
        assert!(lines[0].starts_with("front: connected but silent"), "{lines:?}");
        assert_eq!(short, ["front", "silent"]);
        status.state = SessionState::Streaming;
        status.health.error = Some("H264 cannot be shown".to_owned());
        assert!(message(&status, false).expect("a message").lines[1].contains("H264"));
    }
}
