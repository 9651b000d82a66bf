//! Reads packages, settings and the bootloader that the vendor's tool writes.

#![cfg(feature = "cli")]

mod peers;

use std::fs;
use std::path::Path;

use oaktap::bootloader::config::{Config, StaticAddress};
use oaktap::device::firmware::{NETWORK_BOOTLOADER, image};
use oaktap::device::schema::End;
use oaktap::flash::inspect::inspect;
use oaktap::package::{APP_NAME, ASSET_STORAGE, ASSETS, FIRMWARE, FIRMWARE_VERSION, PIPELINE, Package, PackageBuilder};
use peers::content;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Packs the same sections with our builder.
fn repacked(package: &Package) -> PackageBuilder {
    let text = |name| String::from_utf8(content(package, name)).expect("UTF-8");
    PackageBuilder::new(content(package, FIRMWARE))
        .pipeline(content(package, PIPELINE))
        .assets(content(package, ASSETS))
        .asset_storage(content(package, ASSET_STORAGE))
        .firmware_version(text(FIRMWARE_VERSION))
        .app_name(text(APP_NAME))
}

fn address(text: &str, prefix: u8, gateway: &str) -> StaticAddress {
    let ip = |text: &str| text.parse().expect("an address");
    StaticAddress { address: ip(text), prefix, gateway: ip(gateway) }
}

fn settings(theirs: &Value) {
    let mut config = Config::usual();
    assert_eq!(config.document().to_json(), theirs["usual"]);
    config.set_static_address(&address("10.250.128.129", 20, "10.250.143.254")).expect("it is set");
    let dns = ["192.168.1.250", "9.9.9.9"].map(|ip| Some(ip.parse().expect("an address")));
    config.set_dns(dns).expect("it is set");
    config.set_mac(Some("02:aa:bb:cc:dd:fe".parse().expect("an address"))).expect("it is set");
    assert_eq!(config.document().to_json(), theirs["static"]);
    let mut config = Config::usual();
    config.set_dhcp(Some(&address("172.16.0.200", 16, "172.16.0.1"))).expect("it is set");
    assert_eq!(config.document().to_json(), theirs["dynamic"]);
}

#[test]
fn the_vendors_packages_settings_and_bootloader_are_parsed() {
    let Some(mut python) = peers::vendor() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/vendor_formats.py");
    let said = peers::output(python.arg(script).arg(folder.path()));
    let theirs: Value = serde_json::from_str(said.lines().last().expect("a line")).expect("JSON");
    let package = |name: &str| {
        let bytes = fs::read(folder.path().join(name)).expect("it was saved");
        Package::parse(bytes).unwrap_or_else(|error| panic!("{name}: {error}"))
    };

    // The same sections give the same bytes.
    let plain = package("plain.dap");
    assert!(repacked(&plain).build().expect("a package") == plain.bytes(), "plain.dap is laid out in another way");
    let named = package("named.dap");
    assert!(
        repacked(&named).checked_at_boot().build().expect("a package") == named.bytes(),
        "named.dap is laid out in another way"
    );
    assert_eq!(named.app_name().as_deref(), Some("Tür 1"));
    // Another library compresses differently, but the decompressed bytes are the same.
    let compressed = package("compressed.dap");
    let packed_here = repacked(&compressed).compressed().build().expect("a package");
    let packed_here = Package::parse(packed_here).expect("whole");
    let told_of = |package: &Package| {
        package.sections().iter().map(|section| (section.name().to_owned(), section.flags())).collect::<Vec<_>>()
    };
    assert_eq!(told_of(&packed_here), told_of(&compressed));
    for section in compressed.sections() {
        let same = content(&packed_here, section.name()) == content(&compressed, section.name());
        assert!(same, "{} is another one", section.name());
    }
    assert!(content(&compressed, FIRMWARE) == content(&plain, FIRMWARE));

    for package in [&plain, &named, &compressed] {
        let report = inspect(package.bytes()).expect("a package");
        assert!(report.whole && report.odd_gap_bytes == 0, "{:?}", report.faults);
        assert!(report.firmware.expect("a firmware").myriad_x);
        let application = report.application.expect("an application");
        assert_eq!(application.faults, [""; 0]);
        let nodes: Vec<_> = application.nodes.iter().map(|node| json!([node.id, node.name])).collect();
        assert_eq!(json!(nodes), theirs["nodes"]);
        let end = |end: &End| json!([end.node, end.group, end.port]);
        let mut links: Vec<_> = application.links.iter().map(|link| json!([end(&link.from), end(&link.to)])).collect();
        links.sort_by_key(Value::to_string);
        let mut expected = theirs["links"].as_array().expect("links").clone();
        expected.sort_by_key(Value::to_string);
        assert_eq!(links, expected);
        assert_eq!(application.scripts.len(), 1);
        assert_eq!(application.scripts[0].text.as_deref(), theirs["script"].as_str());
        assert_eq!(application.scripts[0].script.processor, 0);
    }

    settings(&theirs["settings"]);

    let module = fs::read(theirs["module"].as_str().expect("a path")).expect("the extension module");
    let (_, bootloader) = image(&module, NETWORK_BOOTLOADER).expect("it brings one along");
    let sha256: String = Sha256::digest(&bootloader).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(json!([bootloader.len(), sha256]), theirs["bootloader"]);
}
