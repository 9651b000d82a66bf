//! Reads and writes fields of the vendor's C structures.

use super::error::MessageError;
use super::types::{AnnouncedData, Memory};

/// Length of an error text, with the terminating zero (bootloader.md 3.2).
pub(super) const ERROR_BYTES: usize = 64;

pub(super) fn command(bytes: &[u8]) -> Result<u32, MessageError> {
    let first = bytes.first_chunk().ok_or(MessageError::NoCommand { found: bytes.len() })?;
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

    /// Writes a field of `len` bytes, padded with zeros. The text is truncated to leave one zero.
    pub(super) fn text(&mut self, text: &str, len: usize) -> &mut Self {
        let end = self.0.len() + len;
        self.0.extend(text.bytes().take(len - 1));
        self.0.resize(end, 0);
        self
    }

    pub(super) fn result(&mut self, error: Option<&String>) -> &mut Self {
        self.u32(error.is_none().into()).text(error.map_or("", String::as_str), ERROR_BYTES)
    }

    pub(super) fn announced(&mut self, result: &Result<AnnouncedData, String>) -> &mut Self {
        let AnnouncedData { total, packets } = *result.as_ref().unwrap_or(&AnnouncedData { total: 0, packets: 0 });
        self.result(result.as_ref().err()).u32(total).u32(packets)
    }
}

/// A structure whose length was checked.
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
        self.bytes[at..at + N].try_into().expect("`new` checked the length")
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
        if self.u32(4) == 0 { Err(self.text(8, ERROR_BYTES)) } else { Ok(()) }
    }

    pub(super) fn announced(&self) -> Result<AnnouncedData, String> {
        self.result().map(|()| AnnouncedData { total: self.u32(72), packets: self.u32(76) })
    }

    pub(super) fn memory(&self) -> Result<Memory, MessageError> {
        Memory::from_number(self.i32(4)).ok_or_else(|| self.invalid("memory", self.u32(4)))
    }

    pub(super) fn invalid(&self, field: &'static str, found: u32) -> MessageError {
        MessageError::InvalidField { name: self.name, field, found: i64::from(found.cast_signed()) }
    }
}
