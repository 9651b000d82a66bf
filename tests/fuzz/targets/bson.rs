//! BSON: parsed documents encode to the same bytes, and convert to a configuration or give an error.
#![no_main]

use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use oaktap::bootloader::Memory;
use oaktap::bootloader::bson::{BsonDocument, BsonError, BsonValue};
use oaktap::bootloader::config::{Config, HostWait, StaticAddress};
use oaktap::error::EncodingError;
use oaktap_fuzz::memory;

#[derive(Arbitrary, Debug)]
enum Made {
    Double(u64),
    String(String),
    Document(Vec<(Key, Made)>),
    Array(Vec<Made>),
    Binary(u8, Vec<u8>),
    Bool(bool),
    Null,
    Int32(i32),
    Unsigned64(u64),
    Int64(i64),
}

#[derive(Arbitrary, Debug)]
enum Key {
    Network,
    Usb,
    AppMem,
    UserBlSize,
    Ipv4,
    StaticIpv4,
    Mac,
    TimeoutMs,
    Other(String),
}

impl Key {
    fn text(&self) -> &str {
        match self {
            Self::Network => "network",
            Self::Usb => "usb",
            Self::AppMem => "appMem",
            Self::UserBlSize => "userBlSize",
            Self::Ipv4 => "ipv4",
            Self::StaticIpv4 => "staticIpv4",
            Self::Mac => "mac",
            Self::TimeoutMs => "timeoutMs",
            Self::Other(text) => text,
        }
    }
}

fn document(elements: &[(Key, Made)]) -> BsonDocument {
    let mut document = BsonDocument::default();
    for (key, value) in elements {
        document.set(key.text(), value.value());
    }
    document
}

impl Made {
    fn value(&self) -> BsonValue {
        match self {
            Self::Double(bits) => BsonValue::Double(f64::from_bits(*bits)),
            Self::String(text) => BsonValue::String(text.clone()),
            Self::Document(elements) => BsonValue::Document(document(elements)),
            Self::Array(items) => BsonValue::Array(items.iter().map(Self::value).collect()),
            Self::Binary(subtype, bytes) => BsonValue::Binary(*subtype, bytes.clone()),
            Self::Bool(value) => BsonValue::Bool(*value),
            Self::Null => BsonValue::Null,
            Self::Int32(number) => BsonValue::Int32(*number),
            Self::Unsigned64(number) => BsonValue::Unsigned64(*number),
            Self::Int64(number) => BsonValue::Int64(*number),
        }
    }
}

/// Replaces NaN, which does not equal itself.
fn same(a: &BsonDocument, b: &BsonDocument) -> bool {
    a.to_bytes() == b.to_bytes()
}

fn settle(document: BsonDocument) {
    let own = document.clone();
    // In JSON, bytes become an object with an array, two levels deeper.
    let json = BsonValue::from_json(&document.to_json());
    let is_expected =
        matches!(json, Ok(BsonValue::Document(_)) | Err(BsonError::Encoding(EncodingError::TooDeep { .. })));
    assert!(is_expected, "{json:?}");
    let mut config = Config::from_document(document);
    let _ = (config.network(), config.usb(), config.application_memory(), config.user_bootloader());
    let wanted = StaticAddress { address: [10, 0, 0, 200].into(), prefix: 24, gateway: [10, 0, 0, 1].into() };
    let before = config.clone();
    let changed = config.set_static_address(&wanted).and_then(|()| {
        config.set_mac(None)?;
        config.set_network_host_wait(HostWait::For(Duration::from_secs(9)))
    });
    let is_object = before.document().get("network").is_none_or(|network| matches!(network, BsonValue::Document(_)));
    assert_eq!(changed.is_ok(), is_object);
    config.set_application_memory(Memory::Emmc);
    assert_eq!(config.application_memory(), Ok(Some(Memory::Emmc)));
    if changed.is_ok() {
        let network = config.network().map(|network| (network.is_static, network.address, network.prefix()));
        if let Ok(network) = network {
            assert_eq!(network, (true, Some(wanted.address), Some(24)));
        }
    }
    // Keys that were not named are unchanged.
    for (key, value) in own.iter().filter(|(key, _)| !matches!(*key, "network" | "appMem")) {
        let kept = config.document().get(key).expect("it is kept");
        let alone = |value: &BsonValue| {
            let mut alone = BsonDocument::default();
            alone.set("it", value.clone());
            alone.to_bytes()
        };
        assert_eq!(alone(kept), alone(value));
    }
    if let Ok(bytes) = config.to_bytes() {
        let again = Config::parse(&bytes).expect("it was written here");
        assert!(same(again.document(), config.document()));
    }
    let _ = before.changes(&config);
}

fuzz_target!(|input: &[u8]| {
    let (parsed, held) = memory::peak(|| BsonDocument::parse(input));
    // The smallest element has two bytes and allocates a name, a value and an entry in the set of names.
    assert!(held <= 160 * input.len() + (4 << 10), "{held} bytes were held for a document of {}", input.len());
    if let Ok(document) = parsed {
        assert_eq!(document.to_bytes(), input);
        settle(document);
    }
    let Ok(made) = Vec::<(Key, Made)>::arbitrary(&mut Unstructured::new(input)) else { return };
    let document = document(&made);
    let bytes = document.to_bytes();
    // The only possible error is the nesting depth.
    let Ok(read) = BsonDocument::parse(&bytes) else { return };
    assert!(same(&read, &document));
    settle(read);
});
