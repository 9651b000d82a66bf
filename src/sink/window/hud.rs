//! The state of a camera -> lines over its picture.

use super::recording::Recording;
use crate::frame::{Geometry, PayloadKind};
use crate::hub::LaneCounts;
use crate::overlay::{Canvas, Rect, Text};
use crate::source::SessionState;
use crate::stats::{HealthGauge, Stats};
use crate::view::{FrameKind, ViewHealth};

/// How much is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Level {
    Off,
    #[default]
    Line,
    Full,
}

impl Level {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Off => Self::Line,
            Self::Line => Self::Full,
            Self::Full => Self::Off,
        }
    }
}

/// What is known of a camera.
#[derive(Clone, Debug)]
pub(super) struct Status {
    pub(super) name: String,
    pub(super) state: SessionState,
    pub(super) stats: Stats,
    pub(super) health: ViewHealth,
    /// Nanoseconds since the last byte of the picture that is shown.
    pub(super) age_ns: Option<u64>,
    /// Least confidence that is drawn.
    pub(super) threshold: f32,
    /// How its recording goes, if it is recorded.
    pub(super) recording: Option<Recording>,
}

pub(super) const WHITE: u32 = 0x00ff_ffff;
pub(super) const DIM: u32 = 0x00a8_b2bd;
pub(super) const GREEN: u32 = 0x003d_dc84;
pub(super) const AMBER: u32 = 0x00ff_b83d;
pub(super) const RED: u32 = 0x00ff_5a52;

/// Text in one colour.
pub(super) type Piece = (u32, String);

pub(super) fn colour_of(state: &SessionState) -> u32 {
    match state {
        SessionState::Streaming => GREEN,
        SessionState::Connecting { .. } | SessionState::Waiting | SessionState::Silent | SessionState::Stalled => AMBER,
        SessionState::Lost { .. } | SessionState::Ended { error: Some(_) } => RED,
        SessionState::Ended { error: None } => DIM,
    }
}

/// Height of a line of text on a tile of this height.
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

/// `640x352 BGR888p`, or what is known of it.
fn form(look: Option<FrameKind>) -> String {
    match look {
        None => "no picture yet".to_owned(),
        Some(FrameKind { geometry: Some(Geometry { format, width, height, .. }), payload, .. }) => match payload {
            PayloadKind::Raw | PayloadKind::Jpeg => format!("{width}x{height} {format}"),
            PayloadKind::H264 | PayloadKind::H265 => format!("{width}x{height} {}", payload.name()),
        },
        Some(FrameKind { geometry: None, payload: PayloadKind::Raw, .. }) => "unknown layout".to_owned(),
        Some(FrameKind { payload, .. }) => payload.name().to_owned(),
    }
}

/// What is wrong with the stream, and is no choice of ours.
fn trouble(stats: &Stats) -> Vec<(u64, &'static str)> {
    let frames = &stats.frames;
    // Frames that the camera never sent are its own choice or its own trouble, and exactly known.
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

/// Frames that never came: exactly, by the camera's numbers, or as an estimate from its rhythm.
fn missing(stats: &Stats) -> String {
    match stats.numbers() {
        Some(counts) => format!("   {} not sent", counts.not_sent),
        None => format!("   ~{} missing", stats.frames.missing),
    }
}

/// How warm and how busy the camera says to be.
fn condition(stats: &Stats) -> Option<String> {
    let health = &stats.health;
    let celsius = health.celsius.map(|gauge| format!("{:.1} °C", gauge.last));
    let load = |name: &str, gauge: Option<HealthGauge>| gauge.map(|gauge| format!("{name} {:.0} %", gauge.last));
    let all = [celsius, load("css", health.css), load("mss", health.mss)];
    let all: Vec<_> = all.into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join("   "))
}

fn dropped(stats: &Stats) -> u64 {
    // Lanes whose drops a person can see: frames that were not converted, pictures that were not shown.
    stats.lanes.iter().filter(|lane| !lane.keeps).map(|LaneCounts { dropped, .. }| dropped).sum()
}

/// Everything in one line, the most important first.
fn line(status: &Status) -> Vec<Piece> {
    let (stats, rates) = (&status.stats, status.stats.rates());
    let mut pieces = vec![(colour_of(&status.state), "● ".to_owned()), (WHITE, status.name.clone())];
    pieces.extend(status.recording.iter().flat_map(Recording::pieces));
    let mut fact = |colour: u32, value: String, unit: &str| {
        pieces.push((colour, format!("  {value}")));
        pieces.push((DIM, format!(" {unit}")));
    };
    fact(WHITE, format!("{:.1}", rates.fps_arrival), "fps");
    fact(WHITE, format!("{:.0}", rates.mbit_s), "Mbit/s");
    for (count, what) in trouble(stats) {
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
    let dialect = status.health.last.map(|look| format!(" {}", look.dialect)).unwrap_or_default();
    pieces.push((DIM, format!("  {}{dialect}", form(status.health.last))));
    pieces
}

/// Draws the line at the lower edge of a tile.
pub(super) fn draw_line(canvas: &mut Canvas<'_>, text: &mut Text, tile: Rect, status: &Status) {
    let px = text_height(tile);
    let height = px as i32 + 6;
    let strip = Rect::new(tile.x, tile.bottom() - height, tile.width, height);
    let mut inside = canvas.part(tile);
    let mut inside = inside.part(strip);
    inside.shade(strip, 0, 150);
    let mut x = strip.x + 8;
    for (colour, piece) in line(status) {
        if x + text.width(px, &piece) > strip.right() - 4 {
            break;
        }
        x += text.write(&mut inside, x, strip.y + 3, px, colour, &piece);
    }
}

/// Everything, in rows of a caption and what there is to say. What concerns the stream and what concerns us are apart.
fn rows(status: &Status) -> Vec<(&'static str, Vec<Piece>)> {
    let Status { stats, health, .. } = status;
    let (frames, rates, latency) = (&stats.frames, stats.rates(), stats.latency_us());
    let fine = |good: bool| if good { WHITE } else { AMBER };
    let plain = |text: String| vec![(WHITE, text)];
    let dialect = health.last.map(|look| format!("  {}", look.dialect)).unwrap_or_default();
    let percentile = |q: f64| milliseconds(latency.value_at_quantile(q).saturating_mul(1000));
    let mut rows = vec![
        ("picture", plain(format!("{}{dialect}", form(health.last)))),
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
    if let Some(camera) = condition(stats) {
        rows.push(("camera", plain(camera)));
    }
    if !latency.is_empty() {
        rows.push(("latency", plain(format!("{} p50   {} p99", percentile(0.5), percentile(0.99)))));
    }
    if let Some(age) = status.age_ns {
        rows.push(("age", plain(milliseconds(age))));
    }
    if status.threshold > 0.0 {
        rows.push(("boxes", plain(format!("from {:.0}% confidence", status.threshold * 100.0))));
    }
    rows.extend(status.recording.iter().flat_map(Recording::rows));
    rows
}

/// Characters of the caption column.
const CAPTION: i32 = 9;

/// Draws the whole of it in the upper left corner of a tile, with the intervals of the last frames as a curve.
pub(super) fn draw_full(canvas: &mut Canvas<'_>, text: &mut Text, tile: Rect, status: &Status) {
    let px = text_height(tile);
    let (line, advance, margin) = (px as i32 + 2, text.advance(px), 10);
    let rows = rows(status);
    let state = short(&status.state);
    let count = |text: &str| i32::try_from(text.chars().count()).unwrap_or(0);
    let wide = |pieces: &[Piece]| pieces.iter().map(|(_, piece)| count(piece)).sum::<i32>() + CAPTION;
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
    let after = text.write(&mut inside, left, y, px, colour_of(&status.state), "● ");
    text.write(&mut inside, left + after, y, px, WHITE, &status.name);
    let x = panel.right() - margin - text.width(px, state);
    text.write(&mut inside, x, y, px, colour_of(&status.state), state);
    y += line + 3;
    for (caption, pieces) in rows {
        text.write(&mut inside, left, y, px, DIM, caption);
        let mut x = left + CAPTION * advance;
        for (colour, piece) in pieces {
            x += text.write(&mut inside, x, y, px, colour, &piece);
        }
        y += line;
    }
    if curve > 0 {
        let (least, most) = intervals.iter().fold((f32::MAX, 0.0_f32), |(a, b), value| (a.min(*value), b.max(*value)));
        let between = format!("{least:.1} to {most:.1} ms");
        text.write(&mut inside, left, y, px, DIM, "interval");
        text.write(&mut inside, left + CAPTION * advance, y, px, WHITE, &between);
        let area = Rect::new(left, y + line + 1, panel.width - 2 * margin, curve);
        inside.sparkline(area, &intervals, GREEN);
    }
}

fn short(state: &SessionState) -> &'static str {
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

/// What is said over a picture that is not live, or in place of one that cannot be made.
pub(super) fn message(status: &Status, has_picture: bool) -> Option<(u32, Vec<String>)> {
    let colour = colour_of(&status.state);
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
                    Some("it serves one client at a time: close the other, or power-cycle the camera")
                }
                _ => None,
            };
            lines.extend(reason.map(str::to_owned));
            Some((colour, lines))
        }
    }
}

/// Draws a message in the middle of a tile, in lines that fit.
pub(super) fn draw_message(
    canvas: &mut Canvas<'_>,
    text: &mut Text,
    tile: Rect,
    (colour, lines): (u32, &[String]),
) -> Rect {
    let px = text_height(tile);
    let columns = ((tile.width - 40) / text.advance(px).max(1)).clamp(16, 64);
    let lines: Vec<String> = lines.iter().flat_map(|line| wrapped(line, columns as usize)).collect();
    let size = text.panel_size(px, &lines);
    let (x, y) = (tile.x + (tile.width - size.width) / 2, tile.y + (tile.height - size.height) / 2);
    let mut inside = canvas.part(tile);
    let panel = Rect::new(x, y, size.width, size.height);
    inside.shade(panel, 0, 120);
    inside.fill(Rect::new(panel.x - 4, panel.y, 4, panel.height), colour);
    text.panel(&mut inside, x, y, px, WHITE, &lines)
}

/// Breaks between words, and inside of those that are too long.
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

/// Draws what keys do in the middle of the window.
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
    use super::*;
    use crate::frame::{DeviceTime, Frame, PixelFormat};
    use crate::sink::record::State;

    fn status() -> Status {
        let geometry = Geometry::tight(PixelFormat::Bgr888p, 640, 352).expect("a usual geometry");
        Status {
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

    fn told(pieces: &[Piece]) -> String {
        pieces.iter().map(|(_, piece)| piece.as_str()).collect()
    }

    #[test]
    fn a_line_says_what_is_wrong_and_only_then() {
        let mut status = status();
        assert_eq!(told(&line(&status)), "● front  0.0 fps  0 Mbit/s  12 ms  640x352 BGR888p IMG");
        status.stats.frames.withdrawn = 2;
        status.stats.frames.lost = 1;
        status.stats.connections = 3;
        status.health.failed = 7;
        let told = told(&line(&status));
        assert!(told.contains("  3 damaged  2 reconnects  7 not shown  12 ms"), "{told}");
    }

    #[test]
    fn stream_and_decoding_are_told_apart() {
        let mut status = status();
        status.health.failed = 7;
        status.stats.frames.lost = 1;
        let rows = rows(&status);
        let row = |caption: &str| rows.iter().position(|(found, _)| *found == caption).expect("a row");
        let stream: Vec<_> = rows[row("stream")..row("decode")].iter().flat_map(|(_, pieces)| pieces).collect();
        let decode = &rows[row("decode")].1;
        assert!(stream.iter().any(|(colour, text)| *colour == AMBER && text == "1 damaged"), "{stream:?}");
        assert!(decode.iter().any(|(colour, text)| *colour == AMBER && text == "   7 failed"), "{decode:?}");
        assert!(!stream.iter().any(|(_, text)| text.contains("failed")));
    }

    #[test]
    fn a_camera_that_speaks_of_itself_is_quoted() {
        let mut status = status();
        let full = |status: &Status| rows(status).into_iter().map(|(_, pieces)| told(&pieces)).collect::<Vec<_>>();
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
        assert!(told(&line(&status)).contains("  2 not sent  68 °C  12 ms"), "{}", told(&line(&status)));
        let full = full(&status);
        assert!(full.contains(&"0 damaged   2 not sent   0 B skipped".to_owned()), "{full:?}");
        assert!(full.contains(&"67.8 °C   css 97 %".to_owned()), "{full:?}");
    }

    #[test]
    fn a_recording_says_how_long_it_can_go_on_and_what_is_wrong() {
        let mut status = status();
        let recording = Recording {
            state: State::Recording,
            frames: 40,
            missing: 0,
            bytes_per_s: 27.1e6,
            seconds_left: Some(7260.0),
        };
        status.recording = Some(recording.clone());
        assert!(told(&line(&status)).starts_with("● front  REC 2 h 1 min left  0.0 fps"), "{}", told(&line(&status)));
        let full = |status: &Status| rows(status).iter().map(|(_, pieces)| told(pieces)).collect::<Vec<_>>();
        assert!(
            full(&status).ends_with(&["40 frames   0 missing".to_owned(), "27.1 MB/s   2 h 1 min left".to_owned()])
        );
        assert!(recording.trouble().is_none());
        let state = State::Paused { why: "the disk is full".to_owned() };
        status.recording = Some(Recording { state, missing: 3, ..recording });
        let pieces = line(&status);
        assert!(pieces.contains(&(RED, "  REC".to_owned())) && told(&pieces).contains("paused  3 not recorded"));
        assert_eq!(full(&status).last().map(String::as_str), Some("recording is paused: the disk is full"));
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
    fn nothing_is_said_over_a_live_picture() {
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
    fn everything_stays_inside_of_its_tile() {
        let mut status = status();
        status.name = "a name that is far too long for any tile that there is on a window".to_owned();
        let (width, height) = (300, 200);
        for tile in [Rect::new(20, 30, 100, 60), Rect::new(20, 30, 1, 1), Rect::new(20, 30, 250, 150)] {
            let mut words = vec![7; width * height];
            let mut canvas = Canvas::new(&mut words, width, height);
            let mut text = Text::new();
            draw_line(&mut canvas, &mut text, tile, &status);
            draw_full(&mut canvas, &mut text, tile, &status);
            draw_message(&mut canvas, &mut text, tile, (RED, &["it is lost and will not be found again".to_owned()]));
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
