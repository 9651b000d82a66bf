//! Discovery datagrams and firewall listings: any bytes are parsed or rejected, parsed datagrams round-trip, and merging
//! cameras uses memory in proportion to the received bytes.
#![no_main]

use std::net::Ipv4Addr;

use libfuzzer_sys::fuzz_target;
use oaktap::discovery::{Answer, AnswerError, DiscoveredCameras, Query, CameraAddress, Subnet};
use oaktap::doctor::{redact, rules};

fuzz_target!(|input: &[u8]| {
    let mut found = DiscoveredCameras::default();
    let (mut read, mut heard) = (0, Vec::new());
    // The first byte is the length of the datagrams.
    let (length, bytes) = input.split_first().map_or((1, input), |(first, rest)| (usize::from(*first).max(1), rest));
    for (number, datagram) in bytes.chunks(length).enumerate() {
        if let Some(query) = Query::parse(datagram) {
            assert_eq!(query.to_bytes(), datagram[..4]);
        }
        match Answer::parse(datagram) {
            Ok(answer) => {
                assert!(
                    (1..=32).contains(&answer.id().len()) && answer.id().bytes().all(|byte| byte.is_ascii_graphic())
                );
                assert_eq!(Answer::parse(&answer.to_bytes()).as_ref(), Ok(&answer));
                heard.push(answer.id().to_owned());
                let ip = Ipv4Addr::from_bits(u32::from(datagram[datagram.len() - 1]));
                let interface = (number % 3 > 0).then(|| format!("eth{}", number % 3));
                found.add(answer, CameraAddress { ip, interface });
                read += 1;
            }
            Err(AnswerError::TooShort { found, expected }) => assert!(found == datagram.len() && found < expected),
            Err(AnswerError::Unknown(number)) => assert!(!matches!(number, 1 | 2 | 4)),
            Err(_) => assert!(datagram.len() >= 36),
        }
    }
    heard.sort_unstable();
    heard.dedup();
    assert!(found.cameras().len() <= heard.len());
    for camera in found.cameras() {
        assert!(heard.contains(&camera.id));
        assert!(!camera.addresses.is_empty() && camera.addresses.len() <= read);
        let mut pairs = camera.addresses.clone();
        pairs.sort();
        pairs.dedup();
        assert_eq!(pairs.len(), camera.addresses.len(), "each pair once");
    }

    let text = String::from_utf8_lossy(input);
    if let Ok(subnet) = text.parse::<Subnet>() {
        assert_eq!(subnet.to_string().parse(), Ok(subnet));
        assert!(subnet.hosts().count() <= 1 << 16);
    }
    let count: usize = rules::parse_nft(&text).iter().map(|chain| chain.rules.len()).sum();
    // A chain that several lead to counts for each.
    assert!(count <= text.lines().count().pow(2));
    let _ = rules::parse_iptables(&text);
    let clean = redact(&text, &[oaktap::doctor::Identifying::Camera("camera9")]);
    assert!(clean.len() <= 16 * (text.len() + 1), "{} bytes of {}", clean.len(), text.len());
});
