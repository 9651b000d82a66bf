//! The fields of `--json` are those of docs/json-cameras.md.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::program::run;

const PAGE: &str = include_str!("../../docs/json-cameras.md");

/// Fields whose content is not ours: the settings of a camera, and rules of a firewall.
const FOREIGN: [&str; 2] = ["settings", "chains"];

fn add_keys(value: &Value, keys: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                keys.insert(key.clone());
                if !FOREIGN.contains(&key.as_str()) {
                    add_keys(value, keys);
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| add_keys(value, keys)),
        _ => {}
    }
}

#[cfg(target_os = "linux")]
#[test]
fn every_field_of_the_commands_for_cameras_is_documented() {
    // Those of `doctor` are checked with their paths in `output_fields`.
    let folder = tempfile::tempdir().expect("a folder");
    let saved = folder.path().to_str().expect("UTF-8");
    let gone = "gone=127.0.0.1:9";
    for command in [
        &["list", "sim:", "127.211.9.9", "--wait", "50ms"][..],
        &["info", "front=sim:", "127.211.9.9", "--yes"],
        &["backup", "sim:", "-o", saved, "--yes"],
        &["backup", "front=sim:id=14442C10D13EABCE01", "yard=sim:id=14442C10D13EABCE02", "-o", saved, "--yes"],
        &["network", "sim:", "show", "--yes"],
        &["network", "sim:", "dhcp", "--yes", "--force", "--no-wait"],
        &["bootloader", "sim:", "show", "--yes"],
        &["erase", "sim:", "--yes"],
        &["flash", "sim:", "--camera-only", "--yes", "--dry-run"],
        &["flash", "sim:", "--camera-only", "--yes", "--no-wait"],
        &["flash", "sim:fault=drop-progress:0.5", "--camera-only", "--yes", "--no-wait"],
        &["reset", "sim:", "--yes", "--no-wait"],
        &["control", gone, "lens=120"],
    ] {
        let (_, out, err) = run(&[command, &["--json"]].concat());
        let mut keys = BTreeSet::new();
        for line in out.lines() {
            add_keys(&serde_json::from_str(line).expect("JSON"), &mut keys);
        }
        assert!(keys.contains("command"), "{command:?}: {out}{err}");
        let unknown: Vec<_> = keys.iter().filter(|key| !PAGE.contains(&format!("`{key}`"))).collect();
        let ours: Vec<_> = unknown.iter().filter(|key| !["summary", "total"].contains(&key.as_str())).collect();
        assert!(ours.is_empty(), "{command:?}: not in docs/json-cameras.md: {ours:?}");
    }
}
