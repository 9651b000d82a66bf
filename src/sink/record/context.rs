//! Records of a connection that are still valid, for files that start in the middle of it.

use std::collections::HashMap;

use crate::frame::Frame;
use crate::wire::LINE;

/// Bounds the memory that a camera can occupy with records: 512 KiB. Camera tables have at most 10,000 names.
const LINES_MAX: usize = 16_384;

/// Valid records of one camera's connection (wire.md section 7): version, device, size, rate, stream, and every label.
#[derive(Debug, Default)]
pub(crate) struct ConnectionContext {
    /// Looked up by subject: a camera may send 10,000 names with each frame.
    valid: HashMap<Subject, Valid>,
    /// Number of lines in `valid`.
    lines: usize,
    /// Number of subjects that were ever set, for their order.
    count: u64,
    at: u64,
    id: u64,
}

/// Subject of a record. A later record about the same subject replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Subject {
    /// A kind of which only the last record is valid.
    Kind(u8),
    /// The name of a class.
    Label(u32),
}

/// The lines about one subject: the record and those that continue a name.
#[derive(Debug)]
struct Valid {
    order: u64,
    lines: Vec<[u8; LINE]>,
}

impl ConnectionContext {
    /// Adds the records of the camera's next frame.
    pub(crate) fn observe(&mut self, frame: &Frame) {
        if frame.at < self.at || frame.id < self.id {
            // A new connection sends all records again.
            self.valid.clear();
            self.lines = 0;
        }
        (self.at, self.id) = (frame.at, frame.id);
        for line in frame.records.as_chunks::<LINE>().0 {
            self.note(line);
        }
    }

    fn note(&mut self, line: &[u8; LINE]) {
        let (subject, continues) = match line {
            [b'@', kind @ (b'V' | b'A' | b'I' | b'D' | b'R' | b'S' | b'C'), b' ', ..] => (Subject::Kind(*kind), false),
            [b'@', b'L', b' ', label @ ..] => match split(label) {
                Some((number, name)) => (Subject::Label(number), name.starts_with(b"+")),
                None => return,
            },
            // Valid for one frame or one moment only.
            _ => return,
        };
        if !continues && let Some(old) = self.valid.remove(&subject) {
            self.lines -= old.lines.len();
        }
        if self.lines < LINES_MAX {
            let order = self.count;
            self.count += 1;
            self.valid.entry(subject).or_insert(Valid { order, lines: Vec::new() }).lines.push(*line);
            self.lines += 1;
        }
    }

    /// Returns the records in the order in which they were sent, and the label table (`@C`) after its labels, as a camera
    /// sends it.
    pub(crate) fn records(&self) -> Vec<u8> {
        let mut valid: Vec<_> = self.valid.iter().collect();
        valid.sort_unstable_by_key(|(subject, valid)| (**subject == Subject::Kind(b'C'), valid.order));
        valid.into_iter().flat_map(|(_, valid)| valid.lines.as_flattened()).copied().collect()
    }
}

/// `12 name` -> (12, `name`)
fn split(label: &[u8]) -> Option<(u32, &[u8])> {
    let at = label.iter().position(|byte| *byte == b' ')?;
    let number = std::str::from_utf8(&label[..at]).ok()?.parse().ok()?;
    Some((number, &label[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(id: u64, lines: &[&str]) -> Frame {
        let mut frame = Frame::default();
        (frame.id, frame.at) = (id, id * 1000);
        frame.records.extend(lines.iter().flat_map(|line| format!("{line:32}").into_bytes()));
        frame
    }

    fn lines(context: &ConnectionContext) -> Vec<String> {
        let text = String::from_utf8(context.records()).expect("text");
        text.as_bytes().chunks(LINE).map(|line| String::from_utf8_lossy(line).trim_end().to_owned()).collect()
    }

    #[test]
    fn the_last_record_of_each_kind_is_valid() {
        let mut context = ConnectionContext::default();
        context
            .observe(&frame(0, &["@V 1 demo", "@D 640 352 BGR888p", "@L 0 person", "@L 1 a very", "@L 1 + long name"]));
        context.observe(&frame(1, &["@F 1 25000", "@T t=60.0", "hello"]));
        assert_eq!(
            lines(&context),
            ["@V 1 demo", "@D 640 352 BGR888p", "@L 0 person", "@L 1 a very", "@L 1 + long name"]
        );
        context.observe(&frame(2, &["@C 1a2b3c4d 2", "@L 1 car", "@D 320 176 NV12"]));
        assert_eq!(lines(&context), ["@V 1 demo", "@L 0 person", "@L 1 car", "@D 320 176 NV12", "@C 1a2b3c4d 2"]);
        context.observe(&frame(0, &["@V 2"]));
        assert_eq!(lines(&context), ["@V 2"], "a new connection");
    }

    /// With a search among all lines for each name, this takes minutes.
    #[test]
    fn a_table_of_10_000_names_with_every_frame_is_kept() {
        let mut context = ConnectionContext::default();
        let mut sent = Vec::new();
        for id in 0..50 {
            sent = (0..10_000).map(|label| format!("@L {label} name{id}")).collect();
            context.observe(&frame(id, &sent.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        assert_eq!(lines(&context), sent);
    }

    #[test]
    fn memory_is_bounded() {
        let mut context = ConnectionContext::default();
        for id in 0..LINES_MAX as u64 + 1000 {
            context.observe(&frame(id, &[&format!("@L {id} x")]));
        }
        assert_eq!(lines(&context).len(), LINES_MAX);
    }
}
