//! Clients of the server: their number, their subscriptions and their requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use foxglove::websocket::{ChannelView, Client, PlaybackControlRequest, PlaybackState, ServerListener};
use foxglove::{ChannelId, SinkId};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::timeline::Timeline;
use crate::sink::publish::PublishCounts;
use crate::sync::locked;

/// Subscriptions that wait to be answered with the last frame. Further ones wait for the next frame.
const SUBSCRIPTIONS_MAX: usize = 64;

/// A client has subscribed to this channel.
pub(super) type Subscription = (ChannelId, SinkId);

/// Is called by the server for each event of a client.
pub(super) struct Clients {
    counts: Arc<Mutex<PublishCounts>>,
    /// Number of subscribers by channel.
    subscribers: Mutex<HashMap<ChannelId, u64>>,
    new: Sender<Subscription>,
    timeline: Option<Arc<Timeline>>,
}

impl Clients {
    /// Returns the listener, and the subscriptions that it observes.
    pub(super) fn new(
        counts: Arc<Mutex<PublishCounts>>,
        timeline: Option<Arc<Timeline>>,
    ) -> (Arc<Self>, Receiver<Subscription>) {
        let (new, subscriptions) = channel(SUBSCRIPTIONS_MAX);
        (Arc::new(Self { counts, subscribers: Mutex::default(), new, timeline }), subscriptions)
    }

    /// Counts a message of so many bytes to the subscribers of a channel.
    pub(super) fn sent(&self, channel: ChannelId, bytes: usize) {
        let clients = locked(&self.subscribers).get(&channel).copied().unwrap_or(0);
        let mut counts = locked(&self.counts);
        counts.messages += clients;
        counts.bytes += clients * bytes as u64;
    }
}

impl ServerListener for Clients {
    fn on_client_connect(&self) {
        locked(&self.counts).connections += 1;
        if let Some(timeline) = &self.timeline {
            timeline.greet();
        }
    }

    fn on_subscribe(&self, client: Client, channel: ChannelView<'_>) {
        *locked(&self.subscribers).entry(channel.id()).or_default() += 1;
        if let Some(sink) = client.sink_id() {
            // Full only if clients subscribe faster than frames are encoded.
            let _ = self.new.try_send((channel.id(), sink));
        }
    }

    fn on_unsubscribe(&self, _: Client, channel: ChannelView<'_>) {
        let mut subscribers = locked(&self.subscribers);
        if let Some(clients) = subscribers.get_mut(&channel.id()) {
            *clients -= 1;
            if *clients == 0 {
                subscribers.remove(&channel.id());
            }
        }
    }

    fn on_playback_control_request(&self, request: PlaybackControlRequest) -> Option<PlaybackState> {
        self.timeline.as_ref().map(|timeline| timeline.apply(&request))
    }
}
