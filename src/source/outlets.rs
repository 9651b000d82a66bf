//! Outlets of a session: the hubs that it delivers to, and its ledger.

use std::sync::Arc;

use super::Incident;
use crate::frame::Frame;
use crate::hub::{Hub, Policy, Taker, lane};
use crate::stats::Ledger;

/// Events that decoders of video need besides the frames.
#[derive(Clone, Debug)]
pub enum Continuity {
    /// The next frame does not follow the last one: frames or bytes are missing, or a connection begins.
    Broken,
    /// The frames before the position of a seek, from a key frame on, on which the frames after it depend. They are not shown.
    LeadIn(Arc<[Arc<Frame>]>),
}

/// Hubs of one session, and its ledger. Clones are the same outlets; their lanes end when the session does.
#[derive(Clone, Debug, Default)]
pub struct Outlets {
    /// Every frame as soon as its last byte has arrived. It may be withdrawn afterwards (see [`crate::wire::Event`]): for
    /// views, whose purpose is low latency.
    pub provisional: Hub<Arc<Frame>>,
    /// Frames of which the following bytes proved that nothing is missing: for everything that keeps frames or acts on them.
    pub confirmed: Hub<Arc<Frame>>,
    /// All other events. A taker with sibling lanes in both hubs receives them in one order with the confirmed frames.
    pub incidents: Hub<Incident>,
    /// Depth pictures of the same connection that a recording has as a camera of its own, in one order with the confirmed
    /// frames. Those of a live camera are confirmed frames themselves.
    pub depth_beside: Hub<Arc<Frame>>,
    /// Events for decoders of video, in one order with the provisional frames.
    pub continuity: Hub<Continuity>,
    /// Counts of every frame and byte, and of the lanes that were subscribed with the functions below.
    pub ledger: Ledger,
}

impl Outlets {
    /// Subscribes to provisional frames with a lane that the ledger counts under `name`.
    #[must_use]
    pub fn take_provisional(&self, name: &'static str, policy: Policy) -> Taker<Arc<Frame>> {
        self.take(&self.provisional, name, policy)
    }

    /// Subscribes to confirmed frames with a lane that the ledger counts under `name`.
    #[must_use]
    pub fn take_confirmed(&self, name: &'static str, policy: Policy) -> Taker<Arc<Frame>> {
        self.take(&self.confirmed, name, policy)
    }

    fn take(&self, hub: &Hub<Arc<Frame>>, name: &'static str, policy: Policy) -> Taker<Arc<Frame>> {
        let (lane, taker) = lane(name, policy);
        self.ledger.watch(lane.counter());
        hub.add(lane);
        taker
    }

    /// Ends all lanes: takers receive what is queued, and then the end.
    pub(super) fn close(&self) {
        self.provisional.close();
        self.confirmed.close();
        self.depth_beside.close();
        self.incidents.close();
        self.continuity.close();
    }
}
