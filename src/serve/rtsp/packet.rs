//! RTP packets and sender reports (RFC 3550).

/// Longest payload of a packet in bytes: with all headers it fits an Ethernet frame.
pub(super) const MAX_PAYLOAD: usize = 1400;

/// Bytes of a packet's header.
const HEADER_BYTES: usize = 12;

/// Bytes before each packet on an RTSP connection: `$`, the channel, and the length.
pub(super) const PREFIX_BYTES: usize = 4;

/// Seconds from 1900, where NTP begins, to 1970.
const NTP_UNIX_S: u64 = 2_208_988_800;

/// Name of the source in reports.
const CNAME: &[u8; 6] = b"oaktap";

/// The stream of packets to one player.
#[derive(Debug)]
pub(super) struct Rtp {
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    payload_type: u8,
    packets: u32,
    octets: u32,
}

impl Rtp {
    pub(super) fn new(payload_type: u8) -> Self {
        let random = crate::serve::random();
        Self { ssrc: random as u32, sequence: (random >> 32) as u16, payload_type, packets: 0, octets: 0 }
    }

    /// Returns a writer of the packets of one picture, for a channel.
    pub(super) const fn packets<'a>(&'a mut self, out: &'a mut Vec<u8>, channel: u8, time: u32) -> Packets<'a> {
        Packets { rtp: self, out, channel, time }
    }

    /// Appends a report of what was sent, and which time of NTP the time stamp has.
    pub(super) fn report(&self, out: &mut Vec<u8>, channel: u8, time: u32, unix_ns: i64) {
        let unix_ns = u64::try_from(unix_ns).unwrap_or(0);
        let fraction = ((unix_ns % 1_000_000_000) << 32) / 1_000_000_000;
        // A report of 28 bytes, and a description of 20.
        out.extend([b'$', channel, 0, 48]);
        out.extend([0x80, 200, 0, 6]);
        let seconds = (unix_ns / 1_000_000_000 + NTP_UNIX_S) as u32;
        for word in [self.ssrc, seconds, fraction as u32, time, self.packets, self.octets] {
            out.extend(word.to_be_bytes());
        }
        out.extend([0x81, 202, 0, 4]);
        out.extend(self.ssrc.to_be_bytes());
        out.extend([1, CNAME.len() as u8]);
        out.extend(CNAME);
        // The end of the list, and padding.
        out.extend([0; 4]);
    }
}

/// Writes packets in the form of RTSP connections, each after its prefix.
pub(super) struct Packets<'a> {
    rtp: &'a mut Rtp,
    out: &'a mut Vec<u8>,
    channel: u8,
    time: u32,
}

impl Packets<'_> {
    /// Appends a packet. Head and body have at most [`MAX_PAYLOAD`] bytes. `is_last`: of its picture.
    pub(super) fn push(&mut self, head: &[u8], body: &[u8], is_last: bool) {
        let payload = head.len() + body.len();
        let rtp = &mut *self.rtp;
        self.out.extend([b'$', self.channel]);
        self.out.extend(((HEADER_BYTES + payload) as u16).to_be_bytes());
        self.out.extend([0x80, u8::from(is_last) << 7 | rtp.payload_type]);
        self.out.extend(rtp.sequence.to_be_bytes());
        self.out.extend(self.time.to_be_bytes());
        self.out.extend(rtp.ssrc.to_be_bytes());
        self.out.extend_from_slice(head);
        self.out.extend_from_slice(body);
        rtp.sequence = rtp.sequence.wrapping_add(1);
        rtp.packets = rtp.packets.wrapping_add(1);
        rtp.octets = rtp.octets.wrapping_add(payload as u32);
    }
}

/// Returns the packets that [`Packets`] has written, with their channels.
pub(super) fn written(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[_, channel, high, low], rest) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
        let (packet, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
        bytes = rest;
        Some((channel, packet))
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The packets of one channel.
    pub(in crate::serve::rtsp) fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
        written(bytes).map(|(_, packet)| packet.to_vec()).collect()
    }

    #[test]
    fn packets_are_numbered_and_report_what_was_sent() {
        let mut rtp = Rtp { ssrc: 0x0102_0304, sequence: 0xffff, payload_type: 96, packets: 0, octets: 0 };
        let mut out = Vec::new();
        let mut packets = rtp.packets(&mut out, 2, 0x0a0b_0c0d);
        packets.push(&[1], &[2, 3], false);
        packets.push(&[], &[4], true);
        let expected = [
            &[b'$', 2, 0, 15, 0x80, 96, 0xff, 0xff, 10, 11, 12, 13, 1, 2, 3, 4, 1, 2, 3][..],
            &[b'$', 2, 0, 13, 0x80, 0x80 | 96, 0, 0, 10, 11, 12, 13, 1, 2, 3, 4, 4],
        ];
        assert_eq!(out, expected.concat());
        out.clear();
        // Half a second after 1970.
        rtp.report(&mut out, 3, 7, 500_000_000);
        assert_eq!(usize::from(out[3]), out.len() - PREFIX_BYTES);
        let report = &split(&out)[0];
        let word = |at: usize| u32::from_be_bytes(*report[4 * at..].first_chunk().expect("a word"));
        assert_eq!([1, 2, 3, 4, 5, 6].map(word), [0x0102_0304, 2_208_988_800, 1 << 31, 7, 2, 4]);
    }
}
