//! Records of a connection that are still valid, for files that start in the middle of it.

use crate::frame::Frame;
use crate::wire::LINE;

/// Bounds the memory that a camera can occupy with records: 128 KiB.
const LINES_MAX: usize = 4096;

/// Valid records of one camera's connection (wire.md section 7): version, device, size, rate, stream, and every label.
#[derive(Debug, Default)]
pub(super) struct ConnectionContext {
    lines: Vec<[u8; LINE]>,
    at: u64,
    id: u64,
}

impl ConnectionContext {
    /// Adds the records of the camera's next frame.
    pub(super) fn observe(&mut self, frame: &Frame) {
        if frame.at < self.at || frame.id < self.id {
            // A new connection sends all records again.
            self.lines.clear();
        }
        (self.at, self.id) = (frame.at, frame.id);
        for line in frame.records.as_chunks::<LINE>().0 {
            self.note(line);
        }
    }

    fn note(&mut self, line: &[u8; LINE]) {
        match line {
            [b'@', kind @ (b'V' | b'I' | b'D' | b'R' | b'S' | b'C'), b' ', ..] => {
                self.lines.retain(|old| old[1] != *kind);
            }
            [b'@', b'L', b' ', label @ ..] => {
                let (number, name) = split(label);
                if !name.starts_with(b"+") {
                    self.lines.retain(|old| old[1] != b'L' || split(&old[3..]).0 != number);
                }
            }
            // Valid for one frame or one moment only.
            _ => return,
        }
        if self.lines.len() < LINES_MAX {
            self.lines.push(*line);
        }
    }

    /// Returns the records in the order in which they were sent, and the label table (`@C`) after its labels, as a camera
    /// sends it.
    pub(super) fn records(&self) -> Vec<u8> {
        let (table, others): (Vec<_>, Vec<_>) = self.lines.iter().copied().partition(|line| line[1] == b'C');
        [others, table].concat().concat()
    }
}

/// `12 name` -> (`12`, `name`)
fn split(label: &[u8]) -> (&[u8], &[u8]) {
    let at = label.iter().position(|byte| *byte == b' ').unwrap_or(label.len());
    (&label[..at], label.get(at + 1..).unwrap_or_default())
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

    #[test]
    fn memory_is_bounded() {
        let mut context = ConnectionContext::default();
        for id in 0..10_000 {
            context.observe(&frame(id, &[&format!("@L {id} x")]));
        }
        assert_eq!(lines(&context).len(), LINES_MAX);
    }
}
