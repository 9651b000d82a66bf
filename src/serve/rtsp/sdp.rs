//! Session descriptions (RFC 8866), with the parameters of RFC 6184 and 7798.

use std::fmt::Write as _;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sdp_types::{Attribute, Connection, Media as Track, Origin, Session, Time};

use super::name::TRACK;
use crate::frame::{PayloadKind, nal_units};
use crate::serve::feed::Media;

/// Payload type of video, out of the dynamic ones.
const DYNAMIC: u8 = 96;

/// Static payload type of JPEG (RFC 3551).
const JPEG: u8 = 26;

/// Returns the payload type of a kind of media.
pub(super) const fn payload_type(kind: PayloadKind) -> u8 {
    match kind {
        PayloadKind::Jpeg => JPEG,
        PayloadKind::H264 | PayloadKind::H265 | PayloadKind::Raw => DYNAMIC,
    }
}

/// Describes a camera. `server` is the address that the player has connected to.
pub(super) fn describe(name: &str, media: &Media, server: IpAddr) -> Vec<u8> {
    let address_type = if server.is_ipv4() { "IP4" } else { "IP6" };
    let attribute = |name: &str, value: String| Attribute { attribute: name.to_owned(), value: Some(value) };
    let payload_type = payload_type(media.kind);
    let mut attributes = vec![attribute("rtpmap", format!("{payload_type} {}/90000", encoding(media.kind)))];
    if let Some(parameters) = parameters(media) {
        attributes.push(attribute("fmtp", format!("{payload_type} {parameters}")));
    }
    attributes.push(attribute("control", TRACK.to_owned()));
    let any = if server.is_ipv4() { "0.0.0.0" } else { "::" };
    let session = Session {
        origin: Origin {
            username: None,
            sess_id: "0".to_owned(),
            sess_version: 0,
            nettype: "IN".into(),
            addrtype: address_type.into(),
            unicast_address: server.to_string(),
        },
        session_name: name.to_owned(),
        session_description: media
            .encoded
            .as_ref()
            .map(|why| format!("H.264 encoded by oaktap: RTSP does not carry {why}")),
        uri: None,
        emails: Vec::new(),
        phones: Vec::new(),
        connection: Some(Connection {
            nettype: "IN".into(),
            addrtype: address_type.into(),
            connection_address: any.to_owned(),
        }),
        bandwidths: Vec::new(),
        times: vec![Time { start_time: 0, stop_time: 0, repeats: Vec::new() }],
        time_zones: Vec::new(),
        key: None,
        attributes: vec![attribute("tool", "oaktap".to_owned()), attribute("control", "*".to_owned())],
        medias: vec![Track {
            media: "video".to_owned(),
            port: 0,
            num_ports: None,
            proto: "RTP/AVP".to_owned(),
            fmt: payload_type.to_string(),
            media_title: None,
            connections: Vec::new(),
            bandwidths: Vec::new(),
            key: None,
            attributes,
        }],
    };
    let mut text = Vec::new();
    // Writing into a `Vec` cannot fail.
    let _ = session.write(&mut text);
    text
}

const fn encoding(kind: PayloadKind) -> &'static str {
    match kind {
        PayloadKind::H265 => "H265",
        PayloadKind::Jpeg => "JPEG",
        PayloadKind::H264 | PayloadKind::Raw => "H264",
    }
}

fn parameters(media: &Media) -> Option<String> {
    let sets: Vec<&[u8]> = nal_units(&media.sets).collect();
    let of_type = |wanted: u8| {
        let kind = |set: &[u8]| if media.kind == PayloadKind::H265 { set[0] >> 1 & 0x3f } else { set[0] & 0x1f };
        let encoded: Vec<_> = sets.iter().filter(|set| kind(set) == wanted).map(|set| STANDARD.encode(set)).collect();
        encoded.join(",")
    };
    match media.kind {
        PayloadKind::H264 => {
            let mut text = "packetization-mode=1".to_owned();
            if let Some([profile, constraints, level]) = media.h264_profile() {
                // Writing into a `String` cannot fail.
                let _ = write!(text, ";profile-level-id={profile:02X}{constraints:02X}{level:02X}");
            }
            let (sequence, picture) = (of_type(7), of_type(8));
            if !sequence.is_empty() && !picture.is_empty() {
                let _ = write!(text, ";sprop-parameter-sets={sequence},{picture}");
            }
            Some(text)
        }
        PayloadKind::H265 => {
            Some(format!("sprop-vps={};sprop-sps={};sprop-pps={}", of_type(32), of_type(33), of_type(34)))
        }
        PayloadKind::Raw | PayloadKind::Jpeg => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(kind: PayloadKind, sets: &[u8]) -> String {
        let media = Media { kind, sets: sets.into(), encoded: None };
        String::from_utf8(describe("front\r\na=x", &media, "127.0.0.1".parse().expect("an address"))).expect("text")
    }

    #[test]
    fn video_is_described_with_its_parameter_sets() {
        let text = described(PayloadKind::H264, &[0, 0, 0, 1, 0x67, 66, 0xc0, 30, 9, 0, 0, 0, 1, 0x68, 0xce]);
        let line = "a=fmtp:96 packetization-mode=1;profile-level-id=42C01E;sprop-parameter-sets=Z0LAHgk=,aM4=\r\n";
        assert!(text.contains(line) && text.contains("a=rtpmap:96 H264/90000\r\n"), "{text}");
        assert!(text.contains("s=fronta=x\r\n"), "a name stays in its line: {text}");
        sdp_types::Session::parse(text.as_bytes()).expect("valid");
        let text = described(PayloadKind::H265, &[0, 0, 1, 0x40, 1, 0, 0, 1, 0x42, 1, 0, 0, 1, 0x44, 1]);
        assert!(text.contains("a=fmtp:96 sprop-vps=QAE=;sprop-sps=QgE=;sprop-pps=RAE=\r\n"), "{text}");
    }
}
