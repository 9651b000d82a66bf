//! Hosts that claim to be a camera: their ids do not become paths, and their streams do not prove that a camera runs its
//! application.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use oaktap::discovery::{Answer, CameraState, Query};
use oaktap::net::startup::{
    ExpectedStream, StartupError, accept_first_frame, receive_first_frame, wait_for_first_frame, wait_until_running,
};

use crate::program::run;

const ID: &str = "14442C10D13EABCE00";
/// Longer than any of these tests takes.
const LIMIT: Duration = Duration::from_secs(60);
const STREAM: ExpectedStream<'_> = ExpectedStream { id: ID, contract: None, build: None };
const CAMERA: Ipv4Addr = Ipv4Addr::LOCALHOST;
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn answer(id: &str, state: CameraState) -> Vec<u8> {
    Answer::Simple { id: id.to_owned(), state }.to_bytes()
}

/// Answers every query with these datagrams, each from its own address, until the process ends. Returns the port.
fn answers(datagrams: Vec<(Ipv4Addr, Vec<u8>)>) -> u16 {
    let socket = UdpSocket::bind((CAMERA, 0)).expect("a loopback address");
    let port = socket.local_addr().expect("a local address").port();
    thread::spawn(move || {
        let senders: Vec<_> = datagrams
            .into_iter()
            .map(|(ip, bytes)| {
                let own = if ip == CAMERA { socket.try_clone() } else { UdpSocket::bind((ip, 0)) };
                (own.expect("a loopback address"), bytes)
            })
            .collect();
        let mut query = [0; 64];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            assert!(Query::parse(&query[..length]).is_some());
            for (sender, bytes) in &senders {
                sender.send_to(bytes, from).expect("the datagram is sent");
            }
        }
    });
    port
}

/// The bytes of a stream of two frames that names this camera.
fn stream(id: &str) -> Vec<u8> {
    let mut bytes = format!("{:32}{:32}", "@V 1 door", format!("@I {id}")).into_bytes();
    for _ in 0..2 {
        bytes.extend(format!("{:32}", "IMG 1700000000.25 96 0").into_bytes());
        bytes.extend([7; 96]);
    }
    bytes
}

#[test]
fn ids_that_are_not_hexadecimal_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("in/side");
    std::fs::create_dir_all(&inner).expect("a folder");
    for id in ["../../outside/ev", "/tmp/ev", "-rf", "a b", "14442C$(id)", "C:ev"] {
        let mut datagram = answer("A", CameraState::Bootloader);
        datagram[4..36].fill(0);
        datagram[4..4 + id.len()].copy_from_slice(id.as_bytes());
        let port = answers(vec![(CAMERA, datagram)]).to_string();
        let output = inner.to_str().expect("UTF-8");
        let (code, out, said) = run(&["backup", "127.0.0.1", "--udp-port", &port, "--yes", "-o", output]);
        assert_eq!((code, out.as_str()), (1, ""), "{id}: {said}");
        let expected = format!("is not from a camera: invalid camera id `{id}`: expected 1 to 32 hexadecimal digits");
        assert!(said.contains(&expected), "{id}: {said}");
    }
    let outside = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!((outside, std::fs::read_dir(&inner).expect("a folder").count()), (1, 0));
}

#[cfg(target_os = "linux")]
#[test]
fn only_the_address_of_the_bootloader_proves_that_the_application_runs() {
    let both = |camera, stranger| {
        answers(vec![(STRANGER, answer(ID, stranger)), (CAMERA, answer(ID, camera)), (STRANGER, answer(ID, stranger))])
    };
    let limit = Duration::from_millis(700);
    let port = both(CameraState::Bootloader, CameraState::FlashBooted);
    match runtime().block_on(wait_until_running(ID, CAMERA, port, limit)) {
        Err(StartupError::NotRunning { address: CAMERA, last: Some(CameraState::Bootloader), .. }) => {}
        other => panic!("{other:?}"),
    }
    // Another id at the right address, and the right one at another address.
    let port = answers(vec![
        (CAMERA, answer("14442C10D13EABCE01", CameraState::FlashBooted)),
        (STRANGER, answer(ID, CameraState::FlashBooted)),
    ]);
    match runtime().block_on(wait_until_running(ID, CAMERA, port, limit)) {
        Err(StartupError::NotRunning { last: None, .. }) => {}
        other => panic!("{other:?}"),
    }
    let port = both(CameraState::FlashBooted, CameraState::Bootloader);
    let state = runtime().block_on(wait_until_running(ID, CAMERA, port, LIMIT)).expect("it runs");
    assert_eq!(state, CameraState::FlashBooted);
}

#[test]
fn the_first_frame_must_be_of_the_same_camera() {
    for (named, accepted) in [(ID, true), ("14442c10d13eabce00", true), ("14442C10D13EABCE01", false), ("SIM", true)] {
        let listener = TcpListener::bind((CAMERA, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let sender = thread::spawn(move || {
            let (mut client, _) = listener.accept().expect("a client");
            client.write_all(&stream(named)).expect("it reads");
        });
        let found = runtime().block_on(wait_for_first_frame(STREAM, address, LIMIT));
        sender.join().expect("the stream was sent");
        match found {
            Ok(frame) => assert!(accepted && frame.bytes == 96, "{named}: {frame:?}"),
            Err(error) => {
                assert!(!accepted, "{named}: {error}");
                assert!(error.to_string().contains("found a stream of camera 14442C10D13EABCE01"), "{error}");
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_frame_from_another_host_than_the_camera_does_not_count() {
    // A free port.
    let address = TcpListener::bind((CAMERA, 0)).and_then(|listener| listener.local_addr()).expect("a port");
    let connect = move |from: Ipv4Addr| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((from, 0)).into()).expect("a loopback address");
        while socket.connect(&address.into()).is_err() {
            thread::yield_now();
        }
        let mut stream_to_host = TcpStream::from(socket);
        // The host may close the connection of a stranger before it has read everything.
        let _ = stream_to_host.write_all(&stream(ID));
        stream_to_host
    };
    let sender = thread::spawn(move || [connect(STRANGER), connect(CAMERA)]);
    let frame = runtime().block_on(accept_first_frame(STREAM, CAMERA, address, LIMIT)).expect("a frame");
    assert_eq!(frame.address.ip(), IpAddr::from(CAMERA));
    drop(sender.join().expect("both connected"));
    let sender = thread::spawn(move || connect(STRANGER));
    let error = runtime().block_on(accept_first_frame(STREAM, CAMERA, address, Duration::from_millis(700)));
    let text = error.expect_err("only a stranger connects").to_string();
    assert!(text.contains("no complete frame; 127.0.0.2 connected, which is not the camera"), "{text}");
    drop(sender.join().expect("it connected"));
}

#[cfg(target_os = "linux")]
#[test]
fn the_first_frame_in_datagrams_must_be_of_the_same_camera() {
    let address = UdpSocket::bind((CAMERA, 0)).and_then(|socket| socket.local_addr()).expect("a port");
    // A message has one frame. Nobody waits for the sender, which thus sends until the test has its answer.
    let run = |from: Ipv4Addr, id: &'static str, limit: Duration| {
        let socket = UdpSocket::bind((from, 0)).expect("a loopback address");
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let sender = thread::spawn(move || {
            let message = stream(id);
            let message = &message[..message.len() - 128];
            for number in 0.. {
                for part in oaktap::wire::datagrams(number, message, 100).expect("it fits") {
                    let _ = socket.send_to(&part, address);
                }
                let pause = stopped.recv_timeout(Duration::from_millis(5));
                if pause == Err(std::sync::mpsc::RecvTimeoutError::Disconnected) {
                    return;
                }
            }
        });
        let found = runtime().block_on(receive_first_frame(STREAM, CAMERA, address, limit));
        drop(stop);
        sender.join().expect("it has stopped");
        found
    };
    let frame = run(CAMERA, ID, LIMIT).expect("a frame");
    assert_eq!((frame.address.ip(), frame.bytes), (IpAddr::from(CAMERA), 96));
    let other = run(CAMERA, "14442C10D13EABCE01", LIMIT).expect_err("another camera").to_string();
    assert!(other.contains("found a stream of camera 14442C10D13EABCE01"), "{other}");
    let stranger = run(STRANGER, ID, Duration::from_millis(700)).expect_err("only a stranger sends").to_string();
    assert!(stranger.contains("no complete frame; 127.0.0.2 connected, which is not the camera"), "{stranger}");
}
