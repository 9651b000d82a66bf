//! Requests of RTSP: no bytes panic, pieces are found the same at every split, and packets go to the player's address only.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The files alone: the feature that has them needs most of the dependencies.
#[path = "../../../src/serve/rtsp/message.rs"]
mod message;
#[path = "../../../src/serve/rtsp/transport.rs"]
mod transport;

use message::{BadMessage, MAX_REQUEST_BYTES, Piece, parse};

/// Parses bytes that arrive in parts of `step`, as a connection does: the pieces, and the reason for its end.
fn pieces(bytes: &[u8], step: usize) -> (Vec<Piece>, Option<BadMessage>) {
    let (mut found, mut held, mut skip) = (Vec::new(), Vec::new(), 0);
    for part in bytes.chunks(step) {
        held.extend_from_slice(part);
        loop {
            let skipped = held.len().min(skip);
            held.drain(..skipped);
            skip -= skipped;
            match parse(&held) {
                Ok(Some((piece, len))) => {
                    assert!(len > 0 && len <= held.len());
                    held.drain(..len);
                    if let Piece::Packet { len, .. } = &piece {
                        skip = *len;
                    }
                    // Line breaks may arrive in several parts.
                    if piece != Piece::Nothing {
                        found.push(piece);
                    }
                }
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
        assert!(held.len() < MAX_REQUEST_BYTES);
    }
    (found, None)
}

fuzz_target!(|input: &[u8]| {
    let Some((&step, bytes)) = input.split_first() else { return };
    let (whole, whole_end) = pieces(bytes, usize::from(step) + 1);
    let (parts, end) = pieces(bytes, 1);
    assert_eq!((&whole, whole_end.is_some()), (&parts, end.is_some()));
    let peer = std::net::IpAddr::from([192, 168, 1, 5]);
    for piece in &whole {
        let Piece::Request(request) = piece else { continue };
        assert!(request.path().len() <= request.without_query().len() && !request.method.is_empty());
        if !request.is_supported() {
            continue;
        }
        // Values appear in answers.
        let values = ["CSeq", "Session", "Transport"].map(|name| request.header(name).unwrap_or_default());
        assert!(!request.url.contains(['\r', '\n']) && !values.iter().any(|value| value.contains(['\r', '\n'])));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let elsewhere = format!("RTP/AVP;{text};destination=192.168.1.6;client_port=6-7");
    assert!(text.contains(',') || transport::supported(&elsewhere, peer).is_none());
    match transport::supported(text, peer) {
        Some(transport::Transport::Udp { rtp, rtcp }) => assert!(rtp > 0 && rtp != rtcp),
        Some(transport::Transport::Interleaved { rtp, rtcp }) => assert_ne!(rtp, rtcp),
        None => {}
    }
});
