//! The capacity of a link, and the share of it that a camera's stream uses.

use std::fmt;

use crate::units::rounded_mbit_s;

/// Bytes of each packet that are not payload: IP and TCP headers with time stamps (RFC 791, 9293, 7323).
const HEADER_BYTES: f64 = 20.0 + 20.0 + 12.0;
/// Bytes around each packet on the wire: preamble, Ethernet header, checksum, gap (IEEE 802.3).
const FRAMING_BYTES: f64 = 8.0 + 14.0 + 4.0 + 12.0;
/// The smallest packet size in bytes that every IPv4 host must accept (RFC 791).
const MIN_MTU: u32 = 576;

/// Returns the TCP payload rate of a full-duplex Ethernet link in Mbit/s: 941 of 1000 with packets of 1500 bytes.
#[must_use]
pub fn tcp_capacity_mbit_s(speed_mbit_s: u32, mtu: u32) -> f64 {
    let mtu = f64::from(mtu.max(MIN_MTU));
    f64::from(speed_mbit_s) * (mtu - HEADER_BYTES) / (mtu + FRAMING_BYTES)
}

/// The bit rate of a camera's stream compared with the capacity of its link. [`Display`](fmt::Display) prints it as one
/// line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkBudget {
    /// The bit rate of the stream.
    pub used_mbit_s: f64,
    /// The bit rate of the other known streams on the link.
    pub others_mbit_s: f64,
    /// The TCP payload rate of the slowest link on the path.
    pub capacity_mbit_s: f64,
    /// The frame rate of the stream, per second.
    pub fps: f64,
}

impl LinkBudget {
    /// Returns how many more cameras with the same stream fit on the link.
    #[must_use]
    pub fn additional_cameras(&self) -> u32 {
        if self.used_mbit_s <= 0.0 {
            return 0;
        }
        (((self.capacity_mbit_s - self.others_mbit_s) / self.used_mbit_s).floor() - 1.0).max(0.0) as u32
    }

    /// Returns the bit rate of raw 1920x1080 frames at the same frame rate; `bits_per_pixel` is 24 for BGR, 12 for
    /// NV12.
    #[must_use]
    pub fn full_hd_mbit_s(&self, bits_per_pixel: u32) -> f64 {
        1920.0 * 1080.0 * f64::from(bits_per_pixel) * self.fps / 1e6
    }
}

impl fmt::Display for LinkBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { used_mbit_s, capacity_mbit_s, fps, .. } = self;
        write!(f, "{} of {} Mbit/s; ", rounded_mbit_s(*used_mbit_s), rounded_mbit_s(*capacity_mbit_s))?;
        match self.additional_cameras() {
            0 => write!(f, "no more such camera fits")?,
            1 => write!(f, "1 more such camera fits")?,
            n => write!(f, "{n} more such cameras fit")?,
        }
        let [bgr, nv12] = [24, 12].map(|bits| rounded_mbit_s(self.full_hd_mbit_s(bits)));
        write!(f, "; raw 1080p at {fps:.1} frames/s would need {bgr} Mbit/s (BGR) or {nv12} Mbit/s (NV12)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_depends_on_speed_and_mtu() {
        for (speed, mtu, mbit_s) in [(1000, 1500, 941.5), (100, 1500, 94.1), (1000, 9000, 990.0), (2500, 1500, 2353.7)]
        {
            let found = tcp_capacity_mbit_s(speed, mtu);
            assert!((found - mbit_s).abs() < 0.1, "{speed} Mbit/s, {mtu} bytes: {found}");
        }
        assert!(tcp_capacity_mbit_s(10, 0) > 0.0);
    }

    #[test]
    fn budget_is_printed_as_one_line() {
        let budget =
            |used, capacity, fps| LinkBudget { used_mbit_s: used, others_mbit_s: 0.0, capacity_mbit_s: capacity, fps };
        let line = |used, capacity, fps| budget(used, capacity, fps).to_string();
        assert_eq!(
            line(216.3, 941.48, 40.0),
            "216 of 941 Mbit/s; 3 more such cameras fit; raw 1080p at 40.0 frames/s would need 1991 Mbit/s (BGR) or \
             995 Mbit/s (NV12)"
        );
        assert!(line(0.3, 94.1, 1.0).starts_with("0.3 of 94 Mbit/s; "), "{}", line(0.3, 94.1, 1.0));
        assert!(
            line(30.0, 94.1, 25.0).contains("2 more such cameras fit; raw 1080p at 25.0 frames/s would need 1244 ")
        );
        assert!(line(40.0, 94.1, 25.0).contains("1 more such camera fits"));
        assert!(line(90.0, 94.1, 25.0).contains("no more such camera fits"));
        let budgets = [budget(0.0, 94.1, 0.0), budget(200.0, 94.1, 1.0)];
        assert_eq!(budgets.map(|budget| budget.additional_cameras()), [0, 0]);
        let of_fleet = |others_mbit_s| LinkBudget { others_mbit_s, ..budget(4.0, 941.0, 10.0) }.additional_cameras();
        assert_eq!([0.0, 39.0 * 4.0, 941.0].map(of_fleet), [234, 195, 0]);
    }
}
