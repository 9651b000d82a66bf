//! Packet sizes that let the watchdog's pings through on a slow link.

use std::time::Duration;

use super::error::{FlashError, Phase, during};
use super::read_back;
use crate::bootloader::{BUDGET_BYTES, Caller, Memory, Request, RequestData, map};

/// Bytes of the read that measures the link.
const MEASURED_BYTES: u32 = 256 << 10;
/// Time on the link for one packet. A ping of the watchdog waits for at most one (bootloader.md 2.4).
const PACKET_TIME_S: f64 = 0.1;
/// Smaller packets gain nothing.
const PACKET_BYTES_MIN: u32 = 64 << 10;

/// The measured link, and the bytes that were read to measure it.
#[derive(Debug)]
pub(super) struct LinkSpeed {
    packet: u32,
    window: u32,
    /// The beginning of the application region.
    pub(super) first: Vec<u8>,
}

impl LinkSpeed {
    /// Measures the round trip with the shortest request, then the throughput by reading the first `len` bytes of the
    /// application region, at most [`MEASURED_BYTES`].
    pub(super) async fn measure(caller: &Caller, memory: Memory, len: usize) -> Result<Self, FlashError> {
        let start = caller.now();
        caller.ask(Request::Version).await.map_err(during(Phase::Ask))?;
        let round_trip = caller.now().saturating_sub(start);
        let len = MEASURED_BYTES.min(u32::try_from(len).unwrap_or(u32::MAX));
        let start = caller.now();
        let first = read_back::read(caller, Phase::Ask, memory, map::APPLICATION, len).await?;
        let took = caller.now().saturating_sub(start);
        Ok(Self::new(round_trip, took, first))
    }

    fn new(round_trip: Duration, took: Duration, first: Vec<u8>) -> Self {
        let transfer = took.saturating_sub(round_trip).as_secs_f64().max(1e-6);
        let bytes_per_s = first.len() as f64 / transfer;
        // Casts from floats saturate.
        let packet = ((bytes_per_s * PACKET_TIME_S) as u32).clamp(PACKET_BYTES_MIN, BUDGET_BYTES);
        let ahead = bytes_per_s * round_trip.as_secs_f64();
        let window = (ahead as u32).saturating_add(2 * packet.min(BUDGET_BYTES / 2)).min(BUDGET_BYTES);
        Self { packet, window: window.max(packet), first }
    }

    /// `bytes` in packets for this link.
    pub(super) fn data(&self, bytes: std::sync::Arc<[u8]>) -> RequestData {
        RequestData { bytes, packet: self.packet, window: self.window }
    }
}
