//! The HUD: the state of a camera, written over its picture.

use super::colors::{AMBER, ColoredText, DIM, GREEN, WHITE, color_of};
use super::recording::CameraRecording;
use crate::frame::{Geometry, PayloadKind};
use crate::hub::LaneCounts;
use crate::overlay::{Canvas, Rect, Text};
use crate::source::SessionState;
use crate::stats::{HealthGauge, Stats};
use crate::view::{FrameKind, ViewHealth};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum HudLevel {
    Off,
    #[default]
    Line,
    Full,
}

impl HudLevel {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Off => Self::Line,
            Self::Line => Self::Full,
            Self::Full => Self::Off,
        }
    }
}

/// The values that the HUD shows of a camera.
#[derive(Clone, Debug)]
pub(super) struct CameraStatus {
    pub(super) name: String,
    pub(super) state: SessionState,
    pub(super) stats: Stats,
    pub(super) health: ViewHealth,
    /// Time since the last byte of the shown picture arrived.
    pub(super) age_ns: Option<u64>,
    /// Minimum confidence of drawn boxes, 0 to 1.
    pub(super) threshold: f32,
    /// `None`: recording is off.
    pub(super) recording: Option<CameraRecording>,
}

/// Returns the height of text in a tile, in pixels.
pub(super) fn text_height(tile: Rect) -> u32 {
    (u32::try_from(tile.height).unwrap_or(0) / 36).clamp(14, 20)
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
        Some(FrameKind { payload, .. }) => payload.name().to_owned(),
    }
}

/// Returns the stream's errors, without the drops that this program chose.
fn stream_errors(stats: &Stats) -> Vec<(u64, &'static str)> {
    let frames = &stats.frames;
    // With frame numbers (`@F`), frames that the camera never sent are known exactly.
    let missing = match stats.numbers() {
        Some(counts) => (counts.not_sent, "not sent"),
        None => (frames.missing.saturating_sub(frames.withdrawn + frames.lost), "missing"),
    };
    let all = [
        (frames.withdrawn + frames.lost, "damaged"),
        missing,
        (stats.bad_detections, "bad boxes"),
        (stats.reconnects(), "reconnects"),
        (stats.reboots, "reboots"),
    ];
    all.into_iter().filter(|(count, _)| *count > 0).collect()
}

/// Formats the number of missing frames: from the camera's numbers, or else an estimate from the frame interval.
fn missing(stats: &Stats) -> String {
    match stats.numbers() {
        Some(counts) => format!("   {} not sent", counts.not_sent),
        None => format!("   ~{} missing", stats.frames.missing),
    }
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

/// Returns the status line, the most important part first: the end is cut off in narrow tiles.
fn line(status: &CameraStatus) -> Vec<ColoredText> {
    let (stats, rates) = (&status.stats, status.stats.rates());
    let mut pieces = vec![(color_of(&status.state), "● ".to_owned()), (WHITE, status.name.clone())];
    pieces.extend(status.recording.iter().flat_map(CameraRecording::line));
    let mut fact = |color: u32, value: String, unit: &str| {
        pieces.push((color, format!("  {value}")));
        pieces.push((DIM, format!(" {unit}")));
    };
    fact(WHITE, format!("{:.1}", rates.fps_arrival), "fps");
    fact(WHITE, format!("{:.0}", rates.mbit_s), "Mbit/s");
    for (count, what) in stream_errors(stats) {
        fact(AMBER, count.to_string(), what);
    }
    if status.health.failed > 0 {
        fact(AMBER, status.health.failed.to_string(), "not shown");
    }
    if dropped(stats) > 0 {
        fact(DIM, dropped(stats).to_string(), "dropped");
    }
    if let Some(HealthGauge { last, .. }) = stats.health.celsius {
        pieces.push((DIM, format!("  {last:.0} °C")));
    }
    if let Some(age) = status.age_ns {
        pieces.push((DIM, format!("  {}", milliseconds(age))));
    }
    let dialect = status.health.last.map(|kind| format!(" {}", kind.dialect)).unwrap_or_default();
    pieces.push((DIM, format!("  {}{dialect}", picture_format(status.health.last))));
    pieces
}

/// Draws the status line at the lower edge of a tile.
pub(super) fn draw_line(canvas: &mut Canvas<'_>, text: &mut Text, tile: Rect, status: &CameraStatus) {
    let px = text_height(tile);
    let height = px as i32 + 6;
    let strip = Rect::new(tile.x, tile.bottom() - height, tile.width, height);
    let mut inside = canvas.part(tile);
    let mut inside = inside.part(strip);
    inside.shade(strip, 0, 150);
    let mut x = strip.x + 8;
    for (color, piece) in line(status) {
        if x + text.width(px, &piece) > strip.right() - 4 {
            break;
        }
        x += text.write(&mut inside, x, strip.y + 3, px, color, &piece);
    }
}

/// Returns the captions and texts of the full HUD. Rows about the stream and about this program are separate.
fn rows(status: &CameraStatus) -> Vec<(&'static str, Vec<ColoredText>)> {
    let CameraStatus { stats, health, .. } = status;
    let (frames, rates, latency) = (&stats.frames, stats.rates(), stats.latency_us());
    let fine = |good: bool| if good { WHITE } else { AMBER };
    let plain = |text: String| vec![(WHITE, text)];
    let dialect = health.last.map(|kind| format!("  {}", kind.dialect)).unwrap_or_default();
    let percentile = |q: f64| milliseconds(latency.value_at_quantile(q).saturating_mul(1000));
    let mut rows = vec![
        ("picture", plain(format!("{}{dialect}", picture_format(health.last)))),
        ("fps", plain(format!("{:.2} camera   {:.2} here", rates.fps_device, rates.fps_arrival))),
        (
            "rate",
            plain(format!("{:.1} Mbit/s   jitter {}", rates.mbit_s, milliseconds((rates.jitter_us * 1e3) as u64))),
        ),
        ("stream", plain(format!("{} frames   {} stale", frames.received, frames.stale))),
        (
            "",
            vec![
                (fine(frames.withdrawn + frames.lost == 0), format!("{} damaged", frames.withdrawn + frames.lost)),
                (fine(frames.missing == 0), missing(stats)),
                (fine(stats.bytes().skipped == 0), format!("   {} skipped", bytes(stats.bytes().skipped))),
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
                (WHITE, format!("{} pictures", frames.pictures)),
                (fine(health.failed == 0), format!("   {} failed", health.failed)),
                (fine(stats.bad_detections == 0), format!("   {} bad boxes", stats.bad_detections)),
            ],
        ),
        ("shown", plain(format!("{}   {} dropped", frames.shown, dropped(stats)))),
    ];
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

/// Width of the caption column.
const CAPTION_CHARS: i32 = 9;

/// Draws the full HUD in the upper left corner of a tile, with the intervals of the last frames as a curve.
pub(super) fn draw_full(canvas: &mut Canvas<'_>, text: &mut Text, tile: Rect, status: &CameraStatus) {
    let px = text_height(tile);
    let (line, advance, margin) = (px as i32 + 2, text.advance(px), 10);
    let rows = rows(status);
    let state = state_word(&status.state);
    let count = |text: &str| i32::try_from(text.chars().count()).unwrap_or(0);
    let wide = |pieces: &[ColoredText]| pieces.iter().map(|(_, piece)| count(piece)).sum::<i32>() + CAPTION_CHARS;
    let head = count(&status.name) + count(state) + 5;
    let columns = rows.iter().map(|(_, pieces)| wide(pieces)).max().unwrap_or(0).max(head);
    let intervals: Vec<f32> = status.stats.intervals_us().map(|us| us as f32 / 1000.0).collect();
    let curve = if intervals.len() < 2 { 0 } else { 2 * line };
    let caption = if intervals.len() < 2 { 0 } else { line };
    let lines = 1 + i32::try_from(rows.len()).unwrap_or(0);
    let panel = Rect::new(
        tile.x + 8,
        tile.y + 8,
        columns * advance + 2 * margin,
        lines * line + curve + caption + 2 * margin + 6,
    );
    let mut inside = canvas.part(tile);
    let mut inside = inside.part(panel);
    inside.shade(panel, 0, 205);
    let (left, mut y) = (panel.x + margin, panel.y + margin);
    let after = text.write(&mut inside, left, y, px, color_of(&status.state), "● ");
    text.write(&mut inside, left + after, y, px, WHITE, &status.name);
    let x = panel.right() - margin - text.width(px, state);
    text.write(&mut inside, x, y, px, color_of(&status.state), state);
    y += line + 3;
    for (caption, pieces) in rows {
        text.write(&mut inside, left, y, px, DIM, caption);
        let mut x = left + CAPTION_CHARS * advance;
        for (color, piece) in pieces {
            x += text.write(&mut inside, x, y, px, color, &piece);
        }
        y += line;
    }
    if curve > 0 {
        let (least, most) = intervals.iter().fold((f32::MAX, 0.0_f32), |(a, b), value| (a.min(*value), b.max(*value)));
        let between = format!("{least:.1} to {most:.1} ms");
        text.write(&mut inside, left, y, px, DIM, "interval");
        text.write(&mut inside, left + CAPTION_CHARS * advance, y, px, WHITE, &between);
        let area = Rect::new(left, y + line + 1, panel.width - 2 * margin, curve);
        inside.sparkline(area, &intervals, GREEN);
    }
}

fn state_word(state: &SessionState) -> &'static str {
    match state {
        SessionState::Connecting { .. } => "connecting",
        SessionState::Waiting => "waiting",
        SessionState::Silent => "silent",
        SessionState::Streaming => "streaming",
        SessionState::Stalled => "stalled",
        SessionState::Lost { .. } => "lost",
        SessionState::Ended { .. } => "ended",
    }
}

/// Returns the message over a picture that is not live, or in place of one that cannot be shown.
pub(super) fn message(status: &CameraStatus, has_picture: bool) -> Option<(u32, Vec<String>)> {
    let color = color_of(&status.state);
    match &status.state {
        SessionState::Streaming => {
            let error = status.health.error.as_ref()?;
            Some((AMBER, vec![format!("{}: no picture", status.name), error.clone()]))
        }
        SessionState::Stalled if !has_picture => None,
        state => {
            let mut lines = vec![format!("{}: {state}", status.name)];
            let reason = match state {
                SessionState::Lost { reason, .. } => reason.help(),
                SessionState::Ended { error: Some(error) } => error.help(),
                SessionState::Silent => {
                    Some("the camera serves one client at a time: close the other client, or power-cycle the camera")
                }
                _ => None,
            };
            lines.extend(reason.map(str::to_owned));
            Some((color, lines))
        }
    }
}

/// Draws a message in the middle of a tile. Returns its panel.
pub(super) fn draw_message(
    canvas: &mut Canvas<'_>,
    text: &mut Text,
    tile: Rect,
    (color, lines): (u32, &[String]),
) -> Rect {
    let px = text_height(tile);
    let columns = ((tile.width - 40) / text.advance(px).max(1)).clamp(16, 64);
    let lines: Vec<String> = lines.iter().flat_map(|line| wrapped(line, columns as usize)).collect();
    let size = text.panel_size(px, &lines);
    let (x, y) = (tile.x + (tile.width - size.width) / 2, tile.y + (tile.height - size.height) / 2);
    let mut inside = canvas.part(tile);
    let panel = Rect::new(x, y, size.width, size.height);
    inside.shade(panel, 0, 120);
    inside.fill(Rect::new(panel.x - 4, panel.y, 4, panel.height), color);
    text.panel(&mut inside, x, y, px, WHITE, &lines)
}

/// Breaks a text between words, and inside of words that are longer than a line.
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        while !rest.is_empty() {
            let line = lines.last_mut().expect("there is always a line");
            let used = line.chars().count();
            let space = usize::from(used > 0);
            if used + space + rest.len() <= columns {
                line.extend(std::iter::repeat_n(' ', space).chain(rest.drain(..)));
            } else if used > 0 {
                lines.push(String::new());
            } else {
                line.extend(rest.drain(..columns.max(1).min(rest.len())));
            }
        }
    }
    lines
}

/// Draws the help in the middle of the window.
pub(super) fn draw_help(canvas: &mut Canvas<'_>, text: &mut Text, window: Rect) {
    let px = text_height(window);
    let mut lines = vec!["oaktap".to_owned(), String::new()];
    lines.extend(super::keys::HELP.iter().map(|(keys, what)| format!("{keys:<12} {what}")));
    let size = text.panel_size(px, &lines);
    let (x, y) = ((window.width - size.width) / 2, (window.height - size.height) / 2);
    canvas.shade(window, 0, 110);
    let panel = Rect::new(x - 6, y - 6, size.width + 12, size.height + 12);
    canvas.shade(panel, 0, 225);
    canvas.outline(panel, 1, DIM);
    let margin = (size.width - lines.iter().map(|line| text.width(px, line)).max().unwrap_or(0)) / 2;
    for (at, line) in (0..).zip(&lines) {
        let (keys, what) = line.split_at_checked(13).unwrap_or((line, ""));
        let (x, y) = (x + margin, y + margin + at * px as i32);
        let after = text.write(canvas, x, y, px, if at == 0 { WHITE } else { GREEN }, keys);
        text.write(canvas, x + after, y, px, WHITE, what);
    }
}

#[cfg(test)]
mod tests {
    use super::super::colors::RED;
    use super::*;
    use crate::frame::{DeviceTime, Frame, PixelFormat};
    use crate::sink::record::{RecorderCounts, RecorderHealth, RecorderState, RecordersHealth};

    fn status() -> CameraStatus {
        let geometry = Geometry::tight(PixelFormat::Bgr888p, 640, 352).expect("a usual geometry");
        CameraStatus {
            name: "front".to_owned(),
            state: SessionState::Streaming,
            stats: Stats::default(),
            health: ViewHealth {
                last: Some(FrameKind { dialect: "IMG", payload: PayloadKind::Raw, geometry: Some(geometry) }),
                ..ViewHealth::default()
            },
            age_ns: Some(12_400_000),
            threshold: 0.0,
            recording: None,
        }
    }

    fn text_of(pieces: &[ColoredText]) -> String {
        pieces.iter().map(|(_, piece)| piece.as_str()).collect()
    }

    #[test]
    fn the_status_line_shows_errors_only_when_there_are_any() {
        let mut status = status();
        assert_eq!(text_of(&line(&status)), "● front  0.0 fps  0 Mbit/s  12 ms  640x352 BGR888p IMG");
        status.stats.frames.withdrawn = 2;
        status.stats.frames.lost = 1;
        status.stats.connections = 3;
        status.health.failed = 7;
        let text = text_of(&line(&status));
        assert!(text.contains("  3 damaged  2 reconnects  7 not shown  12 ms"), "{text}");
    }

    #[test]
    fn errors_of_the_stream_and_of_decoding_are_in_separate_rows() {
        let mut status = status();
        status.health.failed = 7;
        status.stats.frames.lost = 1;
        let rows = rows(&status);
        let row = |caption: &str| rows.iter().position(|(found, _)| *found == caption).expect("a row");
        let stream: Vec<_> = rows[row("stream")..row("decode")].iter().flat_map(|(_, pieces)| pieces).collect();
        let decode = &rows[row("decode")].1;
        assert!(stream.iter().any(|(color, text)| *color == AMBER && text == "1 damaged"), "{stream:?}");
        assert!(decode.iter().any(|(color, text)| *color == AMBER && text == "   7 failed"), "{decode:?}");
        assert!(!stream.iter().any(|(_, text)| text.contains("failed")));
    }

    #[test]
    fn records_of_the_camera_are_shown() {
        let mut status = status();
        let full =
            |status: &CameraStatus| rows(status).into_iter().map(|(_, pieces)| text_of(&pieces)).collect::<Vec<_>>();
        assert!(full(&status).contains(&"0 damaged   ~0 missing   0 B skipped".to_owned()), "an estimate");
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
        assert!(text_of(&line(&status)).contains("  2 not sent  68 °C  12 ms"), "{}", text_of(&line(&status)));
        let full = full(&status);
        assert!(full.contains(&"0 damaged   2 not sent   0 B skipped".to_owned()), "{full:?}");
        assert!(full.contains(&"67.8 °C   css 97 %".to_owned()), "{full:?}");
    }

    #[test]
    fn a_recording_shows_the_time_left_and_its_errors() {
        let mut status = status();
        let recording = |state, dropped| {
            let cameras = vec![RecorderCounts { recorded: 40, dropped, ..RecorderCounts::default() }];
            let total = RecorderHealth { state, cameras, ..RecorderHealth::default() };
            let health = RecordersHealth { total, bytes_per_s: 27.1e6, seconds_left: Some(7260.0) };
            Some(CameraRecording { health: health.into(), camera: 0 })
        };
        status.recording = recording(RecorderState::Recording, 0);
        let text = text_of(&line(&status));
        assert!(text.starts_with("● front  REC 2 h 1 min left  0.0 fps"), "{text}");
        let full = |status: &CameraStatus| rows(status).iter().map(|(_, pieces)| text_of(pieces)).collect::<Vec<_>>();
        assert!(
            full(&status).ends_with(&["40 frames   0 missing".to_owned(), "27.1 MB/s   2 h 1 min left".to_owned()])
        );
        status.recording = recording(RecorderState::Paused { why: "the disk is full".to_owned() }, 3);
        let pieces = line(&status);
        assert!(pieces.contains(&(RED, "  REC".to_owned())) && text_of(&pieces).contains("paused  3 not recorded"));
        assert_eq!(full(&status).last().map(String::as_str), Some("recording paused: the disk is full"));
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([0, 400_000, 12_400_000, 3_200_000_000].map(milliseconds), ["0.0 ms", "0.4 ms", "12 ms", "3.2 s"]);
        assert_eq!([0, 9_999, 10_000, 12_345_678].map(bytes), ["0 B", "9999 B", "10 kB", "12.3 MB"]);
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a incomprehensibilities b", 8), ["a", "incompre", "hensibil", "ities b"]);
        assert_eq!(wrapped("", 8), [""]);
    }

    #[test]
    fn a_live_picture_has_no_message() {
        let mut status = status();
        assert!(message(&status, true).is_none());
        status.state = SessionState::Silent;
        let (_, lines) = message(&status, true).expect("a message");
        assert!(lines[0].starts_with("front: connected but silent"), "{lines:?}");
        status.state = SessionState::Streaming;
        status.health.error = Some("H264 cannot be shown".to_owned());
        assert!(message(&status, false).expect("a message").1[1].contains("H264"));
    }

    #[test]
    fn texts_stay_inside_of_their_tile() {
        let mut status = status();
        status.name = "a name that is far too long for any tile of a window".to_owned();
        let (width, height) = (300, 200);
        for tile in [Rect::new(20, 30, 100, 60), Rect::new(20, 30, 1, 1), Rect::new(20, 30, 250, 150)] {
            let mut words = vec![7; width * height];
            let mut canvas = Canvas::new(&mut words, width, height);
            let mut text = Text::new();
            draw_line(&mut canvas, &mut text, tile, &status);
            draw_full(&mut canvas, &mut text, tile, &status);
            draw_message(
                &mut canvas,
                &mut text,
                tile,
                (RED, &["the connection is lost and will not be restored".to_owned()]),
            );
            for (at, word) in words.iter().enumerate() {
                let (x, y) = ((at % width) as i32, (at / width) as i32);
                let inside = (tile.x..tile.right()).contains(&x) && (tile.y..tile.bottom()).contains(&y);
                assert!(inside || *word == 7, "({x}, {y}) {tile:?}");
            }
            let changed = words.iter().filter(|word| **word != 7).count();
            assert!(changed > 0);
        }
    }
}
