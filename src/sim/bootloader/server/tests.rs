//! Tests of the camera on loopback with a blocking host.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};

use super::*;
use crate::bootloader::{
    BUDGET_BYTES, Memory, Request, Response, STREAM, Storage, WATCHDOG_BUDGET_BYTES, WATCHDOG_STREAM,
};
use crate::discovery::{Answer, CameraState, Query};
use crate::sim::bootloader::application::stand_in;
use crate::xlink::{Link, LinkEvent, StreamId};

/// Enough time for every step on a loaded machine.
const LIMIT: Duration = Duration::from_secs(60);

fn start(text: &str) -> CameraSimulator {
    CameraSimulator::start(text.parse().expect(text), &[Place::free_ports(Ipv4Addr::LOCALHOST)]).expect(text)
}

/// Queries discovery until it answers with `state`, or not at all for `None`.
fn ask_until(place: Place, state: Option<CameraState>) {
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    udp.set_read_timeout(Some(Duration::from_millis(50))).expect("a setting");
    let until = Instant::now() + LIMIT;
    let mut bytes = [0; 100];
    loop {
        udp.send_to(&Query::Discover.to_bytes(), (place.ip, place.discovery)).expect("it is sent");
        let found = udp.recv(&mut bytes).ok().map(|len| match Answer::parse(&bytes[..len]) {
            Ok(Answer::Simple { state, .. }) => state,
            other => panic!("{other:?}"),
        });
        if found == state {
            return;
        }
        assert!(Instant::now() < until, "expected {state:?}, found {found:?}");
    }
}

fn send_query(place: Place, query: Query) {
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    udp.send_to(&query.to_bytes(), (place.ip, place.discovery)).expect("it is sent");
}

struct Host {
    socket: TcpStream,
    link: Link,
    main: StreamId,
}

impl Host {
    fn connect(place: Place) -> Self {
        let socket = TcpStream::connect((place.ip, place.link)).expect("a connection");
        socket.set_read_timeout(Some(LIMIT)).expect("a setting");
        let mut link = Link::host();
        let main = link.open(STREAM, BUDGET_BYTES);
        link.open(WATCHDOG_STREAM, WATCHDOG_BUDGET_BYTES);
        Self { socket, link, main }
    }

    /// Returns the next packet, or `None` after the connection has closed.
    fn next(&mut self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 100_000];
        loop {
            while let Some(event) = self.link.poll() {
                if let LinkEvent::Packet(_, packet) = event {
                    return Some(packet);
                }
            }
            loop {
                let output = self.link.output();
                if output.is_empty() {
                    break;
                }
                let len = output.len();
                self.socket.write_all(output).ok()?;
                self.link.consumed(len);
            }
            let len = self.socket.read(&mut bytes).ok().filter(|len| *len > 0)?;
            self.link.handle_input(&bytes[..len]).expect("XLink");
        }
    }

    fn send(&mut self, packet: Vec<u8>) {
        self.link.send(self.main, packet);
    }

    /// Writes and returns the final response, or `None` if the connection closes first.
    fn write(&mut self, request: &Request, data: &[u8]) -> Option<Result<(), String>> {
        self.send(request.to_bytes());
        for packet in data.chunks(1 << 20) {
            self.send(packet.to_vec());
        }
        loop {
            match Response::parse(&self.next()?) {
                Ok(Response::Progress(_)) => {}
                Ok(Response::FlashComplete(result)) => return Some(result),
                other => panic!("{other:?}"),
            }
        }
    }

    fn read(&mut self, offset: u32, total: u32) -> Vec<u8> {
        self.send(Request::ReadFlash { memory: Memory::Flash, offset, total }.to_bytes());
        let Ok(Response::ReadFlash(Ok(announced))) = Response::parse(&self.next().expect("an answer")) else {
            panic!()
        };
        (0..announced.packets).flat_map(|_| self.next().expect("a packet")).collect()
    }

    fn reset(mut self) {
        self.link.reset();
        assert_eq!(self.next(), None);
    }
}

fn flash(image: &[u8]) -> Request {
    Request::UpdateFlash {
        storage: Storage::Application,
        total: image.len() as u32,
        packets: image.len().div_ceil(1 << 20) as u32,
    }
}

#[test]
fn camera_is_found_flashed_and_then_streams() {
    let camera = start("fps=0&size=64x48");
    let place = camera.places()[0];
    ask_until(place, Some(CameraState::Bootloader));
    TcpStream::connect((place.ip, place.stream)).expect_err("no stream without an application");
    let mut host = Host::connect(place);
    let image = stand_in();
    assert_eq!(host.write(&flash(&image), &image), Some(Ok(())));
    assert_eq!(host.read(0x80_0000, image.len() as u32), image);
    host.reset();
    assert!(camera.wait_until(LIMIT, |camera| camera.activity() == Activity::Application { silent: false }));
    ask_until(place, Some(CameraState::FlashBooted));
    TcpStream::connect((place.ip, place.link)).expect_err("its bootloader does not run");
    let mut stream = TcpStream::connect((place.ip, place.stream)).expect("its stream");
    let mut head = [0; 4];
    stream.read_exact(&mut head).expect("a header");
    assert_eq!(&head, b"IMG ");
    send_query(place, Query::Reset);
    ask_until(place, Some(CameraState::Bootloader));
    let mut host = Host::connect(place);
    assert_eq!(host.read(0x80_0000, 2), b"BR");
    assert_eq!(camera.history().sessions, 2);
    drop(camera);
    assert_eq!(host.next(), None);
}

#[test]
fn slow_line_carries_all_bytes() {
    let camera = start("bandwidth=200Mbit&delay=5ms&packet=64KiB");
    let mut host = Host::connect(camera.places()[0]);
    let data: Vec<u8> = (0..(3u32 << 20)).map(|n| (n % 251) as u8).collect();
    let request = Request::WriteFlash { memory: Memory::Flash, offset: 1 << 24, total: data.len() as u32, packets: 3 };
    assert_eq!(host.write(&request, &data), Some(Ok(())));
    assert_eq!(host.read(1 << 24, data.len() as u32), data);
    host.reset();
    assert!(camera.wait_until(LIMIT, |camera| camera.history().restarts == 1));
}

#[test]
fn dropped_connection_ends_at_the_host_and_the_next_one_works() {
    let camera = start("fault=drop-progress:0.5*1,drop:100000*1");
    let place = camera.places()[0];
    let image = [stand_in(), vec![0; 1 << 20]].concat();
    for lost in [true, true, false] {
        ask_until(place, Some(CameraState::Bootloader));
        let mut host = Host::connect(place);
        assert_eq!(host.write(&flash(&image), &image), (!lost).then_some(Ok(())));
        if lost {
            assert!(camera.wait_until(LIMIT, |camera| camera.activity() != Activity::Starting));
        }
    }
}

#[test]
fn static_address_moves_the_camera() {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: this system has one loopback address");
        return;
    }
    let camera = start("");
    let first = camera.places()[0];
    let mut host = Host::connect(first);
    // {"network": {"ipv4": 127.77.7.7, "staticIpv4": true}}
    let inner = [&b"\x10ipv4\0\x7f\x4d\x07\x07\x08staticIpv4\0\x01\0"[..]].concat();
    let network = [&(inner.len() as u32 + 4).to_le_bytes()[..], &inner].concat();
    let fields = [&b"\x03network\0"[..], &network, &[0]].concat();
    let config = [&(fields.len() as u32 + 4).to_le_bytes()[..], &fields].concat();
    let total = config.len() as u32;
    let request = Request::SetConfig { memory: Memory::Auto, offset: -1, clear: false, total, packets: 1 };
    assert_eq!(host.write(&request, &config), Some(Ok(())));
    host.reset();
    let moved = Place { ip: Ipv4Addr::new(127, 77, 7, 7), ..first };
    ask_until(moved, Some(CameraState::Bootloader));
    ask_until(first, None);
    assert_eq!(camera.places(), [moved]);
    let mut host = Host::connect(moved);
    let request = Request::SetConfig { memory: Memory::Auto, offset: -1, clear: true, total: 0, packets: 0 };
    assert_eq!(host.write(&request, &[]), Some(Ok(())));
    host.reset();
    ask_until(first, Some(CameraState::Bootloader));
}

#[test]
fn camera_has_several_addresses() {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: this system has one loopback address");
        return;
    }
    let places = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)].map(Place::free_ports);
    let camera = CameraSimulator::start(CameraConfig::default(), &places).expect("a camera");
    let [first, second] = camera.places()[..] else { panic!() };
    for place in [first, second] {
        ask_until(place, Some(CameraState::Bootloader));
    }
    let mut host = Host::connect(second);
    assert_eq!(host.read(0, 4), b"boot");
    let mut other = Host::connect(first);
    assert_eq!(other.next(), None, "one host at a time");
}

#[test]
fn camera_starts_on_free_standard_ports_and_used_ports_are_named() {
    let config = CameraConfig::default();
    let camera = match CameraSimulator::start_nearby(&config) {
        Err(StartError::Bind { .. }) if !cfg!(target_os = "linux") => return,
        camera => camera.expect("a camera"),
    };
    let place = camera.places()[0];
    assert_eq!(place, Place::standard_ports(camera.ip()));
    ask_until(place, Some(CameraState::Bootloader));
    let error = CameraSimulator::start(config, &[place]).expect_err("the port is in use").to_string();
    assert!(error.starts_with(&format!("cannot listen on UDP {}:11491: ", place.ip)), "{error}");
}

#[test]
fn silent_application_listens_and_sends_nothing() {
    let camera = start("state=application&fault=silent&size=64x48");
    let place = camera.places()[0];
    ask_until(place, Some(CameraState::FlashBooted));
    let mut stream = TcpStream::connect((place.ip, place.stream)).expect("its stream");
    stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a setting");
    stream.read_exact(&mut [0]).expect_err("nothing");
}
