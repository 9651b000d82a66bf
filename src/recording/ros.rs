//! Images of ROS 2, and the encoding of its messages: CDR, version 1 (OMG CORBA 3.4, part 2, section 9.3).
//!
//! Decodes recordings of ROS 2 and, with the feature `zenoh`, encodes the messages that are published.

use std::borrow::Cow;
use std::fmt;

use byteorder::{BigEndian, LittleEndian};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// Bytes of the encapsulation header, after which alignment is counted.
const HEAD_BYTES: usize = 4;

/// Encapsulation header of little-endian CDR.
#[cfg(feature = "zenoh")]
const LITTLE_ENDIAN_HEAD: [u8; HEAD_BYTES] = [0, 1, 0, 0];

/// Decodes a message in either byte order. Bytes after it are ignored. Returns `None` if it ends too early.
pub(crate) fn decode<'a, T: Deserialize<'a>>(message: &'a [u8]) -> Option<T> {
    let (head, data) = message.split_at_checked(HEAD_BYTES)?;
    // The lowest bit of the second byte is the byte order in every version of the encoding.
    let decoded = match head[1] & 1 {
        1 => cdr_encoding::from_bytes::<T, LittleEndian>(data),
        _ => cdr_encoding::from_bytes::<T, BigEndian>(data),
    };
    decoded.ok().map(|(value, _)| value)
}

/// Encodes a message in little-endian byte order. `data_len`: about the bytes of its data.
#[cfg(feature = "zenoh")]
pub(crate) fn encode<T: Serialize>(message: &T, data_len: usize) -> Vec<u8> {
    /// More than the fields beside the data have.
    const FIELDS_BYTES: usize = 256;
    let mut bytes = Vec::with_capacity(HEAD_BYTES + FIELDS_BYTES + data_len);
    bytes.extend_from_slice(&LITTLE_ENDIAN_HEAD);
    // Fails for maps and sequences of unknown length only, which no message of ROS has. Writing into a `Vec` cannot fail.
    let encoded = cdr_encoding::to_writer::<T, LittleEndian, _>(&mut bytes, message);
    debug_assert!(encoded.is_ok(), "{encoded:?}");
    bytes
}

/// A text. Reading it replaces bytes that are not UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Its length counts a final zero byte.
        let bytes = <&[u8]>::deserialize(deserializer)?;
        Ok(Self(String::from_utf8_lossy(bytes.strip_suffix(&[0]).unwrap_or(bytes))))
    }
}

/// A sequence of bytes. Without this type, serde would write slices byte by byte.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl fmt::Debug for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Self)
    }
}

/// `builtin_interfaces/msg/Time`: time since 1970, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Time {
    pub(crate) sec: i32,
    pub(crate) nanosec: u32,
}

impl Time {
    const SECOND_NS: i64 = 1_000_000_000;

    /// Takes nanoseconds since 1970, UTC.
    #[cfg(feature = "zenoh")]
    pub(crate) fn from_unix_ns(ns: i64) -> Self {
        // The field overflows in 2038.
        let sec = ns.div_euclid(Self::SECOND_NS).clamp(i32::MIN.into(), i32::MAX.into());
        Self { sec: sec as i32, nanosec: ns.rem_euclid(Self::SECOND_NS) as u32 }
    }

    /// Returns nanoseconds since 1970, UTC.
    pub(crate) fn unix_ns(self) -> i64 {
        i64::from(self.sec) * Self::SECOND_NS + i64::from(self.nanosec)
    }
}

/// `std_msgs/msg/Header`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Header<'a> {
    pub(crate) stamp: Time,
    #[serde(borrow)]
    pub(crate) frame_id: Text<'a>,
}

/// `sensor_msgs/msg/CompressedImage`.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct CompressedImage<'a> {
    #[serde(borrow)]
    pub(crate) header: Header<'a>,
    #[serde(borrow)]
    pub(crate) format: Text<'a>,
    #[serde(borrow)]
    pub(crate) data: Bytes<'a>,
}

/// `sensor_msgs/msg/Image`.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Image<'a> {
    #[serde(borrow)]
    pub(crate) header: Header<'a>,
    pub(crate) height: u32,
    pub(crate) width: u32,
    #[serde(borrow)]
    pub(crate) encoding: Text<'a>,
    /// 1: samples of several bytes are big-endian.
    pub(crate) is_bigendian: u8,
    /// Bytes from one row to the next.
    pub(crate) step: u32,
    #[serde(borrow)]
    pub(crate) data: Bytes<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image of three bytes, in little-endian and in big-endian byte order.
    fn images() -> [Vec<u8>; 2] {
        let le = |value: u32| value.to_le_bytes();
        let be = |value: u32| value.to_be_bytes();
        let image = |head: &[u8], number: &dyn Fn(u32) -> [u8; 4]| {
            let mut bytes = head.to_vec();
            // The header, and zero bytes up to the next multiple of 4.
            bytes.extend([number(7), number(9), number(3)].concat());
            bytes.extend(b"ab\0\0");
            bytes.extend([number(1), number(3), number(6)].concat());
            bytes.extend(b"mono8\0\x01\0");
            bytes.extend([number(3), number(3)].concat());
            bytes.extend(b"xyz");
            bytes
        };
        [image(&[0, 1, 0, 0], &le), image(&[0, 0, 0, 0], &be)]
    }

    #[test]
    fn values_are_aligned_and_in_either_byte_order() {
        for bytes in images() {
            let image: Image<'_> = decode(&bytes).expect("an image");
            let Image { header, height, width, encoding, is_bigendian, step, data } = image;
            assert_eq!((header.stamp.unix_ns(), &*header.frame_id.0), (7_000_000_009, "ab"));
            assert_eq!((height, width, &*encoding.0, is_bigendian, step), (1, 3, "mono8", 1, 3));
            assert_eq!(data.0, b"xyz");
            for len in 0..bytes.len() {
                assert_eq!(decode::<Image<'_>>(&bytes[..len]), None, "{len}");
            }
            let longer = [&bytes[..], b"more"].concat();
            assert!(decode::<Image<'_>>(&longer).is_some());
        }
    }

    #[test]
    fn texts_that_are_not_utf8_or_not_terminated_are_read() {
        let read = |text: &[u8]| {
            let bytes = [&[0, 1, 0, 0][..], &(text.len() as u32).to_le_bytes(), text].concat();
            decode::<Text<'_>>(&bytes).expect("a text").0.into_owned()
        };
        assert_eq!((read(b"cam\0"), read(b"cam"), read(b"")), ("cam".to_owned(), "cam".to_owned(), String::new()));
        assert_eq!(read(b"T\xfcr\0"), "T\u{fffd}r");
    }

    #[cfg(feature = "zenoh")]
    #[test]
    fn an_image_that_was_read_is_written_with_the_same_bytes() {
        let [bytes, _] = images();
        let image: Image<'_> = decode(&bytes).expect("an image");
        assert_eq!(encode(&image, image.data.0.len()), bytes);
    }

    #[cfg(feature = "zenoh")]
    #[test]
    fn times_before_1970_and_after_2038_have_a_fraction_of_a_second() {
        let time = |ns| Time::from_unix_ns(ns);
        assert_eq!(time(1_700_000_000_123_456_789), Time { sec: 1_700_000_000, nanosec: 123_456_789 });
        assert_eq!(time(-1), Time { sec: -1, nanosec: 999_999_999 });
        assert_eq!(time(i64::MAX).sec, i32::MAX);
        assert_eq!(time(-1).unix_ns(), -1);
    }
}
