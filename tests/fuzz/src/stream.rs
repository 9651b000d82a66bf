//! Generates streams as cameras send them, independently of the crate's encoder, so that a shared mistake shows.

use arbitrary::Arbitrary;

/// A stream and its damage.
#[derive(Arbitrary, Debug)]
pub struct Stream {
    pub dialect: Dialect,
    pub parts: Vec<Part>,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub enum Dialect {
    Img,
    Abcde,
    Abcde256,
    Frame,
}

#[derive(Arbitrary, Debug)]
pub enum Part {
    Message(Message),
    /// A message of another dialect.
    Stranger(Dialect, Message),
    Record(Record),
    /// The last bytes are missing.
    Cut(u16),
    /// Some bytes before the end are missing.
    Hole {
        back: u16,
        len: u16,
    },
    /// A byte before the end is changed.
    Flip {
        back: u16,
        with: u8,
    },
    Raw(Vec<u8>),
}

#[derive(Arbitrary, Clone, Debug)]
pub struct Message {
    pub micros: u32,
    pub boxes: Vec<Box>,
    pub payload: Payload,
}

#[derive(Arbitrary, Clone, Debug)]
pub struct Box {
    pub label: u16,
    pub tenths: u16,
    pub edges: [i16; 4],
}

#[derive(Arbitrary, Clone, Debug)]
pub struct Payload {
    pub len: u16,
    pub seed: u8,
    /// Bytes that look like a header, in the middle of the picture.
    pub bait: Option<(u16, u16)>,
}

#[derive(Arbitrary, Clone, Debug)]
pub enum Record {
    Version(u8),
    Label(u16, [u8; 4]),
    Frame(u32, u32),
    Dropped(u16),
    Health(u8, u8),
    Checksum(u32, u32),
    Dimensions(u8, u8),
    Foreign(u32),
    Labels(u32, u8),
}

/// The contents, for undamaged streams.
#[derive(Debug, PartialEq)]
pub struct Sent {
    pub micros: i64,
    pub detections: Vec<u8>,
    pub payload: Vec<u8>,
}

const MOST: usize = 128 * 1024;

impl Stream {
    /// The bytes, and their frames if they are valid as a whole.
    pub fn bytes(&self) -> (Vec<u8>, Option<Vec<Sent>>) {
        let (mut bytes, mut sent, mut whole) = (Vec::new(), Vec::new(), true);
        for part in &self.parts {
            match part {
                Part::Message(message) => {
                    whole &= message.payload.bait.is_none();
                    sent.push(message.write(self.dialect, &mut bytes));
                }
                Part::Stranger(dialect, message) => {
                    whole &= *dialect == self.dialect && message.payload.bait.is_none();
                    sent.push(message.write(*dialect, &mut bytes));
                }
                Part::Record(record) => {
                    // A wrong checksum is damage; an unknown record can make the frame before it suspect.
                    whole &= !matches!(record, Record::Checksum(..) | Record::Foreign(..));
                    record.write(&mut bytes);
                }
                Part::Cut(n) => {
                    whole &= *n == 0;
                    bytes.truncate(bytes.len().saturating_sub(usize::from(*n)));
                }
                Part::Hole { back, len } => {
                    let at = bytes.len().saturating_sub(usize::from(*back));
                    let end = (at + usize::from(*len)).min(bytes.len());
                    whole &= at == end;
                    bytes.drain(at..end);
                }
                Part::Flip { back, with } => {
                    let at = bytes.len().wrapping_sub(usize::from(*back));
                    if let Some(byte) = bytes.get_mut(at) {
                        whole &= *with == 0;
                        *byte ^= with;
                    }
                }
                Part::Raw(raw) => {
                    whole &= raw.is_empty();
                    bytes.extend_from_slice(raw);
                }
            }
            if bytes.len() > MOST {
                break;
            }
        }
        (bytes, whole.then_some(sent))
    }
}

impl Message {
    fn write(&self, dialect: Dialect, into: &mut Vec<u8>) -> Sent {
        let micros = i64::from(self.micros);
        let payload = self.payload.bytes(dialect);
        let (ts, len) = (python_seconds(micros), payload.len());
        let mut detections = Vec::new();
        match dialect {
            Dialect::Img => {
                detections = list(&self.boxes);
                into.extend(format!("{:<32}", format!("IMG {ts} {len} {}", detections.len())).bytes());
                into.extend(&detections);
            }
            Dialect::Abcde => into.extend(format!("ABCDE {ts:<18}{len:<8}").bytes()),
            Dialect::Abcde256 => {
                let tracks: Vec<_> = self
                    .boxes
                    .iter()
                    .take(6)
                    .map(|b| format!("['ID {}', {}, {}]", b.label % 100, b.tenths % 300, 7))
                    .collect();
                into.extend(format!("ABCDE {ts:<18}{len:<8}").bytes());
                into.extend(format!("{:<16}{:<208}", "[1, 2, 0, 0]", format!("[{}]", tracks.join(", "))).bytes());
            }
            Dialect::Frame => {
                if !self.boxes.is_empty() {
                    detections = json(&self.boxes);
                    into.extend(format!("DETECT{ts:^18}{:^8}", detections.len()).bytes());
                    into.extend(&detections);
                }
                into.extend(format!("FRAME {ts:^18}{len:^8}").bytes());
            }
        }
        into.extend(&payload);
        Sent { micros, detections, payload }
    }
}

impl Payload {
    fn bytes(&self, dialect: Dialect) -> Vec<u8> {
        // Occasionally a payload that takes several reads.
        let len = usize::from(if self.seed % 8 == 0 { self.len } else { self.len % 1500 }).max(4);
        let mut state = u32::from(self.seed) | 1;
        let mut bytes: Vec<u8> = (0..len)
            .map(|_| {
                state = state.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
                (state >> 24) as u8
            })
            .collect();
        match (dialect, self.seed % 4) {
            (Dialect::Img, _) => {}
            (Dialect::Abcde, 1) => bytes[..4].copy_from_slice(&[0, 0, 1, 0x67]),
            (Dialect::Abcde, 2) => bytes[..4].copy_from_slice(&[0, 0, 1, 0x42]),
            _ => bytes[..3].copy_from_slice(&[0xff, 0xd8, 0xff]),
        }
        if let Some((at, claims)) = self.bait {
            let at = 4 + usize::from(at) % len;
            let bait = format!("{:<32}", format!("IMG 3.25 {claims} 0"));
            for (byte, fake) in bytes.iter_mut().skip(at).zip(bait.bytes()) {
                *byte = fake;
            }
        }
        bytes
    }
}

impl Record {
    fn write(&self, into: &mut Vec<u8>) {
        let line = match self {
            Self::Version(version) => format!("@V {version} fuzz"),
            Self::Label(id, name) => {
                let name: String = name.iter().map(|byte| char::from(b'a' + byte % 26)).collect();
                format!("@L {id} {name}")
            }
            Self::Frame(seq, micros) => format!("@F {seq} {micros}"),
            Self::Dropped(n) => format!("@Q drop={n}"),
            Self::Health(celsius, load) => format!("@T t={celsius}.5 css={load} mss=13"),
            Self::Checksum(seq, crc) => format!("@E {seq} {crc:08x}"),
            Self::Dimensions(width, height) => format!("@D {width} {height} BGR888p"),
            Self::Labels(crc, count) => format!("@C {crc:08x} {count}"),
            Self::Foreign(n) => format!("TEMPERATURE {n} mK"),
        };
        into.extend(format!("{line:<32}").bytes());
    }
}

/// `repr(float)` of this time in seconds, as Python 3 writes it.
pub fn python_seconds(micros: i64) -> String {
    if (1..100).contains(&micros) {
        let text = format!("{micros:02}");
        let (first, second) = text.split_at(1);
        return match (first, second) {
            ("0", _) => format!("{second}e-06"),
            (_, "0") => format!("{first}e-05"),
            _ => format!("{first}.{second}e-05"),
        };
    }
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let short = text.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.into() }
}

/// Boxes as the camera's program writes them.
pub fn list(boxes: &[Box]) -> Vec<u8> {
    let written: Vec<_> = boxes
        .iter()
        .map(|b| {
            let [xmin, ymin, xmax, ymax] = b.edges.map(|edge| f64::from(edge) / 10_000.0);
            let percent = f64::from(b.tenths) / 10.0;
            format!("{};{percent:.1};{xmin:.4};{ymin:.4};{xmax:.4};{ymax:.4}", b.label)
        })
        .collect();
    written.join("|").into_bytes()
}

fn json(boxes: &[Box]) -> Vec<u8> {
    let written: Vec<_> = boxes
        .iter()
        .map(|b| {
            let [xmin, ymin, xmax, ymax] = b.edges.map(|edge| f64::from(edge) / 10_000.0);
            let confidence = f64::from(b.tenths) / 1000.0;
            format!(
                r#"{{"label": {}, "confidence": {confidence}, "xmin": {xmin}, "ymin": {ymin}, "xmax": {xmax}, "ymax": {ymax}}}"#,
                b.label
            )
        })
        .collect();
    format!("[{}]", written.join(", ")).into_bytes()
}
