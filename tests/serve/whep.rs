//! Cameras over WebRTC: aiortc and Chromium watch them.

use std::io::Write as _;
use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use oaktap::sim::{SimConfig, Stream, Truth};
use serde_json::{Value, json};
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};

use crate::browser::{boxes, difference, pixels};
use crate::chromium::Browser;
use crate::external_tools::{has_python_package, python};
use crate::server::{AGES, Response, Server};

// Its boxes are in records.
const H264: &str = "size=320x176&fps=30&format=h264&seed=9&boxes=2&records=on";
const RAW: &str = "size=320x176&fps=30&seed=9&boxes=2";

/// Largest mean difference of a picture that was encoded from the camera's.
const CODING_ERROR_MAX: f64 = 6.0;

fn post(server: &Server, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let length = body.len().to_string();
    let own = [("Content-Length", &*length), ("Connection", "close"), ("Content-Type", "application/sdp")];
    let replaced = |name: &str| headers.iter().any(|(given, _)| *given == name);
    let own = own.into_iter().filter(|(name, _)| !replaced(name));
    let headers: Vec<_> = own.chain(headers.iter().copied()).collect();
    let mut connection = server.open("POST", path, &headers);
    // It may answer before it has read everything.
    let _ = connection.get_mut().write_all(body);
    Response::read(&mut connection)
}

/// The offer of a viewer that never connects.
fn offer() -> String {
    let mut rtc = Rtc::new(Instant::now());
    rtc.add_local_candidate(Candidate::host("127.0.0.1:9".parse().expect("one"), "udp").expect("a candidate"));
    let mut changes = rtc.sdp_api();
    changes.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
    changes.add_channel("detections".to_owned());
    changes.apply().expect("an offer").0.to_sdp_string()
}

/// The frames that the camera sends.
fn truths(config: &str, count: usize) -> Vec<Truth> {
    let mut stream = Stream::new(&config.parse::<SimConfig>().expect(config)).expect(config);
    (0..count).map(|_| stream.turn().truth).collect()
}

fn numbers(list: &Value) -> Vec<[f32; 4]> {
    let number = |value: &Value| value.as_f64().expect("a number") as f32;
    let list = list.as_array().expect("a list");
    list.iter().map(|one| [0, 1, 2, 3].map(|at| number(&one[at]))).collect()
}

/// The counts of the viewers of the first camera, when the server has ended.
fn viewers(server: Server) -> Value {
    let (code, lines, err) = server.stop();
    // On a busy machine the simulated camera leaves out frames.
    assert!([0, 3].contains(&code), "{err}");
    let viewers = lines[0]["viewers"][0]["viewers"].as_array().expect("a list");
    let viewers = viewers.iter().find(|viewers| viewers["kind"] == "whep").expect("viewers").clone();
    let [offered, sent, superseded, pending] =
        ["offered", "sent", "superseded", "pending"].map(|name| viewers[name].as_u64().expect("a number"));
    assert_eq!(offered, sent + superseded + pending, "{viewers}");
    assert!(err.contains("front: whep by "), "{err}");
    viewers
}

/// Watches with aiortc, and checks each picture and its boxes against the frame of the same time.
fn watch_with_aiortc(config: &str, coding: &str, difference_max: f64) -> Option<Value> {
    has_python_package("aiortc").then_some(())?;
    let folder = tempfile::tempdir().expect("a folder");
    let truths = truths(config, 3000);
    let mut sent = Vec::new();
    for truth in &truths {
        sent.extend(truth.device_time.0.to_le_bytes());
        sent.extend((truth.payload.len() as u32).to_le_bytes());
        sent.extend(&*truth.payload);
    }
    let file = folder.path().join("sent");
    std::fs::write(&file, sent).expect("a file");
    let server = Server::streaming(&[&format!("front=sim:?{config}")]);
    let url = format!("http://127.0.0.1:{}/whep/front", server.port);
    let arguments = [Path::new(&url), Path::new("60"), Path::new(coding), &file];
    let seen: Value = serde_json::from_str(&python("read_whep.py", &arguments)?).expect("JSON");
    assert_eq!([&seen["status"], &seen["ended"]], [201, 204], "{seen}");
    let answer = seen["answer"].as_str().expect("text");
    assert!(answer.contains("a=ice-lite") && answer.contains("a=sendonly"), "{answer}");
    let received = seen["received"].as_array().expect("a list");
    assert!(received.len() >= 60, "{seen}");
    for frame in received {
        let truth = truths.iter().find(|truth| truth.device_time.0 == frame[1]).expect("a frame of the camera");
        assert!(frame[2].as_f64().is_some_and(|difference| difference <= difference_max), "{frame}");
        assert_eq!(numbers(&frame[3]), boxes(truth), "{frame}");
    }
    // The RTP times have the steps of the camera's clock.
    for pair in received.windows(2) {
        let step = |at: usize| pair[1][at].as_i64().expect("a number") - pair[0][at].as_i64().expect("a number");
        assert!((step(0).rem_euclid(1 << 32) - step(1) * 9 / 100).abs() <= 1, "{pair:?}");
    }
    let encoded = server.cameras()[0]["encoded"].clone();
    let viewers = viewers(server);
    assert!(viewers["viewers_total"] == 1 && viewers["sent"].as_u64() >= Some(60), "{viewers}");
    Some(encoded)
}

#[test]
fn aiortc_gets_the_pictures_of_an_h264_camera_untouched_with_the_boxes_of_each() {
    let Some(encoded) = watch_with_aiortc(H264, "h264", 0.0) else { return };
    assert_eq!(encoded, 0);
}

#[test]
fn aiortc_gets_raw_pictures_as_h264_with_the_boxes_of_each() {
    let Some(encoded) = watch_with_aiortc(RAW, "320x176", CODING_ERROR_MAX) else { return };
    assert!(encoded.as_u64() >= Some(60), "{encoded}");
}

/// Watches `/whep/front` and keeps the last presented frame with the message of its RTP time.
const WATCH: &str = "
    window.shown = null;
    const messages = new Map();
    const connection = window.connection = new RTCPeerConnection();
    connection.addTransceiver('video', { direction: 'recvonly' });
    const channel = connection.createDataChannel('detections', { ordered: false, maxRetransmits: 0 });
    channel.onmessage = ({ data }) => { const message = JSON.parse(data); messages.set(message.rtp_time, message); };
    const video = document.createElement('video');
    video.muted = true;
    document.body.prepend(video);
    connection.ontrack = ({ track, receiver }) => {
        receiver.jitterBufferTarget = 0;
        video.srcObject = new MediaStream([track]);
        video.play();
    };
    const canvas = document.createElement('canvas');
    const show = (_, { rtpTimestamp, width, height }) => {
        video.requestVideoFrameCallback(show);
        [canvas.width, canvas.height] = [width, height];
        const context = canvas.getContext('2d', { willReadFrequently: true });
        context.drawImage(video, 0, 0);
        const { data } = context.getImageData(0, 0, width, height);
        const keep = (attempts) => {
            const message = messages.get(rtpTimestamp);
            if (!message) return attempts && setTimeout(keep, 20, attempts - 1);
            let text = '';
            for (let at = 0; at < data.length; at += 4) text += String.fromCharCode(data[at], data[at + 1], data[at + 2]);
            window.shown = { message, width, height, pixels: btoa(text) };
        };
        keep(50);
    };
    video.requestVideoFrameCallback(show);
    (async () => {
        await connection.setLocalDescription();
        const response = await fetch('/whep/front', {
            method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: connection.localDescription.sdp });
        await connection.setRemoteDescription({ type: 'answer', sdp: await response.text() });
    })();";

#[test]
fn chromium_shows_pictures_with_the_boxes_of_exactly_the_presented_frame() {
    let Some(browser) = Browser::start(800, 600) else { return };
    for config in [RAW, H264] {
        let server = Server::streaming(&[&format!("front=sim:?{config}")]);
        browser.open(&format!("http://127.0.0.1:{}/", server.port));
        let truths = truths(config, 3000);
        browser.run(WATCH);
        for _ in 0..5 {
            let shown = browser.wait_for("const shown = window.shown; window.shown = null; return shown;");
            let message = &shown["message"];
            let truth = truths.iter().find(|truth| truth.device_time.0 == message["device_time_us"]);
            let truth = truth.expect("a frame of the camera");
            assert!(shown["width"] == 320 && shown["height"] == 176, "{message}");
            let found: Vec<_> = message["detections"].as_array().expect("a list").iter().collect();
            let found: Vec<_> = found.iter().map(|one| one["bbox"].clone()).collect();
            assert_eq!(numbers(&json!(found)), boxes(truth), "{message}");
            if config == RAW {
                let difference = difference(&pixels(&shown), &truth.payload);
                assert!(difference < CODING_ERROR_MAX, "{difference}: {message}");
            }
        }
        browser.screenshot(if config == RAW { "whep-raw" } else { "whep-h264" });
        browser.run("window.connection.close();");
        viewers(server);
    }
}

#[test]
fn offers_that_are_none_are_refused() {
    let server = Server::streaming(&["front=sim:?size=64x48&fps=30"]);
    let good = offer();
    let audio = good.replace("m=video", "m=audio").replace("H264/90000", "opus/48000/2");
    let without_h264 = good.replace("H264/90000", "VP8/90000");
    let many = good.clone() + &good[good.find("m=video").expect("video")..].repeat(3);
    let long = "a=x\r\n".repeat(10_000);
    for (path, kind, body, status) in [
        ("/whep/front", "application/sdp", "garbage", 422),
        ("/whep/front", "application/sdp", "", 422),
        ("/whep/front", "application/sdp", "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", 422),
        ("/whep/front", "application/sdp", &audio, 422),
        ("/whep/front", "application/sdp", &without_h264, 422),
        ("/whep/front", "application/sdp", &long, 413),
        ("/whep/front", "application/json", &good, 415),
        ("/whep/other", "application/sdp", &good, 404),
    ] {
        let response = post(&server, path, &[("Content-Type", kind)], body.as_bytes());
        assert_eq!(response.status, status, "{path} {kind}: {}", response.text());
    }
    // Cut at every line, and more media than one: any answer, and the server continues.
    for at in good.match_indices("\r\n").map(|(at, _)| at + 2).filter(|at| at % 7 == 0) {
        let response = post(&server, "/whep/front", &[], &good.as_bytes()[..at]);
        assert!([201, 422].contains(&response.status), "{at}: {}", response.text());
    }
    let response = post(&server, "/whep/front", &[], many.as_bytes());
    assert!([201, 422].contains(&response.status), "{}", response.text());
    assert_eq!(post(&server, "/whep/front", &[], b"\xff\xfe").status, 400);
    let foreign = post(&server, "/whep/front", &[("Origin", "http://evil.example")], good.as_bytes());
    assert_eq!(foreign.status, 403);
    for (method, path, status) in [
        ("OPTIONS", "/whep/front", 204),
        ("GET", "/whep/front", 405),
        ("PATCH", "/whep/front/0", 405),
        ("DELETE", "/whep/front/0", 204),
    ] {
        assert_eq!(server.ask(method, path, &[]).status, status, "{method} {path}");
    }
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn cameras_of_h265_are_refused_with_the_reason() {
    let Some(ffmpeg) = crate::external_tools::system("ffmpeg") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("video.h265");
    let video = crate::video::encoded(ffmpeg, oaktap::frame::PayloadKind::H265, "320x176", 30, &[]);
    std::fs::write(&file, video).expect("a file");
    let server = Server::streaming(&[&format!("front=sim:?format=h265&fps=30&images={}", file.display())]);
    let refused = post(&server, "/whep/front", &[], offer().as_bytes());
    assert!(refused.status == 503 && refused.text().contains("the camera sends H.265"), "{refused:?}");
}

#[test]
fn viewers_need_the_token_or_a_signature() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    std::fs::write(&path, "correct-horse-battery").expect("a file");
    let server = Server::start(&["front=sim:?size=64x48&fps=30", "--token", path.to_str().expect("UTF-8")]);
    let offer = offer();
    let bearer = [("Authorization", "Bearer correct-horse-battery")];
    assert_eq!(post(&server, "/whep/front", &[], offer.as_bytes()).status, 401);
    let opened = post(&server, "/whep/front", &bearer, offer.as_bytes());
    assert_eq!(opened.status, 201, "{}", opened.text());
    let location = opened.header("location").expect("an address");
    assert!(location.starts_with("/whep/front/"), "{location}");
    assert_eq!(server.ask("DELETE", location, &[]).status, 401);
    assert_eq!(server.ask("DELETE", location, &bearer).status, 204);
    let signed = post(&server, "/api/sign", &bearer, br#"{"path":"/whep/front"}"#);
    let signed: Value = serde_json::from_slice(&signed.body).expect("JSON");
    let signed = signed["path"].as_str().expect("a path");
    assert_eq!(post(&server, signed, &[], offer.as_bytes()).status, 201);
    assert_eq!(post(&server, &signed.replace("front", "back"), &[], offer.as_bytes()).status, 401);
}

#[test]
fn viewers_that_never_connect_and_datagrams_of_others_take_no_places_for_long() {
    let server = Server::streaming(&["front=sim:?size=64x48&fps=30"]);
    let offer = offer();
    let open = || post(&server, "/whep/front", &[], offer.as_bytes());
    let mut answers: Vec<_> = (0..64).map(|_| open()).collect();
    assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
    let answer = answers[0].text();
    let candidate = answer.lines().find(|line| line.starts_with("a=candidate:")).expect("a candidate");
    let address = candidate.split(' ').skip(4).take(2).collect::<Vec<_>>().join(":");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let refused = open();
    assert!(refused.status == 503 && refused.header("retry-after") == Some("5"), "{refused:?}");
    // Kinds of packets by their first byte (RFC 7983), and nonsense.
    for first in [0, 1, 20, 22, 63, 127, 128, 200, 255] {
        for len in [0, 1, 2, 19, 20, 100, 1200, 9000] {
            let mut datagram = vec![first; len];
            socket.send_to(&datagram, &address).expect("sent");
            // As STUN: its length and cookie.
            if let Some(head) = datagram.first_chunk_mut() {
                *head = [0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42];
            }
            socket.send_to(&datagram, &address).expect("sent");
        }
    }
    // One that ends frees its place at once, the others when they have not connected in time.
    let location = answers.pop().expect("one").header("location").expect("an address").to_owned();
    assert_eq!(server.ask("DELETE", &location, &[]).status, 204);
    let deadline = Instant::now() + AGES;
    let wait_for_place = || {
        while open().status != 201 {
            assert!(Instant::now() < deadline, "no place");
        }
    };
    (0..64).for_each(|_| wait_for_place());
    assert_eq!(server.cameras()[0]["viewers"], json!([]), "none is connected");
    assert_eq!(server.cameras()[0]["encoded"].as_u64().map(|encoded| encoded < 100), Some(true));
}

/// A viewer that counts what it gets.
struct Watcher {
    rtc: Rtc,
    socket: UdpSocket,
    frames: usize,
    messages: usize,
}

impl Watcher {
    fn start(server: &Server) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let mut rtc = Rtc::new(Instant::now());
        let address = socket.local_addr().expect("bound");
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("a candidate"));
        let mut changes = rtc.sdp_api();
        changes.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        changes.add_channel("detections".to_owned());
        let (offer, pending) = changes.apply().expect("an offer");
        let answer = post(server, "/whep/front", &[], offer.to_sdp_string().as_bytes());
        assert_eq!(answer.status, 201, "{}", answer.text());
        let answer = SdpAnswer::from_sdp_string(&answer.text()).expect("an answer");
        rtc.sdp_api().accept_answer(pending, answer).expect("it suits the offer");
        Self { rtc, socket, frames: 0, messages: 0 }
    }

    /// Watches until both the pictures and the detections of this many frames have arrived.
    fn watch(mut self, count: usize) -> Self {
        let deadline = Instant::now() + AGES;
        let mut buffer = vec![0; 2000];
        while self.frames < count || self.messages < count {
            assert!(Instant::now() < deadline, "{} frames, {} messages", self.frames, self.messages);
            let due = match self.rtc.poll_output().expect("connected") {
                Output::Transmit(transmit) => {
                    self.socket.send_to(&transmit.contents, transmit.destination).expect("sent");
                    continue;
                }
                Output::Event(Event::MediaData(_)) => {
                    self.frames += 1;
                    continue;
                }
                Output::Event(Event::ChannelData(_)) => {
                    self.messages += 1;
                    continue;
                }
                Output::Event(_) => continue,
                Output::Timeout(due) => due,
            };
            let wait = due.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.socket.set_read_timeout(Some(wait)).expect("a time");
            let received = self.socket.recv_from(&mut buffer);
            let now = Instant::now();
            let input = match &received {
                Ok((len, from)) => {
                    let to = self.socket.local_addr().expect("bound");
                    Input::Receive(now, Receive::new(Protocol::Udp, *from, to, &buffer[..*len]).expect("of WebRTC"))
                }
                Err(_) => Input::Timeout(now),
            };
            self.rtc.handle_input(input).expect("valid");
        }
        self
    }
}

/// Seconds of CPU that a process has used.
#[cfg(target_os = "linux")]
fn cpu_s(server: &Server) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.id())).expect("it runs");
    let fields: Vec<_> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    // In ticks of 10 ms.
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>() / 100.0
}

#[cfg(target_os = "linux")]
#[test]
fn fifty_viewers_share_one_encoding() {
    let server = Server::streaming(&["front=sim:?size=640x352&fps=15&seed=9&boxes=2"]);
    let (started, before) = (Instant::now(), cpu_s(&server));
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..50).map(|_| scope.spawn(|| Watcher::start(&server).watch(60))).collect();
        let watched: Vec<_> = running.into_iter().map(|watcher| watcher.join().expect("it watches")).collect();
        let elapsed_s = started.elapsed().as_secs_f64();
        let cpu = (cpu_s(&server) - before) / elapsed_s;
        let frames: usize = watched.iter().map(|watcher| watcher.frames).sum();
        println!("50 viewers: {frames} frames in {elapsed_s:.1} s, {:.0} % of a core", 100.0 * cpu);
        let camera = server.cameras()[0].clone();
        let encoded = camera["encoded"].as_u64().expect("a number");
        assert!(encoded < frames as u64 / 10, "{encoded} pictures encoded for {frames}");
    });
    let viewers = viewers(server);
    assert!(viewers["viewers_total"] == 50 && viewers["sent"].as_u64() >= Some(3000), "{viewers}");
}

/// Prints the CPU time of the program with 0, 1 and 50 viewers of one camera, each for 20 s or for `OAKTAP_LOAD_SECONDS`:
///
/// ```text
/// cargo test --release --test serve -- --ignored --nocapture cpu_of_fifty_viewers
/// ```
#[cfg(target_os = "linux")]
#[test]
#[ignore = "measures for a minute"]
fn cpu_of_fifty_viewers() {
    const FPS: usize = 30;
    let seconds = std::env::var("OAKTAP_LOAD_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(20);
    let camera = crate::server::Camera::start(&["--size", "640x352", "--fps", "30", "--boxes", "2"]);
    let server = Server::streaming(&[&format!("front={}", camera.address)]);
    for count in [0, 1, 50] {
        let connected = std::sync::Barrier::new(count + 1);
        let encoded = || server.cameras()[0]["encoded"].as_u64().expect("a number");
        std::thread::scope(|scope| {
            let watch = || {
                let watcher = Watcher::start(&server).watch(FPS);
                connected.wait();
                let before = watcher.frames;
                watcher.watch(before + FPS * seconds).frames - before
            };
            let running: Vec<_> = (0..count).map(|_| scope.spawn(watch)).collect();
            connected.wait();
            let (started, before, encoded_before) = (Instant::now(), cpu_s(&server), encoded());
            if running.is_empty() {
                std::thread::sleep(Duration::from_secs(seconds as u64));
            }
            let frames: usize = running.into_iter().map(|watcher| watcher.join().expect("it watches")).sum();
            let elapsed_s = started.elapsed().as_secs_f64();
            let cpu = 100.0 * (cpu_s(&server) - before) / elapsed_s;
            let pictures = encoded() - encoded_before;
            println!(
                "{count} viewers: {frames} frames of {pictures} pictures in {elapsed_s:.1} s, {cpu:.1} % of a core"
            );
        });
    }
}
