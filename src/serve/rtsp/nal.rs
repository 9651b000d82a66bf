//! Units of H.264 and H.265 as RTP payloads (RFC 6184, packetization mode 1; RFC 7798).

use super::packet::{MAX_PAYLOAD, Packets};
use crate::frame::{PayloadKind, nal_units};

/// Type of a fragment of H.264 (FU-A).
const H264_FRAGMENT: u8 = 28;

/// Type of a fragment of H.265 (FU).
const H265_FRAGMENT: u8 = 49;

/// Appends the packets of one access unit. `sets` are sent before it.
pub(super) fn packetize(kind: PayloadKind, sets: &[u8], stream: &[u8], packets: &mut Packets<'_>) {
    let mut units = nal_units(sets).chain(nal_units(stream)).peekable();
    while let Some(unit) = units.next() {
        let is_last = units.peek().is_none();
        if unit.len() <= MAX_PAYLOAD {
            packets.push(&[], unit, is_last);
        } else if kind == PayloadKind::H265 {
            // A unit of this length has the two bytes of its header.
            let (header, body) = unit.split_at(2);
            let kind = header[0] >> 1 & 0x3f;
            let indicator = [header[0] & 0x81 | H265_FRAGMENT << 1, header[1]];
            fragments(body, MAX_PAYLOAD - 3, |edges, part, ends| {
                packets.push(&[indicator[0], indicator[1], edges | kind], part, ends && is_last);
            });
        } else {
            let (header, body) = unit.split_at(1);
            let (indicator, kind) = (header[0] & 0xe0 | H264_FRAGMENT, header[0] & 0x1f);
            fragments(body, MAX_PAYLOAD - 2, |edges, part, ends| {
                packets.push(&[indicator, edges | kind], part, ends && is_last);
            });
        }
    }
}

/// Calls `each` with the bits for start and end, a part of the body, and whether it is the last one.
fn fragments(body: &[u8], len: usize, mut each: impl FnMut(u8, &[u8], bool)) {
    let last = body.len().div_ceil(len) - 1;
    for (number, part) in body.chunks(len).enumerate() {
        let (starts, ends) = (number == 0, number == last);
        each(u8::from(starts) << 7 | u8::from(ends) << 6, part, ends);
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::{Rtp, tests::split};
    use super::*;

    /// Joins packets to units again, as RFC 6184 (5.8) and RFC 7798 (4.4.3) demand.
    fn joined(kind: PayloadKind, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut units: Vec<Vec<u8>> = Vec::new();
        for packet in packets {
            let payload = &packet[12..];
            let (fragment, head) = match kind {
                PayloadKind::H265 => (payload[0] >> 1 & 0x3f == H265_FRAGMENT, 2),
                _ => (payload[0] & 0x1f == H264_FRAGMENT, 1),
            };
            if !fragment {
                units.push(payload.to_vec());
                continue;
            }
            let edges = payload[head];
            if edges & 0x80 != 0 {
                units.push(match kind {
                    PayloadKind::H265 => vec![payload[0] & 0x81 | (edges & 0x3f) << 1, payload[1]],
                    _ => vec![payload[0] & 0xe0 | edges & 0x1f],
                });
            }
            units.last_mut().expect("a start").extend(&payload[head + 1..]);
        }
        units
    }

    #[test]
    fn units_survive_their_packets() {
        for (kind, heads) in [
            (PayloadKind::H264, [[0x67, 1], [0x68, 2], [0x65, 3], [0x41, 4]]),
            (PayloadKind::H265, [[0x40, 1], [0x42, 1], [0x26, 1], [0x02, 9]]),
        ] {
            for len in [2, MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1, 2 * MAX_PAYLOAD - 3, 5 * MAX_PAYLOAD] {
                let unit = |head: &[u8; 2]| [&head[..], &vec![7; len - 2]].concat();
                let expected: Vec<_> = heads.iter().map(unit).collect();
                let annex_b = |units: &[Vec<u8>]| -> Vec<u8> {
                    units.iter().flat_map(|unit| [&[0, 0, 0, 1], &unit[..]].concat()).collect()
                };
                let (sets, picture) = (annex_b(&expected[..2]), annex_b(&expected[2..]));
                let mut rtp = Rtp::new(96);
                let mut bytes = Vec::new();
                packetize(kind, &sets, &picture, &mut rtp.packets(&mut bytes, 0, 900));
                let packets = split(&bytes);
                assert_eq!(joined(kind, &packets), expected, "{kind:?} {len}");
                let marked: Vec<_> = packets.iter().map(|packet| packet[1] & 0x80 != 0).collect();
                let (last, others) = marked.split_last().expect("packets");
                assert!(*last && !others.contains(&true), "one marker, at the end");
                assert!(packets.iter().all(|packet| packet.len() <= 12 + MAX_PAYLOAD));
            }
        }
    }
}
