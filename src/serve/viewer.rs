//! Viewers of a camera, each with a lane and a ledger of its own.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use serde::Serialize;

use crate::hub::{LaneCounter, Taker};
use crate::sync::locked;

/// Kind of a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ViewerKind {
    /// The page, for one camera.
    Page,
    /// `/stream/NAME.mjpg`.
    Mjpeg,
    /// `/snapshot/NAME.jpg`.
    Snapshot,
    /// `/events/NAME`.
    Events,
    /// The camera's own protocol.
    CameraPort,
    /// `rtsp://HOST:PORT/NAME`.
    Rtsp,
    /// `/whep/NAME`.
    Whep,
}

impl ViewerKind {
    /// Returns the name used in JSON and in the summary.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Mjpeg => "mjpeg",
            Self::Snapshot => "snapshot",
            Self::Events => "events",
            Self::CameraPort => "camera-port",
            Self::Rtsp => "rtsp",
            Self::Whep => "whep",
        }
    }
}

/// Counts of one viewer, or of all viewers of a kind. `offered == sent + superseded + pending`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ViewerCounts {
    /// Kind of the viewers.
    pub kind: ViewerKind,
    /// Viewers that are connected.
    pub viewers: u64,
    /// Viewers since the start.
    pub viewers_total: u64,
    /// Frames that there were for it.
    pub offered: u64,
    /// Frames that were handed to its connection completely.
    pub sent: u64,
    /// Frames that a newer one replaced before they were sent.
    pub superseded: u64,
    /// Frames that wait or are being sent; of a viewer that has left, those that it did not get.
    pub pending: u64,
    /// Bytes of the pictures, lines or messages sent.
    pub bytes: u64,
}

impl ViewerCounts {
    const fn none(kind: ViewerKind) -> Self {
        Self { kind, viewers: 0, viewers_total: 0, offered: 0, sent: 0, superseded: 0, pending: 0, bytes: 0 }
    }

    /// Returns whether every frame is accounted for.
    #[must_use]
    pub const fn balances(&self) -> bool {
        self.offered == self.sent + self.superseded + self.pending
    }

    const fn add(&mut self, other: &Self) {
        self.viewers += other.viewers;
        self.viewers_total += other.viewers_total;
        self.offered += other.offered;
        self.sent += other.sent;
        self.superseded += other.superseded;
        self.pending += other.pending;
        self.bytes += other.bytes;
    }
}

/// The ledger of one viewer.
#[derive(Debug)]
struct Ledger {
    kind: ViewerKind,
    lane: LaneCounter,
    sent: AtomicU64,
    /// Frames that were taken and not sent.
    left_out: AtomicU64,
    bytes: AtomicU64,
}

impl Ledger {
    fn counts(&self) -> ViewerCounts {
        // A frame is taken from the lane before it is sent. Read in the opposite order, no count becomes negative.
        let sent = self.sent.load(Ordering::SeqCst);
        let left_out = self.left_out.load(Ordering::SeqCst);
        let lane = self.lane.counts();
        ViewerCounts {
            viewers: 1,
            viewers_total: 1,
            offered: lane.offered,
            sent,
            superseded: lane.dropped + left_out,
            pending: lane.queued + (lane.taken - sent - left_out),
            bytes: self.bytes.load(Ordering::SeqCst),
            ..ViewerCounts::none(self.kind)
        }
    }
}

/// The viewers of one camera.
#[derive(Debug, Default)]
pub(super) struct Viewers {
    present: Mutex<Vec<Arc<Ledger>>>,
    /// Sums of those that have left.
    gone: Mutex<BTreeMap<ViewerKind, ViewerCounts>>,
}

impl Viewers {
    /// Adds a viewer that takes from a lane.
    pub(super) fn add<T>(self: &Arc<Self>, kind: ViewerKind, lane: LaneCounter, taker: Taker<T>) -> Viewer<T> {
        let ledger = Arc::new(Ledger {
            kind,
            lane,
            sent: AtomicU64::default(),
            left_out: AtomicU64::default(),
            bytes: AtomicU64::default(),
        });
        locked(&self.present).push(Arc::clone(&ledger));
        Viewer { taker, ledger, viewers: Arc::clone(self) }
    }

    /// Returns the number of viewers that are connected.
    pub(super) fn present(&self) -> usize {
        locked(&self.present).len()
    }

    /// Returns the counts of each viewer that is connected.
    pub(super) fn each(&self) -> Vec<ViewerCounts> {
        locked(&self.present).iter().map(|ledger| ledger.counts()).collect()
    }

    /// Returns the sums of each kind, of those that have left, too.
    pub(super) fn by_kind(&self) -> Vec<ViewerCounts> {
        // A viewer that leaves moves from one to the other while it holds both locks.
        let present = locked(&self.present);
        let mut sums = locked(&self.gone).clone();
        for ledger in &*present {
            sums.entry(ledger.kind).or_insert(ViewerCounts::none(ledger.kind)).add(&ledger.counts());
        }
        sums.into_values().collect()
    }

    fn remove(&self, ledger: &Arc<Ledger>) {
        let mut present = locked(&self.present);
        present.retain(|known| !Arc::ptr_eq(known, ledger));
        let counts = ViewerCounts { viewers: 0, ..ledger.counts() };
        locked(&self.gone).entry(ledger.kind).or_insert(ViewerCounts::none(ledger.kind)).add(&counts);
    }
}

/// One viewer. Dropping it moves its counts to those that have left.
#[derive(Debug)]
pub(super) struct Viewer<T> {
    taker: Taker<T>,
    ledger: Arc<Ledger>,
    viewers: Arc<Viewers>,
}

impl<T> Viewer<T> {
    /// Returns the lane's other end.
    pub(super) const fn taker(&self) -> &Taker<T> {
        &self.taker
    }

    /// Returns the next item, or wakes the task when there is one.
    pub(super) fn poll_next(&self, cx: &Context<'_>) -> Poll<T> {
        self.taker.poll_take(cx)
    }

    /// Waits for the next item.
    pub(super) async fn next(&self) -> T {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Returns the number of items that newer ones replaced.
    pub(super) fn superseded(&self) -> u64 {
        self.ledger.counts().superseded
    }

    /// Counts an item that was taken and sent completely.
    pub(super) fn sent(&self, bytes: usize) {
        self.ledger.bytes.fetch_add(bytes as u64, Ordering::SeqCst);
        self.ledger.sent.fetch_add(1, Ordering::SeqCst);
    }

    /// Counts items that were taken and are not sent, because newer ones replace them.
    pub(super) fn left_out(&self, items: usize) {
        self.ledger.left_out.fetch_add(items as u64, Ordering::SeqCst);
    }
}

impl<T> Drop for Viewer<T> {
    fn drop(&mut self) {
        self.viewers.remove(&self.ledger);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Policy, lane};

    #[test]
    fn every_frame_of_a_viewer_is_accounted_for_at_every_moment() {
        let viewers = Arc::new(Viewers::default());
        let (mut lane, taker) = lane("viewer", Policy::DropOldest(1));
        let viewer = viewers.add(ViewerKind::Page, lane.counter(), taker);
        let counts = || {
            let counts = viewers.by_kind()[0];
            assert!(counts.balances(), "{counts:?}");
            [counts.offered, counts.sent, counts.superseded, counts.pending, counts.viewers]
        };
        (0..3).for_each(|item| lane.offer(item));
        assert_eq!(counts(), [3, 0, 2, 1, 1]);
        assert_eq!(viewer.taker().try_take(), Some(2));
        assert_eq!(counts(), [3, 0, 2, 1, 1], "on the way");
        viewer.sent(10);
        assert_eq!(counts(), [3, 1, 2, 0, 1]);
        lane.offer(3);
        drop(viewer);
        lane.offer(4);
        assert_eq!(counts(), [4, 1, 2, 1, 0], "it left before the last one");
        let (other, taker) = crate::hub::lane::<u8>("viewer", Policy::DropOldest(1));
        let _second = viewers.add(ViewerKind::Page, other.counter(), taker);
        assert_eq!((counts()[4], viewers.by_kind()[0].viewers_total, viewers.present()), (1, 2, 1));
    }
}
