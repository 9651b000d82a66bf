//! Two ends, joined in memory.

use super::*;

/// Moves bytes in pieces of this length until both are silent, and collects what each end was told.
fn run(host: &mut Link, device: &mut Link, piece: usize) -> (Vec<Event>, Vec<Event>) {
    fn carry(from: &mut Link, to: &mut Link, piece: usize) -> bool {
        let bytes: Vec<u8> = from.output().iter().copied().take(piece).collect();
        from.consumed(bytes.len());
        to.handle_input(&bytes).expect("what a link says is understood");
        !bytes.is_empty()
    }
    loop {
        let (there, back) = (carry(host, device, piece), carry(device, host, piece));
        if !there && !back {
            let told = |link: &mut Link| std::iter::from_fn(|| link.poll()).collect();
            return (told(host), told(device));
        }
    }
}

fn packet(bytes: &[u8]) -> Packet {
    bytes.to_vec().into()
}

#[test]
fn streams_open_whoever_begins_and_packets_go_both_ways() {
    for order in ["device first", "host first", "device never"] {
        for piece in [1, 83, 84, 85, 1000] {
            let (mut host, mut device) = (Link::host(), Link::device());
            run(&mut host, &mut device, piece);
            if order == "device first" {
                device.open("b", 128);
                run(&mut host, &mut device, piece);
            }
            let (b, w) = (host.open("b", 5 << 20), host.open("w", 64));
            run(&mut host, &mut device, piece);
            let there = device.stream("b").expect("it is open");
            if order == "host first" {
                device.open("b", 128);
            } else if order == "device never" {
                device.write_unopened(there);
            }
            run(&mut host, &mut device, piece);
            host.send(b, packet(b"question"));
            device.send(there, packet(b"answer"));
            device.send(there, packet(b""));
            let (host_told, device_told) = run(&mut host, &mut device, piece);
            let came = |told: &[Event], stream, bytes: &[u8]| told.contains(&Event::Packet(stream, bytes.to_vec()));
            assert!(came(&device_told, there, b"question"), "{order} {piece}: {device_told:?}");
            assert!(came(&host_told, b, b"answer") && came(&host_told, b, b""), "{order} {piece}: {host_told:?}");
            assert!(host_told.contains(&Event::Released(b, 8)));
            assert_ne!(b, w);
        }
    }
}

#[test]
fn both_ends_learn_that_they_are_up_and_open() {
    let (mut host, mut device) = (Link::host(), Link::device());
    let b = host.open("b", 100);
    let told = run(&mut host, &mut device, 1000);
    assert_eq!(told.0, [Event::Up, Event::Open(b)]);
    assert_eq!(told.1, [Event::Up, Event::OpenedByPeer(Stream(0), 128)], "rounded up to 64 bytes");
    host.reset();
    assert_eq!(run(&mut host, &mut device, 1000).1, [Event::Reset]);
}

#[test]
fn nothing_is_sent_without_credit() {
    let (mut host, mut device) = (Link::host(), Link::device());
    let stream = host.open("b", 1024);
    run(&mut host, &mut device, 1000);
    device.set_releasing(device.stream("b").expect("it is open"), false);
    for _ in 0..5 {
        host.send(stream, packet(&[7; 300]));
    }
    let came = run(&mut host, &mut device, 1000).1.len();
    assert_eq!((came, host.outstanding(stream), host.waiting(stream)), (3, 900, 2), "three fit into 1024 bytes");
    // One is consumed, whatever length the release names.
    device.request(Kind::Release, "stale", 0, 5);
    let told = run(&mut host, &mut device, 1000);
    assert_eq!((told.0, told.1.len()), (vec![Event::Released(stream, 300)], 1));
    // And no more than 64 packets, however small.
    let (mut host, mut device) = (Link::host(), Link::device());
    let stream = host.open("b", 5 << 20);
    run(&mut host, &mut device, 1000);
    device.set_releasing(Stream(0), false);
    for _ in 0..70 {
        host.send(stream, packet(b"x"));
    }
    assert_eq!(run(&mut host, &mut device, 1000).1.len(), 64);
}

#[test]
fn a_window_keeps_little_ahead_and_lets_a_large_packet_pass_alone() {
    let (mut host, mut device) = (Link::host(), Link::device());
    let stream = host.open("b", 5 << 20);
    run(&mut host, &mut device, 1000);
    device.set_releasing(Stream(0), false);
    host.set_window(stream, 250);
    for len in [100, 100, 100, 400] {
        host.send(stream, packet(&vec![1; len]));
    }
    assert_eq!(run(&mut host, &mut device, 1000).1.len(), 2);
    device.request(Kind::Release, "", 0, 100);
    assert_eq!(run(&mut host, &mut device, 1000).1.len(), 1);
    device.request(Kind::Release, "", 0, 100);
    assert_eq!(run(&mut host, &mut device, 1000).1.len(), 0, "400 bytes wait until nothing is before them");
    device.request(Kind::Release, "", 0, 100);
    assert_eq!(run(&mut host, &mut device, 1000).1.len(), 1);
}

#[test]
fn the_watchdog_goes_before_the_packets_that_wait() {
    let (mut host, mut device) = (Link::host(), Link::device());
    let (bulk, watchdog) = (host.open("b", 5 << 20), host.open("w", 64));
    run(&mut host, &mut device, 1000);
    for byte in 0..3 {
        host.send(bulk, packet(&[byte; 1000]));
    }
    assert_eq!(host.output().len(), 84, "the first packet has begun");
    host.send(watchdog, packet(&[0; 4]));
    let order: Vec<usize> = run(&mut host, &mut device, 1000)
        .1
        .iter()
        .filter_map(|event| if let Event::Packet(_, bytes) = event { Some(bytes.len()) } else { None })
        .collect();
    assert_eq!(order, [1000, 4, 1000, 1000]);
}

#[test]
fn stale_names_and_sizes_in_responses_change_nothing() {
    let (mut host, mut device) = (Link::host(), Link::device());
    let b = host.open("b", 64);
    run(&mut host, &mut device, 1000);
    device.leave_stale("__watchdog", 999);
    host.send(b, packet(b"1234"));
    let told = run(&mut host, &mut device, 1000);
    assert_eq!((told.0, host.outstanding(b)), (vec![Event::Released(b, 4)], 0));
}

#[test]
fn a_refused_stream_is_not_written() {
    let (mut host, mut device) = (Link::host(), Link::device());
    let b = host.open("b", 64);
    host.send(b, packet(b"1234"));
    run(&mut host, &mut device, 1000);
    // The same request, refused by hand.
    let mut host = Link::host();
    let b = host.open("b", 64);
    host.send(b, packet(b"1234"));
    let request = std::iter::from_fn(|| {
        let bytes = host.output().to_vec();
        host.consumed(bytes.len());
        (!bytes.is_empty()).then_some(bytes)
    });
    let last = request.last().expect("it asks to open the stream");
    let header = Header::parse(last.as_slice().try_into().expect("a header")).expect("one of ours");
    assert_eq!((header.kind, header.name.as_str(), header.size), (Kind::Create, "b", 64));
    let refusal = Header { response: true, flags: Header::NACK | Header::TOO_LARGE, ..header };
    host.handle_input(&refusal.to_bytes()).expect("a refusal is an answer");
    assert_eq!((host.poll(), host.output().len()), (Some(Event::Refused(b)), 0));
}

#[test]
fn what_no_link_can_take_says_where() {
    let write = |stream, size| Header {
        id: 1,
        kind: Kind::Write,
        response: false,
        name: String::new(),
        stream,
        size,
        flags: Header::ACK,
    };
    let mut host = Link::host();
    host.open("b", 64);
    let mut bytes = write(0, 3).to_bytes().to_vec();
    bytes.extend_from_slice(b"abc");
    host.handle_input(&bytes).expect("a packet");
    let found = host.handle_input(&write(0, LONGEST + 1).to_bytes());
    assert_eq!(found, Err(LinkError::TooLarge { at: 87, stream: 0, size: LONGEST + 1 }));
    let found = Link::host().handle_input(&write(9, 3).to_bytes());
    assert_eq!(found, Err(LinkError::NoSuchStream { at: 0, stream: 9 }));
    let found = Link::host().handle_input(&[0xff; HEADER]).map_err(|error| error.to_string());
    assert!(found.is_err_and(|text| text.starts_with("byte 0 of the connection: an event of type 4294967295")));
    let mut deaf = Link::device();
    let ping = Header { kind: Kind::Ping, ..write(0, 0) }.to_bytes();
    let found = (0..20_000).find_map(|_| deaf.handle_input(&ping).err());
    assert_eq!(found, Some(LinkError::Deaf { at: 84 * 10_001 }));
    let mut device = Link::device();
    let create = |n: usize| Header { kind: Kind::Create, name: format!("s{n}"), ..write(n as u32, 64) };
    for n in 0..MOST_STREAMS {
        device.handle_input(&create(n).to_bytes()).expect("there is room");
    }
    assert!(matches!(device.handle_input(&create(99).to_bytes()), Err(LinkError::TooManyStreams { .. })));
}
