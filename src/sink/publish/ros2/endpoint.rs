//! A publisher of one topic.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use zenoh::bytes::Encoding;
use zenoh::liveliness::LivelinessToken;
use zenoh::qos::Priority;

use super::graph::{self, MessageType, Node};
use crate::net::clock::received_now;
use crate::net::zenoh::{ZenohError, declare_token};
use crate::sink::publish::PublishCounts;
use crate::sink::publish::outlet::Outlet;

/// The session, our node in it, and what its publishers have in common.
pub(super) struct Context {
    pub(super) session: zenoh::Session,
    pub(super) node: Node,
    /// The node is in the graph of ROS while this exists.
    token: LivelinessToken,
    /// Publishers so far.
    publishers: u32,
    counts: Arc<Mutex<PublishCounts>>,
}

impl Context {
    /// Declares our node. `node`: with the identifier of the session.
    ///
    /// # Errors
    /// Zenoh refuses it.
    pub(super) async fn new(
        session: zenoh::Session,
        node: Node,
        counts: Arc<Mutex<PublishCounts>>,
    ) -> Result<Self, ZenohError> {
        let token = declare_token(&session, node.token()).await?;
        Ok(Self { session, node, token, publishers: 0, counts })
    }

    /// Declares a publisher.
    ///
    /// # Errors
    /// Zenoh refuses it.
    pub(super) async fn publisher(&mut self, topic: &str, message: MessageType) -> Result<Endpoint, ZenohError> {
        self.publishers += 1;
        let id = self.publishers;
        // Otherwise detections wait for the pictures of a slow link.
        let (priority, express) = match message {
            MessageType::CompressedImage | MessageType::Image => (Priority::Data, false),
            MessageType::CameraInfo | MessageType::Detections => (Priority::RealTime, true),
        };
        let key = self.node.key(topic, message);
        let outlet = Outlet::declare(&self.session, key, priority, express, &self.counts).await?;
        // Last: whoever finds the topic can subscribe.
        let token = declare_token(&self.session, self.node.publisher_token(id, topic, message)).await?;
        let gid = graph::gid(self.session.zid().to_le_bytes(), id);
        Ok(Endpoint { message, outlet, _token: token, gid, sent: AtomicU64::new(0) })
    }

    /// Withdraws our node, and ends the session. Call it without publishers.
    pub(super) async fn close(self) {
        drop(self.token);
        crate::net::zenoh::close(self.session).await;
    }
}

/// A publisher of one topic. It is in the graph of ROS until it is dropped.
pub(super) struct Endpoint {
    pub(super) message: MessageType,
    outlet: Outlet,
    _token: LivelinessToken,
    /// Its identifier in attachments.
    gid: [u8; 16],
    /// Messages so far.
    sent: AtomicU64,
}

impl Endpoint {
    /// Returns whether somebody subscribes.
    pub(super) fn is_wanted(&self) -> bool {
        self.outlet.is_wanted()
    }

    /// Finds out again whether somebody subscribes.
    pub(super) async fn check(&self) {
        self.outlet.check().await;
    }

    /// Publishes a message. Waits for a slow link as [`Outlet::put`] does.
    pub(super) fn put(&self, message: Vec<u8>) {
        let seq = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
        let attachment = graph::attachment(seq, received_now().unix_ns, self.gid);
        self.outlet.put(message, Encoding::APPLICATION_CDR, Some(attachment.to_vec()));
    }
}
