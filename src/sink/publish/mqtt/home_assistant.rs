//! Discovery by Home Assistant: retained messages that describe the entities of each camera.

use serde_json::{Value, json};

use super::topics::{Topics, identifier};

/// The payload with which Home Assistant says that it has started.
pub(super) const BIRTH: &[u8] = b"online";

/// Returns the topic on which Home Assistant says that it has started.
pub(super) fn status(discovery_prefix: &str) -> String {
    format!("{discovery_prefix}/status")
}

/// An entity of a camera, and the text that its identifier ends with.
struct Entity {
    component: &'static str,
    id: &'static str,
    /// Without what all entities of a camera have.
    config: Value,
}

fn entities(topics: &Topics, level: &str) -> [Entity; 6] {
    let (state, objects) = (topics.of(level, "state"), topics.of(level, "objects"));
    [
        Entity {
            component: "binary_sensor",
            id: "connection",
            config: json!({
                "name": "Connection",
                "device_class": "connectivity",
                "entity_category": "diagnostic",
                "state_topic": state,
                "value_template": "{{ 'ON' if value_json.online else 'OFF' }}",
            }),
        },
        Entity {
            component: "sensor",
            id: "fps",
            config: json!({
                "name": "Frame rate",
                "entity_category": "diagnostic",
                "state_class": "measurement",
                "unit_of_measurement": "fps",
                "state_topic": state,
                "value_template": "{{ value_json.fps | round(1) }}",
            }),
        },
        Entity {
            component: "sensor",
            id: "lost",
            config: json!({
                "name": "Lost frames",
                "entity_category": "diagnostic",
                "state_class": "total_increasing",
                "unit_of_measurement": "frames",
                "state_topic": state,
                "value_template": "{{ value_json.lost + value_json.missing }}",
            }),
        },
        Entity {
            component: "sensor",
            id: "objects",
            config: json!({
                "name": "Objects",
                "state_class": "measurement",
                "unit_of_measurement": "objects",
                "state_topic": objects,
                "value_template": "{{ value_json.total }}",
                "json_attributes_topic": objects,
                "json_attributes_template": "{{ value_json.classes | tojson }}",
            }),
        },
        Entity {
            component: "image",
            id: "picture",
            config: json!({
                "name": "Picture",
                "content_type": "image/jpeg",
                "image_topic": topics.of(level, "picture"),
            }),
        },
        Entity {
            component: "button",
            id: "take_picture",
            config: json!({
                "name": "Take picture",
                "command_topic": topics.request(level),
            }),
        },
    ]
}

/// Returns the topics and the payloads that describe a camera. `level`: its name in topics.
pub(super) fn discovery(
    discovery_prefix: &str,
    topics: &Topics,
    camera: &str,
    level: &str,
) -> impl Iterator<Item = (String, String)> {
    // With the slash, which no identifier has, and so always with a checksum: `a/b_c` and `a_b/c` are two cameras.
    let device = format!("oaktap_{}", identifier(&topics.of_camera(level)));
    let shared = json!({
        "availability_topic": topics.available(),
        "device": { "identifiers": [device], "name": camera, "manufacturer": "oaktap" },
        "origin": { "name": "oaktap", "sw_version": env!("CARGO_PKG_VERSION") },
    });
    let discovery_prefix = discovery_prefix.to_owned();
    entities(topics, level).into_iter().map(move |Entity { component, id, mut config }| {
        if let (Value::Object(fields), Value::Object(shared)) = (&mut config, &shared) {
            fields.extend(shared.clone());
            fields.insert("unique_id".to_owned(), format!("{device}_{id}").into());
        }
        (format!("{discovery_prefix}/{component}/{device}/{id}/config"), config.to_string())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn entities_have_topics_of_their_own_and_one_device() {
        let topics = Topics::new("oaktap");
        let found: Vec<_> = discovery("homeassistant", &topics, "front door", "front").collect();
        let names: BTreeSet<_> = found.iter().map(|(topic, _)| topic.as_str()).collect();
        assert_eq!(names.len(), 6);
        let first = names.first().expect("a topic");
        assert!(first.starts_with("homeassistant/binary_sensor/oaktap_oaktap_front_"), "{first}");
        assert!(first.ends_with("/connection/config"), "{first}");
        let configs: Vec<Value> = found.iter().map(|(_, text)| serde_json::from_str(text).expect("JSON")).collect();
        let ids: BTreeSet<_> = configs.iter().map(|config| config["unique_id"].to_string()).collect();
        assert_eq!(ids.len(), 6);
        for config in &configs {
            assert_eq!(config["device"]["identifiers"], configs[0]["device"]["identifiers"]);
            assert_eq!(config["device"]["name"], "front door");
            assert_eq!(config["availability_topic"], "oaktap/available");
            assert_eq!(config["origin"]["name"], "oaktap");
        }
    }

    #[test]
    fn cameras_and_programs_share_no_identifier() {
        let ids = |prefix: &str, level: &str| -> Vec<String> {
            discovery("homeassistant", &Topics::new(prefix), "cam", level).map(|(topic, _)| topic).collect()
        };
        let all = [ids("a", "b.c"), ids("a", "b_c"), ids("a/b", "c"), ids("a_b", "c")].concat();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 24);
    }
}
