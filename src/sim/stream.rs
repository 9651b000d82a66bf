//! Turns the frames of a [`Reel`] into the bytes that a camera sends, with faults, and records the truth about each frame.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::config::{Coding, SimConfig, SimError, device_time};
use super::contents::{as_printed, box_record, counters, overflowing_detections, stream_records, tracks};
use super::faults::Fault;
use super::random::Random;
use super::reel::{Reel, Still};
use crate::frame::{Counters, Detection, DeviceTime, LabelMap, PixelFormat, Track};
use crate::wire::encode::{self, HeaderFields};
use crate::wire::{DetectionSyntax, Dialect, LINE};

/// The ground truth of one frame: its content and the faults that hit it.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Number of the frame since the camera's boot, from 0.
    pub index: u64,
    /// Its time on the camera's clock.
    pub device_time: DeviceTime,
    /// The text of the detections as sent; empty if the dialect has none.
    pub detection_text: Vec<u8>,
    /// The detections after the rounding of their text form, including those of `@B` records.
    pub detections: Vec<Detection>,
    /// The tracks after the rounding of their text form; empty if the dialect has none.
    pub tracks: Vec<Track>,
    /// The counters, if the dialect has them.
    pub counters: Option<Counters>,
    /// The whole payload, without damage.
    pub payload: Arc<[u8]>,
    /// The fault that damaged this frame.
    pub damage: Option<Fault>,
    /// Faults that a receiver must survive without losing the frame.
    pub mishaps: Vec<Fault>,
}

impl Truth {
    /// Returns `true` if a receiver must return this frame.
    #[must_use]
    pub fn intact(&self) -> bool {
        self.damage.is_none()
    }
}

/// The end of a connection. The next turn begins a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Closed (FIN) inside a frame.
    Cut,
    /// Reset (RST) inside a frame: the receiver's system discards unread bytes.
    Reset,
    /// Reset after a frame; the camera's clock and frame numbers restart at 0.
    Reboot,
}

/// The bytes that the camera sends for one frame.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The content of the frame and its faults.
    pub truth: Truth,
    /// The end of the connection after these bytes. `None` if it continues.
    pub end: Option<End>,
    pieces: Vec<Piece>,
    pause: Option<(usize, Duration)>,
    fragment: usize,
}

#[derive(Clone, Debug)]
enum Piece {
    Bytes(Vec<u8>),
    Payload(Arc<[u8]>, Range<usize>),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Payload(payload, range) => &payload[range.clone()],
        }
    }

    /// Keeps only `range`, which must lie within the piece.
    fn keep(&mut self, range: Range<usize>) {
        match self {
            Self::Bytes(bytes) => {
                bytes.truncate(range.end);
                bytes.drain(..range.start);
            }
            Self::Payload(_, part) => *part = part.start + range.start..part.start + range.end,
        }
    }
}

/// One step of a [`Turn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Write these bytes with one call.
    Bytes(&'a [u8]),
    /// Wait for this long.
    Pause(Duration),
}

impl Turn {
    /// Returns the writes of the turn in order, each of at most [`Faults::fragment`](super::Faults::fragment) bytes, and
    /// its pause.
    pub fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        let mut at = 0;
        self.pieces.iter().flat_map(move |piece| {
            let bytes = piece.bytes();
            let range = at..at + bytes.len();
            at = range.end;
            let (before, pause, after) = match self.pause {
                Some((place, pause)) if range.contains(&place) => {
                    let (before, after) = bytes.split_at(place - range.start);
                    (before, Some(Step::Pause(pause)), after)
                }
                _ => (bytes, None, &[][..]),
            };
            let before = before.chunks(self.fragment).map(Step::Bytes);
            before.chain(pause).chain(after.chunks(self.fragment).map(Step::Bytes))
        })
    }

    /// Returns all bytes of the turn.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(Piece::bytes).copied().collect()
    }

    /// Returns the number of bytes of the turn.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.bytes().len()).sum()
    }
}

/// The camera's stream: a sequence of [`Turn`]s, the same for the same configuration.
///
/// These formats have no checksum, so some damage looks like an intact frame. The stream never makes such damage:
/// * After a frame with missing bytes, fewer bytes than the missing ones precede the next header, and that header is
///   whole.
/// * A header loses its end only if the following bytes do not complete it.
/// * A header announces a wrong size only directly after an intact frame of the same connection, so that the sizes of
///   its neighbors reveal it. For H.264 and H.265 the wrong size is never smaller, because their sizes vary and their
///   payloads have no end mark.
#[derive(Debug)]
pub struct Stream {
    reel: Arc<Reel>,
    random: Random,
    next: u64,
    /// Frames that the camera dropped on this connection after its first frame.
    dropped: u64,
    /// Set after the first turn of a connection.
    connected: bool,
    /// Each turn is a message of its own, see [`Self::in_datagrams`].
    in_datagrams: bool,
    before: Before,
}

/// State of the previous turn on the same connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    Intact,
    /// The header announced this many bytes more than were sent.
    Lacking(usize),
    /// Damaged in another way.
    Damaged,
}

/// The parts of a message before damage.
struct Message {
    /// Bytes before the header: records, junk, and the `DETECT` message of dialect `FRAME`.
    records: Vec<u8>,
    header: Vec<u8>,
    detections: Vec<u8>,
    /// The record after the payload.
    trailer: Vec<u8>,
}

impl Stream {
    /// Creates the stream of a configuration, with its own reel.
    ///
    /// # Errors
    /// The errors of [`Reel::new`].
    pub fn new(config: &SimConfig) -> Result<Self, SimError> {
        Ok(Self::of(Arc::new(Reel::new(config)?)))
    }

    /// Creates a stream that shares a reel.
    #[must_use]
    pub fn of(reel: Arc<Reel>) -> Self {
        let random = Random::new(reel.config().seed);
        Self { reel, random, next: 0, dropped: 0, connected: false, in_datagrams: false, before: Before::Nothing }
    }

    /// Creates a stream for datagrams: it repeats the description of the camera every 2 s, because a host may begin to
    /// listen at any time, and has no checksums after its frames, because each datagram has one.
    #[must_use]
    pub fn in_datagrams(reel: Arc<Reel>) -> Self {
        Self { in_datagrams: true, ..Self::of(reel) }
    }

    /// Returns the turn of the next frame.
    pub fn turn(&mut self) -> Turn {
        self.turn_of(self.next)
    }

    /// Returns the turn of frame `index`, counting the frames before it as dropped by the camera.
    pub(super) fn turn_of(&mut self, index: u64) -> Turn {
        self.dropped = if self.connected { self.dropped + index.saturating_sub(self.next) } else { 0 };
        let still = self.reel.still(index).clone();
        let (damage, mut mishaps) = self.choose_faults(&still);
        let overflow = mishaps.contains(&Fault::Overflow);
        let (mut message, mut truth) = self.message(index, &still, overflow);
        truth.damage = damage;

        let room = match self.before {
            Before::Lacking(lacking) => lacking.saturating_sub(1),
            Before::Nothing | Before::Intact | Before::Damaged => usize::MAX,
        };
        let mut inserted = Vec::new();
        if mishaps.contains(&Fault::Foreign) {
            inserted.extend(self.foreign());
        }
        if mishaps.contains(&Fault::Junk) {
            inserted.extend(self.junk());
        }
        if inserted.len() > room {
            inserted.clear();
            mishaps.retain(|fault| !matches!(fault, Fault::Junk | Fault::Foreign));
        }
        inserted.append(&mut message.records);
        message.records = inserted;
        truth.mishaps = mishaps;
        self.damaged(index, message, truth)
    }

    /// Begins a new connection with the next turn.
    pub fn reconnect(&mut self) {
        self.connected = false;
        self.before = Before::Nothing;
    }

    /// Selects the faults of a frame: at most one that damages it, and any of the others.
    fn choose_faults(&mut self, still: &Still) -> (Option<Fault>, Vec<Fault>) {
        let config = self.reel.config();
        let mut damage = Vec::new();
        let mut mishaps = Vec::new();
        for fault in Fault::ALL {
            let rate = config.faults.rate(fault);
            if rate > 0.0 && self.random.chance(rate) {
                if fault.damages() { damage.push(fault) } else { mishaps.push(fault) }
            }
        }
        let lacking = matches!(self.before, Before::Lacking(_));
        let intact = self.before == Before::Intact;
        let junk = mishaps.contains(&Fault::Junk);
        damage.retain(|fault| match fault {
            Fault::ShortHeader => !lacking,
            Fault::WrongSize => intact && !junk && still.payload.len() > 1,
            _ => true,
        });
        let damage = damage.get(self.random.below(damage.len())).copied();
        // Only these headers can hold numbers that are long enough to overflow.
        let overflows = match config.dialect {
            Dialect::Img => still.payload.len() >= 100,
            Dialect::Abcde256 => true,
            _ => false,
        };
        mishaps.retain(|fault| match fault {
            Fault::Overflow => overflows && damage.is_none(),
            Fault::Reboot => damage.is_none(),
            _ => true,
        });
        (damage, mishaps)
    }

    /// Builds the undamaged message of a frame and its truth.
    fn message(&self, index: u64, still: &Still, overflow: bool) -> (Message, Truth) {
        let config = self.reel.config();
        let mut device_time = device_time(config, index);
        let mut detections = still.detections.to_vec();
        let payload_len = still.payload.len();
        if overflow && config.dialect == Dialect::Img {
            // As in a Script that sends Unix time instead of the time since boot (wire.md section 2.1).
            device_time = DeviceTime(1_763_700_000_000_001 + 10 * index.cast_signed());
            if payload_len < 1000 {
                device_time.0 = -device_time.0;
            }
            overflowing_detections(device_time, payload_len, &mut detections);
        }
        let mut truth = Truth {
            index,
            device_time,
            detection_text: Vec::new(),
            detections: Vec::new(),
            tracks: Vec::new(),
            counters: (config.dialect == Dialect::Abcde256).then(|| counters(index)),
            payload: Arc::clone(&still.payload),
            damage: None,
            mishaps: Vec::new(),
        };
        let frames_of_2_s = (2e6 / config.period_us()).max(1.0) as u64;
        // Also if the frame that begins these 2 s was dropped.
        let is_due = index / frames_of_2_s != self.next.saturating_sub(1) / frames_of_2_s;
        let greets = !self.connected || self.in_datagrams && is_due;
        let mut records = if greets && config.records { self.greeting() } else { Vec::new() };
        if config.depth {
            // Repeated with each picture, so that a lost record concerns one picture only.
            records.extend(stream_records(config, "color", config.format));
        }
        let mut text = Vec::new();
        match config.dialect.detections() {
            DetectionSyntax::Text => {
                text = encode::detections(&detections);
                truth.detections = detections.iter().map(as_printed).collect();
                truth.detection_text.clone_from(&text);
            }
            DetectionSyntax::Json => {
                let message = encode::detect(device_time, &detections);
                truth.detection_text = message.get(LINE..).unwrap_or_default().to_vec();
                truth.detections.clone_from(&detections);
                records.extend(message);
            }
            DetectionSyntax::None => {}
        }
        if config.dialect == Dialect::Abcde256 {
            truth.tracks = tracks(&detections, overflow);
        }
        let header = self.header(&truth, payload_len, text.len());
        let mut trailer = Vec::new();
        if config.records {
            records.extend(self.condition(index).into_iter().flatten());
            if config.dialect.detections() == DetectionSyntax::None {
                for (line, detection) in detections.iter().filter_map(box_record) {
                    records.extend(line);
                    truth.detections.push(detection);
                }
            }
            records.extend(encode::line(&format!("@F {index} {}", device_time.0)).into_iter().flatten());
            if !self.in_datagrams {
                trailer.extend(encode::line(&format!("@E {index} {:08x}", still.crc32)).into_iter().flatten());
            }
        }
        (Message { records, header, detections: text, trailer }, truth)
    }

    /// The records that a camera with the extension sends at the start of a connection (wire.md section 7).
    fn greeting(&self) -> Vec<u8> {
        let config = self.reel.config();
        let (width, height) = config.size;
        let mut lines = vec![
            "@V 1 oaktap-simulate".to_owned(),
            format!("@I SIM{:016X}", config.seed),
            format!("@D {width} {height} {}", config.format),
            format!("@R {}", config.fps),
        ];
        let names = LabelMap::coco();
        lines.extend(names.iter().map(|(label, name)| format!("@L {label} {name}")));
        lines.extend(names.crc32().map(|crc32| format!("@C {crc32:08x} {}", names.len())));
        lines.iter().filter_map(|text| encode::line(text)).flatten().collect()
    }

    /// The `@T` and `@Q` records, once per second of the camera's time: temperature, load, and frames dropped on this
    /// connection.
    fn condition(&self, index: u64) -> Option<[u8; 2 * LINE]> {
        let second = 1e6 / self.reel.config().period_us();
        let number = |index: u64| (index as f64 / second) as u64;
        if number(index) == number(self.next.saturating_sub(1)) {
            return None;
        }
        // From 48 °C towards 72 °C with a time constant of 120 s; the loads are those of wire.md section 7.
        let celsius = 72.0 - 24.0 * (-(number(index) as f64) / 120.0).exp();
        let lines = [format!("@T t={celsius:.1} css=97 mss=13"), format!("@Q drop={}", self.dropped)];
        let lines: Vec<u8> = lines.iter().filter_map(|text| encode::line(text)).flatten().collect();
        lines.try_into().ok()
    }

    /// A 32-byte record of a kind that no receiver knows.
    fn foreign(&mut self) -> [u8; LINE] {
        let mut text = "IMU".to_owned();
        while text.len() < LINE - 8 {
            let _ = write!(text, " {:.2}", self.random.below(2000) as f64 / 100.0 - 10.0);
        }
        text.truncate(LINE);
        encode::line(&text).unwrap_or([b' '; LINE])
    }

    /// Meaningless bytes: noise, text, or the beginning of a header.
    fn junk(&mut self) -> Vec<u8> {
        let len = 1 + self.random.below(300);
        let mut junk: Vec<u8> = match self.random.below(3) {
            0 => (0..len).map(|_| self.random.next() as u8).collect(),
            1 => (0..len).map(|_| b' ' + (self.random.below(95) as u8)).collect(),
            _ => [&b"IMG 12.4"[..], b"ABCDE 1", b"FRAME  ", b"DETECT ", b"@F 1"][self.random.below(5)].to_vec(),
        };
        // Separates the junk from the header that follows.
        junk.push(0xff);
        junk
    }

    /// Assembles the turn from the message and applies the damage.
    fn damaged(&mut self, index: u64, message: Message, truth: Truth) -> Turn {
        let Message { records, mut header, detections, trailer } = message;
        let whole = records.len() + header.len();
        let body = detections.len() + truth.payload.len();
        let next_byte = detections.first().or(truth.payload.first()).copied();
        let (mut after, mut end) = (Before::Intact, None);
        let (mut hole, mut cut) = (0..0, usize::MAX);
        match truth.damage {
            Some(Fault::ShortFrame) => {
                let from = self.random.below(body);
                let missing = 1 + self.random.below(body - from);
                hole = whole + from..whole + from + missing;
                after = Before::Lacking(missing);
            }
            Some(Fault::ShortHeader) => {
                // A blank or a digit after the header could complete its remainder.
                let completes = next_byte.is_none_or(|byte| byte == b' ' || byte.is_ascii_digit());
                let left = self.random.below(if completes { 3 } else { header.len().min(LINE) });
                header.truncate(left);
                after = Before::Damaged;
            }
            Some(fault @ (Fault::Cut | Fault::Reset)) => {
                let least = if matches!(self.before, Before::Lacking(_)) { whole } else { 1 };
                cut = least + self.random.below(whole + body - least);
                end = Some(if fault == Fault::Cut { End::Cut } else { End::Reset });
            }
            Some(Fault::WrongSize) => {
                let payload = truth.payload.len();
                let promised = match self.random.below(8) {
                    // Above the receiver's default limit; eight digits fit every dialect.
                    0 => 99_999_999,
                    1..4 => payload + 1 + self.random.below(payload),
                    _ if self.reel.config().format.has_no_end() => payload + 1 + self.random.below(payload),
                    _ => 1 + self.random.below(payload - 1),
                };
                header = self.header(&Truth { tracks: Vec::new(), ..truth.clone() }, promised, detections.len());
                after = match promised.checked_sub(payload) {
                    Some(lacking) => Before::Lacking(lacking),
                    None => Before::Damaged,
                };
            }
            _ => {}
        }
        if truth.mishaps.contains(&Fault::Reboot) {
            end = Some(End::Reboot);
        }
        let payload = Arc::clone(&truth.payload);
        let all = 0..payload.len();
        let head = [records, header, detections].concat();
        let mut pieces = vec![Piece::Bytes(head), Piece::Payload(payload, all)];
        if !trailer.is_empty() {
            pieces.push(Piece::Bytes(trailer));
        }
        cut_out(&mut pieces, hole);
        cut_out(&mut pieces, cut..usize::MAX);
        if truth.damage.is_none()
            && let Some(depth) = self.reel.still(index).depth.clone()
        {
            let config = self.reel.config();
            let mut head = stream_records(config, "depth", Coding::Pixels(PixelFormat::Raw16));
            head.extend(encode::img(truth.device_time, depth.len(), 0));
            let all = 0..depth.len();
            pieces.extend([Piece::Bytes(head), Piece::Payload(depth, all)]);
        }
        let pause = truth.mishaps.contains(&Fault::Stall).then(|| {
            let len = pieces.iter().map(|piece| piece.bytes().len()).sum();
            (self.random.below(len), self.reel.config().faults.stall_for)
        });
        self.connected = end.is_none();
        self.before = if end.is_none() { after } else { Before::Nothing };
        self.next = if end == Some(End::Reboot) { 0 } else { index + 1 };
        let fragment = self.reel.config().faults.fragment.map_or(usize::MAX, std::num::NonZeroUsize::get);
        Turn { truth, end, pieces, pause, fragment }
    }

    fn header(&self, truth: &Truth, payload_len: usize, detections_len: usize) -> Vec<u8> {
        let Truth { device_time, tracks, counters, .. } = truth;
        let counters = counters.unwrap_or_default();
        let fields = HeaderFields { device_time: *device_time, payload_len, detections_len, counters, tracks };
        encode::header(self.reel.config().dialect, &fields)
    }
}

/// Removes a range of bytes from the pieces.
fn cut_out(pieces: &mut Vec<Piece>, hole: Range<usize>) {
    let mut at = 0;
    for piece in std::mem::take(pieces) {
        let len = piece.bytes().len();
        let (from, to) = (hole.start.clamp(at, at + len) - at, hole.end.clamp(at, at + len) - at);
        if from == to {
            pieces.push(piece);
        } else {
            for range in [0..from, to..len] {
                let mut part = piece.clone();
                part.keep(range);
                pieces.push(part);
            }
        }
        at += len;
    }
    pieces.retain(|piece| !piece.bytes().is_empty());
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn stream(text: &str) -> Stream {
        Stream::new(&text.parse().expect(text)).expect(text)
    }

    const EVERYTHING: &str = "size=64x48&records=on&fault=all:0.1&fragment=333";

    #[test]
    fn same_seed_gives_the_same_bytes() {
        for (a, b, equal) in [(1, 1, true), (1, 2, false)] {
            let bytes = |seed| {
                let mut stream = stream(&format!("{EVERYTHING}&seed={seed}"));
                (0..200).flat_map(|_| stream.turn().bytes()).collect::<Vec<_>>()
            };
            assert_eq!(bytes(a) == bytes(b), equal, "seeds {a} and {b}");
        }
    }

    #[test]
    fn steps_contain_all_bytes_in_fragments() {
        let mut stream = stream(EVERYTHING);
        let mut pauses = 0;
        for _ in 0..300 {
            let turn = stream.turn();
            let mut written = Vec::new();
            for step in turn.steps() {
                match step {
                    Step::Bytes(bytes) => {
                        assert!((1..=333).contains(&bytes.len()));
                        written.extend_from_slice(bytes);
                    }
                    Step::Pause(pause) => {
                        assert_eq!(pause, Duration::from_secs(3));
                        pauses += 1;
                    }
                }
            }
            assert_eq!((written.len(), written == turn.bytes()), (turn.byte_len(), true));
        }
        assert!((10..60).contains(&pauses), "{pauses} stalls");
    }

    #[test]
    fn every_fault_occurs_and_intact_frames_are_whole() {
        for dialect in ["IMG", "ABCDE", "ABCDE-256", "FRAME"] {
            let mut stream = stream(&format!("size=64x48&fault=all:0.05&seed=3&dialect={dialect}"));
            let mut seen: HashMap<Fault, u32> = HashMap::new();
            for _ in 0..2000 {
                let turn = stream.turn();
                for fault in turn.truth.mishaps.iter().chain(&turn.truth.damage) {
                    *seen.entry(*fault).or_default() += 1;
                }
                let whole = turn.bytes().ends_with(&turn.truth.payload);
                assert!(whole || !turn.truth.intact(), "{dialect}: {:?}", turn.truth);
                assert_eq!(turn.truth.damage == Some(Fault::Cut), turn.end == Some(End::Cut));
                assert_eq!(turn.truth.damage == Some(Fault::Reset), turn.end == Some(End::Reset));
                assert_eq!(turn.truth.mishaps.contains(&Fault::Reboot), turn.end == Some(End::Reboot));
            }
            let overflows = matches!(dialect, "IMG" | "ABCDE-256");
            for fault in Fault::ALL {
                let times = seen.get(&fault).copied().unwrap_or(0);
                assert!(
                    times > 20 || (fault == Fault::Overflow && !overflows && times == 0),
                    "{dialect}: {fault} {times}"
                );
            }
        }
    }

    #[test]
    fn overflow_fault_lengthens_the_header() {
        for text in ["", "size=64x48", "size=8x8&boxes=0", "size=1920x1080", "size=64x48&dialect=ABCDE-256"] {
            let mut stream = stream(&format!("{text}&fault=overflow:1"));
            let turn = stream.turn();
            let bytes = turn.bytes();
            let header = bytes.len() - turn.truth.payload.len() - turn.truth.detection_text.len();
            let usual = if text.contains("256") { 256 } else { 32 };
            assert!(header > usual && header < usual + 90, "{text}: {header}");
        }
    }

    #[test]
    fn reboot_restarts_the_frame_numbers() {
        let mut stream = stream("size=64x48&fault=reboot:0.2");
        let mut expected = 0;
        for _ in 0..50 {
            let turn = stream.turn();
            assert_eq!(turn.truth.index, expected);
            expected = if turn.end == Some(End::Reboot) { 0 } else { expected + 1 };
        }
        let first = stream_first("size=64x48");
        assert!(first.starts_with(b"IMG 5e-05 9216 "), "{}", String::from_utf8_lossy(&first[..32]));
    }

    fn stream_first(text: &str) -> Vec<u8> {
        stream(text).turn().bytes()
    }

    #[test]
    fn records_surround_the_frames() {
        let bytes = stream_first("size=64x48&records=on&format=jpeg&boxes=1");
        let lines: Vec<_> = bytes.chunks(LINE).take(89).map(|line| String::from_utf8_lossy(line)).collect();
        // The checksum is CPython's binascii.crc32 of the names joined by line feeds.
        let names = (0..80).map(|label| format!("@L {label} ")).chain(["@C 7329e710 80".to_owned()]);
        let before = ["@V 1 ", "@I ", "@D 64 48 JPEG", "@R 40"].map(str::to_owned);
        let after = ["@B ", "@F 0 50", "ABCDE 5e-05"].map(str::to_owned);
        for (line, start) in lines.iter().zip(before.into_iter().chain(names).chain(after)) {
            assert!(line.starts_with(&start), "{start}: {lines:?}");
        }
        assert!(bytes[bytes.len() - LINE..].starts_with(b"@E 0 "));
    }

    #[test]
    fn device_times_advance_by_about_one_period() {
        let config = SimConfig::default();
        let times: Vec<_> = (0..200).map(|index| device_time(&config, index).0).collect();
        assert!(times.windows(2).all(|two| (24_000..26_000).contains(&(two[1] - two[0]))), "{times:?}");
        assert_eq!(encode::seconds(DeviceTime(times[40])), "1.0");
    }
}
