//! State of the topics of one source: which one has the pictures, and which messages were received already.

use std::collections::{HashMap, HashSet};

use super::spec::DETECTIONS_LEVEL;

/// Topics of which something is remembered. A broker can have any number.
const MAX_TOPICS: usize = 1024;

/// Length and checksum of a message.
type Digest = (usize, u32);

/// The last messages of a topic.
#[derive(Debug, Default)]
struct Received {
    /// The last one, which the publisher may have asked the broker to retain.
    last: Option<Digest>,
    /// The last one that the broker had retained. Others may have followed that it did not retain.
    retained: Option<Digest>,
}

/// Topics over all connections of a source.
#[derive(Debug, Default)]
pub(super) struct Topics {
    pictures: Option<String>,
    last: HashMap<String, Received>,
    reported: HashSet<String>,
}

impl Topics {
    /// Returns whether a retained message was received before, live or on another connection: the broker sends it again with
    /// each subscription. Remembers the message.
    pub(super) fn is_repeated(&mut self, topic: &str, payload: &[u8], is_retained: bool) -> bool {
        let digest = Some((payload.len(), crc32fast::hash(payload)));
        if !self.last.contains_key(topic) && self.last.len() == MAX_TOPICS {
            return false;
        }
        let known = self.last.entry(topic.to_owned()).or_default();
        let is_known = [known.last, known.retained].contains(&digest);
        *if is_retained { &mut known.retained } else { &mut known.last } = digest;
        is_known && is_retained
    }

    /// Returns whether pictures of this topic belong to the camera: the first topic with a picture decides.
    ///
    /// # Errors
    /// The topic of the pictures, if it is another one.
    pub(super) fn admit_picture(&mut self, topic: &str) -> Result<(), &str> {
        match self.pictures.get_or_insert_with(|| topic.to_owned()) {
            pictures if pictures == topic => Ok(()),
            pictures => Err(pictures),
        }
    }

    /// Returns whether detections of this topic belong to pictures of that one: of the same topic, or of one below it. Those of
    /// another camera may match the same filter.
    pub(super) fn belong(detections: &str, pictures: &str) -> bool {
        detections.strip_prefix(pictures).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Returns whether detections of this topic may belong to the next picture.
    pub(super) fn admit_detections(&self, topic: &str) -> bool {
        self.pictures.as_deref().is_none_or(|pictures| Self::belong(topic, pictures))
    }

    /// Returns the topic at which the detections of the pictures are expected.
    pub(super) fn expected_detections(&self) -> String {
        self.pictures.clone().unwrap_or_default() + DETECTIONS_LEVEL
    }

    /// Returns whether something is to be reported about a topic: once.
    pub(super) fn report(&mut self, topic: &str) -> bool {
        self.reported.len() < MAX_TOPICS && self.reported.insert(topic.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retained_messages_that_were_received_are_repeated() {
        let mut topics = Topics::default();
        assert!(!topics.is_repeated("a", b"one", true));
        assert!(!topics.is_repeated("a", b"two", false));
        assert!(topics.is_repeated("a", b"two", true));
        assert!(!topics.is_repeated("a", b"two", false), "published again");
        assert!(!topics.is_repeated("b", b"two", true), "another topic");
        assert!(!topics.is_repeated("a", b"tow", true));
        assert!(!topics.is_repeated("a", b"one", false));
        assert!(topics.is_repeated("a", b"tow", true), "others followed that the broker did not retain");
    }

    #[test]
    fn detections_belong_to_pictures_of_their_topic_or_one_above() {
        for (detections, pictures, expected) in [
            ("cam/a", "cam/a", true),
            ("cam/a/detections", "cam/a", true),
            ("cam/ab/detections", "cam/a", false),
            ("cam/b/detections", "cam/a", false),
            ("cam", "cam/a", false),
        ] {
            assert_eq!(Topics::belong(detections, pictures), expected, "{detections}");
        }
    }

    #[test]
    fn pictures_come_from_one_topic() {
        let mut topics = Topics::default();
        assert_eq!(topics.admit_picture("cam/a"), Ok(()));
        assert_eq!(topics.admit_picture("cam/b"), Err("cam/a"));
        assert_eq!(topics.admit_picture("cam/a"), Ok(()));
        assert!(topics.admit_detections("cam/a/x") && !topics.admit_detections("cam/b"));
        assert!(topics.report("cam/b") && !topics.report("cam/b"));
    }
}
