//! Parses documents from untrusted bytes.

use std::collections::BTreeSet;

use super::error::BsonError;
use super::value::{BsonDocument, BsonValue};
use crate::error::{EncodingError, NESTING_MAX};

impl BsonDocument {
    /// Parses a document that fills `bytes`.
    ///
    /// # Errors
    /// When [`to_bytes`](Self::to_bytes) would not return the same bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, BsonError> {
        let mut cursor = Cursor { bytes, at: 0 };
        let document = cursor.document(0)?;
        match bytes.len() - cursor.at {
            0 => Ok(document),
            extra => Err(EncodingError::Trailing { at: cursor.at, extra }.into()),
        }
    }
}

/// A position in the bytes of a document.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Parses a document at nesting level `depth`, where 0 is the outermost.
    fn document(&mut self, depth: usize) -> Result<BsonDocument, BsonError> {
        let mut elements = Vec::new();
        let mut seen = BTreeSet::new();
        self.elements(depth, |key, at, value| {
            if !seen.insert(key) {
                return Err(BsonError::SameKey { key: key.to_owned(), at });
            }
            elements.push((key.to_owned(), value));
            Ok(())
        })?;
        Ok(BsonDocument { elements })
    }

    fn array(&mut self, depth: usize) -> Result<Vec<BsonValue>, BsonError> {
        let mut items = Vec::new();
        self.elements(depth, |key, at, value| {
            if key != items.len().to_string() {
                return Err(BsonError::NotNumbered { at, expected: items.len(), found: key.to_owned() });
            }
            items.push(value);
            Ok(())
        })?;
        Ok(items)
    }

    /// Parses the common form of documents and arrays: a length, elements, a zero byte. Calls `each` with the key, the
    /// offset and the value of every element.
    fn elements(
        &mut self,
        depth: usize,
        mut each: impl FnMut(&'a str, usize, BsonValue) -> Result<(), BsonError>,
    ) -> Result<(), BsonError> {
        let start = self.at;
        if depth > NESTING_MAX {
            return Err(EncodingError::TooDeep { at: start }.into());
        }
        let len = self.length(5)?;
        let left = self.bytes.len() - start;
        let rest = len.checked_sub(left).filter(|missing| *missing > 0);
        if let Some(missing) = rest {
            return Err(self.ends_before(missing));
        }
        // Elements must not extend past the end of their document.
        let end = start + len;
        let mut inner = Cursor { bytes: &self.bytes[..end], at: self.at };
        loop {
            let at = inner.at;
            let kind = inner.byte()?;
            if kind == 0 {
                break;
            }
            let key = inner.name()?;
            let value = inner.value(kind, key, at, depth)?;
            each(key, at, value)?;
        }
        if inner.at != end {
            return Err(BsonError::Length { at: start, found: i32::try_from(len).unwrap_or(i32::MAX) });
        }
        self.at = end;
        Ok(())
    }

    fn value(&mut self, kind: u8, key: &str, at: usize, depth: usize) -> Result<BsonValue, BsonError> {
        Ok(match kind {
            0x01 => BsonValue::Double(f64::from_bits(u64::from_le_bytes(self.take()?))),
            0x02 => BsonValue::String(self.text()?),
            0x03 => BsonValue::Document(self.document(depth + 1)?),
            0x04 => BsonValue::Array(self.array(depth + 1)?),
            0x05 => {
                let len = self.length(0)?;
                let subtype = self.byte()?;
                BsonValue::Binary(subtype, self.slice(len)?.to_vec())
            }
            0x08 => match self.byte()? {
                0 => BsonValue::Bool(false),
                1 => BsonValue::Bool(true),
                found => return Err(BsonError::NotBoolean { key: key.to_owned(), at, found }),
            },
            0x0a => BsonValue::Null,
            0x10 => BsonValue::Int32(i32::from_le_bytes(self.take()?)),
            0x11 => BsonValue::Unsigned64(u64::from_le_bytes(self.take()?)),
            0x12 => BsonValue::Int64(i64::from_le_bytes(self.take()?)),
            _ => return Err(BsonError::UnknownType { key: key.to_owned(), at, kind }),
        })
    }

    fn slice(&mut self, len: usize) -> Result<&'a [u8], BsonError> {
        let left = &self.bytes[self.at..];
        let cut_off = EncodingError::CutOff { at: self.at, expected: len as u64, found: left.len() };
        let slice = left.get(..len).ok_or(cut_off)?;
        self.at += len;
        Ok(slice)
    }

    /// The bytes end before a value that has `missing` more.
    fn ends_before(&self, missing: usize) -> BsonError {
        EncodingError::CutOff { at: self.bytes.len(), expected: missing as u64, found: 0 }.into()
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], BsonError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.slice(N)?);
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, BsonError> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn length(&mut self, least: i32) -> Result<usize, BsonError> {
        let at = self.at;
        let found = i32::from_le_bytes(self.take()?);
        if found < least { Err(BsonError::Length { at, found }) } else { Ok(found as usize) }
    }

    fn name(&mut self) -> Result<&'a str, BsonError> {
        let left = &self.bytes[self.at..];
        let Some(len) = memchr::memchr(0, left) else {
            return Err(self.ends_before(1));
        };
        let name = std::str::from_utf8(&left[..len]).map_err(|_| BsonError::NotUtf8 { at: self.at })?;
        self.at += len + 1;
        Ok(name)
    }

    fn text(&mut self) -> Result<String, BsonError> {
        let len = self.length(1)?;
        let at = self.at;
        let text = std::str::from_utf8(self.slice(len - 1)?).map_err(|_| BsonError::NotUtf8 { at })?;
        match self.byte()? {
            0 => Ok(text.to_owned()),
            found => Err(BsonError::NoEnd { at: self.at - 1, found }),
        }
    }
}
