//! BSON, the format of the bootloader's configuration (bootloader.md 4).
//!
//! A [`BsonDocument`] keeps the order of the elements and the widths of the numbers, so that unknown elements survive and the
//! same bytes are written again. An element that cannot be kept is an error: reading and writing back a configuration
//! never drops one.

mod error;
mod read;
mod value;

pub use error::BsonError;
pub use value::{BsonDocument, BsonValue};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{EncodingError, NESTING_MAX};

    /// Returns the bytes of a document with these encoded elements.
    fn document(elements: &[u8]) -> Vec<u8> {
        [&(elements.len() as u32 + 5).to_le_bytes(), elements, &[0]].concat()
    }

    fn error(elements: &[u8]) -> String {
        BsonDocument::parse(&document(elements)).expect_err("the document is damaged").to_string()
    }

    #[test]
    fn every_supported_type_round_trips() {
        let bytes = document(
            &[
                b"\x01z\0\x18\x2d\x44\x54\xfb\x21\x09\x40".as_slice(),
                b"\x02s\0\x04\0\0\0a\0b\0",
                b"\x03d\0\x0c\0\0\0\x10x\0\xff\xff\xff\xff\0",
                b"\x04a\0\x0c\0\0\0\x080\0\x01\x0a1\0\0",
                b"\x05b\0\x03\0\0\0\x80\x01\x02\x03",
                b"\x11u\0\xff\xff\xff\xff\xff\xff\xff\xff",
                // A small 64-bit number must keep its 64 bits.
                b"\x12l\0\x05\0\0\0\0\0\0\0",
            ]
            .concat(),
        );
        let read = BsonDocument::parse(&bytes).unwrap();
        assert_eq!(read.to_bytes(), bytes);
        assert_eq!(
            read.to_string(),
            r#"{"a":[true,null],"b":{"bytes":[1,2,3],"subtype":128},"d":{"x":-1},"l":5,"s":"a\u0000b","u":18446744073709551615,"z":3.141592653589793}"#
        );
        assert_eq!(read.iter().map(|(key, _)| key).collect::<String>(), "zsdabul");
        assert_eq!(read.get("u").unwrap().as_integer(), None);
    }

    #[test]
    fn unsupported_elements_are_rejected_with_their_key() {
        assert_eq!(
            error(b"\x10a\0\x01\0\0\0\x07_id\0abcdefghijkl"),
            "`_id` at byte 11 of the BSON document has unsupported type 0x07 and would be lost by writing the document back"
        );
        assert_eq!(error(b"\x0aa\0\x0aa\0"), "`a` occurs twice in the BSON document, again at byte 7");
        assert_eq!(
            error(b"\x08on\0\x02"),
            "`on` at byte 4 of the BSON document is not a boolean: expected 0 or 1, found 2"
        );
        assert_eq!(
            error(b"\x04a\0\x08\0\0\0\x0a1\0\0"),
            "the array item at byte 11 of the BSON document has the key `1`, expected `0`"
        );
        assert_eq!(error(b"\x0a\xff\0"), "the string at byte 5 of the BSON document is not UTF-8");
    }

    #[test]
    fn damage_is_reported_with_its_offset() {
        let whole = document(b"\x02s\0\x02\0\0\0a\0");
        for cut in 0..whole.len() {
            let error = BsonDocument::parse(&whole[..cut]).unwrap_err();
            assert!(matches!(error, BsonError::Encoding(EncodingError::CutOff { .. })), "{cut}: {error}");
        }
        assert_eq!(
            BsonDocument::parse(&[&whole[..], b"xy"].concat()).unwrap_err(),
            EncodingError::Trailing { at: whole.len(), extra: 2 }.into()
        );
        assert_eq!(BsonDocument::parse(&[4, 0, 0, 0]).unwrap_err(), BsonError::Length { at: 0, found: 4 });
        assert_eq!(
            BsonDocument::parse(&[0xff; 9]).unwrap_err().to_string(),
            "the BSON document is damaged at byte 0: invalid length of -1 bytes"
        );
        assert_eq!(
            error(b"\x02s\0\x02\0\0\0ab"),
            "the BSON document is damaged at byte 12: expected a terminating zero, found 0x62"
        );
        // An inner document whose length exceeds the outer one, and one that ends before its length.
        assert!(matches!(
            BsonDocument::parse(&document(b"\x03d\0\x09\0\0\0\0")),
            Err(BsonError::Encoding(EncodingError::CutOff { .. }))
        ));
        assert_eq!(
            BsonDocument::parse(&document(b"\x03d\0\x06\0\0\0\0\0")).unwrap_err(),
            BsonError::Length { at: 7, found: 6 }
        );
    }

    #[test]
    fn deep_nesting_is_rejected() {
        let nested =
            |depth: usize| (0..depth).fold(document(b""), |inner, _| document(&[b"\x03d\0", &inner[..]].concat()));
        assert!(BsonDocument::parse(&nested(NESTING_MAX)).is_ok());
        assert!(matches!(
            BsonDocument::parse(&nested(NESTING_MAX + 1)),
            Err(BsonError::Encoding(EncodingError::TooDeep { .. }))
        ));
        assert!(matches!(
            BsonDocument::parse(&nested(20_000)),
            Err(BsonError::Encoding(EncodingError::TooDeep { .. }))
        ));
    }

    #[test]
    fn merge_changes_named_keys_only() {
        let json = |text: &str| match BsonValue::from_json(&serde_json::from_str(text).unwrap()) {
            Ok(BsonValue::Document(document)) => document,
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
        assert_eq!(own.get("z"), Some(&BsonValue::Int64(3_000_000_000)));
        // A new key is inserted in sorted order, and existing keys keep their order.
        let mut odd = BsonDocument::parse(&document(b"\x0ab\0\x0aa\0")).unwrap();
        odd.set("c", BsonValue::Null);
        odd.set("a", BsonValue::Bool(true));
        assert_eq!(odd.iter().map(|(key, _)| key).collect::<String>(), "bac");
        assert_eq!((odd.remove("b"), odd.remove("b")), (Some(BsonValue::Null), None));
        let zero = serde_json::from_str(r#"{"a\u0000b": 1}"#).unwrap();
        assert_eq!(BsonValue::from_json(&zero), Err(BsonError::ZeroInName { key: "a\0b".to_owned() }));
    }
}
