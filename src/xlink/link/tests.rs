//! Two links that are connected in memory.

use super::*;

/// Moves bytes in pieces of this length until both ends have nothing to send, and returns the events of each end.
fn run(host: &mut Link, device: &mut Link, piece: usize) -> (Vec<LinkEvent>, Vec<LinkEvent>) {
    fn carry(from: &mut Link, to: &mut Link, piece: usize) -> bool {
        let bytes: Vec<u8> = from.output().iter().copied().take(piece).collect();
        from.consumed(bytes.len());
        to.handle_input(&bytes).expect("a link accepts the output of a link");
        !bytes.is_empty()
    }
    loop {
        let (to_device, to_host) = (carry(host, device, piece), carry(device, host, piece));
        if !to_device && !to_host {
            let events = |link: &mut Link| std::iter::from_fn(|| link.poll()).collect();
            return (events(host), events(device));
        }
    }
}

fn packet(bytes: &[u8]) -> Packet {
    bytes.to_vec().into()
}

#[test]
fn streams_open_from_either_end_and_carry_packets_both_ways() {
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
            let peer = device.stream("b").expect("the stream is open");
            if order == "host first" {
                device.open("b", 128);
            } else if order == "device never" {
                device.write_unopened(peer);
            }
            run(&mut host, &mut device, piece);
            host.send(b, packet(b"question"));
            device.send(peer, packet(b"answer"));
            device.send(peer, packet(b""));
            let (host_events, device_events) = run(&mut host, &mut device, piece);
            let received = |events: &[LinkEvent], stream, bytes: &[u8]| {
                events.contains(&LinkEvent::Packet(stream, bytes.to_vec()))
            };
            assert!(received(&device_events, peer, b"question"), "{order} {piece}: {device_events:?}");
            assert!(
                received(&host_events, b, b"answer") && received(&host_events, b, b""),
                "{order} {piece}: {host_events:?}"
            );
            assert!(host_events.contains(&LinkEvent::Released(b, 8)));
            assert_ne!(b, w);
        }
    }
}

#[test]
fn both_ends_report_up_and_opened_streams() {
    let (mut host, mut device) = (Link::host(), Link::device());
    let b = host.open("b", 100);
    let events = run(&mut host, &mut device, 1000);
    assert_eq!(events.0, [LinkEvent::Up, LinkEvent::Open(b)]);
    assert_eq!(events.1, [LinkEvent::Up, LinkEvent::OpenedByPeer(StreamId(0), 128)], "rounded up to 64 bytes");
    host.reset();
    assert_eq!(run(&mut host, &mut device, 1000).1, [LinkEvent::Reset]);
}

#[test]
fn packets_wait_for_credit() {
    let (mut host, mut device) = (Link::host(), Link::device());
    let stream = host.open("b", 1024);
    run(&mut host, &mut device, 1000);
    device.set_releasing(device.stream("b").expect("the stream is open"), false);
    for _ in 0..5 {
        host.send(stream, packet(&[7; 300]));
    }
    let received = run(&mut host, &mut device, 1000).1.len();
    assert_eq!(
        (received, host.outstanding(stream), host.waiting(stream)),
        (3, 900, 2),
        "three of 300 bytes fit into 1024 bytes"
    );
    // A release returns the credit of one packet, whatever length it carries.
    device.request(EventKind::Release, "stale", 0, 5);
    let events = run(&mut host, &mut device, 1000);
    assert_eq!((events.0, events.1.len()), (vec![LinkEvent::Released(stream, 300)], 1));
    // At most 64 packets are outstanding, however small they are.
    let (mut host, mut device) = (Link::host(), Link::device());
    let stream = host.open("b", 5 << 20);
    run(&mut host, &mut device, 1000);
    device.set_releasing(StreamId(0), false);
    for _ in 0..70 {
        host.send(stream, packet(b"x"));
    }
    assert_eq!(run(&mut host, &mut device, 1000).1.len(), 64);
}

#[test]
fn window_limits_outstanding_bytes_and_sends_larger_packet_alone() {
    let (mut host, mut device) = (Link::host(), Link::device());
    let stream = host.open("b", 5 << 20);
    run(&mut host, &mut device, 1000);
    device.set_releasing(StreamId(0), false);
    host.set_window(stream, 250);
    for len in [100, 100, 100, 400] {
        host.send(stream, packet(&vec![1; len]));
    }
    assert_eq!(run(&mut host, &mut device, 1000).1.len(), 2);
    device.request(EventKind::Release, "", 0, 100);
    assert_eq!(run(&mut host, &mut device, 1000).1.len(), 1);
    device.request(EventKind::Release, "", 0, 100);
    assert_eq!(
        run(&mut host, &mut device, 1000).1.len(),
        0,
        "the packet of 400 bytes waits until nothing is outstanding"
    );
    device.request(EventKind::Release, "", 0, 100);
    assert_eq!(run(&mut host, &mut device, 1000).1.len(), 1);
}

#[test]
fn watchdog_is_sent_before_queued_packets() {
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
        .filter_map(|event| if let LinkEvent::Packet(_, bytes) = event { Some(bytes.len()) } else { None })
        .collect();
    assert_eq!(order, [1000, 4, 1000, 1000]);
}

#[test]
fn stale_names_and_sizes_in_responses_are_ignored() {
    let (mut host, mut device) = (Link::host(), Link::device());
    let b = host.open("b", 64);
    run(&mut host, &mut device, 1000);
    device.leave_stale("__watchdog", 999);
    host.send(b, packet(b"1234"));
    let events = run(&mut host, &mut device, 1000);
    assert_eq!((events.0, host.outstanding(b)), (vec![LinkEvent::Released(b, 4)], 0));
}

#[test]
fn nothing_is_sent_on_refused_stream() {
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
    let last = request.last().expect("the request to open the stream");
    let header = EventHeader::parse(last.as_slice().try_into().expect("a header")).expect("one of ours");
    assert_eq!((header.kind, header.name.as_str(), header.size), (EventKind::Create, "b", 64));
    let refusal = EventHeader { response: true, flags: EventHeader::NACK | EventHeader::TOO_LARGE, ..header };
    host.handle_input(&refusal.to_bytes()).expect("a refusal is a valid response");
    assert_eq!((host.poll(), host.output().len()), (Some(LinkEvent::Refused(b)), 0));
}

#[test]
fn protocol_violations_are_reported_with_position() {
    let write = |stream, size| EventHeader {
        id: 1,
        kind: EventKind::Write,
        response: false,
        name: String::new(),
        stream,
        size,
        flags: EventHeader::ACK,
    };
    let mut host = Link::host();
    host.open("b", 64);
    let mut bytes = write(0, 3).to_bytes().to_vec();
    bytes.extend_from_slice(b"abc");
    host.handle_input(&bytes).expect("a packet");
    let found = host.handle_input(&write(0, MAX_PACKET_BYTES + 1).to_bytes());
    assert_eq!(found, Err(LinkError::TooLarge { at: 87, stream: 0, size: MAX_PACKET_BYTES + 1 }));
    let found = Link::host().handle_input(&write(9, 3).to_bytes());
    assert_eq!(found, Err(LinkError::NoSuchStream { at: 0, stream: 9 }));
    let found = Link::host().handle_input(&[0xff; EVENT_HEADER_BYTES]).map_err(|error| error.to_string());
    assert!(found.is_err_and(|text| text.starts_with("byte 0 of the connection: unknown event type 4294967295")));
    let mut flooded = Link::device();
    let ping = EventHeader { kind: EventKind::Ping, ..write(0, 0) }.to_bytes();
    let found = (0..20_000).find_map(|_| flooded.handle_input(&ping).err());
    assert_eq!(found, Some(LinkError::ResponsesNotRead { at: 84 * 10_001 }));
    let mut device = Link::device();
    let create = |n: usize| EventHeader { kind: EventKind::Create, name: format!("s{n}"), ..write(n as u32, 64) };
    for n in 0..MAX_STREAMS {
        device.handle_input(&create(n).to_bytes()).expect("there is room for it");
    }
    assert!(matches!(device.handle_input(&create(99).to_bytes()), Err(LinkError::TooManyStreams { .. })));
}
