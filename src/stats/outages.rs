//! Time without a stream: after the first frame, or all of it if no frame arrives. Times are nanoseconds of one monotonic clock.

/// Counts the time from each loss of the stream to the next frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outages {
    /// Start of the session and the latest known time, while no frame has arrived.
    awaited: Option<(u64, u64)>,
    /// Arrival of the first frame, and the latest known time.
    watched: Option<(u64, u64)>,
    /// Start of the outage that has not ended.
    open_since: Option<u64>,
    /// Length of those that have ended.
    ended_ns: u64,
}

impl Outages {
    /// The session starts. Until the first frame arrives, the camera is not streaming.
    pub(super) fn await_first(&mut self, now_ns: u64) {
        self.awaited = Some((now_ns, now_ns)).filter(|_| self.watched.is_none());
    }

    /// A frame arrived, which ends an outage.
    pub(super) fn frame(&mut self, now_ns: u64) {
        self.awaited = None;
        self.watched.get_or_insert((now_ns, now_ns));
        self.advance(now_ns);
        if let Some(since_ns) = self.open_since.take() {
            self.ended_ns = self.ended_ns.saturating_add(now_ns.saturating_sub(since_ns));
        }
    }

    /// Begins an outage, unless there is one or no frame has arrived.
    pub(super) fn begin(&mut self, since_ns: u64) {
        if let Some((first_ns, _)) = self.watched {
            self.open_since.get_or_insert(since_ns.max(first_ns));
        }
    }

    /// Counts the time until now.
    pub(super) fn advance(&mut self, now_ns: u64) {
        for (_, last_ns) in self.watched.iter_mut().chain(&mut self.awaited) {
            *last_ns = now_ns.max(*last_ns);
        }
    }

    /// Forgets the outage that has not ended, also that of a session without a frame.
    pub(super) fn dismiss(&mut self) {
        (self.open_since, self.awaited) = (None, None);
    }

    /// Returns the time of all outages.
    pub(super) fn total_ns(&self) -> u64 {
        let open_ns = match (self.awaited, self.watched, self.open_since) {
            (Some((first_ns, last_ns)), ..) => last_ns - first_ns,
            (None, Some((_, last_ns)), Some(since_ns)) => last_ns.saturating_sub(since_ns),
            _ => 0,
        };
        self.ended_ns.saturating_add(open_ns)
    }

    /// Returns the time from the first frame, or from the start of a session without one, to the latest known time.
    pub(super) fn watched_ns(&self) -> u64 {
        self.watched.or(self.awaited).map_or(0, |(first_ns, last_ns)| last_ns - first_ns)
    }

    /// Returns whether the session has started, but no frame has arrived.
    pub(super) const fn awaits_first(&self) -> bool {
        self.awaited.is_some()
    }

    /// Returns whether an outage has not ended.
    pub(super) const fn is_open(&self) -> bool {
        self.open_since.is_some() || self.awaits_first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(outages: &Outages) -> (u64, u64, bool) {
        (outages.total_ns(), outages.watched_ns(), outages.is_open())
    }

    #[test]
    fn a_session_without_a_frame_is_one_outage() {
        let mut outages = Outages::default();
        outages.await_first(100);
        outages.begin(150);
        outages.advance(400);
        assert_eq!(found(&outages), (300, 300, true));
        outages.frame(500);
        outages.advance(600);
        assert_eq!(found(&outages), (0, 100, false), "the time until the first frame is not an outage");
    }

    #[test]
    fn outages_last_from_the_loss_to_the_next_frame() {
        let mut outages = Outages::default();
        outages.begin(50);
        outages.advance(80);
        assert_eq!(found(&outages), (0, 0, false), "before the first frame");
        outages.frame(100);
        outages.frame(120);
        outages.begin(130);
        outages.begin(160);
        assert_eq!(found(&outages), (0, 20, true));
        outages.frame(200);
        assert_eq!(found(&outages), (70, 100, false));
        outages.begin(210);
        outages.advance(250);
        outages.advance(250);
        outages.advance(240);
        assert_eq!(found(&outages), (110, 150, true), "also before it ends");
        let mut dismissed = outages;
        dismissed.dismiss();
        assert_eq!(found(&dismissed), (70, 150, false));
        outages.frame(260);
        assert_eq!(found(&outages), (120, 160, false));
    }
}
