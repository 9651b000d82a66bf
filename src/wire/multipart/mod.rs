//! Bodies of `multipart/x-mixed-replace`, the form in which cameras send motion JPEG over HTTP (wire.md section 2.6).
//!
//! The delimiter ends a part, as MIME has it. A `Content-Length` and the structure of the JPEG only show earlier that the
//! part is complete: the delimiter arrives with the next picture. Accepts what servers make of the format: a boundary that
//! is declared with its dashes, lines that end with LF only, no `Content-Length`, no newline before the delimiter, text
//! before the first part, no closing delimiter, and header names in any case.

mod delimiter;
mod head;

use memchr::{memchr, memmem};

use self::delimiter::Delimiter;
use self::head::PartHead;
pub use self::head::boundary;

use super::event::{Damage, SkipReason};
use super::limits::Limits;
use crate::frame::{Frame, Lease, Pool, jpeg_defect};

/// Longest head of a part in bytes, its delimiter included, and longest text before the first part.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// Memory of a payload whose length is not known. It doubles as bytes arrive, whatever length a head announces.
const GROWTH_STEP: usize = 64 << 10;

/// Bytes of a body that are taken at once.
const MAX_PIECE: usize = 64 << 10;

/// Bytes outside of pictures that are reported at once.
const MAX_JUNK_BYTES: usize = 4 << 10;

/// A part, or bytes outside of all parts.
#[derive(Debug)]
pub enum Part {
    /// A picture, with the bytes before it as its header.
    Picture(Lease<Frame>),
    /// A picture that did not arrive completely, or for which there is no memory.
    Lost {
        /// The damage.
        damage: Damage,
        /// The first bytes.
        sample: Vec<u8>,
        /// Number of bytes received.
        len: usize,
    },
    /// Bytes outside of all pictures.
    Skipped {
        /// The first bytes.
        sample: Vec<u8>,
        /// Number of bytes.
        len: usize,
        /// The reason.
        reason: SkipReason,
    },
}

/// Reason for which a body cannot be read further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MultipartError {
    /// No delimiter in the first bytes.
    #[error("no part begins in the first {len} bytes of the multipart body: expected a line `{expected}`")]
    NoPart {
        /// Number of bytes.
        len: usize,
        /// The delimiter.
        expected: String,
    },
    /// The head of a part does not end.
    #[error("the head of a part does not end within {max} bytes", max = MAX_HEAD_BYTES)]
    HeadTooLong,
    /// A part announces, or has, more bytes than [`Limits`] allow.
    #[error("a part has {} bytes: expected at most {max}", .claimed.map_or_else(|| format!("more than {max}"), |claimed| claimed.to_string()))]
    PartTooLarge {
        /// Bytes announced.
        claimed: Option<u64>,
        /// Bytes allowed.
        max: usize,
    },
}

/// Splits a multipart body into pictures. Holds at most one part.
#[derive(Debug)]
pub struct Multipart {
    frames: Pool<Frame>,
    limits: Limits,
    delimiter: Delimiter,
    state: State,
    /// Bytes since the last part: the header of the next picture.
    head: Vec<u8>,
    /// Start of the line in [`Self::head`] that is being received.
    line_at: usize,
    /// A part has begun before.
    begun: bool,
    /// The closing delimiter has arrived: what follows belongs to no part.
    closed: bool,
    /// Payload length of the last picture in bytes.
    last_len: usize,
}

#[derive(Debug)]
enum State {
    /// Between two parts: lines up to a delimiter.
    Outside,
    /// After a delimiter: lines up to an empty one.
    Head,
    /// The payload of a picture.
    Picture(Picture),
    /// The payload of a part that is not kept: `skipped` bytes so far, not counting [`Multipart::head`], which holds the last
    /// bytes.
    Skip { sample: Vec<u8>, skipped: usize, reason: SkipReason },
}

#[derive(Debug)]
struct Picture {
    frame: Lease<Frame>,
    received: usize,
    /// The announced length.
    len: Option<usize>,
    /// No delimiter starts in the first bytes.
    searched: usize,
}

impl Multipart {
    /// Creates a parser for one body. `boundary` is the declared one.
    #[must_use]
    pub fn new(boundary: Option<&str>, frames: Pool<Frame>, limits: Limits) -> Self {
        let name = boundary.unwrap_or_default().trim_start_matches('-').as_bytes().to_vec();
        Self {
            frames,
            limits,
            delimiter: Delimiter { name, seen: None },
            state: State::Outside,
            head: Vec::new(),
            line_at: 0,
            begun: false,
            closed: false,
            last_len: 0,
        }
    }

    /// Takes bytes from the front of `input` up to the end of the next part. Returns `None` once all bytes are taken.
    ///
    /// # Errors
    /// The body is not a multipart one, or exceeds a limit. The parser cannot continue.
    pub fn parse(&mut self, input: &mut &[u8]) -> Result<Option<Part>, MultipartError> {
        while !input.is_empty() {
            let piece = &input[..input.len().min(MAX_PIECE)];
            let (taken, part) = match self.state {
                State::Outside | State::Head => self.line(piece)?,
                State::Picture(_) => self.picture(piece)?,
                State::Skip { .. } => self.skip(piece),
            };
            *input = &input[taken..];
            if part.is_some() {
                return Ok(part);
            }
        }
        Ok(None)
    }

    /// Ends the body. Returns the part that ends with it, and then the bytes that are left. To be called until it returns
    /// `None`.
    pub fn finish(&mut self) -> Option<Part> {
        match std::mem::replace(&mut self.state, State::Outside) {
            State::Picture(Picture { frame, received: 0, len: None, .. }) => {
                self.head.clone_from(&frame.header);
                self.line_at = 0;
            }
            State::Picture(picture) => {
                let Picture { frame, received, len, .. } = &picture;
                let payload = &frame.payload()[..*received];
                // The end of a picture shows that it is complete, whatever length was announced.
                let is_whole = is_jpeg(payload) && !cut_short(payload);
                let expected = len.unwrap_or(*received);
                let damage = (!is_whole).then_some(Damage::Ended { expected, received: *received });
                return Some(match damage {
                    None => self.complete(picture),
                    Some(damage) => {
                        let len = frame.header.len() + received;
                        Part::Lost { damage, sample: frame.header.clone(), len }
                    }
                });
            }
            State::Skip { sample, skipped, reason } => {
                let len = skipped + std::mem::take(&mut self.head).len();
                return Some(Part::Skipped { sample, len, reason });
            }
            State::Outside | State::Head => {}
        }
        // The closing delimiter, or one whose part did not begin.
        let left = std::mem::take(&mut self.head);
        let reason = SkipReason::ForeignRecord;
        (!left.is_empty()).then(|| Part::Skipped { len: left.len(), sample: left, reason })
    }

    /// Returns the bytes that were taken and are in no part so far.
    #[must_use]
    pub fn held(&self) -> usize {
        self.head.len()
            + match &self.state {
                State::Picture(Picture { frame, received, .. }) => frame.header.len() + received,
                State::Skip { skipped, .. } => *skipped,
                State::Outside | State::Head => 0,
            }
    }

    /// Returns whether a part has been received in part.
    #[must_use]
    pub const fn is_inside_a_part(&self) -> bool {
        !matches!(self.state, State::Outside)
    }

    /// Takes one line, or a part of it.
    fn line(&mut self, piece: &[u8]) -> Result<(usize, Option<Part>), MultipartError> {
        let end = memchr(b'\n', piece);
        let taken = end.map_or(piece.len(), |at| at + 1).min(MAX_HEAD_BYTES);
        self.head.extend_from_slice(&piece[..taken]);
        let is_head = matches!(self.state, State::Head);
        if end.is_some() && taken == end.map_or(0, |at| at + 1) {
            let line = &self.head[std::mem::replace(&mut self.line_at, self.head.len())..];
            if is_head {
                if line.trim_ascii().is_empty() {
                    return Ok((taken, self.begin_part()?));
                }
            } else if let Some(is_open) = self.delimiter.matches(line) {
                self.closed = !is_open;
                if is_open {
                    self.state = State::Head;
                }
            }
        }
        if self.head.len() > MAX_HEAD_BYTES {
            return Err(if is_head {
                MultipartError::HeadTooLong
            } else if self.begun {
                // Junk between parts is reported below.
                return Ok((taken, self.junk()));
            } else {
                let name = String::from_utf8_lossy(&self.delimiter.name);
                MultipartError::NoPart { len: self.head.len(), expected: format!("--{name}") }
            });
        }
        Ok((taken, if self.begun && !is_head && self.line_at >= MAX_JUNK_BYTES { self.junk() } else { None }))
    }

    /// Reports what is between two parts and is not a delimiter, except its last line.
    fn junk(&mut self) -> Option<Part> {
        let State::Outside = self.state else { return None };
        let end = if self.line_at > 0 { self.line_at } else { self.head.len() };
        let sample: Vec<u8> = self.head.drain(..end).collect();
        self.line_at = 0;
        let reason = if self.closed { SkipReason::ForeignRecord } else { SkipReason::NotAHeader };
        Some(Part::Skipped { len: sample.len(), sample, reason })
    }

    /// Begins the part whose head is complete. Returns the junk before its delimiter, if there is any.
    fn begin_part(&mut self) -> Result<Option<Part>, MultipartError> {
        let mut header = std::mem::take(&mut self.head);
        self.line_at = 0;
        let junk = if std::mem::replace(&mut self.begun, true) { self.split_junk(&mut header) } else { None };
        let PartHead { len, is_picture } = PartHead::parse(&header);
        let max = self.limits.payload;
        if is_picture && len.is_some_and(|len| len > max as u64) {
            return Err(MultipartError::PartTooLarge { claimed: len, max });
        }
        let len = len.and_then(|len| usize::try_from(len).ok());
        let reserved = len.unwrap_or(usize::MAX).min(self.last_len.max(GROWTH_STEP));
        let mut frame = self.frames.lease(reserved);
        frame.clear();
        let reason = if !is_picture {
            Some(SkipReason::ForeignRecord)
        } else {
            frame.try_payload_mut(reserved).is_none().then_some(SkipReason::NoMemory)
        };
        self.state = match reason {
            Some(reason) => State::Skip { skipped: header.len(), sample: header, reason },
            None => {
                frame.header = header;
                State::Picture(Picture { frame, received: 0, len: len.filter(|len| *len > 0), searched: 0 })
            }
        };
        Ok(junk)
    }

    /// Removes lines before the last delimiter from a head, unless they are blank.
    fn split_junk(&mut self, header: &mut Vec<u8>) -> Option<Part> {
        let at = self.delimiter.seen.as_ref().and_then(|seen| memmem::rfind(header, seen))?;
        let seen = self.delimiter.seen.as_deref()?;
        let is_blank = |line: &[u8]| line.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0);
        if header[..at].split(|byte| *byte == b'\n').all(|line| is_blank(line) || line.starts_with(seen)) {
            return None;
        }
        let sample: Vec<u8> = header.drain(..at).collect();
        Some(Part::Skipped { len: sample.len(), sample, reason: SkipReason::NotAHeader })
    }

    fn picture(&mut self, piece: &[u8]) -> Result<(usize, Option<Part>), MultipartError> {
        let max = self.limits.payload;
        let State::Picture(picture) = &mut self.state else { return Ok((0, None)) };
        let before = picture.received;
        let room = picture.len.map_or(piece.len(), |len| len - before);
        let piece = &piece[..piece.len().min(room)];
        let to = before + piece.len();
        let capacity = picture.frame.payload().len();
        if to > capacity {
            // A delimiter may follow a payload of the largest size.
            let most = max.saturating_add(self.delimiter.overlap());
            if to > most {
                return Err(MultipartError::PartTooLarge { claimed: None, max });
            }
            if picture.frame.try_payload_mut(to.max((2 * capacity).min(most))).is_none() {
                return Ok((0, Some(self.lose())));
            }
        }
        let capacity = picture.frame.payload().len();
        picture.frame.payload_mut(capacity)[before..to].copy_from_slice(piece);
        picture.received = to;
        let payload = &picture.frame.payload()[..to];
        if let Some((at, len)) = self.delimiter.find(payload, picture.searched, true) {
            let head = payload[at..at + len].to_vec();
            let (announced, whole) = (picture.len, !cut_short(&payload[..at]));
            (picture.received, picture.len) = (at, None);
            // The rest of the delimiter's line follows.
            self.line_at = len - self.delimiter.seen.as_ref().map_or(0, Vec::len);
            let taken = (at + len).saturating_sub(before);
            let part = self.end_picture(announced.filter(|len| *len > at && !whole));
            self.head = head;
            return Ok((taken, part));
        }
        picture.searched = to.saturating_sub(self.delimiter.overlap());
        // Without a length, the end of a JPEG shows that it is complete. Newlines after it belong to the delimiter.
        let end = picture.len.unwrap_or_else(|| payload.trim_ascii_end().len());
        let is_complete = match picture.len {
            Some(len) => to == len && !cut_short(payload),
            None => payload[..end].ends_with(&[0xff, 0xd9]) && is_jpeg(payload) && !cut_short(payload),
        };
        if is_complete {
            let after = payload[end..].to_vec();
            picture.received = end;
            let part = self.end_picture(None);
            self.line_at = after.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            self.head = after;
            return Ok((piece.len(), part));
        }
        if picture.len == Some(to) {
            // The announced length is wrong, or the picture is cut: the delimiter decides.
            picture.len = None;
        }
        Ok((piece.len(), None))
    }

    /// Ends the picture with the bytes received. `announced`: it should have had this many.
    fn end_picture(&mut self, announced: Option<usize>) -> Option<Part> {
        let State::Picture(picture) = std::mem::replace(&mut self.state, State::Outside) else { return None };
        let Picture { frame, received, .. } = &picture;
        if let Some(expected) = announced {
            let damage = Damage::Truncated { expected, received: *received };
            return Some(Part::Lost { damage, sample: frame.header.clone(), len: frame.header.len() + received });
        }
        if *received == 0 {
            // A part without a body keeps the connection open.
            let sample = frame.header.clone();
            return Some(Part::Skipped { len: sample.len(), sample, reason: SkipReason::ForeignRecord });
        }
        Some(self.complete(picture))
    }

    fn complete(&mut self, picture: Picture) -> Part {
        let Picture { mut frame, received, .. } = picture;
        frame.payload_mut(received);
        self.last_len = received;
        Part::Picture(frame)
    }

    /// Gives up the picture, for which there is no memory, and skips the rest of it.
    fn lose(&mut self) -> Part {
        let reason = SkipReason::NoMemory;
        let skip = State::Skip { sample: Vec::new(), skipped: 0, reason };
        let State::Picture(Picture { frame, received, len, .. }) = std::mem::replace(&mut self.state, skip) else {
            return Part::Skipped { sample: Vec::new(), len: 0, reason };
        };
        let kept = received.min(self.delimiter.overlap());
        self.head = frame.payload()[received - kept..received].to_vec();
        let damage = Damage::NoMemory { expected: len.unwrap_or(received) };
        Part::Lost { damage, sample: frame.header.clone(), len: frame.header.len() + received - kept }
    }

    /// Skips bytes of a part that is not kept. [`Self::head`] holds the last of them.
    fn skip(&mut self, piece: &[u8]) -> (usize, Option<Part>) {
        let overlap = self.delimiter.overlap();
        let State::Skip { sample, skipped, .. } = &mut self.state else { return (0, None) };
        // The head of a part is its sample; that of a lost picture was reported before.
        let is_start = !sample.is_empty() && *skipped == sample.len();
        let before = self.head.len();
        self.head.extend_from_slice(piece);
        if let Some((at, len)) = self.delimiter.find(&self.head, 0, is_start) {
            *skipped += at;
            let taken = (at + len).saturating_sub(before);
            self.head.truncate(at + len);
            self.head.drain(..at);
            self.line_at = len - self.delimiter.seen.as_ref().map_or(0, Vec::len);
            let State::Skip { sample, skipped, reason } = std::mem::replace(&mut self.state, State::Outside) else {
                return (taken, None);
            };
            // A lost picture may have been counted completely.
            return (taken, (skipped > 0).then_some(Part::Skipped { sample, len: skipped, reason }));
        }
        let gone = self.head.len().saturating_sub(overlap);
        self.head.drain(..gone);
        *skipped += gone;
        (piece.len(), None)
    }
}

fn is_jpeg(payload: &[u8]) -> bool {
    payload.starts_with(&[0xff, 0xd8, 0xff])
}

/// Returns whether a payload is a JPEG without its end.
fn cut_short(payload: &[u8]) -> bool {
    is_jpeg(payload) && matches!(jpeg_defect(payload), Some(crate::frame::JpegDefect::CutShort { .. }))
}

#[cfg(test)]
mod tests;
