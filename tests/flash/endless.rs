//! Bootloaders that never finish and devices that invent cameras: every command ends.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use oaktap::bootloader::{
    AnnouncedData, ApplicationDetails, BootloaderType, Memory, MemoryDetails, Request, Response, Version,
};
use oaktap::discovery::{Answer, CameraState, Query};
use oaktap::xlink::{Link, LinkEvent, PORT, Packet};

use crate::command::Scene;
use crate::program::run;

const ID: &str = "14442C10D13EABCE00";
const TICK: Duration = Duration::from_millis(20);
/// Much longer than the limit of a session with the options below, which is 3 s plus the time for its data.
const MINUTE: Duration = Duration::from_secs(60);

/// What a bootloader does instead of finishing a request.
#[derive(Clone, Copy, Debug)]
enum Endless {
    /// Reports the same progress again and again.
    Progress,
    /// Sends at most this many bytes in each [`TICK`].
    Drip(usize),
}

/// A bootloader at an address of its own that answers simple requests, and then does not finish. Runs until the process
/// ends. Returns its address and the port of its discovery service.
fn bootloader(number: u8, endless: Endless) -> (Ipv4Addr, u16) {
    let [high, low] = u16::try_from(std::process::id() & 0xffff).expect("16 bits").to_be_bytes();
    let ip = Ipv4Addr::from([127, 200 + number, high, low]);
    let udp = UdpSocket::bind((ip, 0)).expect("a port");
    let tcp = TcpListener::bind((ip, PORT)).expect("the port of bootloaders");
    let port = udp.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        let answer = Answer::Simple { id: ID.to_owned(), state: CameraState::Bootloader }.to_bytes();
        let mut query = [0; 64];
        while let Ok((_, from)) = udp.recv_from(&mut query) {
            // The client may have closed its socket.
            let _ = udp.send_to(&answer, from);
        }
    });
    thread::spawn(move || {
        for stream in tcp.incoming() {
            thread::spawn(move || serve(stream.expect("a connection"), endless));
        }
    });
    (ip, port)
}

fn serve(mut stream: TcpStream, endless: Endless) {
    stream.set_read_timeout(Some(TICK)).expect("a valid time");
    let (mut link, mut buffer, mut open) = (Link::device(), vec![0; 1 << 16], None);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => link.handle_input(&buffer[..length]).expect("the client sends XLink"),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
        while let Some(event) = link.poll() {
            match event {
                LinkEvent::OpenedByPeer(stream, _) => link.write_unopened(stream),
                LinkEvent::Packet(stream, bytes) if link.name(stream) != "__watchdog" => {
                    for packet in answers(Request::parse(&bytes).ok(), endless) {
                        link.send(stream, packet);
                    }
                    open = Some(stream);
                }
                LinkEvent::Reset => return,
                _ => {}
            }
        }
        if let (Endless::Progress, Some(open)) = (endless, open) {
            link.send(open, Packet::from(Response::Progress(0.5).to_bytes()));
        }
        let each = if let Endless::Drip(bytes) = endless { bytes } else { usize::MAX };
        let output = link.output();
        let length = output.len().min(each);
        if stream.write_all(&output[..length]).is_err() {
            return;
        }
        link.consumed(length);
        if length == each {
            thread::sleep(TICK);
        }
    }
}

fn answers(request: Option<Request>, endless: Endless) -> Vec<Packet> {
    let one = |response: Response| vec![Packet::from(response.to_bytes())];
    let large = AnnouncedData { total: 1 << 20, packets: 1 };
    match (request, endless) {
        (Some(Request::Version), _) => one(Response::Version(Version::RECOMMENDED)),
        (Some(Request::Commit), _) => one(Response::Commit("abc".to_owned())),
        (Some(Request::Type), _) => one(Response::Type(BootloaderType::Network)),
        (Some(Request::IsUserBootloader), Endless::Drip(_)) => one(Response::IsUserBootloader(false)),
        (Some(Request::MemoryDetails { memory: Memory::Flash }), _) => {
            let info = "a flash".to_owned();
            one(Response::MemoryDetails(Some(MemoryDetails { memory: Memory::Flash, size: 32 << 20, info })))
        }
        (Some(Request::MemoryDetails { .. }), _) => one(Response::MemoryDetails(None)),
        (Some(Request::Application { .. }), _) => one(Response::Application(Ok(ApplicationDetails::default()))),
        (Some(Request::GetConfig { .. }), Endless::Drip(_)) => {
            [one(Response::Config(Ok(large))), vec![Packet::from(vec![0; 1 << 20])]].concat()
        }
        (Some(Request::ReadFlash { total, .. }), Endless::Drip(_)) => {
            let announced = AnnouncedData { total, packets: 1 };
            [one(Response::ReadFlash(Ok(announced))), vec![Packet::from(vec![0; total as usize])]].concat()
        }
        _ => Vec::new(),
    }
}

#[cfg(target_os = "linux")]
#[test]
fn bootloaders_that_never_finish_end_every_command() {
    let scene = Scene::new("");
    let app = scene.package("door");
    let folder = scene.folder.path().join("saved");
    let folder = folder.to_str().expect("UTF-8");
    let commands = [
        &["info"][..],
        &["backup", "-o", folder],
        &["network", "show"],
        &["bootloader", "show"],
        &["flash", "--app", &app],
        &["erase"],
        &["doctor", "--enter-bootloader", "--no-stream"],
    ];
    thread::scope(|scope| {
        let kinds = [Endless::Progress, Endless::Drip(40), Endless::Drip(400)];
        for (number, (endless, command)) in
            (0..).zip(kinds.iter().flat_map(|kind| commands.map(|command| (*kind, command))))
        {
            scope.spawn(move || {
                let (ip, udp) = bootloader(number, endless);
                let (camera, udp) = (ip.to_string(), udp.to_string());
                let (name, rest) = command.split_first().expect("a command");
                let options = ["--udp-port", &udp, "--yes", "--idle-timeout", "300ms"];
                let start = Instant::now();
                let (code, _, said) = run(&[&[*name, &camera], &options[..], rest].concat());
                let took = start.elapsed();
                // It asks for nothing that such a bootloader does not finish.
                let may_pass = command[0] == "doctor" && matches!(endless, Endless::Drip(_));
                assert!(
                    (code != 0 || may_pass) && took < MINUTE,
                    "{endless:?} {command:?}: {code} after {took:?}: {said}"
                );
                let clear = [
                    "has made no progress for",
                    "the session has taken more than",
                    "has not acknowledged a watchdog ping",
                ];
                assert!(code == 0 || clear.iter().any(|text| said.contains(text)), "{endless:?} {command:?}: {said}");
            });
        }
    });
}

/// Answers every query with these ids, each from another address, until the process ends. Returns the port.
fn inventor(ids: u32, addresses: u8) -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
    let port = socket.local_addr().expect("it is bound").port();
    let senders: Vec<_> = (1..=addresses)
        .map(|last| UdpSocket::bind((Ipv4Addr::new(127, 77, 3, last), 0)).expect("a loopback address"))
        .collect();
    thread::spawn(move || {
        let mut query = [0; 64];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            if Query::parse(&query[..length]) != Some(Query::Discover) {
                continue;
            }
            for (id, sender) in (0..ids).zip(senders.iter().cycle()) {
                let answer = Answer::Simple { id: format!("1444{id:08X}"), state: CameraState::FlashBooted };
                // The client may have closed its socket.
                let _ = sender.send_to(&answer.to_bytes(), from);
            }
        }
    });
    port
}

#[cfg(target_os = "linux")]
#[test]
fn invented_cameras_keep_list_and_doctor_bounded() {
    // How many of the answers arrive depends on the buffers of the system.
    let bounded = |command: &[&str]| {
        let port = inventor(6000, 200).to_string();
        let start = Instant::now();
        let (_, out, said) = run(&[command, &["--udp-port", &port, "--json"]].concat());
        let took = start.elapsed();
        assert!(took < MINUTE, "{command:?} after {took:?}: {said}");
        serde_json::from_str::<serde_json::Value>(&out).expect("JSON")["summary"].take()
    };
    let len = |value: &serde_json::Value| value.as_array().expect("a list").len();
    let listed = len(&bounded(&["list", "127.0.0.1"])["cameras"]);
    // And the camera that was given, which is missing.
    assert!(listed > 1 && listed <= 4096 + 1, "{listed}");
    let facts = bounded(&["doctor", "--no-stream"])["facts"].take();
    let (checked, seen) = (len(&facts["targets"]), len(&facts["seen"]));
    assert!(checked <= 64 && seen <= 4096 + checked, "{checked} of {seen}");
    assert!(
        facts["left_out"].as_u64().is_some_and(|left_out| left_out as usize + checked <= seen),
        "{checked} of {seen}"
    );
}
