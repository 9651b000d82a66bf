//! Frame rates, bit rate and jitter over the most recent frames.

use std::collections::VecDeque;

use super::Stats;
use crate::frame::{DeviceTime, Received};

/// Number of frames over which [`Rates`] are measured.
pub const RECENT_FRAMES: usize = 120;

/// Rates over the last [`RECENT_FRAMES`] frames; all 0 with fewer than two frames, and during an outage.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Rates {
    /// Frames per second, by the camera's clock.
    pub fps_device: f64,
    /// Frames per second, by this host's clock.
    pub fps_arrival: f64,
    /// Received megabits (10^6) per second.
    pub mbit_s: f64,
    /// Interarrival jitter in microseconds (RFC 3550, section 6.4.1).
    pub jitter_us: f64,
}

impl Stats {
    /// Returns the rates over the last [`RECENT_FRAMES`] frames; 0 during an outage.
    #[must_use]
    pub fn rates(&self) -> Rates {
        if self.outages.is_open() { Rates::default() } else { self.recent.rates() }
    }

    /// Returns the microseconds between the arrivals of the last [`RECENT_FRAMES`] frames, oldest first.
    pub fn intervals_us(&self) -> impl ExactSizeIterator<Item = u32> {
        self.recent.intervals_us()
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct RecentFrames {
    /// Device time, arrival in nanoseconds of the monotonic clock, and bytes received by then.
    frames: VecDeque<(DeviceTime, u64, u64)>,
    jitter_us: f64,
}

impl RecentFrames {
    /// Adds a frame. `bytes` is the total received on all connections so far.
    pub(super) fn observe(&mut self, device: DeviceTime, received: Received, bytes: u64) {
        if let Some(&(last_device, last_ns, _)) = self.frames.back() {
            let arrived_us = received.mono_ns.saturating_sub(last_ns) as f64 / 1000.0;
            let difference = (arrived_us - device.since(last_device) as f64).abs();
            self.jitter_us += (difference - self.jitter_us) / 16.0;
        }
        if self.frames.len() > RECENT_FRAMES {
            self.frames.pop_front();
        }
        self.frames.push_back((device, received.mono_ns, bytes));
    }

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
