//! Discovery messages by the rules of Home Assistant's documentation, in `home_assistant.schema.json`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::broker::{broker, is_missing};
use crate::external_tools::{has_python_package, python};
use crate::publishing::{Publishing, Received, Subscriber, publish};

const SCHEMA: &str = include_str!("home_assistant.schema.json");

/// Waits for the messages that describe two cameras: six entities each.
fn described(subscriber: &mut Subscriber) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    while found.len() < 12 {
        let message = subscriber.until(|message: &Received| message.topic.ends_with("/config"));
        found.insert(message.topic.clone(), message.json());
    }
    found
}

#[test]
fn discovery_follows_the_schema_and_is_repeated_when_home_assistant_starts() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (_broker, port) = broker(folder.path(), &String::new);
    let mut subscriber = Subscriber::start(port, &["homeassistant/#"]);
    let target = format!("mqtt://127.0.0.1:{port}/oaktap");
    let cameras = ["front=sim:?size=64x48", "sim:?size=64x48"];
    let arguments = [&["publish"], &cameras[..], &["--to", &target, "--home-assistant"]].concat();
    let publishing = Publishing::start(&arguments);
    let first = described(&mut subscriber);
    publish(port, "homeassistant/status", &["-m", "offline"]);
    publish(port, "homeassistant/status", &["-m", "online"]);
    subscriber.until(|message| message.topic == "homeassistant/status" && message.payload == "online");
    assert_eq!(described(&mut subscriber), first);
    assert_eq!(publishing.stop().code, 0);

    let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
    for (topic, config) in &first {
        let levels: Vec<_> = topic.split('/').collect();
        let [discovery, component, node, object, "config"] = levels[..] else { panic!("{topic}") };
        let is_identifier = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        assert!(discovery == "homeassistant" && is_identifier(node) && is_identifier(object), "{topic}");
        let rules = &schema["$defs"][component];
        for required in rules["required"].as_array().expect(component) {
            assert!(config.get(required.as_str().expect("a name")).is_some(), "{topic}: {required}");
        }
        for name in config.as_object().expect("an object").keys() {
            assert!(rules["properties"].get(name).is_some(), "{topic}: `{name}` is not documented");
        }
    }
    if !has_python_package("jsonschema_rs") {
        return;
    }
    let (rules, messages) = (folder.path().join("schema.json"), folder.path().join("messages.json"));
    let list: Vec<_> = first.iter().map(|(topic, config)| json!([topic, config])).collect();
    std::fs::write(&rules, SCHEMA).expect("a file");
    std::fs::write(&messages, Value::from(list).to_string()).expect("a file");
    if let Some(checked) = python("check_home_assistant.py", &[&rules, &messages]) {
        assert_eq!(checked.trim(), "12");
    }
}
