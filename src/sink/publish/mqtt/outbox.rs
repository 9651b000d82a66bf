//! Messages on their way to a broker: what was sent, and what was lost with a connection.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use rumqttc::{Publish, QoS};

use crate::net::mqtt::{Client, ClientError};
use crate::sink::publish::PublishCounts;
use crate::sync::locked;

/// Events that wait for the broker's answer, or for a connection. Later ones replace the oldest.
const EVENTS_MAX: usize = 256;

/// First number of a message. 0 is not one, and the subscription, which may wait for its answer, has 1.
const FIRST_ID: u16 = 2;

/// How a message is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// At most once: lost if the connection breaks before it was sent.
    Once,
    /// At most once, and the broker keeps it for later subscribers. Published again after a reconnect.
    Retained,
}

/// Counts the messages to one broker, and repeats events until the broker has taken them.
#[derive(Debug)]
pub(super) struct Outbox {
    counts: Arc<Mutex<PublishCounts>>,
    /// Sizes in bytes of the last messages, and whether each is lost if it is not sent. The oldest first.
    sizes: VecDeque<(usize, bool)>,
    /// Sum of the sizes.
    bytes: usize,
    /// Events, the oldest first.
    events: VecDeque<Publish>,
    last_id: u16,
}

impl Outbox {
    pub(super) fn new(counts: Arc<Mutex<PublishCounts>>) -> Self {
        Self { counts, sizes: VecDeque::new(), bytes: 0, events: VecDeque::new(), last_id: FIRST_ID - 1 }
    }

    /// Adds a message to the output of the connection.
    pub(super) fn publish(
        &mut self,
        client: &mut Client,
        topic: String,
        payload: impl Into<Vec<u8>>,
        delivery: Delivery,
    ) -> Result<(), ClientError> {
        let mut message = Publish::new(topic, QoS::AtMostOnce, payload);
        message.retain = delivery == Delivery::Retained;
        self.add(client, message, delivery == Delivery::Once)
    }

    /// Adds an event to the output of the connection, and keeps it until the broker has taken it.
    pub(super) fn event(
        &mut self,
        client: &mut Client,
        topic: String,
        payload: impl Into<Vec<u8>>,
    ) -> Result<(), ClientError> {
        let message = self.keep(topic, payload);
        self.add(client, message, false)
    }

    fn keep(&mut self, topic: String, payload: impl Into<Vec<u8>>) -> Publish {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
            locked(&self.counts).lost += 1;
        }
        let mut message = Publish::new(topic, QoS::AtLeastOnce, payload);
        // The numbers in use are among the last [`EVENTS_MAX`].
        self.last_id = self.last_id.checked_add(1).unwrap_or(FIRST_ID);
        message.pkid = self.last_id;
        self.events.push_back(message.clone());
        message
    }

    fn add(&mut self, client: &mut Client, message: Publish, is_lost: bool) -> Result<(), ClientError> {
        let size = message.size();
        self.prune(client.waiting_bytes());
        client.publish(message)?;
        self.sizes.push_back((size, is_lost));
        self.bytes += size;
        let mut counts = locked(&self.counts);
        counts.messages += 1;
        counts.bytes += size as u64;
        Ok(())
    }

    /// Forgets the messages before the last `waiting` bytes: they were sent.
    fn prune(&mut self, waiting: usize) {
        while let Some((size, _)) = self.sizes.front()
            && self.bytes - size >= waiting
        {
            self.bytes -= size;
            self.sizes.pop_front();
        }
    }

    /// The broker has taken the event with this number.
    pub(super) fn acknowledged(&mut self, id: u16) {
        self.events.retain(|event| event.pkid != id);
    }

    /// Returns whether events wait for the broker's answer.
    pub(super) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Sends the events again that the broker has not taken.
    pub(super) fn repeat(&mut self, client: &mut Client) -> Result<(), ClientError> {
        for event in self.events.clone() {
            self.add(client, Publish { dup: true, ..event }, false)?;
        }
        Ok(())
    }

    /// The connection is lost, with so many bytes that were not sent.
    pub(super) fn disconnected(&mut self, waiting: usize) {
        self.prune(waiting);
        let lost = self.sizes.drain(..).filter(|(_, is_lost)| *is_lost).count();
        self.bytes = 0;
        locked(&self.counts).lost += lost as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(sizes: &[(usize, bool)]) -> Outbox {
        let mut outbox = Outbox::new(Arc::default());
        outbox.sizes = sizes.iter().copied().collect();
        outbox.bytes = sizes.iter().map(|(size, _)| size).sum();
        outbox
    }

    #[test]
    fn messages_that_were_not_sent_completely_are_lost_unless_they_are_sent_again() {
        let sizes = [(100, true), (50, true), (30, false), (10, true)];
        for (waiting, lost) in [(0, 0), (1, 1), (10, 1), (11, 1), (40, 1), (41, 2), (90, 2), (91, 3), (190, 3)] {
            let mut outbox = outbox(&sizes);
            outbox.disconnected(waiting);
            assert_eq!(locked(&outbox.counts).lost, lost, "{waiting} bytes wait");
            assert!(outbox.sizes.is_empty() && outbox.bytes == 0);
        }
    }

    #[test]
    fn events_wait_for_their_answers_in_bounded_memory() {
        let mut outbox = Outbox::new(Arc::default());
        for number in 0..300 {
            outbox.keep("oaktap/front/events".to_owned(), number.to_string());
        }
        assert_eq!((outbox.events.len(), locked(&outbox.counts).lost), (EVENTS_MAX, 44));
        assert_eq!(outbox.events[0].payload, "44");
        assert!(outbox.events.iter().all(|event| event.pkid >= FIRST_ID));
        outbox.acknowledged(outbox.events[0].pkid);
        assert_eq!(outbox.events[0].payload, "45");
        outbox.last_id = u16::MAX;
        outbox.keep(String::new(), "");
        assert_eq!(outbox.events.back().map(|event| event.pkid), Some(FIRST_ID));
        while outbox.has_events() {
            outbox.acknowledged(outbox.events[0].pkid);
        }
    }
}
