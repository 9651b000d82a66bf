//! The last frames -> speeds and jitter.

use std::collections::VecDeque;

use crate::frame::{DeviceTime, Received};

/// Frames that speeds are measured over, and that a sparkline shows.
pub const RECENT: usize = 120;

/// Speeds over the last [`RECENT`] frames; 0 before there are two.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Rates {
    /// Frames received a second, by the camera's clock.
    pub fps_device: f64,
    /// Frames received a second, by our clock.
    pub fps_arrival: f64,
    /// Megabits (10^6) received a second.
    pub mbit_s: f64,
    /// How uneven the arrivals are, in microseconds: the interarrival jitter of RFC 3550, section 6.4.1.
    pub jitter_us: f64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    frames: VecDeque<(DeviceTime, u64, u64)>,
    jitter_us: f64,
}

impl Recent {
    /// A frame; `bytes` is what all connections had received by then.
    pub(super) fn observe(&mut self, device: DeviceTime, received: Received, bytes: u64) {
        if let Some(&(last_device, last_ns, _)) = self.frames.back() {
            let arrived_us = received.mono_ns.saturating_sub(last_ns) as f64 / 1000.0;
            let difference = (arrived_us - device.since(last_device) as f64).abs();
            self.jitter_us += (difference - self.jitter_us) / 16.0;
        }
        if self.frames.len() > RECENT {
            self.frames.pop_front();
        }
        self.frames.push_back((device, received.mono_ns, bytes));
    }

    /// What comes next does not follow what came before.
    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.jitter_us = 0.0;
    }

    pub(super) fn rates(&self) -> Rates {
        let (Some(first), Some(last)) = (self.frames.front(), self.frames.back()) else { return Rates::default() };
        let intervals = self.frames.len() as f64 - 1.0;
        let per_second = |amount: f64, seconds: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
        let device_s = last.0.since(first.0) as f64 / 1e6;
        let arrival_s = last.1.saturating_sub(first.1) as f64 / 1e9;
        Rates {
            fps_device: per_second(intervals, device_s),
            fps_arrival: per_second(intervals, arrival_s),
            mbit_s: per_second(last.2.saturating_sub(first.2) as f64 * 8e-6, arrival_s),
            jitter_us: self.jitter_us,
        }
    }

    pub(super) fn intervals_us(&self) -> impl ExactSizeIterator<Item = u32> {
        let between =
            |i: usize| (self.frames[i].1.saturating_sub(self.frames[i - 1].1) / 1000).min(u64::from(u32::MAX)) as u32;
        (1..self.frames.len().max(1)).map(between)
    }
}
