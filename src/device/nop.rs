//! libnop, the encoding of pipelines (bootloader.md 5.2).
//!
//! Every value carries its type, so parsing needs no schema; the members of structures have no names. The depth and the
//! number of parsed values are limited, because each value costs memory.
//!
//! Values are written in the shortest form, as the vendor's library does. The encoding of a number depends on whether its
//! type in the firmware is signed, so convert from a Rust number of the same type: `200_u32.into()` is `80 c8`,
//! `200_i32.into()` is `85 c8 00`.

use std::borrow::Cow;

use crate::error::{EncodingError, NESTING_MAX};

/// Values in one encoding. An application of forty nodes has five thousand.
const MAX_VALUES: usize = 1 << 20;

/// Reason for rejecting bytes. Offsets count from the beginning of the bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The texts explain the fields.
pub enum NopError {
    /// The bytes are too few or too many, or nested too deeply.
    #[error(transparent)]
    Encoding(#[from] EncodingError),
    /// A byte that does not begin a value.
    #[error("invalid type {found:#04x} at byte {at}")]
    Type { at: usize, found: u8 },
    /// A length or count is not a number.
    #[error("expected a number of items or bytes at byte {at}, found {found}")]
    Count { at: usize, found: &'static str },
    /// More values than any pipeline has.
    #[error("more than {MAX_VALUES} values, at byte {at}")]
    TooMany { at: usize },
}

/// A value. Booleans are the numbers 0 and 1, enumerations are numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// A number without a sign. Signed numbers from 0 to 127 have the same encoding and are parsed as this.
    Unsigned(u64),
    /// A number with a sign.
    Signed(i64),
    /// A 32-bit floating-point number.
    Float(f32),
    /// A 64-bit floating-point number.
    Double(f64),
    /// A text, usually UTF-8.
    String(&'a [u8]),
    /// Bytes, or an array of integers, whose width is not in the encoding.
    Binary(&'a [u8]),
    /// A vector or tuple.
    Array(Vec<Self>),
    /// Keys and values, in the order of the encoding.
    Map(Vec<(Self, Self)>),
    /// Members without names.
    Structure(Vec<Self>),
    /// Index of the alternative, and its value.
    Variant(i64, Box<Self>),
    /// An empty option.
    Nil,
}

impl<'a> Value<'a> {
    /// Parses one value that fills the bytes.
    ///
    /// # Errors
    /// See [`NopError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NopError> {
        let mut reader = Reader { bytes, at: 0, left: MAX_VALUES };
        let value = reader.value(0)?;
        match bytes.len() - reader.at {
            0 => Ok(value),
            extra => Err(EncodingError::Trailing { at: reader.at, extra }.into()),
        }
    }

    /// The type, for error texts.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unsigned(_) | Self::Signed(_) => "a number",
            Self::Float(_) | Self::Double(_) => "a floating-point number",
            Self::String(_) => "a text",
            Self::Binary(_) => "bytes",
            Self::Array(_) => "an array",
            Self::Map(_) => "a map",
            Self::Structure(_) => "a structure",
            Self::Variant(..) => "a variant",
            Self::Nil => "nothing",
        }
    }

    /// The integer, signed or not; `None` for other types and out of range.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Unsigned(number) => i64::try_from(*number).ok(),
            Self::Signed(number) => Some(*number),
            _ => None,
        }
    }

    /// The text, with invalid UTF-8 replaced; `None` for other types.
    #[must_use]
    pub fn as_text(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::String(bytes) => Some(String::from_utf8_lossy(bytes)),
            _ => None,
        }
    }

    /// Appends the shortest encoding.
    pub fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Unsigned(number) => unsigned(*number, to),
            Self::Signed(number) => signed(*number, to),
            Self::Float(number) => prefixed(0x88, number.to_le_bytes(), to),
            Self::Double(number) => prefixed(0x89, number.to_le_bytes(), to),
            Self::String(bytes) => counted(0xbd, bytes.len(), to).extend_from_slice(bytes),
            Self::Binary(bytes) => counted(0xbc, bytes.len(), to).extend_from_slice(bytes),
            Self::Structure(items) => all(items, counted(0xb9, items.len(), to)),
            Self::Array(items) => all(items, counted(0xba, items.len(), to)),
            Self::Map(pairs) => {
                let to = counted(0xbb, pairs.len(), to);
                for (key, value) in pairs {
                    key.write(to);
                    value.write(to);
                }
            }
            Self::Variant(kind, value) => {
                to.push(0xb8);
                signed(*kind, to);
                value.write(to);
            }
            Self::Nil => to.push(0xbe),
        }
    }

    /// The shortest encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    /// Converts for display: structures become arrays, bytes hexadecimal digits, NaN and infinities null.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Self::Unsigned(number) => Json::from(*number),
            Self::Signed(number) => Json::from(*number),
            // Through text, so that 0.1_f32 becomes 0.1 and not 0.10000000149011612.
            Self::Float(number) => number.to_string().parse::<f64>().map_or(Json::Null, Json::from),
            Self::Double(number) => Json::from(*number),
            Self::String(bytes) => Json::from(String::from_utf8_lossy(bytes)),
            Self::Binary(bytes) => Json::from(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
            Self::Array(items) | Self::Structure(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(pairs) => {
                pairs.iter().map(|(key, value)| Json::from(vec![key.to_json(), value.to_json()])).collect()
            }
            Self::Variant(kind, value) => serde_json::json!({ "kind": kind, "value": value.to_json() }),
            Self::Nil => Json::Null,
        }
    }
}

macro_rules! of_numbers {
    ($kind:ident($wide:ty): $($number:ty)*) => {$(
        impl From<$number> for Value<'_> {
            fn from(number: $number) -> Self {
                Self::$kind(<$wide>::from(number))
            }
        }
    )*};
}
of_numbers!(Unsigned(u64): bool u8 u16 u32 u64);
of_numbers!(Signed(i64): i8 i16 i32 i64);
of_numbers!(Float(f32): f32);
of_numbers!(Double(f64): f64);

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::String(text.as_bytes())
    }
}

impl<'a, T: Into<Self>> From<Option<T>> for Value<'a> {
    fn from(option: Option<T>) -> Self {
        option.map_or(Self::Nil, Into::into)
    }
}

fn all(values: &[Value<'_>], to: &mut Vec<u8>) {
    for value in values {
        value.write(to);
    }
}

fn counted(prefix: u8, count: usize, to: &mut Vec<u8>) -> &mut Vec<u8> {
    to.push(prefix);
    unsigned(count as u64, to);
    to
}

fn prefixed<const N: usize>(prefix: u8, bytes: [u8; N], to: &mut Vec<u8>) {
    to.push(prefix);
    to.extend_from_slice(&bytes);
}

fn unsigned(number: u64, to: &mut Vec<u8>) {
    let [least, ..] = number.to_le_bytes();
    if number < 0x80 {
        to.push(least);
    } else if number <= u64::from(u8::MAX) {
        prefixed(0x80, [least], to);
    } else if let Ok(number) = u16::try_from(number) {
        prefixed(0x81, number.to_le_bytes(), to);
    } else if let Ok(number) = u32::try_from(number) {
        prefixed(0x82, number.to_le_bytes(), to);
    } else {
        prefixed(0x83, number.to_le_bytes(), to);
    }
}

fn signed(number: i64, to: &mut Vec<u8>) {
    let [least, ..] = number.to_le_bytes();
    if (-64..128).contains(&number) {
        to.push(least);
    } else if i8::try_from(number).is_ok() {
        prefixed(0x84, [least], to);
    } else if let Ok(number) = i16::try_from(number) {
        prefixed(0x85, number.to_le_bytes(), to);
    } else if let Ok(number) = i32::try_from(number) {
        prefixed(0x86, number.to_le_bytes(), to);
    } else {
        prefixed(0x87, number.to_le_bytes(), to);
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    left: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value<'a>, NopError> {
        let at = self.at;
        if depth > NESTING_MAX {
            return Err(EncodingError::TooDeep { at }.into());
        }
        self.left = self.left.checked_sub(1).ok_or(NopError::TooMany { at })?;
        let [prefix] = self.take()?;
        let deeper = depth + 1;
        Ok(match prefix {
            0x00..=0x7f => Value::Unsigned(u64::from(prefix)),
            0xc0..=0xff => Value::Signed(i64::from(prefix.cast_signed())),
            0x80 => Value::Unsigned(u64::from(u8::from_le_bytes(self.take()?))),
            0x81 => Value::Unsigned(u64::from(u16::from_le_bytes(self.take()?))),
            0x82 => Value::Unsigned(u64::from(u32::from_le_bytes(self.take()?))),
            0x83 => Value::Unsigned(u64::from_le_bytes(self.take()?)),
            0x84 => Value::Signed(i64::from(i8::from_le_bytes(self.take()?))),
            0x85 => Value::Signed(i64::from(i16::from_le_bytes(self.take()?))),
            0x86 => Value::Signed(i64::from(i32::from_le_bytes(self.take()?))),
            0x87 => Value::Signed(i64::from_le_bytes(self.take()?)),
            0x88 => Value::Float(f32::from_bits(u32::from_le_bytes(self.take()?))),
            0x89 => Value::Double(f64::from_bits(u64::from_le_bytes(self.take()?))),
            0xb8 => {
                let at = self.at;
                let kind = self.value(deeper)?;
                let kind = kind.as_integer().ok_or(NopError::Count { at, found: kind.kind() })?;
                Value::Variant(kind, Box::new(self.value(deeper)?))
            }
            0xb9 => Value::Structure(self.items(deeper)?),
            0xba => Value::Array(self.items(deeper)?),
            0xbb => {
                let count = self.count(deeper, 2)?;
                let mut pairs = Vec::new();
                for _ in 0..count {
                    pairs.push((self.value(deeper)?, self.value(deeper)?));
                }
                Value::Map(pairs)
            }
            0xbc => {
                let len = self.count(deeper, 1)?;
                Value::Binary(self.slice(len)?)
            }
            0xbd => {
                let len = self.count(deeper, 1)?;
                Value::String(self.slice(len)?)
            }
            0xbe => Value::Nil,
            _ => return Err(NopError::Type { at, found: prefix }),
        })
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Value<'a>>, NopError> {
        let count = self.count(depth, 1)?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.value(depth)?);
        }
        Ok(items)
    }

    /// Reads the number of items. Fails if the rest is too short for items of `least` bytes each.
    fn count(&mut self, depth: usize, least: usize) -> Result<usize, NopError> {
        let at = self.at;
        let value = self.value(depth)?;
        let Value::Unsigned(count) = value else { return Err(NopError::Count { at, found: value.kind() }) };
        let (expected, found) = (count.saturating_mul(least as u64), self.bytes.len() - self.at);
        match usize::try_from(count) {
            Ok(count) if expected <= found as u64 => Ok(count),
            _ => Err(EncodingError::CutOff { at: self.at, expected, found }.into()),
        }
    }

    fn slice(&mut self, len: usize) -> Result<&'a [u8], NopError> {
        let left = &self.bytes[self.at..];
        let cut_off = EncodingError::CutOff { at: self.at, expected: len as u64, found: left.len() };
        let slice = left.get(..len).ok_or(cut_off)?;
        self.at += len;
        Ok(slice)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], NopError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.slice(N)?);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_parsed() {
        let bytes: &[u8] = &[
            0xb9, 12, // members
            0x7f, 0x80, 0xc8, 0x81, 0xe8, 0x03, // 127, 200, 1000
            0xc0, 0x85, 0xc8, 0x00, // -64, 200 with a sign
            0x87, 0, 0, 0, 0, 0, 0, 0, 0x80, // the least number
            0x88, 0x00, 0x00, 0xf0, 0x41, // 30
            0xbd, 2, b'h', 0xff, // invalid UTF-8
            0xbc, 2, 1, 2, // bytes
            0xba, 2, 0, 0xbe, // an array of 0 and nothing
            0xbb, 1, 0xbd, 1, b'k', 5, // a map
            0xb8, 1, 7, // a variant
        ];
        let value = Value::parse(bytes);
        let expected = Value::Structure(vec![
            Value::Unsigned(127),
            Value::Unsigned(200),
            Value::Unsigned(1000),
            Value::Signed(-64),
            Value::Signed(200),
            Value::Signed(i64::MIN),
            Value::Float(30.0),
            Value::String(b"h\xff"),
            Value::Binary(&[1, 2]),
            Value::Array(vec![Value::Unsigned(0), Value::Nil]),
            Value::Map(vec![(Value::String(b"k"), Value::Unsigned(5))]),
            Value::Variant(1, Box::new(Value::Unsigned(7))),
        ]);
        assert_eq!(value, Ok(expected.clone()));
        assert_eq!(
            expected.to_json().to_string(),
            "[127,200,1000,-64,200,-9223372036854775808,30.0,\"h\u{fffd}\",\"0102\",[0,null],[[\"k\",5]],{\"kind\":1,\"value\":7}]"
        );
        for cut in 0..bytes.len() {
            assert!(
                matches!(Value::parse(&bytes[..cut]), Err(NopError::Encoding(EncodingError::CutOff { .. }))),
                "{cut}"
            );
        }
        assert_eq!(Value::parse(&[1, 2]), Err(EncodingError::Trailing { at: 1, extra: 1 }.into()));
    }

    #[test]
    fn shortest_form_is_written_and_depends_on_the_sign() {
        let written = |value: Value<'_>, bytes: &[u8]| {
            assert_eq!(value.to_bytes(), bytes, "{value:?}");
            // Small numbers are parsed as unsigned, and written with the same bytes.
            assert_eq!(Value::parse(bytes).expect("it is a value").to_bytes(), bytes, "{value:?}");
        };
        written(127_u8.into(), &[0x7f]);
        written(200_u32.into(), &[0x80, 0xc8]);
        written(200_i32.into(), &[0x85, 0xc8, 0]);
        written(255_u16.into(), &[0x80, 0xff]);
        written(256_u64.into(), &[0x81, 0, 1]);
        written(0x1_0000_u32.into(), &[0x82, 0, 0, 1, 0]);
        written(0x1_0000_0000_u64.into(), &[0x83, 0, 0, 0, 0, 1, 0, 0, 0]);
        written(127_i64.into(), &[0x7f]);
        written((-64_i8).into(), &[0xc0]);
        written((-65_i16).into(), &[0x84, 0xbf]);
        written((-128_i32).into(), &[0x84, 0x80]);
        written(128_i32.into(), &[0x85, 0x80, 0]);
        written(40_000_i32.into(), &[0x86, 0x40, 0x9c, 0, 0]);
        written(i64::MIN.into(), &[0x87, 0, 0, 0, 0, 0, 0, 0, 0x80]);
        written(true.into(), &[1]);
        written(30.0_f32.into(), &[0x88, 0, 0, 0xf0, 0x41]);
        written(7e8.into(), &[0x89, 0, 0, 0, 0x80, 0x93, 0xdc, 0xc4, 0x41]);
        written("t".into(), &[0xbd, 1, b't']);
        written(None::<bool>.into(), &[0xbe]);
        written(Value::Binary(&[1, 2]), &[0xbc, 2, 1, 2]);
        written(Value::Variant(1, Box::new(Value::Nil)), &[0xb8, 1, 0xbe]);
        let items = || vec![Value::Nil, 1_u8.into()];
        written(Value::Structure(items()), &[0xb9, 2, 0xbe, 1]);
        written(Value::Array(items()), &[0xba, 2, 0xbe, 1]);
        written(Value::Map(vec![("k".into(), 5_u8.into())]), &[0xbb, 1, 0xbd, 1, b'k', 5]);
        written(Value::Array(vec![0_u8.into(); 200]), &[&[0xba, 0x80, 200][..], &[0; 200]].concat());
    }

    #[test]
    fn damage_is_reported_with_its_offset_before_memory_is_allocated() {
        let error = |bytes: &[u8]| Value::parse(bytes).unwrap_err().to_string();
        assert_eq!(error(&[0xba, 1, 0xb5]), "invalid type 0xb5 at byte 2");
        assert_eq!(error(&[0xbd, 0xbe]), "expected a number of items or bytes at byte 1, found nothing");
        // 4294967295 items announced by six bytes: rejected before anything is allocated.
        assert_eq!(
            error(&[0xba, 0x82, 0xff, 0xff, 0xff, 0xff]),
            "cut off at byte 6: expected 4294967295 more bytes, found 0"
        );
        assert_eq!(
            error(&[0xbb, 0x83, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            "cut off at byte 10: expected 18446744073709551615 more bytes, found 0"
        );
        assert_eq!(error(&[[0xba, 1]; 100].concat()), "nested more than 32 levels deep at byte 65");
        // A count is a value too, and may not nest either.
        assert_eq!(error(&[0xba; 100]), "nested more than 32 levels deep at byte 33");
        let many = [&[0xba, 0x82], &((MAX_VALUES as u32) + 1).to_le_bytes()[..], &vec![0; MAX_VALUES + 1]].concat();
        assert!(error(&many).starts_with("more than 1048576 values, at byte "));
    }
}
