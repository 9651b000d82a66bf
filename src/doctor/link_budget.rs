//! What a link carries, and what of it cameras take.

/// Bytes of each packet that are no payload: IP and TCP headers with time stamps (RFC 791, 9293, 7323).
const HEADERS: f64 = 20.0 + 20.0 + 12.0;
/// Bytes around each packet on the wire: preamble, Ethernet header, checksum, gap (IEEE 802.3).
const FRAMING: f64 = 8.0 + 14.0 + 4.0 + 12.0;

/// Mbit/s of payload that TCP gets out of a full-duplex Ethernet link: 941 of 1000 with packets of 1500 bytes.
#[must_use]
pub fn carries_mbit_s(speed_mbit_s: u32, mtu: u32) -> f64 {
    let mtu = f64::from(mtu.max(576)); // The least that IPv4 hosts must take (RFC 791).
    f64::from(speed_mbit_s) * (mtu - HEADERS) / (mtu + FRAMING)
}

/// A camera's stream beside what its link carries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// What the stream takes.
    pub used_mbit_s: f64,
    /// What the slowest link on the way carries.
    pub carries_mbit_s: f64,
    /// Frames a second of the stream.
    pub fps: f64,
}

impl Budget {
    /// How many more such cameras fit.
    #[must_use]
    pub fn more(&self) -> u32 {
        if self.used_mbit_s <= 0.0 {
            return 0;
        }
        ((self.carries_mbit_s / self.used_mbit_s).floor() - 1.0).max(0.0) as u32
    }

    /// What pictures of 1920x1080 at the same rate would take, at so many bits a pixel: 24 for BGR, 12 for NV12.
    #[must_use]
    pub fn full_hd_mbit_s(&self, bits: u32) -> f64 {
        1920.0 * 1080.0 * f64::from(bits) * self.fps / 1e6
    }

    /// The line for people.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { used_mbit_s, carries_mbit_s, fps } = self;
        let more = match self.more() {
            0 => "no more such camera fits".to_owned(),
            1 => "1 more such camera fits".to_owned(),
            n => format!("{n} more such cameras fit"),
        };
        let (bgr, nv12) = (self.full_hd_mbit_s(24), self.full_hd_mbit_s(12));
        format!(
            "{used_mbit_s:.0} of {carries_mbit_s:.0} Mbit/s; {more}; 1080p raw at {fps:.1} frames/s would need {bgr:.0} (BGR) \
             or {nv12:.0} (NV12)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_links_carry() {
        for (speed, mtu, mbit_s) in [(1000, 1500, 941.5), (100, 1500, 94.1), (1000, 9000, 990.0), (2500, 1500, 2353.7)]
        {
            let found = carries_mbit_s(speed, mtu);
            assert!((found - mbit_s).abs() < 0.1, "{speed} Mbit/s, {mtu} bytes: {found}");
        }
        assert!(carries_mbit_s(10, 0) > 0.0);
    }

    #[test]
    fn the_line() {
        let budget = |used, carries, fps| Budget { used_mbit_s: used, carries_mbit_s: carries, fps };
        assert_eq!(
            budget(216.3, 941.48, 40.0).line(),
            "216 of 941 Mbit/s; 3 more such cameras fit; 1080p raw at 40.0 frames/s would need 1991 (BGR) or 995 (NV12)"
        );
        assert!(
            budget(30.0, 94.1, 25.0)
                .line()
                .contains("2 more such cameras fit; 1080p raw at 25.0 frames/s would need 1244 (BGR) or 622")
        );
        assert!(budget(40.0, 94.1, 25.0).line().contains("1 more such camera fits"));
        assert!(budget(90.0, 94.1, 25.0).line().contains("no more such camera fits"));
        assert_eq!([budget(0.0, 94.1, 0.0).more(), budget(200.0, 94.1, 1.0).more()], [0, 0]);
    }
}
