//! The `Transport` header: how packets travel to the player.

use std::net::IpAddr;

/// Transports of which a player can choose. Further ones are ignored.
const MAX_OFFERED: usize = 8;

/// A transport that a player asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// On the RTSP connection, with these channels of RTP and RTCP.
    Interleaved { rtp: u8, rtcp: u8 },
    /// To these ports of the player's address.
    Udp { rtp: u16, rtcp: u16 },
}

/// Returns the first transport in a header that is supported. `peer` is the address of the RTSP connection: packets go to no other.
pub(super) fn supported(header: &str, peer: IpAddr) -> Option<Transport> {
    header.split(',').take(MAX_OFFERED).find_map(|transport| one(transport, peer))
}

fn one(text: &str, peer: IpAddr) -> Option<Transport> {
    let mut parts = text.split(';').map(str::trim);
    let profile = parts.next()?.to_ascii_uppercase();
    let (mut interleaved, mut ports) = (None, None);
    for part in parts {
        let (name, value) = part.split_once('=').map_or((part, ""), |(name, value)| (name, value.trim()));
        match name.trim().to_ascii_lowercase().as_str() {
            "multicast" => return None,
            "mode" if !value.trim_matches('"').eq_ignore_ascii_case("play") => return None,
            // Otherwise anybody could make this host flood another one.
            "destination" if value.parse().ok() != Some(peer) => return None,
            "dest_addr" => return None,
            "interleaved" => interleaved = Some(pair(value)?),
            "client_port" => ports = Some(pair(value)?),
            _ => {}
        }
    }
    match profile.as_str() {
        "RTP/AVP/TCP" => {
            let (rtp, rtcp) = interleaved.unwrap_or((0, 1));
            Some(Transport::Interleaved { rtp: u8::try_from(rtp).ok()?, rtcp: u8::try_from(rtcp).ok()? })
        }
        "RTP/AVP" | "RTP/AVP/UDP" => ports.filter(|(rtp, _)| *rtp > 0).map(|(rtp, rtcp)| Transport::Udp { rtp, rtcp }),
        _ => None,
    }
}

/// Parses `0-1`, or `0` for the same.
fn pair(text: &str) -> Option<(u16, u16)> {
    let (rtp, rtcp) = text.split_once('-').map_or((text, None), |(rtp, rtcp)| (rtp, Some(rtcp)));
    let rtp: u16 = rtp.parse().ok()?;
    let rtcp = match rtcp {
        Some(rtcp) => rtcp.parse().ok()?,
        None => rtp.checked_add(1)?,
    };
    (rtp != rtcp).then_some((rtp, rtcp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn players_choose_a_transport() {
        let interleaved = |rtp, rtcp| Some(Transport::Interleaved { rtp, rtcp });
        let udp = |rtp, rtcp| Some(Transport::Udp { rtp, rtcp });
        for (header, expected) in [
            ("RTP/AVP/TCP;unicast;interleaved=0-1", interleaved(0, 1)),
            ("RTP/AVP/TCP", interleaved(0, 1)),
            ("rtp/avp/tcp; unicast; interleaved=4", interleaved(4, 5)),
            ("RTP/AVP;unicast;client_port=40000-40001", udp(40_000, 40_001)),
            ("RTP/AVP/UDP;unicast;client_port=40000;mode=\"PLAY\"", udp(40_000, 40_001)),
            ("RTP/AVP;unicast;destination=127.0.0.1;client_port=6-7", udp(6, 7)),
            ("RTP/SAVP;client_port=1-2, RTP/AVP;multicast, RTP/AVP/TCP;interleaved=2-3", interleaved(2, 3)),
            // Packets to others.
            ("RTP/AVP;unicast;destination=192.168.1.9;client_port=6-7", None),
            ("RTP/AVP;unicast;destination=victim.example;client_port=6-7", None),
            ("RTP/AVP;unicast;dest_addr=\"192.168.1.9:6\";client_port=6-7", None),
            ("RTP/AVP;unicast;dest_addr=\"\\\";client_port=6-7", None),
            ("RTP/AVP;multicast;client_port=6-7", None),
            ("RTP/AVP;unicast", None),
            ("RTP/AVP;unicast;client_port=0-1", None),
            ("RTP/AVP;unicast;client_port=65535", None),
            ("RTP/AVP;unicast;client_port=7-7", None),
            ("RTP/AVP;unicast;client_port=70000-70001", None),
            ("RTP/AVP/TCP;interleaved=255", None),
            ("RTP/AVP/TCP;interleaved=255-256", None),
            ("RTP/AVP/TCP;interleaved=a-b", None),
            ("RTP/AVP/TCP;mode=record", None),
            ("RTP/AVP/TCP;mode=\"", None),
            (";;;,,,==", None),
            ("", None),
        ] {
            assert_eq!(supported(header, "127.0.0.1".parse().expect("an address")), expected, "{header}");
        }
    }
}
