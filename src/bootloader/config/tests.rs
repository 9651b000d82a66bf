//! Configurations compared with those that the vendor's client wrote.

use std::time::Duration;

use super::*;
use crate::bootloader::bson::BsonError;

/// Written by the vendor's client: a static address, name servers and an Ethernet address.
const STATIC: &str = "\
    de010000106170704d656d00ffffffff036e6574776f726b0064010000106970763400c0a801321069707634446e7300080808081069\
    707634446e73416c74000101010110697076344761746577617900c0a8010110697076344d61736b00ffffff00046970763600210000\
    0010300000000000103100000000001032000000000010330000000000000469707636446e7300210000001030000000000010310000\
    0000001032000000000010330000000000000469707636446e73416c7400210000001030000000000010310000000000103200000000\
    001033000000000000046970763647617465776179002100000010300000000000103100000000001032000000000010330000000000\
    0010697076365072656669780000000000046d6163002f00000010300002000000103100110000001032002200000010330033000000\
    10340044000000103500550000000008737461746963497076340001087374617469634970763600001074696d656f75744d73003075\
    000000037573620037000000106d61785573625370656564000300000010706964003cf600001074696d656f75744d7300b80b000010\
    76696400e7030000001075736572426c436865636b73756d00000000001075736572426c53697a65000000000000";

/// [`STATIC`] with the additional keys `network.hostname` and `xFutureKey`.
const FOREIGN: &str = "\
    2a020000106170704d656d00ffffffff036e6574776f726b007601000002686f73746e616d65000400000063616d00106970763400c0\
    a801321069707634446e7300080808081069707634446e73416c74000101010110697076344761746577617900c0a801011069707634\
    4d61736b00ffffff00046970763600210000001030000000000010310000000000103200000000001033000000000000046970763644\
    6e73002100000010300000000000103100000000001032000000000010330000000000000469707636446e73416c7400210000001030\
    000000000010310000000000103200000000001033000000000000046970763647617465776179002100000010300000000000103100\
    0000000010320000000000103300000000000010697076365072656669780000000000046d6163002f00000010300002000000103100\
    110000001032002200000010330033000000103400440000001035005500000000087374617469634970763400010873746174696349\
    70763600001074696d656f75744d73003075000000037573620037000000106d61785573625370656564000300000010706964003cf6\
    00001074696d656f75744d7300b80b00001076696400e7030000001075736572426c436865636b73756d00000000001075736572426c\
    53697a65000000000003784675747572654b6579002e0000000461001a00000010300001000000103100020000001032000300000000\
    0262000500000074657874000000";

/// Written by the vendor's client after reading [`FOREIGN`]: DHCP with a fallback address.
const FALLBACK: &str = "\
    18020000106170704d656d00ffffffff036e6574776f726b00640100001069707634000a0000091069707634446e7300080808081069\
    707634446e73416c740001010101106970763447617465776179000a00000110697076344d61736b00ff000000046970763600210000\
    0010300000000000103100000000001032000000000010330000000000000469707636446e7300210000001030000000000010310000\
    0000001032000000000010330000000000000469707636446e73416c7400210000001030000000000010310000000000103200000000\
    001033000000000000046970763647617465776179002100000010300000000000103100000000001032000000000010330000000000\
    0010697076365072656669780000000000046d6163002f00000010300002000000103100110000001032002200000010330033000000\
    10340044000000103500550000000008737461746963497076340000087374617469634970763600001074696d656f75744d73003075\
    000000037573620037000000106d61785573625370656564000300000010706964003cf600001074696d656f75744d7300b80b000010\
    76696400e7030000001075736572426c436865636b73756d00000000001075736572426c53697a65000000000003784675747572654b\
    6579002e0000000461001a000000103000010000001031000200000010320003000000000262000500000074657874000000";

/// Written by the vendor's client: address, mask and gateway with a last octet of 128 or more.
const HIGH: &str = "\
    ea010000106170704d656d00ffffffff036e6574776f726b0070010000126970763400c0a801c8000000001069707634446e73000000\
    00001069707634446e73416c74000000000012697076344761746577617900c0a801fe0000000012697076344d61736b00ffffff8000\
    0000000469707636002100000010300000000000103100000000001032000000000010330000000000000469707636446e7300210000\
    0010300000000000103100000000001032000000000010330000000000000469707636446e73416c7400210000001030000000000010\
    310000000000103200000000001033000000000000046970763647617465776179002100000010300000000000103100000000001032\
    0000000000103300000000000010697076365072656669780000000000046d6163002f00000010300000000000103100000000001032\
    000000000010330000000000103400000000001035000000000000087374617469634970763400010873746174696349707636000010\
    74696d656f75744d73003075000000037573620037000000106d61785573625370656564000300000010706964003cf600001074696d\
    656f75744d7300b80b00001076696400e7030000001075736572426c436865636b73756d00000000001075736572426c53697a650000\
    00000000";

/// Written by the vendor's client after flashing an application.
const FLASHED: &str = "\
    11000000106170704d656d000000000000";

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a digit") as u8;
    hex.as_bytes().as_chunks::<2>().0.iter().map(|[high, low]| digit(*high) << 4 | digit(*low)).collect()
}

fn parse(hex: &str) -> Config {
    Config::parse(&bytes(hex)).expect("a configuration")
}

fn address(text: &str, prefix: u8, gateway: &str) -> StaticAddress {
    let ip = |text: &str| text.parse().expect("an address");
    StaticAddress { address: ip(text), prefix, gateway: ip(gateway) }
}

fn mac() -> Mac {
    "02:11:22:33:44:55".parse().expect("an Ethernet address")
}

#[test]
fn documents_of_the_vendor_round_trip() {
    for document in [STATIC, FOREIGN, FALLBACK, HIGH, FLASHED] {
        assert_eq!(parse(document).to_bytes().unwrap(), bytes(document));
    }
}

#[test]
fn settings_are_encoded_like_the_vendors() {
    let mut config = Config::vendor_default();
    config.set_static_address(&address("192.168.1.50", 24, "192.168.1.1")).unwrap();
    config.set_dns([Some([8, 8, 8, 8].into()), Some([1, 1, 1, 1].into())]).unwrap();
    config.set_mac(Some(mac())).unwrap();
    assert_eq!(config.to_bytes().unwrap(), bytes(STATIC));

    let mut config = Config::vendor_default();
    config.set_static_address(&address("192.168.1.200", 25, "192.168.1.254")).unwrap();
    assert_eq!(config.to_bytes().unwrap(), bytes(HIGH));

    let mut config = Config::default();
    config.set_application_memory(Memory::Flash);
    assert_eq!(config.to_bytes().unwrap(), bytes(FLASHED));
}

#[test]
fn unknown_keys_are_kept() {
    let mut config = parse(FOREIGN);
    let mut fallback = address("10.0.0.9", 8, "10.0.0.1");
    config.set_dhcp(Some(&fallback)).unwrap();
    // The vendor's client replaced all of `network` and lost the host name.
    let mut vendors = parse(FALLBACK);
    let Some(BsonValue::Document(network)) = vendors.document.get_mut("network") else { panic!("{vendors:?}") };
    network.set("hostname", BsonValue::String("cam".to_owned()));
    assert_eq!(config, vendors);
    let lost: Vec<_> = parse(FOREIGN).changes(&parse(FALLBACK)).into_iter().map(|change| change.key).collect();
    assert!(lost.contains(&"network.hostname".to_owned()), "{lost:?}");

    config.clear_network();
    config.set_user_bootloader(Some(UserBootloader { size: 5, checksum: 0xffff_fff0 }));
    assert_eq!(config.document.get("xFutureKey"), parse(FOREIGN).document.get("xFutureKey"));
    assert_eq!(config.network().unwrap(), NetworkConfig::default());
    let again = Config::parse(&config.to_bytes().unwrap()).unwrap();
    assert_eq!(again.user_bootloader().unwrap(), Some(UserBootloader { size: 5, checksum: 0xffff_fff0 }));
    config.set_user_bootloader(None);
    assert_eq!(config.user_bootloader().unwrap(), None);

    fallback.prefix = 0;
    assert_eq!(fallback.mask().to_string(), "0.0.0.0");
}

#[test]
fn captured_documents_have_the_settings_of_the_capture() {
    let network = parse(STATIC).network().unwrap();
    let ip = |text: &str| Some(text.parse().expect("an address"));
    assert_eq!(
        network,
        NetworkConfig {
            is_static: true,
            address: ip("192.168.1.50"),
            mask: ip("255.255.255.0"),
            gateway: ip("192.168.1.1"),
            dns: [ip("8.8.8.8"), ip("1.1.1.1")],
            mac: Some(mac()),
            host_wait: Some(HostWait::For(Duration::from_secs(30))),
        }
    );
    assert_eq!(network.prefix(), Some(24));
    let high = parse(HIGH).network().unwrap();
    assert_eq!((high.address, high.prefix(), high.gateway), (ip("192.168.1.200"), Some(25), ip("192.168.1.254")));
    assert_eq!(high.mac, None);
    let odd = NetworkConfig { mask: ip("255.0.255.0"), ..high };
    assert_eq!(odd.prefix(), None);
    let usb = UsbConfig {
        host_wait: Some(HostWait::For(Duration::from_secs(3))),
        max_speed: Some(3),
        vid: Some(0x03e7),
        pid: Some(0xf63c),
    };
    assert_eq!(parse(STATIC).usb().unwrap(), usb);
    assert_eq!(parse(STATIC).application_memory().unwrap(), Some(Memory::Auto));
    assert_eq!(parse(FLASHED).application_memory().unwrap(), Some(Memory::Flash));
    assert_eq!(parse(FLASHED).network().unwrap(), NetworkConfig::default());
    assert_eq!(Config::default().application_memory().unwrap(), None);
}

#[test]
fn dhcp_clears_address_without_fallback() {
    let mut config = parse(STATIC);
    config.set_dhcp(None).unwrap();
    let network = config.network().unwrap();
    assert_eq!((network.is_static, network.address, network.mask, network.gateway), (false, None, None, None));
    assert_eq!((network.mac, network.dns), (Some(mac()), parse(STATIC).network().unwrap().dns));
    // Missing address keys are not created.
    let mut config = Config::default();
    config.set_dhcp(None).unwrap();
    assert_eq!(config.document.to_string(), r#"{"network":{"staticIpv4":false}}"#);
}

#[test]
fn host_wait_is_serialized_as_seconds() {
    let json = |wait| serde_json::to_string(&wait).unwrap();
    let waits = [HostWait::None, HostWait::For(Duration::from_millis(1500)), HostWait::Forever].map(json);
    assert_eq!(waits, ["\"none\"", "1.5", "\"forever\""]);
}

#[test]
fn host_wait_is_encoded_as_milliseconds() {
    for (wait, number) in
        [(HostWait::None, 0), (HostWait::For(Duration::from_millis(1500)), 1500), (HostWait::Forever, -1)]
    {
        let mut config = Config::default();
        config.set_network_host_wait(wait).unwrap();
        config.set_usb_host_wait(wait).unwrap();
        let text = format!(r#"{{"network":{{"timeoutMs":{number}}},"usb":{{"timeoutMs":{number}}}}}"#);
        assert_eq!(config.document.to_string(), text);
        assert_eq!((config.network().unwrap().host_wait, config.usb().unwrap().host_wait), (Some(wait), Some(wait)));
    }
}

#[test]
fn invalid_values_are_reported_with_their_key() {
    let of = |text: &str| match BsonValue::from_json(&serde_json::from_str(text).expect("JSON")) {
        Ok(BsonValue::Document(document)) => Config::from_document(document),
        other => panic!("{other:?}"),
    };
    let network = |text: &str| of(&format!(r#"{{"network": {text}}}"#)).network().unwrap_err().to_string();
    let within = "in the camera's configuration is";
    assert_eq!(network("5"), format!("`network` {within} a number, expected an object"));
    assert_eq!(network(r#"{"ipv4": "1.2.3.4"}"#), format!("`network.ipv4` {within} a string, expected a number"));
    assert_eq!(network(r#"{"ipv4": -1}"#), format!("`network.ipv4` {within} -1, expected 0 to 4294967295"));
    assert_eq!(network(r#"{"staticIpv4": 1}"#), format!("`network.staticIpv4` {within} a number, expected a boolean"));
    assert_eq!(
        network(r#"{"mac": [1]}"#),
        format!("`network.mac` {within} an array of another length, expected an array of six bytes")
    );
    assert_eq!(network(r#"{"mac": [0,0,0,0,0,256]}"#), format!("`network.mac` {within} 256, expected 0 to 255"));
    assert_eq!(
        of(r#"{"appMem": 2}"#).application_memory().unwrap_err().to_string(),
        format!("`appMem` {within} 2, expected -1 to 1")
    );
    assert_eq!(
        of(r#"{"network": []}"#).set_dhcp(None).unwrap_err().to_string(),
        format!("`network` {within} an array, expected an object")
    );
    assert!(matches!(Config::parse(b"\x05\0\0\0"), Err(ConfigError::Bson(BsonError::Encoding(_)))));
    let long = of(&format!(r#"{{"long": "{}"}}"#, "x".repeat(16 << 10)));
    assert_eq!(long.to_bytes().unwrap_err(), ConfigError::TooLarge { bytes: 16_400, room: 16_376 });
}

#[test]
fn ethernet_addresses_parse_and_group_addresses_are_rejected() {
    assert_eq!(mac().to_string(), "02:11:22:33:44:55");
    assert_eq!("02-11-22-33-44-55".parse(), Ok(mac()));
    for text in
        ["", "02:11:22:33:44", "02:11:22:33:44:5", "02:11:22:33:44:55:66", "02:11:22:33:44:5g", "+2:11:22:33:44:55"]
    {
        assert_eq!(text.parse::<Mac>(), Err(MacError::Text(text.to_owned())));
    }
    for text in ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"] {
        assert_eq!(text.parse::<Mac>(), Err(MacError::Group(text.to_owned())));
    }
}

#[test]
fn differences_are_listed_by_key() {
    let before = parse(STATIC);
    let mut after = before.clone();
    after.set_static_address(&address("192.168.1.51", 24, "192.168.1.1")).unwrap();
    after.set_application_memory(Memory::Emmc);
    after.document.remove("userBlSize");
    let keys: Vec<_> = before.changes(&after).into_iter().map(|change| change.key).collect();
    assert_eq!(keys, ["userBlSize", "appMem", "network.ipv4"]);
    assert_eq!(before.changes(&before), []);
}
