//! One key that is published, and whether somebody subscribes to it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use zenoh::bytes::Encoding;
use zenoh::pubsub::Publisher;
use zenoh::qos::{CongestionControl, Priority};
use zenoh::{Session, Wait as _};

use crate::net::zenoh::ZenohError;
use crate::sink::publish::PublishCounts;
use crate::sync::locked;

/// A key that is published. Dropping it withdraws the key.
#[derive(Debug)]
pub(super) struct Outlet {
    publisher: Publisher<'static>,
    /// Somebody subscribes to it.
    is_wanted: Arc<AtomicBool>,
    counts: Arc<Mutex<PublishCounts>>,
}

impl Outlet {
    /// Declares the key. Messages on it are dropped when the link to the router is congested: a message that may not be dropped
    /// would end the session instead. `express`: it is sent at once, instead of with the messages after it.
    pub(super) async fn declare(
        session: &Session,
        key: String,
        priority: Priority,
        express: bool,
        counts: &Arc<Mutex<PublishCounts>>,
    ) -> Result<Self, ZenohError> {
        let refused = |error| ZenohError::refused(key.clone(), &error);
        let builder = session.declare_publisher(key.clone()).congestion_control(CongestionControl::Drop);
        let publisher = builder.priority(priority).express(express).await.map_err(refused)?;
        let is_wanted = Arc::<AtomicBool>::default();
        let flag = Arc::clone(&is_wanted);
        let listener = publisher.matching_listener();
        let listener = listener.callback(move |status| flag.store(status.matching(), Ordering::SeqCst));
        listener.background().await.map_err(refused)?;
        let outlet = Self { publisher, is_wanted, counts: Arc::clone(counts) };
        outlet.check().await;
        Ok(outlet)
    }

    /// Returns whether somebody subscribes to the key. Without a router, nobody does.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::SeqCst)
    }

    /// Asks Zenoh again whether somebody subscribes to the key. Its callbacks report changes at once, but two of them may overtake
    /// each other.
    pub(super) async fn check(&self) {
        if let Ok(status) = self.publisher.matching_status().await {
            self.is_wanted.store(status.matching(), Ordering::SeqCst);
        }
    }

    /// Publishes a message, and counts it. Blocks while the link to the router is congested: for 1 ms, and a message of several
    /// fragments for 0.4 s. Zenoh then drops the message and does not say so.
    pub(super) fn put(&self, payload: Vec<u8>, encoding: Encoding, attachment: Option<Vec<u8>>) {
        let bytes = payload.len() + attachment.as_ref().map_or(0, Vec::len) + self.publisher.key_expr().as_str().len();
        let put = self.publisher.put(payload).encoding(encoding).attachment(attachment).wait();
        let mut counts = locked(&self.counts);
        match put {
            Ok(()) => {
                counts.messages += 1;
                counts.bytes += bytes as u64;
            }
            Err(error) => {
                counts.lost += 1;
                drop(counts);
                tracing::warn!("{}: {error}", self.publisher.key_expr());
            }
        }
    }
}
