//! Reads values in CDR, the encoding of messages of ROS 2.

/// Bytes of the encapsulation header, after which alignment is counted.
const HEAD_BYTES: usize = 4;

/// Reads the values of one message, in order. Each method returns `None` where the message ends too early.
#[derive(Debug)]
pub(super) struct CdrReader<'a> {
    data: &'a [u8],
    at: usize,
    little_endian: bool,
}

impl<'a> CdrReader<'a> {
    /// Starts after the encapsulation header.
    pub(super) fn new(message: &'a [u8]) -> Option<Self> {
        let (head, data) = message.split_at_checked(HEAD_BYTES)?;
        // The lowest bit of the second byte is the byte order in every version of the encoding.
        Some(Self { data, at: 0, little_endian: head[1] & 1 == 1 })
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        let value = *self.data.get(self.at)?;
        self.at += 1;
        Some(value)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        let at = self.at.next_multiple_of(size_of::<u32>());
        let bytes = *self.data.get(at..)?.first_chunk()?;
        self.at = at + size_of::<u32>();
        Some(if self.little_endian { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    /// A sequence of bytes.
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()? as usize;
        let bytes = self.data.get(self.at..)?.get(..len)?;
        self.at += len;
        Some(bytes)
    }

    /// A text, whose length counts a final zero byte.
    pub(super) fn text(&mut self) -> Option<String> {
        let bytes = self.bytes()?;
        Some(String::from_utf8_lossy(bytes.strip_suffix(&[0]).unwrap_or(bytes)).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_aligned_and_in_either_byte_order() {
        let little = b"\x00\x01\0\0\x03\0\0\0ab\0\x07\x05\0\0\0";
        let mut cdr = CdrReader::new(little).expect("a head");
        assert_eq!((cdr.text().as_deref(), cdr.u8(), cdr.u32(), cdr.u32()), (Some("ab"), Some(7), Some(5), None));
        let big = b"\x00\x00\0\0\0\0\0\x02a\0\xff\xff\0\0\0\x05";
        let mut cdr = CdrReader::new(big).expect("a head");
        assert_eq!((cdr.text().as_deref(), cdr.u32(), cdr.u8()), (Some("a"), Some(5), None));
        for len in 0..little.len() {
            let mut cdr = CdrReader::new(&little[..len]);
            assert!(cdr.as_mut().is_none_or(|cdr| cdr.text().is_none() || cdr.u8().is_none() || cdr.u32().is_none()));
        }
    }
}
