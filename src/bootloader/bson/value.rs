//! Values and documents, and how they are written.

use std::fmt;

use super::error::BsonError;
use crate::error::{EncodingError, NESTING_MAX};

/// The value of an element. The docs of the variants give the type byte.
#[derive(Clone, Debug, PartialEq)]
pub enum BsonValue {
    /// 0x01.
    Double(f64),
    /// 0x02.
    String(String),
    /// 0x03.
    Document(BsonDocument),
    /// 0x04.
    Array(Vec<Self>),
    /// 0x05: subtype and bytes.
    Binary(u8, Vec<u8>),
    /// 0x08.
    Bool(bool),
    /// 0x0a.
    Null,
    /// 0x10.
    Int32(i32),
    /// 0x11: a timestamp in MongoDB, a number in the vendor's library.
    Unsigned64(u64),
    /// 0x12.
    Int64(i64),
}

impl BsonValue {
    /// Returns the value of an integer of any width. `None` for other types and above `i64::MAX`.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Int32(number) => Some(i64::from(*number)),
            Self::Int64(number) => Some(*number),
            Self::Unsigned64(number) => i64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// Returns the type with its article, for error messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Double(_) => "a floating-point number",
            Self::String(_) => "a string",
            Self::Document(_) => "an object",
            Self::Array(_) => "an array",
            Self::Binary(..) => "bytes",
            Self::Bool(_) => "a boolean",
            Self::Null => "null",
            Self::Int32(_) | Self::Unsigned64(_) | Self::Int64(_) => "a number",
        }
    }

    /// Converts to JSON, with loss: binary becomes an object with `bytes` and `subtype`, numbers lose their width, NaN and
    /// infinity become null.
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

    /// Converts from JSON like the vendor's tool: keys are sorted, integers use 32 bits where they fit.
    ///
    /// # Errors
    /// [`EncodingError::TooDeep`] and [`BsonError::ZeroInName`].
    pub fn from_json(value: &serde_json::Value) -> Result<Self, BsonError> {
        Self::from_nested_json(value, 0)
    }

    fn from_nested_json(value: &serde_json::Value, depth: usize) -> Result<Self, BsonError> {
        // Only containers count as a level, like in `read.rs`.
        if depth > NESTING_MAX && (value.is_array() || value.is_object()) {
            return Err(EncodingError::TooDeep { at: 0 }.into());
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
                let mut document = BsonDocument::default();
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

/// Uses 32 bits if the number fits, like the vendor's library (bootloader.md 4).
impl From<i64> for BsonValue {
    fn from(number: i64) -> Self {
        i32::try_from(number).map_or(Self::Int64(number), Self::Int32)
    }
}

impl From<u32> for BsonValue {
    fn from(number: u32) -> Self {
        i64::from(number).into()
    }
}

impl From<bool> for BsonValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// Elements in their written order. Keys are unique and have no zero bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BsonDocument {
    pub(super) elements: Vec<(String, BsonValue)>,
}

impl BsonDocument {
    /// Returns the encoded document.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    /// Converts to JSON; see [`BsonValue::to_json`].
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.elements.iter().map(|(key, value)| (key.clone(), value.to_json())).collect()
    }

    /// Returns the elements in their written order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &BsonValue)> {
        self.elements.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Returns whether the document has no elements.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Returns the value of this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&BsonValue> {
        self.elements.iter().find(|(own, _)| own == key).map(|(_, value)| value)
    }

    /// Returns the value of this key for modification.
    #[must_use]
    pub fn get_mut(&mut self, key: &str) -> Option<&mut BsonValue> {
        self.elements.iter_mut().find(|(own, _)| own == key).map(|(_, value)| value)
    }

    /// Sets one element and keeps the order of all others. A new element is inserted before the first greater key, because
    /// the vendor's tool sorts keys. `key` is truncated at its first zero byte, which BSON cannot represent.
    pub fn set(&mut self, key: &str, value: BsonValue) {
        let key = key.split('\0').next().unwrap_or_default();
        match self.get_mut(key) {
            Some(own) => *own = value,
            None => {
                let at = self.elements.iter().position(|(own, _)| own.as_str() > key).unwrap_or(self.elements.len());
                self.elements.insert(at, (key.to_owned(), value));
            }
        }
    }

    /// Removes an element and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<BsonValue> {
        let at = self.elements.iter().position(|(own, _)| own == key)?;
        Some(self.elements.remove(at).1)
    }

    /// Sets every element of `changes`, recursively in nested documents. All other elements are kept.
    pub fn merge(&mut self, changes: &Self) {
        for (key, change) in changes.iter() {
            match (self.get_mut(key), change) {
                (Some(BsonValue::Document(own)), BsonValue::Document(change)) => own.merge(change),
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

impl fmt::Display for BsonDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_json().fmt(f)
    }
}

fn element(key: &str, value: &BsonValue, into: &mut Vec<u8>) {
    into.push(value.code());
    into.extend(key.as_bytes());
    into.push(0);
    value.write(into);
}

/// Reserves the length of a document and returns its position.
fn open(into: &mut Vec<u8>) -> usize {
    into.extend([0; 4]);
    into.len() - 4
}

fn close(start: usize, into: &mut Vec<u8>) {
    into.push(0);
    let len = length(into.len() - start);
    into[start..start + 4].copy_from_slice(&len);
}

/// Encodes a length. Lengths have 31 bits; a longer document cannot occur, because reading it would have failed.
fn length(bytes: usize) -> [u8; 4] {
    i32::try_from(bytes).unwrap_or(i32::MAX).to_le_bytes()
}
