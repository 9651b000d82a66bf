//! The counts of a camera, shared by those who write and read them.

use std::sync::{Arc, Mutex};

use super::Stats;
use crate::hub::{LaneCounter, LaneCounts};
use crate::sync::locked;

/// A [`Stats`] shared by its writers and readers.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    stats: Stats,
    /// Sums of the lanes that have ended, by name.
    ended: Vec<LaneCounts>,
    lanes: Vec<LaneCounter>,
}

impl Shared {
    /// Moves the lanes that have ended to their sums.
    fn sum_ended(&mut self) {
        let Self { ended, lanes, .. } = self;
        lanes.retain_mut(|lane| {
            let Some(counts) = lane.final_counts() else { return true };
            match ended.iter_mut().find(|sum| (sum.name, sum.keeps) == (counts.name, counts.keeps)) {
                Some(sum) => sum.add(&counts),
                None => ended.push(counts),
            }
            false
        });
    }
}

impl Ledger {
    /// Calls `write` while holding the lock, so `write` must not block.
    pub fn update<R>(&self, write: impl FnOnce(&mut Stats) -> R) -> R {
        write(&mut locked(&self.shared).stats)
    }

    /// Adds a lane to [`Stats::lanes`]. Earlier ones that have ended share an entry for each name: every recording has a lane, and a
    /// server may make any number of them.
    pub fn watch(&self, lane: LaneCounter) {
        let mut shared = locked(&self.shared);
        shared.sum_ended();
        shared.lanes.push(lane);
    }

    /// Returns a copy of all counts, with those of the lanes.
    #[must_use]
    pub fn snapshot(&self) -> Stats {
        let shared = locked(&self.shared);
        let mut stats = shared.stats.clone();
        stats.lanes = shared.ended.iter().copied().chain(shared.lanes.iter().map(LaneCounter::counts)).collect();
        stats
    }
}
