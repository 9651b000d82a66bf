//! Discovery against cameras on loopback, which have different addresses and the same port.

use std::net::UdpSocket as Blocking;
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;

use super::*;
use crate::discovery::{Answer, CameraState, LinkInfo, Query};

/// Longer than any of these tests takes.
const LIMIT: Duration = Duration::from_secs(60);

/// A camera that answers queries.
struct Fake {
    state: Arc<Mutex<CameraState>>,
    resets: Arc<Mutex<u32>>,
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    /// `port` 0 selects a free port. The camera ignores the first `lost_resets` resets.
    fn new(ip: [u8; 4], port: u16, id: &str, state: CameraState, lost_resets: u32) -> Self {
        let socket = Blocking::bind((Ipv4Addr::from(ip), port)).expect("a loopback address");
        socket.set_nonblocking(true).expect("a socket setting");
        let port = socket.local_addr().expect("a local address").port();
        let (state, resets, id) = (Arc::new(Mutex::new(state)), Arc::new(Mutex::new(0)), id.to_owned());
        let task = tokio::spawn({
            let (state, resets) = (Arc::clone(&state), Arc::clone(&resets));
            let socket = UdpSocket::from_std(socket).expect("a socket");
            async move {
                let mut buffer = [0; 64];
                while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                    let answer = match Query::parse(&buffer[..length]) {
                        Some(Query::Discover) => Answer::Simple { id: id.clone(), state: *state.lock().unwrap() },
                        Some(Query::Info) => Answer::Info(LinkInfo {
                            id: id.clone(),
                            speed_mbit_s: 100,
                            full_duplex: true,
                            boot_mode: 3,
                        }),
                        Some(Query::Reset) => {
                            let mut resets = resets.lock().unwrap();
                            *resets += 1;
                            if *resets > lost_resets {
                                *state.lock().unwrap() = CameraState::Bootloader;
                            }
                            continue;
                        }
                        None => panic!("{:?} is not a query", &buffer[..length]),
                    };
                    socket.send_to(&answer.to_bytes(), from).await.expect("the datagram is sent");
                }
            }
        });
        Self { state, resets, port, task }
    }
}

fn loopback(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

/// macOS has only 127.0.0.1 by default.
fn many_addresses() -> bool {
    let many = Blocking::bind((loopback(9), 0)).is_ok();
    if !many {
        eprintln!("skipped: this system has only one loopback address");
    }
    many
}

#[tokio::test]
async fn cameras_are_found_by_address_and_in_subnets() {
    if !many_addresses() {
        return;
    }
    let first = Fake::new([127, 0, 0, 11], 0, "A", CameraState::FlashBooted, 0);
    let port = first.port;
    let _others = [
        Fake::new([127, 0, 0, 12], port, "A", CameraState::FlashBooted, 0),
        Fake::new([127, 0, 7, 3], port, "B", CameraState::Bootloader, 0),
    ];
    let targets = Targets {
        broadcast: false,
        addresses: vec![loopback(11), loopback(12), loopback(13)],
        subnets: vec!["127.0.7.0/29".parse().unwrap()],
        link: true,
        port,
    };
    let (mut a, mut b) = (false, false);
    let survey = find(&targets, LIMIT, |camera| {
        a |= camera.id == "A" && camera.addresses.len() == 2 && camera.link.is_some();
        b |= camera.id == "B";
        a && b
    });
    let survey = survey.await.expect("the queries are sent");
    let [a, b] = survey.cameras.as_slice() else { panic!("{survey:?}") };
    assert_eq!((a.id.as_str(), a.state, a.ips()), ("A", CameraState::FlashBooted, vec![loopback(11), loopback(12)]));
    assert_eq!(a.link.as_ref().map(|link| link.speed_mbit_s), Some(100));
    assert_eq!((b.id.as_str(), b.state, b.ip()), ("B", CameraState::Bootloader, Some(Ipv4Addr::new(127, 0, 7, 3))));
    assert_eq!(b.link, None, "a sweep does not query the link");
    assert!(survey.unrecognized.is_empty() && survey.queried.is_empty(), "{survey:?}");
}

#[tokio::test]
async fn unknown_answers_are_reported_as_unrecognized() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let port = socket.local_addr().expect("a local address").port();
    let task = tokio::spawn(async move {
        let mut buffer = [0; 64];
        while let Ok((_, from)) = socket.recv_from(&mut buffer).await {
            socket.send_to(b"HTTP", from).await.expect("the datagram is sent");
        }
    });
    let only = Targets::only(Ipv4Addr::LOCALHOST, port);
    // Three queries get three answers, at least one of them within a few rounds.
    let survey = loop {
        let survey = find(&only, Duration::from_millis(50), |_| true).await.expect("the query is sent");
        if !survey.unrecognized.is_empty() {
            break survey;
        }
    };
    assert!(survey.cameras.is_empty());
    assert_eq!(survey.unrecognized[0], (Ipv4Addr::LOCALHOST, AnswerError::Unknown(u32::from_le_bytes(*b"HTTP"))));
    task.abort();
}

#[tokio::test]
async fn failed_queries_are_reported_and_the_others_are_sent() {
    // The system refuses to send to port 0.
    let targets = Targets { subnets: vec!["127.0.7.0/28".parse().unwrap()], ..Targets::only(Ipv4Addr::LOCALHOST, 0) };
    let survey = find(&targets, Duration::from_millis(50), |_| true).await.expect("the search itself succeeds");
    let unsent: Vec<_> = survey.unsent.iter().map(|unsent| (unsent.to, unsent.more)).collect();
    assert_eq!(unsent, [(Ipv4Addr::LOCALHOST, 0), (Ipv4Addr::new(127, 0, 7, 1), 13)]);
    let text = survey.unsent[1].to_string();
    assert!(text.starts_with("cannot send a query to 127.0.7.1 and 13 more: "), "{text}");
}

#[tokio::test]
async fn running_camera_is_reset_into_its_bootloader() {
    let fake = Fake::new([127, 0, 0, 1], 0, "A", CameraState::FlashBooted, 0);
    let port = fake.port;
    let camera = reset_to_bootloader(Ipv4Addr::LOCALHOST, port, LIMIT).await.expect("it enters its bootloader");
    assert_eq!((camera.id.as_str(), camera.state), ("A", CameraState::Bootloader));
    let again = reset_to_bootloader(Ipv4Addr::LOCALHOST, port, LIMIT).await.expect("it is in its bootloader");
    assert_eq!(again.state, CameraState::Bootloader);
    assert_eq!(*fake.resets.lock().unwrap(), 1, "a camera in its bootloader is not reset");
}

#[tokio::test]
async fn lost_reset_is_sent_again() {
    let fake = Fake::new([127, 0, 0, 1], 0, "A", CameraState::FlashBooted, 1);
    let port = fake.port;
    let camera = reset_to_bootloader(Ipv4Addr::LOCALHOST, port, LIMIT).await.expect("it enters its bootloader");
    assert_eq!((camera.state, *fake.resets.lock().unwrap()), (CameraState::Bootloader, 2));
}

#[tokio::test]
async fn failed_resets_explain_the_reason() {
    // This socket receives and does not answer.
    let silent = Blocking::bind("127.0.0.1:0").expect("a free port");
    let port = silent.local_addr().expect("a local address").port();
    let limit = Duration::from_millis(20);
    let error = reset_to_bootloader(Ipv4Addr::LOCALHOST, port, limit).await.expect_err("no camera answers");
    assert_eq!(error.to_string(), format!("no camera answers at 127.0.0.1, UDP port {port}"));

    let fake = Fake::new([127, 0, 0, 1], 0, "A", CameraState::Booted, u32::MAX);
    let port = fake.port;
    let error = reset_to_bootloader(Ipv4Addr::LOCALHOST, port, LIMIT).await.expect_err("it is in use");
    assert_eq!(error.to_string(), "camera A at 127.0.0.1 is in use by a host");
    assert_eq!(*fake.resets.lock().unwrap(), 0, "a camera in use is not reset");

    *fake.state.lock().unwrap() = CameraState::FlashBooted;
    let limit = Duration::from_millis(700);
    let error = reset_to_bootloader(Ipv4Addr::LOCALHOST, port, limit).await.expect_err("the resets are lost");
    let ResetError::Silent { id, .. } = &error else { panic!("{error}") };
    assert_eq!(id, "A");
    assert!(error.to_string().starts_with("camera A did not enter its bootloader within 0.7 s; "));
    assert!(error.help().is_some());
}
