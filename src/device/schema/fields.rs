//! Members of a structure, converted to the expected types.

use std::borrow::Cow;

use super::{SchemaError, Value};

/// The members of a structure. `what` names it in errors.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    what: Cow<'static, str>,
    members: Vec<Value<'a>>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(what: impl Into<Cow<'static, str>>, value: Value<'a>) -> Result<Self, SchemaError> {
        let what = what.into();
        match value {
            Value::Structure(members) => Ok(Self { what, members }),
            other => Field { what, member: 0, value: other }.wrong("a structure"),
        }
    }

    /// Returns all members. Fails if there are not exactly `N`.
    pub(super) fn exactly<const N: usize>(self) -> Result<[Field<'a>; N], SchemaError> {
        let Self { what, members } = self;
        let found = members.len();
        let field = |(member, value)| Field { what: what.clone(), member, value };
        let fields: Vec<_> = (1..).zip(members).map(field).collect();
        fields.try_into().map_err(|_| SchemaError::Members { what: what.into_owned(), expected: N, found })
    }
}

/// A member, numbered from 1.
#[derive(Debug)]
pub(super) struct Field<'a> {
    what: Cow<'static, str>,
    member: usize,
    pub(super) value: Value<'a>,
}

impl<'a> Field<'a> {
    pub(super) fn array(self) -> Result<impl Iterator<Item = Field<'a>>, SchemaError> {
        let Self { what, member, value } = self;
        match value {
            Value::Array(items) => Ok(items.into_iter().map(move |value| Field { what: what.clone(), member, value })),
            value => Field { what, member, value }.wrong("an array"),
        }
    }

    pub(super) fn map(self) -> Result<impl Iterator<Item = (Field<'a>, Field<'a>)>, SchemaError> {
        let Self { what, member, value } = self;
        let field = move |value| Field { what: what.clone(), member, value };
        match value {
            Value::Map(pairs) => Ok(pairs.into_iter().map(move |(key, value)| (field(key), field(value)))),
            value => field(value).wrong("a map"),
        }
    }

    pub(super) fn integer(self) -> Result<i64, SchemaError> {
        self.value.as_integer().map_or_else(|| self.wrong("a number"), Ok)
    }

    pub(super) fn natural(self) -> Result<u64, SchemaError> {
        match self.value {
            Value::Unsigned(number) => Ok(number),
            _ => self.wrong("a number without a sign"),
        }
    }

    pub(super) fn boolean(self) -> Result<bool, SchemaError> {
        match self.value {
            Value::Unsigned(number @ 0..=1) => Ok(number == 1),
            _ => self.wrong("a boolean"),
        }
    }

    pub(super) fn text(self) -> Result<String, SchemaError> {
        self.value.as_text().map_or_else(|| self.wrong("a text"), |text| Ok(text.into_owned()))
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], SchemaError> {
        match self.value {
            Value::Binary(bytes) => Ok(bytes),
            _ => self.wrong("bytes"),
        }
    }

    fn wrong<T>(&self, expected: &'static str) -> Result<T, SchemaError> {
        let (what, found) = (self.what.to_string(), self.value.kind());
        Err(SchemaError::Kind { what, member: self.member, expected, found })
    }
}
