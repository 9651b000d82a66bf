//! Documents out of bytes that may say anything.

use std::collections::BTreeSet;

use super::{BsonError, Document, MAX_DEPTH, Value};

/// A place in the bytes of a document.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning.
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes before it.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Reads a document that is nested so deep.
    pub(super) fn document(&mut self, depth: usize) -> Result<Document, BsonError> {
        let mut elements = Vec::new();
        let mut seen = BTreeSet::new();
        self.elements(depth, |key, at, value| {
            if !seen.insert(key) {
                return Err(BsonError::SameKey { key: key.to_owned(), at });
            }
            elements.push((key.to_owned(), value));
            Ok(())
        })?;
        Ok(Document { elements })
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Value>, BsonError> {
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

    /// What a document and an array have in common: a length, elements, a zero.
    fn elements(
        &mut self,
        depth: usize,
        mut each: impl FnMut(&'a str, usize, Value) -> Result<(), BsonError>,
    ) -> Result<(), BsonError> {
        let start = self.at;
        if depth > MAX_DEPTH {
            return Err(BsonError::TooDeep { at: start });
        }
        let len = self.length(5)?;
        let left = self.bytes.len() - start;
        let rest = len.checked_sub(left).filter(|missing| *missing > 0);
        if let Some(missing) = rest {
            return Err(BsonError::CutOff { at: self.bytes.len(), expected: missing, found: 0 });
        }
        // Nothing in it reaches past its own end.
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

    fn value(&mut self, kind: u8, key: &str, at: usize, depth: usize) -> Result<Value, BsonError> {
        Ok(match kind {
            0x01 => Value::Double(f64::from_bits(u64::from_le_bytes(self.take()?))),
            0x02 => Value::String(self.text()?),
            0x03 => Value::Document(self.document(depth + 1)?),
            0x04 => Value::Array(self.array(depth + 1)?),
            0x05 => {
                let len = self.length(0)?;
                let subtype = self.byte()?;
                Value::Binary(subtype, self.slice(len)?.to_vec())
            }
            0x08 => match self.byte()? {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                found => return Err(BsonError::NotBoolean { key: key.to_owned(), at, found }),
            },
            0x0a => Value::Null,
            0x10 => Value::Int32(i32::from_le_bytes(self.take()?)),
            0x11 => Value::Unsigned64(u64::from_le_bytes(self.take()?)),
            0x12 => Value::Int64(i64::from_le_bytes(self.take()?)),
            _ => return Err(BsonError::UnknownType { key: key.to_owned(), at, kind }),
        })
    }

    fn slice(&mut self, len: usize) -> Result<&'a [u8], BsonError> {
        let left = &self.bytes[self.at..];
        let slice = left.get(..len).ok_or(BsonError::CutOff { at: self.at, expected: len, found: left.len() })?;
        self.at += len;
        Ok(slice)
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
            return Err(BsonError::CutOff { at: self.bytes.len(), expected: 1, found: 0 });
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
