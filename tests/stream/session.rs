//! A session with misbehaving cameras over loopback TCP. Tests do not sleep: a test waits for the event, and the camera
//! acts when its test tells it to.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use oaktap::frame::{Frame, Pool};
use oaktap::hub::{Policy, Taker};
use oaktap::source::{
    Incident, IncidentEvent, Outlets, Session, SessionOptions, SessionState, SourceErrorClass, SourceErrorKind,
    SourceSpec, Timeouts,
};
use oaktap::stats::Stats;
use tokio::runtime::{Builder, Runtime};

/// Longer than any operation takes on a busy machine.
const AGES: Duration = Duration::from_secs(30);

pub(crate) struct Bench {
    session: Session,
    live: Taker<Arc<Frame>>,
    kept: Taker<Arc<Frame>>,
    #[cfg(feature = "http")]
    incidents: std::sync::mpsc::Receiver<Incident>,
    runtime: Runtime,
}

impl Bench {
    pub(crate) fn new(spec: &str, options: SessionOptions) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let outlets = Outlets::default();
        let live = outlets.take_provisional("live", Policy::DropNewest(10_000));
        let kept = outlets.take_confirmed("kept", Policy::DropNewest(10_000));
        #[cfg(feature = "http")]
        let incidents = {
            let (tell, incidents) = std::sync::mpsc::channel();
            // The test may have ended.
            outlets.incidents.tap(move |incident: &Incident| _ = tell.send(incident.clone()));
            incidents
        };
        let session = Session::start("cam", spec.parse().unwrap(), options, outlets, runtime.handle());
        Self {
            session,
            live,
            kept,
            #[cfg(feature = "http")]
            incidents,
            runtime,
        }
    }

    fn at(address: SocketAddr, options: SessionOptions) -> Self {
        Self::new(&address.to_string(), options)
    }

    /// Returns the counts so far.
    #[cfg(feature = "http")]
    pub(crate) fn stats(&self) -> Stats {
        self.session.stats()
    }

    /// Waits for a state.
    pub(crate) fn reach(&self, what: &str, wanted: impl FnMut(&SessionState) -> bool) -> SessionState {
        let mut changes = self.session.changes();
        let wait =
            async { tokio::time::timeout(AGES, changes.wait_for(wanted)).await.map(|state| state.unwrap().clone()) };
        self.runtime
            .block_on(wait)
            .unwrap_or_else(|_| panic!("timed out waiting for {what}, in state {}", self.session.state()))
    }

    fn live(&self) -> Arc<Frame> {
        self.live.recv_timeout(AGES).expect("a frame for those who show")
    }

    pub(crate) fn kept(&self) -> Arc<Frame> {
        self.kept.recv_timeout(AGES).expect("a frame for those who keep")
    }

    /// Returns the next frame if it arrives within this time. For the tests of datagrams.
    #[cfg(feature = "http")]
    pub(crate) fn kept_within(&self, time: Duration) -> Option<Arc<Frame>> {
        self.kept.recv_timeout(time).ok()
    }

    /// Returns the incidents since the last call.
    #[cfg(feature = "http")]
    pub(crate) fn incidents(&self) -> impl Iterator<Item = Incident> {
        self.incidents.try_iter()
    }

    /// Ends the session and returns its ledger, which must balance.
    pub(crate) fn end(self) -> Stats {
        self.session.stop();
        self.session.wait().expect("it was asked to end");
        assert!(self.session.ended());
        while self.live.try_take().is_some() {}
        assert!(self.live.recv().is_none(), "the lanes have ended");
        let stats = self.session.stats();
        assert!(stats.balances(), "{stats:?}");
        assert_eq!(stats.frames.pending, 0);
        assert_eq!(stats.bytes().pending, 0);
        stats
    }
}

/// Short timeouts. Tests wait for the effect of a timeout, not for its duration.
fn options() -> SessionOptions {
    let timeouts = Timeouts {
        connect: AGES,
        first_byte: Duration::from_millis(100),
        stalled: Duration::from_millis(50),
        idle: Duration::from_millis(200),
        idle_fixed: None,
    };
    SessionOptions { timeouts, ..SessionOptions::default() }
}

/// As [`options`], for tests in which a pause must have no effect.
fn patient() -> SessionOptions {
    SessionOptions {
        timeouts: Timeouts { connect: AGES, first_byte: AGES, stalled: AGES, idle: AGES, idle_fixed: None },
        ..options()
    }
}

fn once() -> SessionOptions {
    SessionOptions { reconnect: false, ..patient() }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

const LEN: usize = 6 * 8 * 3;

/// A message as Luxonis' program sends it: one small picture, taken at `ms`.
fn message(ms: u32) -> Vec<u8> {
    let mut bytes = format!("{:<32}", format!("IMG {}.{:03} {LEN} 0", ms / 1000, ms % 1000)).into_bytes();
    bytes.extend((0..LEN).map(|i| (i as u32 * 7 + ms) as u8));
    bytes
}

/// In one write, so that a camera that is closed meanwhile has sent everything or nothing.
fn send(camera: &mut TcpStream, times_ms: impl IntoIterator<Item = u32>) {
    let bytes: Vec<u8> = times_ms.into_iter().flat_map(message).collect();
    camera.write_all(&bytes).unwrap();
}

fn accept(listener: &TcpListener) -> TcpStream {
    listener.accept().unwrap().0
}

/// Reads until the session has closed its end.
fn hears_the_end(mut camera: TcpStream) -> bool {
    camera.set_read_timeout(Some(AGES)).unwrap();
    // A reset is an end too: our bytes may have been in transit when we closed.
    !matches!(camera.read(&mut [0; 16]), Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut))
}

#[test]
fn a_camera_streams_although_there_is_no_memory_for_its_frames() {
    let bench = Bench::new("sim:?size=64x48&fps=0", SessionOptions { frames: Pool::bounded(1), ..patient() });
    bench.reach("the frames", |state| matches!(state, SessionState::Streaming));
    let stats = bench.end();
    assert!(stats.frames.no_memory > 0 && stats.frames.received == 0, "{stats:?}");
}

#[test]
fn frames_arrive_and_the_connection_is_closed_cleanly() {
    let (listener, address) = listener();
    let bench = Bench::at(address, patient());
    let mut camera = accept(&listener);
    assert!(matches!(bench.session.state(), SessionState::Connecting { attempt: 1 }));
    send(&mut camera, [1000, 1025]);
    assert_eq!([bench.live().device_time.0, bench.live().device_time.0], [1_000_000, 1_025_000]);
    assert_eq!(bench.kept().device_time.0, 1_000_000, "the second header confirms the first frame");
    bench.reach("streaming", |state| matches!(state, SessionState::Streaming));
    let stats = bench.end();
    assert!(hears_the_end(camera));
    assert_eq!((stats.frames.received, stats.frames.confirmed, stats.connections), (2, 2, 1));
    assert_eq!(stats.bytes().received, 2 * (32 + LEN as u64));
    assert!(stats.lossless());
}

#[test]
fn the_last_frame_is_confirmed_by_silence() {
    let (listener, address) = listener();
    let bench = Bench::at(address, patient());
    let mut camera = accept(&listener);
    send(&mut camera, [1000]);
    assert_eq!(bench.kept().device_time.0, 1_000_000);
    bench.end();
}

#[test]
fn a_frame_in_small_pieces_is_intact() {
    let (listener, address) = listener();
    let bench = Bench::at(address, patient());
    let mut camera = accept(&listener);
    camera.set_nodelay(true).unwrap();
    // Large enough for a low-water mark, and cut below it: the session must notice the partial frame.
    let len = 300_000;
    let header = format!("{:<32}", format!("IMG 1.0 {len} 0"));
    for _ in 0..3 {
        camera.write_all(header.as_bytes()).unwrap();
        camera.write_all(&vec![5; len]).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(bench.live().payload().len(), len);
    }
    // Then a smaller one, below the low-water mark of the last.
    send(&mut camera, [1100]);
    assert_eq!(bench.live().payload().len(), LEN);
    camera.write_all(header.as_bytes()).unwrap();
    camera.write_all(&vec![6; 1000]).unwrap();
    let received = 3 * (32 + len as u64) + 32 + LEN as u64 + 32 + 1000;
    while bench.session.stats().bytes().received != received {
        std::thread::yield_now();
    }
    assert!(bench.session.stats().balances());
    let stats = bench.end();
    assert_eq!((stats.frames.received, stats.frames.unfinished, stats.frames.lost), (4, 1, 0));
    assert!(stats.lossless(), "our own disconnect loses nothing");
}

#[test]
fn a_refused_port_is_retried_until_it_is_back() {
    let (first, address) = listener();
    let bench = Bench::at(address, patient());
    let mut camera = accept(&first);
    send(&mut camera, [1000]);
    bench.live();
    drop((first, camera));
    let lost = |state: &SessionState| {
        matches!(state, SessionState::Lost { reason, retry_in } if
        matches!(&reason.kind, SourceErrorKind::Connect(error) if error.kind() == std::io::ErrorKind::ConnectionRefused)
        && *retry_in <= Duration::from_secs(2))
    };
    bench.reach("refused", lost);
    let second = TcpListener::bind(address).unwrap();
    let mut camera = accept(&second);
    send(&mut camera, [2000]);
    assert_eq!(bench.live().device_time.0, 2_000_000);
    bench.reach("streaming", |state| matches!(state, SessionState::Streaming));
    let stats = bench.end();
    assert_eq!((stats.connections, stats.reconnects(), stats.reboots), (2, 1, 0));
    assert!(stats.attempts > 2, "some were refused");
}

#[test]
fn busy_camera_is_reported_as_silent() {
    let (listener, address) = listener();
    let timeouts = Timeouts { first_byte: options().timeouts.first_byte, ..patient().timeouts };
    let bench = Bench::at(address, SessionOptions { timeouts, ..patient() });
    let mut camera = accept(&listener);
    let state = bench.reach("silent", |state| matches!(state, SessionState::Silent));
    assert_eq!(state.to_string(), "connected but silent: another client may hold the camera");
    send(&mut camera, [1000]);
    bench.live();
    bench.reach("streaming", |state| matches!(state, SessionState::Streaming));
    let stats = bench.end();
    assert_eq!(stats.connections, 1, "the connection was kept");
}

#[test]
fn a_stopped_stream_is_stalled_then_lost_then_reconnected() {
    let (listener, address) = listener();
    let bench = Bench::at(address, options());
    let mut camera = accept(&listener);
    send(&mut camera, (0..10).map(|i| 1000 + 10 * i));
    bench.reach("stalled", |state| matches!(state, SessionState::Stalled));
    let mut second = accept(&listener);
    assert!(hears_the_end(camera), "the old connection is closed");
    send(&mut second, (0..10).map(|i| 5000 + 10 * i));
    for _ in 0..20 {
        bench.live();
    }
    let stats = bench.end();
    assert_eq!((stats.frames.confirmed, stats.frames.missing), (20, 0));
    assert!(stats.connections >= 2, "a busy machine may lose the second connection as well");
}

#[test]
fn a_short_stall_does_not_reconnect() {
    let (listener, address) = listener();
    // Unless the user has set a longer silence as normal, the time of the stall counts as an outage.
    for (idle_fixed, is_outage) in [(None, true), (Some(AGES), false)] {
        let timeouts = Timeouts { stalled: Duration::from_millis(50), idle_fixed, ..patient().timeouts };
        let bench = Bench::at(address, SessionOptions { timeouts, ..patient() });
        let mut camera = accept(&listener);
        send(&mut camera, [1000, 1010, 1020]);
        bench.reach("stalled", |state| matches!(state, SessionState::Stalled));
        send(&mut camera, [1030]);
        bench.reach("streaming", |state| matches!(state, SessionState::Streaming));
        let stats = bench.end();
        assert_eq!(stats.connections, 1);
        let down = stats.summary("cam").not_streaming_seconds;
        assert_eq!(down >= 0.05, is_outage, "{down} s");
    }
}

#[test]
fn a_camera_reboot_is_detected() {
    let (listener, address) = listener();
    let bench = Bench::at(address, patient());
    let mut camera = accept(&listener);
    send(&mut camera, [90_000, 90_025]);
    bench.live();
    bench.live();
    drop(camera);
    let mut camera = accept(&listener);
    send(&mut camera, [500, 525]);
    bench.live();
    bench.live();
    assert_eq!(bench.end().reboots, 1);
}

#[test]
fn frames_from_the_cameras_queue_are_stale() {
    let (listener, address) = listener();
    let bench = Bench::at(address, patient());
    let mut camera = accept(&listener);
    // One write: the frames arrive together, although the camera took them 25 ms apart, and a minute before the last
    // one.
    let mut burst: Vec<u8> = (0..9).flat_map(|i| message(1000 + 25 * i)).collect();
    burst.extend(message(61_000));
    camera.write_all(&burst).unwrap();
    let shown: Vec<_> = (0..10).map(|_| bench.live()).collect();
    let kept: Vec<_> = (0..9).map(|_| bench.kept()).collect();
    assert!(shown[..9].iter().all(|frame| frame.is_stale()) && !shown[9].is_stale(), "decided after it was shown");
    assert!(kept.iter().all(|frame| frame.staleness.get() == Some(true)));
    let stats = bench.end();
    assert_eq!((stats.frames.stale, stats.frames.missing), (9, 0));
}

#[test]
fn frames_that_the_network_delays_after_connecting_are_not_stale() {
    let (listener, address) = listener();
    let bench = Bench::at(address, patient());
    let mut camera = accept(&listener);
    // The network pauses. Then the frames that the camera took in the last 180 ms arrive together.
    std::thread::sleep(Duration::from_millis(300));
    let burst: Vec<u8> = (0..10).flat_map(|i| message(1000 + 20 * i)).collect();
    camera.write_all(&burst).unwrap();
    let kept: Vec<_> = (0..9).map(|_| bench.kept().is_stale()).collect();
    assert_eq!(kept, [false; 9]);
    assert_eq!(bench.end().frames.stale, 0);
}

#[test]
fn frames_wait_until_it_is_known_whether_they_are_stale() {
    let (listener, address) = listener();
    let bench = Bench::at(address, patient());
    let mut camera = accept(&listener);
    // Eight frames of an old queue, at the pace at which the camera took them or slower.
    for n in 0..8 {
        send(&mut camera, [1000 + 25 * n]);
        let shown = bench.live();
        assert_eq!((shown.id, shown.staleness.get()), (u64::from(n), None));
        std::thread::sleep(Duration::from_millis(25));
    }
    assert!(bench.kept.try_take().is_none(), "a frame was kept although it may be old");
    send(&mut camera, [61_000, 61_025]);
    let kept: Vec<_> = (0..9).map(|_| bench.kept().is_stale()).collect();
    assert_eq!(kept, [true, true, true, true, true, true, true, true, false]);
    assert_eq!(bench.end().frames.stale, 8);
}

#[test]
fn only_frame_of_a_slow_camera_is_kept_after_a_silence() {
    let (listener, address) = listener();
    let bench = Bench::at(address, patient());
    let mut camera = accept(&listener);
    send(&mut camera, [1000]);
    assert!(!bench.kept().is_stale());
    bench.end();
}

#[test]
fn a_damaged_frame_is_shown_live_but_not_recorded() {
    let (listener, address) = listener();
    let bench = Bench::at(address, patient());
    let mut camera = accept(&listener);
    let mut bytes: Vec<u8> = (0..5).flat_map(|i| message(1000 + 25 * i)).collect();
    let short = message(1125);
    bytes.extend(&short[..short.len() - 20]);
    bytes.extend((6..10).flat_map(|i| message(1000 + 25 * i)));
    camera.write_all(&bytes).unwrap();
    drop(camera);
    drop(listener);
    let kept: Vec<i64> = (0..9).map(|_| bench.kept().device_time.0 / 25_000 - 40).collect();
    assert_eq!(kept, [0, 1, 2, 3, 4, 6, 7, 8, 9]);
    let stats = bench.end();
    assert_eq!(stats.frames.confirmed, 9);
    assert_eq!(stats.frames.withdrawn + stats.frames.lost, 1);
    assert_eq!((stats.resyncs, stats.lossless()), (1, false));
}

#[test]
fn repeated_loss_of_frame_sync_reconnects() {
    let (listener, address) = listener();
    let bench = Bench::at(address, patient());
    let mut camera = accept(&listener);
    for ms in [1000, 1025, 1050, 1075, 1100] {
        // It may be closed already.
        let _ = camera.write_all(&message(ms)).and_then(|()| camera.write_all(&[0xee; 500]));
    }
    let mut second = accept(&listener);
    send(&mut second, [1200]);
    while bench.live().device_time.0 != 1_200_000 {}
    let stats = bench.end();
    assert_eq!((stats.connections, stats.resyncs >= 3), (2, true), "{stats:?}");
}

#[test]
fn a_web_server_is_not_accepted_as_a_camera() {
    let (listener, address) = listener();
    let bench = Bench::at(address, patient());
    accept(&listener).write_all(b"HTTP/1.0 400 Bad request\r\n\r\n").unwrap();
    let error = bench.session.wait().unwrap_err();
    assert_eq!(error.class(), SourceErrorClass::Fatal);
    let text = error.to_string();
    let (first, rest) = text.split_once('\n').unwrap();
    assert_eq!(first, "an HTTP server answered, not a camera stream");
    assert!(rest.contains("48 54 54 50 2f 31 2e 30") && rest.contains("`HTTP/1.0 400 Bad request"), "{text}");
    assert!(rest.contains(&format!("conn   #1  {address} -> 127.0.0.1:")), "{text}");
    assert!(error.help().unwrap().contains("port"), "{text}");
    assert_eq!(bench.session.state().to_string(), "ended: an HTTP server answered, not a camera stream");
    assert!(bench.session.stats().balances());
}

#[test]
fn junk_of_any_length_is_not_accepted_as_a_camera() {
    for junk in [vec![0xa5; 2 << 20], b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), vec![0; 40]] {
        let (listener, address) = listener();
        let bench =
            Bench::at(address, SessionOptions { timeouts: Timeouts { idle: AGES, ..options().timeouts }, ..options() });
        let mut camera = accept(&listener);
        // The session may close before it has read everything.
        let _ = camera.write_all(&junk);
        let error = bench.session.wait().unwrap_err();
        assert!(
            matches!(&error.kind, SourceErrorKind::NotACamera { at: 0, found } if junk.starts_with(found)),
            "{error}"
        );
        let stats = bench.session.stats();
        assert!(stats.balances());
        assert_eq!(stats.bytes().skipped, stats.bytes().received);
    }
}

#[test]
fn without_reconnect_the_session_ends_with_the_connection() {
    let (listener, address) = listener();
    let bench = Bench::at(address, once());
    send(&mut accept(&listener), [1000, 1025]);
    bench.session.wait().expect("the camera closed after complete frames");
    assert_eq!(bench.session.stats().frames.confirmed, 2);

    let bench = Bench::at(address, once());
    drop(accept(&listener));
    let error = bench.session.wait().unwrap_err();
    assert!(matches!(error.kind, SourceErrorKind::Closed | SourceErrorKind::Read(_)), "{error}");

    drop(listener);
    let bench = Bench::at(address, once());
    let error = bench.session.wait().unwrap_err();
    assert!(matches!(error.kind, SourceErrorKind::Connect(_)), "{error}");
    assert!(error.help().unwrap().contains("`oaktap doctor CAMERA`"));
}

#[test]
fn a_frame_truncated_by_the_camera_is_lost() {
    let (listener, address) = listener();
    let bench = Bench::at(address, once());
    let mut camera = accept(&listener);
    send(&mut camera, [1000, 1025]);
    camera.write_all(&message(1050)[..60]).unwrap();
    drop(camera);
    bench.session.wait().expect("it did stream");
    let stats = bench.session.stats();
    assert_eq!((stats.frames.confirmed, stats.frames.lost, stats.frames.unfinished), (2, 1, 0));
    assert!(stats.balances() && !stats.lossless());
}

#[test]
fn stopping_while_connecting_waiting_or_lost_ends_at_once() {
    let (listener, address) = listener();
    let silent = Bench::at(address, patient());
    let camera = accept(&listener);
    silent.end();
    assert!(hears_the_end(camera));
    drop(listener);
    let refused = Bench::at(address, patient());
    refused.reach("lost", |state| matches!(state, SessionState::Lost { .. }));
    assert_eq!(refused.end().connections, 0);
}

#[test]
fn dropping_a_session_closes_its_connection() {
    let (listener, address) = listener();
    let bench = Bench::at(address, patient());
    let mut camera = accept(&listener);
    send(&mut camera, [1000]);
    bench.live();
    let Bench { session, live, runtime, kept: _kept, .. } = bench;
    drop(session);
    assert!(hears_the_end(camera));
    while live.recv().is_some() {}
    drop(runtime);
}

#[test]
fn a_slow_lane_drops_frames_without_slowing_the_camera() {
    let (listener, address) = listener();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let outlets = Outlets::default();
    let never_taken = outlets.take_provisional("view", Policy::DropOldest(1));
    let all = outlets.take_confirmed("kept", Policy::DropNewest(1000));
    let spec = SourceSpec::Tcp { host: address.ip().to_string(), port: address.port() };
    let session = Session::start("cam", spec, once(), outlets, runtime.handle());
    let mut camera = accept(&listener);
    send(&mut camera, (0..500).map(|i| 1000 + 25 * i));
    drop(camera);
    session.wait().unwrap();
    assert_eq!(std::iter::from_fn(|| all.recv()).count(), 500);
    let stats = session.stats();
    let lanes: Vec<_> = stats.lanes.iter().map(|lane| (lane.name, lane.offered, lane.dropped, lane.queued)).collect();
    assert_eq!(lanes, [("view", 500, 499, 1), ("kept", 500, 0, 0)]);
    assert_eq!(never_taken.recv().unwrap().device_time.0, 13_475_000, "a slow viewer gets the newest frame");
    assert!(stats.balances() && stats.lossless());
}

#[test]
fn a_simulated_camera_is_a_source() {
    let bench = Bench::new("sim:?size=64x48&fps=0&boxes=2", patient());
    for _ in 0..50 {
        let frame = bench.kept();
        assert_eq!((frame.payload().len(), frame.detections.len()), (64 * 48 * 3, 2));
    }
    let stats = bench.end();
    assert!(stats.frames.confirmed >= 50 && stats.lossless(), "{stats:?}");
}

#[test]
fn the_ledger_balances_under_every_simulated_fault() {
    for fault in [
        "short:0.05",
        "header:0.05",
        "junk:0.05",
        "foreign:0.1",
        "cut:0.02",
        "reset:0.02",
        "reboot:0.02",
        "overflow:0.1",
    ] {
        let bench = Bench::new(&format!("sim:?size=64x48&fps=0&fault={fault}"), patient());
        for _ in 0..300 {
            bench.kept();
            assert!(bench.session.stats().balances());
        }
        let stats = bench.end();
        assert!(stats.frames.confirmed >= 300, "{fault}: {stats:?}");
    }
}

/// All frames and incidents that a recorder receives, in order.
enum Heard {
    Kept(Arc<Frame>),
    Happened(Incident),
}

#[test]
fn recorders_receive_the_incidents_between_frames() {
    let (listener, address) = listener();
    let (tell, heard) = std::sync::mpsc::channel();
    let outlets = Outlets::default();
    let told = tell.clone();
    outlets.confirmed.tap(move |frame| told.send(Heard::Kept(Arc::clone(frame))).unwrap());
    outlets.incidents.tap(move |incident: &Incident| tell.send(Heard::Happened(incident.clone())).unwrap());
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let session = Session::start("cam", address.to_string().parse().unwrap(), once(), outlets, runtime.handle());
    let mut camera = accept(&listener);
    send(&mut camera, [1000, 1025]);
    camera.write_all(&message(1050)[..80]).unwrap();
    send(&mut camera, [1075]);
    camera.write_all(b"some text that is no header of a camera, and not as long as two").unwrap();
    camera.write_all(format!("{:<32}", "IMU 0.25 1.5").as_bytes()).unwrap();
    send(&mut camera, [1100, 1125]);
    camera.write_all(&message(1150)[..80]).unwrap();
    drop(camera);
    session.wait().expect("the camera closed it");
    let mut story = Vec::new();
    let mut last = 0;
    // The session has ended and sends nothing more.
    for heard in heard {
        story.push(match heard {
            Heard::Kept(frame) => format!("frame {}", frame.device_time.0 / 1000),
            Heard::Happened(Incident { received, event, .. }) => {
                assert!(received.mono_ns >= last && received.unix_ns > 0);
                last = received.mono_ns;
                match event {
                    IncidentEvent::Connected { number, addresses } => {
                        assert_eq!(addresses.unwrap().0, address);
                        format!("connected {number}")
                    }
                    event => event.to_string(),
                }
            }
        });
    }
    let expected = [
        "connected 1",
        "frame 1000",
        "frame 1025",
        "frame 2: the next header starts after 48 of 144 payload bytes",
        "80 bytes of a damaged frame",
        "frame 1075",
        "95 bytes where a header was expected",
        "frame 1100",
        "frame 1125",
        "the connection ended after 48 of 144 payload bytes",
        "80 bytes of a damaged frame",
        "the camera closed the connection",
    ];
    assert_eq!(story, expected);
    let stats = session.stats();
    assert_eq!((stats.frames.withdrawn, stats.frames.lost), (1, 1));
    assert_eq!(stats.bytes().skipped, 80 + 95 + 80);
}

#[test]
fn numbers_that_the_camera_left_out_are_an_incident() {
    let (listener, address) = listener();
    let (tell, heard) = std::sync::mpsc::channel();
    let outlets = Outlets::default();
    let frames = tell.clone();
    outlets.confirmed.tap(move |frame| frames.send(format!("frame {}", frame.camera_seq.unwrap())).unwrap());
    outlets.incidents.tap(move |incident: &Incident| tell.send(incident.event.to_string()).unwrap());
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let session = Session::start("cam", address.to_string().parse().unwrap(), once(), outlets, runtime.handle());
    let mut camera = accept(&listener);
    // Frames that arrive together may have waited in the camera, which then leaves out numbers for another reason.
    let numbers = (0..20).chain([22, 23]);
    let bytes =
        numbers.flat_map(|n| [format!("{:<32}", format!("@F {n} {}", n * 1000)).into_bytes(), message(n)].concat());
    camera.write_all(&bytes.collect::<Vec<u8>>()).unwrap();
    drop(camera);
    session.wait().expect("the camera closed it");
    let heard: Vec<_> = heard.iter().skip(1 + 19).take(4).collect();
    assert_eq!(heard, ["frame 19", "the camera left out 2 frame numbers", "frame 22", "frame 23"]);
    assert_eq!(session.stats().numbers().unwrap().not_sent, 2);
}

#[test]
fn a_frame_truncated_by_our_disconnect_is_not_an_incident() {
    let (listener, address) = listener();
    let (tell, heard) = std::sync::mpsc::channel();
    let outlets = Outlets::default();
    outlets.incidents.tap(move |incident: &Incident| tell.send(incident.event.to_string()).unwrap());
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let session = Session::start("cam", address.to_string().parse().unwrap(), once(), outlets, runtime.handle());
    let mut camera = accept(&listener);
    camera.write_all(&message(1000)[..80]).unwrap();
    runtime.block_on(async {
        let all = async {
            while session.stats().bytes().received < 80 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(AGES, all).await.expect("the bytes arrive");
    });
    session.stop();
    session.wait().expect("it was asked to end");
    let heard: Vec<_> = heard.iter().skip(1).collect();
    assert_eq!(heard, ["we closed the connection"]);
    assert_eq!(session.stats().frames.unfinished, 1);
}

/// An address of this host at which no other test, in any process, listens.
#[cfg(target_os = "linux")]
fn own_address() -> SocketAddr {
    let [low, high, ..] = std::process::id().to_le_bytes();
    (Ipv4Addr::new(127, 83, high, low), 5000).into()
}

/// Connects from that address as soon as the session listens, and sends these messages.
#[cfg(target_os = "linux")]
fn come(from: Ipv4Addr, to: SocketAddr, times: &[u32]) -> TcpStream {
    let until = std::time::Instant::now() + AGES;
    let mut stream = loop {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        match socket.connect(&to.into()) {
            Ok(()) => break TcpStream::from(socket),
            Err(error) => assert!(std::time::Instant::now() < until, "timed out connecting: {error}"),
        }
    };
    send(&mut stream, times.iter().copied());
    stream
}

#[cfg(target_os = "linux")]
#[test]
fn a_connecting_camera_is_accepted_again_after_it_leaves() {
    let (address, camera) = (own_address(), Ipv4Addr::new(127, 83, 0, 1));
    let bench = Bench::new(&format!("listen://{address}"), patient());
    bench.reach("waits", |state| matches!(state, SessionState::Waiting));
    let mut first = come(camera, address, &[100, 200]);
    assert_eq!(bench.kept().device_time.0, 100_000);
    // Another camera is rejected without affecting this one.
    assert!(hears_the_end(come(Ipv4Addr::new(127, 83, 0, 2), address, &[])));
    send(&mut first, [300]);
    assert_eq!(bench.kept().device_time.0, 200_000);
    // The camera connects again while its first connection looks alive: the session reports the pending frame as lost
    // and uses the new connection.
    let second = come(camera, address, &[400, 500]);
    assert_eq!(bench.kept().device_time.0, 300_000);
    assert_eq!(bench.kept().device_time.0, 400_000);
    // It disconnects and connects again.
    drop(second);
    assert_eq!(bench.kept().device_time.0, 500_000);
    let _third = come(camera, address, &[600, 700]);
    assert_eq!(bench.kept().device_time.0, 600_000);
    let stats = bench.end();
    assert_eq!((stats.connections, stats.frames.withdrawn), (3, 0));
}

/// Connects from that address and sends nothing.
#[cfg(target_os = "linux")]
fn silent(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    come(from, to, &[])
}

#[cfg(target_os = "linux")]
#[test]
fn of_several_clients_the_one_that_sends_frames_is_received() {
    let (address, camera) = (own_address(), Ipv4Addr::new(127, 83, 0, 3));
    let address = SocketAddr::new(address.ip(), 5001);
    let bench = Bench::new(&format!("listen://{address}"), patient());
    bench.reach("waits", |state| matches!(state, SessionState::Waiting));
    let others: Vec<_> = (0..20).map(|n| silent(Ipv4Addr::new(127, 83, 1, n), address)).collect();
    let mut web = silent(Ipv4Addr::new(127, 83, 2, 1), address);
    web.write_all(b"GET / HTTP/1.1\r\nHost: here, and a long line\r\n").unwrap();
    let mut first = come(camera, address, &[100, 200]);
    assert_eq!(bench.kept().device_time.0, 100_000);
    // A silent client at the camera's own address does not replace it.
    let _same = silent(camera, address);
    send(&mut first, [300, 400]);
    assert_eq!([bench.kept().device_time.0, bench.kept().device_time.0], [200_000, 300_000]);
    drop(first);
    assert_eq!(bench.kept().device_time.0, 400_000);
    // Silent clients that waited do not keep it out either.
    let _second = come(camera, address, &[500, 600]);
    assert_eq!(bench.kept().device_time.0, 500_000);
    drop(others);
    bench.end();
}

#[test]
fn a_camera_that_pauses_for_long_is_kept() {
    let (listener, address) = listener();
    let bench = Bench::at(address, options());
    let mut camera = accept(&listener);
    camera.set_read_timeout(Some(5 * options().timeouts.idle)).unwrap();
    for ms in [1000, 4_600_000] {
        send(&mut camera, [ms]);
        assert_eq!(bench.kept().device_time.0, i64::from(ms) * 1000);
        // Nothing is closed within five times the shortest timeout.
        let closed = camera.read(&mut [0; 1]).map_err(|error| error.kind());
        assert!(matches!(closed, Err(std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)), "{closed:?}");
    }
    let stats = bench.end();
    assert_eq!((stats.connections, stats.frames.confirmed), (1, 2));
}

#[test]
fn a_fixed_idle_timeout_replaces_the_rate() {
    let (listener, address) = listener();
    let timeouts = Timeouts { idle_fixed: Some(Duration::from_millis(50)), ..patient().timeouts };
    let bench = Bench::at(address, SessionOptions { timeouts, ..patient() });
    let mut camera = accept(&listener);
    send(&mut camera, [1000]);
    bench.kept();
    accept(&listener);
    assert!(hears_the_end(camera));
    bench.end();
}

#[cfg(target_os = "linux")]
#[test]
fn a_port_in_use_is_reported() {
    let (_listener, address) = listener();
    let bench = Bench::new(&format!("listen://{address}"), patient());
    let state = bench.reach("ends", |state| matches!(state, SessionState::Ended { .. }));
    let SessionState::Ended { error: Some(error) } = state else { panic!("{state}") };
    assert!(matches!(error.kind, SourceErrorKind::Listen(_)), "{error}");
    assert_eq!(error.class(), SourceErrorClass::Fatal);
    assert!(error.help().is_some_and(|help| help.starts_with("another program may use this port")));
}
