//! Kind of a published message, by its content: MQTT 3.1.1 has no content type.

use crate::wire::content::Content;

/// Kind of a published message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Payload {
    /// Nothing: the publisher clears a retained message.
    Empty,
    /// A picture without a header: JPEG, PNG, video or raw pixels.
    Picture,
    /// A message as over TCP.
    Message,
    /// The detections of the next picture: a JSON list.
    Detections,
    /// A decimal number, as the official example sends it.
    Number(f64),
    /// Text with another meaning, such as the state of a device.
    Text,
}

impl Payload {
    pub(super) fn of(payload: &[u8]) -> Self {
        match Content::of(payload) {
            Content::Empty => Self::Empty,
            Content::Jpeg | Content::Png | Content::Binary => Self::Picture,
            Content::Message => Self::Message,
            Content::List => Self::Detections,
            Content::Number(number) => Self::Number(number),
            // Some programs publish text that begins with `@`.
            Content::Records | Content::Object | Content::Text => Self::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_recognized() {
        for (payload, kind) in [
            (&b""[..], Payload::Empty),
            (b"\xff\xd8\xff\xe0", Payload::Picture),
            (b"\x89PNG\r\n\x1a\n", Payload::Picture),
            (b"\0\0\0\x01\x67", Payload::Picture),
            (b"IMG 1.0 3 0                     BGR", Payload::Message),
            (b"@home is where the cameras are...", Payload::Text),
            (b" [] ", Payload::Detections),
            (b"1.97\n", Payload::Number(1.97)),
            (b"{\"state\":1}", Payload::Text),
            (b"online", Payload::Text),
        ] {
            assert_eq!(Payload::of(payload), kind, "{}", payload.escape_ascii());
        }
    }
}
