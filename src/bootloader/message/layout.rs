//! The vendor's C structures, field by field.

use super::{Announced, Memory, MessageError};

/// Length of a text that says what went wrong, with the zero behind it (bootloader.md 3.2).
pub(super) const ERROR: usize = 64;

pub(super) fn command(bytes: &[u8]) -> Result<u32, MessageError> {
    let first = bytes.first_chunk().ok_or(MessageError::Short { found: bytes.len() })?;
    Ok(u32::from_le_bytes(*first))
}

#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn i32(&mut self, value: i32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn i64(&mut self, value: i64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A text of at most one byte less, with zeros behind it.
    pub(super) fn text(&mut self, text: &str, len: usize) -> &mut Self {
        let end = self.0.len() + len;
        self.0.extend(text.bytes().take(len - 1));
        self.0.resize(end, 0);
        self
    }

    pub(super) fn result(&mut self, error: Option<&String>) -> &mut Self {
        self.u32(error.is_none().into()).text(error.map_or("", String::as_str), ERROR)
    }

    pub(super) fn announced(&mut self, result: &Result<Announced, String>) -> &mut Self {
        let Announced { total, packets } = *result.as_ref().unwrap_or(&Announced { total: 0, packets: 0 });
        self.result(result.as_ref().err()).u32(total).u32(packets)
    }
}

/// A structure that is known to be there.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    name: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], name: &'static str, expected: usize) -> Result<Self, MessageError> {
        if bytes.len() < expected {
            return Err(MessageError::Truncated { name, expected, found: bytes.len() });
        }
        Ok(Self { bytes, name })
    }

    pub(super) fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes[at..at + N].try_into().expect("its length was looked at")
    }

    pub(super) fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }

    pub(super) fn i32(&self, at: usize) -> i32 {
        i32::from_le_bytes(self.array(at))
    }

    pub(super) fn i64(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.array(at))
    }

    pub(super) fn text(&self, at: usize, len: usize) -> String {
        let field = &self.bytes[at..at + len];
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(len);
        String::from_utf8_lossy(&field[..end]).into_owned()
    }

    pub(super) fn result(&self) -> Result<(), String> {
        if self.u32(4) == 0 { Err(self.text(8, ERROR)) } else { Ok(()) }
    }

    pub(super) fn announced(&self) -> Result<Announced, String> {
        self.result().map(|()| Announced { total: self.u32(72), packets: self.u32(76) })
    }

    pub(super) fn memory(&self) -> Result<Memory, MessageError> {
        Memory::from_number(self.i32(4)).ok_or_else(|| self.meaningless("memory", self.u32(4)))
    }

    pub(super) fn meaningless(&self, what: &'static str, found: u32) -> MessageError {
        MessageError::Meaningless { name: self.name, what, found: i64::from(found.cast_signed()) }
    }
}
