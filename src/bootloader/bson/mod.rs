//! BSON, the form in which a bootloader keeps and tells its configuration (bootloader.md 4).
//!
//! A [`Document`] is what was read, in its order and with the widths of its numbers: what is not understood is kept, and
//! the same bytes come out again. An element that cannot be kept makes reading fail, so that nothing is ever dropped by
//! reading a configuration and writing it back.

mod read;

use std::fmt;

use read::Cursor;

/// Documents in documents, of which a configuration has two.
const MAX_DEPTH: usize = 32;

/// Why bytes are no document, or none that can be kept. Offsets count from the beginning of the bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The fields stand in the texts.
pub enum BsonError {
    /// It ends too early.
    #[error("the BSON document is cut off at byte {at}: expected {expected} more bytes, found {found}")]
    CutOff { at: usize, expected: usize, found: usize },
    /// A length cannot be.
    #[error("the BSON document is damaged at byte {at}: a length of {found} bytes cannot be there")]
    Length { at: usize, found: i32 },
    /// Something stands behind its end.
    #[error("{extra} bytes stand behind the BSON document, which ends at byte {at}")]
    Trailing { at: usize, extra: usize },
    /// Its last byte is not zero.
    #[error("the BSON document is damaged at byte {at}: expected the zero at its end, found {found:#04x}")]
    NoEnd { at: usize, found: u8 },
    /// An element of a type that cannot be kept.
    #[error(
        "`{key}` at byte {at} of the BSON document has the type {kind:#04x}, which is not known here; it is left alone rather than lost"
    )]
    UnknownType { key: String, at: usize, kind: u8 },
    /// A name or a text is no UTF-8.
    #[error("a text at byte {at} of the BSON document is no UTF-8")]
    NotUtf8 { at: usize },
    /// A boolean is neither.
    #[error("`{key}` at byte {at} of the BSON document is neither false (0) nor true (1): found {found}")]
    NotBoolean { key: String, at: usize, found: u8 },
    /// Two elements have one name.
    #[error("`{key}` is in the BSON document twice, again at byte {at}")]
    SameKey { key: String, at: usize },
    /// The items of an array are not numbered in order.
    #[error("item {expected} of an array at byte {at} of the BSON document is called `{found}`")]
    NotNumbered { at: usize, expected: usize, found: String },
    /// A name that cannot be written: it would end at its zero.
    #[error("`{}` cannot be the name of a setting: it has a zero byte in it", key.escape_default())]
    ZeroInName { key: String },
    /// Documents in documents in documents.
    #[error("the BSON document is nested more than {MAX_DEPTH} deep at byte {at}")]
    TooDeep { at: usize },
}

/// What an element is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// 0x01.
    Double(f64),
    /// 0x02.
    String(String),
    /// 0x03.
    Document(Document),
    /// 0x04.
    Array(Vec<Self>),
    /// 0x05: what kind of bytes, and the bytes.
    Binary(u8, Vec<u8>),
    /// 0x08.
    Bool(bool),
    /// 0x0a.
    Null,
    /// 0x10.
    Int32(i32),
    /// 0x11: with MongoDB a time, with the vendor's library a number.
    Unsigned64(u64),
    /// 0x12.
    Int64(i64),
}

impl Value {
    /// A whole number, whatever its width.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Int32(number) => Some(i64::from(*number)),
            Self::Int64(number) => Some(*number),
            Self::Unsigned64(number) => i64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// What it is, in a word.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Double(_) => "a fraction",
            Self::String(_) => "a text",
            Self::Document(_) => "an object",
            Self::Array(_) => "an array",
            Self::Binary(..) => "bytes",
            Self::Bool(_) => "a boolean",
            Self::Null => "null",
            Self::Int32(_) | Self::Unsigned64(_) | Self::Int64(_) => "a number",
        }
    }

    /// For people: bytes become an object of theirs, numbers lose their width, fractions that are none become null.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Double(number) => serde_json::Value::from(*number),
            Self::String(text) => serde_json::Value::from(text.as_str()),
            Self::Document(document) => document.to_json(),
            Self::Array(items) => items.iter().map(Self::to_json).collect(),
            Self::Binary(subtype, bytes) => serde_json::json!({ "bytes": bytes, "subtype": subtype }),
            Self::Bool(value) => serde_json::Value::from(*value),
            Self::Null => serde_json::Value::Null,
            Self::Int32(number) => serde_json::Value::from(*number),
            Self::Unsigned64(number) => serde_json::Value::from(*number),
            Self::Int64(number) => serde_json::Value::from(*number),
        }
    }

    /// As the vendor's tool would write it: objects with their keys in order, numbers in 32 bits where they fit.
    ///
    /// # Errors
    /// [`BsonError::TooDeep`], and [`BsonError::ZeroInName`].
    pub fn from_json(value: &serde_json::Value) -> Result<Self, BsonError> {
        Self::from_nested_json(value, 0)
    }

    fn from_nested_json(value: &serde_json::Value, depth: usize) -> Result<Self, BsonError> {
        // What holds nothing is not counted, as in the bytes.
        if depth > MAX_DEPTH && (value.is_array() || value.is_object()) {
            return Err(BsonError::TooDeep { at: 0 });
        }
        let inner = |value| Self::from_nested_json(value, depth + 1);
        Ok(match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(number), ..) => Self::from(number),
                (_, Some(number), _) => Self::Unsigned64(number),
                (.., number) => Self::Double(number.unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Self::String(text.clone()),
            serde_json::Value::Array(items) => Self::Array(items.iter().map(inner).collect::<Result<_, _>>()?),
            serde_json::Value::Object(object) => {
                let mut document = Document::default();
                for (key, value) in object {
                    if key.contains('\0') {
                        return Err(BsonError::ZeroInName { key: key.clone() });
                    }
                    document.set(key, inner(value)?);
                }
                Self::Document(document)
            }
        })
    }

    const fn code(&self) -> u8 {
        match self {
            Self::Double(_) => 0x01,
            Self::String(_) => 0x02,
            Self::Document(_) => 0x03,
            Self::Array(_) => 0x04,
            Self::Binary(..) => 0x05,
            Self::Bool(_) => 0x08,
            Self::Null => 0x0a,
            Self::Int32(_) => 0x10,
            Self::Unsigned64(_) => 0x11,
            Self::Int64(_) => 0x12,
        }
    }

    fn write(&self, into: &mut Vec<u8>) {
        match self {
            Self::Double(number) => into.extend(number.to_bits().to_le_bytes()),
            Self::String(text) => {
                into.extend(length(text.len() + 1));
                into.extend(text.as_bytes());
                into.push(0);
            }
            Self::Document(document) => document.write(into),
            Self::Array(items) => {
                let start = open(into);
                for (index, item) in items.iter().enumerate() {
                    element(&index.to_string(), item, into);
                }
                close(start, into);
            }
            Self::Binary(subtype, bytes) => {
                into.extend(length(bytes.len()));
                into.push(*subtype);
                into.extend(bytes);
            }
            Self::Bool(value) => into.push(u8::from(*value)),
            Self::Null => {}
            Self::Int32(number) => into.extend(number.to_le_bytes()),
            Self::Unsigned64(number) => into.extend(number.to_le_bytes()),
            Self::Int64(number) => into.extend(number.to_le_bytes()),
        }
    }
}

/// As the vendor does it: in 32 bits if it fits (bootloader.md 4).
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        i32::try_from(number).map_or(Self::Int64(number), Self::Int32)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        i64::from(number).into()
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// Elements with names, in the order in which they were written. No two have one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    elements: Vec<(String, Value)>,
}

impl Document {
    /// Reads a document that fills the bytes.
    ///
    /// # Errors
    /// Whatever keeps the same bytes from coming out of [`to_bytes`](Self::to_bytes).
    pub fn parse(bytes: &[u8]) -> Result<Self, BsonError> {
        let mut cursor = Cursor::new(bytes);
        let document = cursor.document(0)?;
        match bytes.len() - cursor.at() {
            0 => Ok(document),
            extra => Err(BsonError::Trailing { at: cursor.at(), extra }),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    /// For people: see [`Value::to_json`].
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.elements.iter().map(|(key, value)| (key.clone(), value.to_json())).collect()
    }

    /// The elements in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.elements.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// The element of that name.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.elements.iter().find(|(own, _)| own == key).map(|(_, value)| value)
    }

    /// The element of that name, to change.
    #[must_use]
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.elements.iter_mut().find(|(own, _)| own == key).map(|(_, value)| value)
    }

    /// Sets one element and leaves all others where they are. A new one goes where the vendor's tool has it, which sorts
    /// by name. A name ends at its first zero byte: BSON cannot tell more of it.
    pub fn set(&mut self, key: &str, value: Value) {
        let key = key.split('\0').next().unwrap_or_default();
        match self.get_mut(key) {
            Some(own) => *own = value,
            None => {
                let at = self.elements.iter().position(|(own, _)| own.as_str() > key).unwrap_or(self.elements.len());
                self.elements.insert(at, (key.to_owned(), value));
            }
        }
    }

    /// Takes one element out.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.elements.iter().position(|(own, _)| own == key)?;
        Some(self.elements.remove(at).1)
    }

    /// Sets every element of `changes`, in documents within documents too; what `changes` does not name stays.
    pub fn merge(&mut self, changes: &Self) {
        for (key, change) in changes.iter() {
            match (self.get_mut(key), change) {
                (Some(Value::Document(own)), Value::Document(change)) => own.merge(change),
                _ => self.set(key, change.clone()),
            }
        }
    }

    fn write(&self, into: &mut Vec<u8>) {
        let start = open(into);
        for (key, value) in self.iter() {
            element(key, value, into);
        }
        close(start, into);
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_json().fmt(f)
    }
}

fn element(key: &str, value: &Value, into: &mut Vec<u8>) {
    into.push(value.code());
    into.extend(key.as_bytes());
    into.push(0);
    value.write(into);
}

/// Leaves room for the length of a document; tells where.
fn open(into: &mut Vec<u8>) -> usize {
    into.extend([0; 4]);
    into.len() - 4
}

fn close(start: usize, into: &mut Vec<u8>) {
    into.push(0);
    let len = length(into.len() - start);
    into[start..start + 4].copy_from_slice(&len);
}

/// Lengths are told in 31 bits. What is longer does not come from a file or a camera: it would not have been read.
fn length(bytes: usize) -> [u8; 4] {
    i32::try_from(bytes).unwrap_or(i32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A document of such elements.
    fn document(elements: &[u8]) -> Vec<u8> {
        [&(elements.len() as u32 + 5).to_le_bytes(), elements, &[0]].concat()
    }

    fn error(elements: &[u8]) -> String {
        Document::parse(&document(elements)).expect_err("it is damaged").to_string()
    }

    #[test]
    fn every_type_that_is_known_comes_out_as_it_went_in() {
        let bytes = document(
            &[
                b"\x01z\0\x18\x2d\x44\x54\xfb\x21\x09\x40".as_slice(),
                b"\x02s\0\x04\0\0\0a\0b\0",
                b"\x03d\0\x0c\0\0\0\x10x\0\xff\xff\xff\xff\0",
                b"\x04a\0\x0c\0\0\0\x080\0\x01\x0a1\0\0",
                b"\x05b\0\x03\0\0\0\x80\x01\x02\x03",
                b"\x11u\0\xff\xff\xff\xff\xff\xff\xff\xff",
                // A small number in 64 bits stays in 64 bits.
                b"\x12l\0\x05\0\0\0\0\0\0\0",
            ]
            .concat(),
        );
        let read = Document::parse(&bytes).unwrap();
        assert_eq!(read.to_bytes(), bytes);
        assert_eq!(
            read.to_string(),
            r#"{"a":[true,null],"b":{"bytes":[1,2,3],"subtype":128},"d":{"x":-1},"l":5,"s":"a\u0000b","u":18446744073709551615,"z":3.141592653589793}"#
        );
        assert_eq!(read.iter().map(|(key, _)| key).collect::<String>(), "zsdabul");
        assert_eq!(read.get("u").unwrap().as_integer(), None);
    }

    #[test]
    fn what_cannot_be_kept_is_refused_by_name() {
        assert_eq!(
            error(b"\x10a\0\x01\0\0\0\x07_id\0abcdefghijkl"),
            "`_id` at byte 11 of the BSON document has the type 0x07, which is not known here; it is left alone rather \
             than lost"
        );
        assert_eq!(error(b"\x0aa\0\x0aa\0"), "`a` is in the BSON document twice, again at byte 7");
        assert_eq!(
            error(b"\x08on\0\x02"),
            "`on` at byte 4 of the BSON document is neither false (0) nor true (1): found 2"
        );
        assert_eq!(
            error(b"\x04a\0\x08\0\0\0\x0a1\0\0"),
            "item 0 of an array at byte 11 of the BSON document is called `1`"
        );
        assert_eq!(error(b"\x0a\xff\0"), "a text at byte 5 of the BSON document is no UTF-8");
    }

    #[test]
    fn damage_has_a_place() {
        let whole = document(b"\x02s\0\x02\0\0\0a\0");
        for cut in 0..whole.len() {
            let error = Document::parse(&whole[..cut]).unwrap_err();
            assert!(matches!(error, BsonError::CutOff { .. }), "{cut}: {error}");
        }
        assert_eq!(
            Document::parse(&[&whole[..], b"xy"].concat()).unwrap_err(),
            BsonError::Trailing { at: whole.len(), extra: 2 }
        );
        assert_eq!(Document::parse(&[4, 0, 0, 0]).unwrap_err(), BsonError::Length { at: 0, found: 4 });
        assert_eq!(
            Document::parse(&[0xff; 9]).unwrap_err().to_string(),
            "the BSON document is damaged at byte 0: a length of -1 bytes cannot be there"
        );
        assert_eq!(
            error(b"\x02s\0\x02\0\0\0ab"),
            "the BSON document is damaged at byte 12: expected the zero at its end, found 0x62"
        );
        // An inner document that claims to end behind the outer one, and one that ends before its length.
        assert!(matches!(Document::parse(&document(b"\x03d\0\x09\0\0\0\0")), Err(BsonError::CutOff { .. })));
        assert_eq!(
            Document::parse(&document(b"\x03d\0\x06\0\0\0\0\0")).unwrap_err(),
            BsonError::Length { at: 7, found: 6 }
        );
    }

    #[test]
    fn nesting_ends_somewhere() {
        let nested =
            |depth: usize| (0..depth).fold(document(b""), |inner, _| document(&[b"\x03d\0", &inner[..]].concat()));
        assert!(Document::parse(&nested(MAX_DEPTH)).is_ok());
        assert!(matches!(Document::parse(&nested(MAX_DEPTH + 1)), Err(BsonError::TooDeep { .. })));
        assert!(matches!(Document::parse(&nested(20_000)), Err(BsonError::TooDeep { .. })));
    }

    #[test]
    fn merging_changes_what_is_named_and_nothing_else() {
        let json = |text: &str| match Value::from_json(&serde_json::from_str(text).unwrap()) {
            Ok(Value::Document(document)) => document,
            other => panic!("{other:?}"),
        };
        let mut own = json(r#"{"a": 1, "n": {"x": {"deep": 1}, "y": [1, 2], "host": "cam"}, "z": 3000000000}"#);
        own.merge(&json(r#"{"n": {"x": {"deeper": 2}, "y": [3]}, "b": {"new": true}, "a": null}"#));
        assert_eq!(
            own,
            json(
                r#"{"a": null, "b": {"new": true}, "n": {"x": {"deep": 1, "deeper": 2}, "y": [3], "host": "cam"}, "z": 3000000000}"#
            )
        );
        assert_eq!(own.get("z"), Some(&Value::Int64(3_000_000_000)));
        // A new key goes where sorting puts it, and unsorted ones stay where they are.
        let mut odd = Document::parse(&document(b"\x0ab\0\x0aa\0")).unwrap();
        odd.set("c", Value::Null);
        odd.set("a", Value::Bool(true));
        assert_eq!(odd.iter().map(|(key, _)| key).collect::<String>(), "bac");
        assert_eq!((odd.remove("b"), odd.remove("b")), (Some(Value::Null), None));
        let zero = serde_json::from_str(r#"{"a\u0000b": 1}"#).unwrap();
        assert_eq!(Value::from_json(&zero), Err(BsonError::ZeroInName { key: "a\0b".to_owned() }));
    }
}
