//! Numbers that cameras send beside their pictures, on topics of their own for other programs. oaktap reads them from the wire
//! channel.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{Seek, Write};

use mcap::records::MessageHeader;
use mcap::{McapResult, Writer};

use super::frame_messages::nanoseconds;
use super::schema::RecordedIncident;
use super::topics::number_topic;
use super::writer::CHANNELS;

/// Topics of one file, or of one camera that is published. Numbers of further topics are in the wire channel only.
pub(crate) const TOPICS_MAX: usize = 1024;

/// A message.
#[derive(serde::Serialize)]
struct Number<'a> {
    topic: &'a str,
    value: f64,
    stale: bool,
}

/// Name of the schema of [`Number`].
pub(crate) const NUMBER_SCHEMA: &str = "oaktap.Measurement";

/// The schema of [`Number`].
pub(crate) const SCHEMA: &str = r#"{"type":"object","properties":{"topic":{"type":"string"},"value":{"type":"number"},"stale":{"type":"boolean"}}}"#;

/// Returns the message of a number that was published on this topic.
pub(crate) fn number_message(topic: &str, value: f64, stale: bool) -> Vec<u8> {
    // A string and a finite number: serializing them cannot fail.
    serde_json::to_vec(&Number { topic, value, stale }).unwrap_or_default()
}

/// The channels of numbers, whose topics are not known before. Channel numbers are assigned from the last one down, so that they
/// do not meet those of the cameras.
#[derive(Debug, Default)]
pub(super) struct NumberChannels {
    /// Number of the channel, and of its next message, by topic.
    known: BTreeMap<String, (u16, u32)>,
}

impl NumberChannels {
    /// Writes the number of an incident to `/NAME/measurement/TOPIC`. `cameras`: cameras of the file. Returns the bytes of the
    /// message.
    pub(super) fn write<W: Write + Seek>(
        &mut self,
        mcap: &mut Writer<W>,
        name: &str,
        cameras: usize,
        incident: &RecordedIncident,
        at_unix_ns: i64,
    ) -> McapResult<u64> {
        let RecordedIncident { text: topic, value, stale, .. } = incident;
        let used = self.known.len();
        let channel = match self.known.entry(number_topic(name, topic)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let id = u16::MAX - u16::try_from(used).unwrap_or(u16::MAX);
                // Cameras may be added later.
                if used == TOPICS_MAX || usize::from(id / CHANNELS) < 2 * cameras {
                    return Ok(0);
                }
                let schema = mcap.add_schema(NUMBER_SCHEMA, "jsonschema", SCHEMA.as_bytes())?;
                mcap.add_channel_with_id(id, schema, new.key(), "json", &BTreeMap::new())?;
                new.insert((id, 0))
            }
        };
        let (channel_id, sequence) = *channel;
        channel.1 = sequence.wrapping_add(1);
        let time = nanoseconds(at_unix_ns);
        let header = MessageHeader { channel_id, sequence, log_time: time, publish_time: time };
        let message = number_message(topic, *value, *stale);
        mcap.write_to_known_channel(&header, &message)?;
        Ok(message.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::recording::{CameraInfo, Compression, SegmentWriter};

    #[test]
    fn each_topic_has_a_channel_of_json_messages() {
        let cameras = [CameraInfo { name: "front".to_owned(), ..CameraInfo::default() }];
        let mut writer = SegmentWriter::new(Cursor::new(Vec::new()), Compression::None, &cameras, 0).expect("a file");
        for (topic, value, stale) in [("a/b", 2.5, false), ("/\"c\"", -1.0, true), ("a/b", 1e300, false)] {
            let (kind, text) = ("measurement".to_owned(), topic.to_owned());
            let incident = RecordedIncident { kind, text, value, stale, ..RecordedIncident::default() };
            writer.incident(0, &incident, 1_790_000_000_000_000_000).expect("memory");
        }
        let file = writer.finish(&[]).expect("memory").into_inner();
        let found: Vec<_> = mcap::MessageStream::new(&file)
            .expect("a recording")
            .map(|message| message.expect("a message"))
            .filter(|message| message.channel.message_encoding == "json")
            .map(|message| {
                let schema = message.channel.schema.as_ref().expect("a schema");
                serde_json::from_slice::<serde_json::Value>(&schema.data).expect("its schema is JSON");
                let text = String::from_utf8(message.data.to_vec()).expect("UTF-8");
                (message.channel.topic.clone(), schema.name.clone(), message.sequence, text)
            })
            .collect();
        let expected = [
            ("/front/measurement/a/b", 0, r#"{"topic":"a/b","value":2.5,"stale":false}"#),
            ("/front/measurement/\"c\"", 0, r#"{"topic":"/\"c\"","value":-1.0,"stale":true}"#),
            ("/front/measurement/a/b", 1, r#"{"topic":"a/b","value":1e+300,"stale":false}"#),
        ];
        let expected = expected
            .map(|(topic, number, text)| (topic.to_owned(), "oaktap.Measurement".to_owned(), number, text.to_owned()));
        assert_eq!(found, expected);
    }
}
