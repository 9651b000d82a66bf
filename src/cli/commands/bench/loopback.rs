//! Measures the whole path over a real socket on one thread (receive, parse, convert, draw boxes), and the socket alone
//! for comparison.

use std::collections::VecDeque;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use oaktap::convert::Converter;
use oaktap::decode::VideoDecoder;
use oaktap::frame::{Frame, PayloadKind, Picture, PixelFormat, Pool, Staleness};
use oaktap::live::{self, Live};
use oaktap::overlay::{Overlay, Style};
use oaktap::sim::{Coding, Reel, Sent, SimConfig, Simulator};
use oaktap::source::{SessionOptions, SessionState, SourceSpec};
use oaktap::stats::Stats;
use oaktap::sync::locked;
use oaktap::units::count;
use tokio::sync::Notify;

use super::kernels::BOXES;
use super::measure::{Copying, median, stay_on_first_cpu, thread_cpu};
use super::report::{Row, TooFewFrames};
use crate::cli::present::{advised, with_help};

/// Frames before the measurement starts, which warm up the memory. Frames that waited in the camera do not count.
const WARM_UP_FRAMES: u64 = 10;

/// Damaged pictures before the first intact one, after which the stream cannot be measured.
const DAMAGED_FIRST_MAX: u64 = 10;

/// Interval between two checks whether to stop.
const STOP_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// The measurement of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    pub(super) frames: u64,
    pub(super) lost: u64,
    pub(super) seconds: f64,
    pub(super) cpu_us: Option<f64>,
}

/// A simulated camera that sends as fast as it can for a fixed time, and does not run on the first processor.
struct Sender {
    address: SocketAddr,
    thread: JoinHandle<anyhow::Result<Simulator>>,
}

impl Sender {
    fn start(reel: Arc<Reel>, duration: Duration) -> anyhow::Result<Self> {
        let (address_sender, address) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            stay_on_first_cpu(false);
            let simulator = Simulator::play(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, reel)?;
            // Fails only if the receiving thread has panicked.
            let _ = address_sender.send(simulator.local_addr());
            std::thread::sleep(duration);
            // A slow machine has not received enough frames yet.
            while simulator.sent().intact < 3 * WARM_UP_FRAMES && simulator.sent().abandoned == 0 {
                std::thread::sleep(STOP_CHECK_INTERVAL);
            }
            // A frame that is cut off would be reported as lost.
            simulator.finish();
            Ok(simulator)
        });
        match address.recv() {
            Ok(address) => Ok(Self { address, thread }),
            Err(_) => {
                Err(Self::join(thread).err().unwrap_or_else(|| anyhow::anyhow!("cannot start the simulated camera")))
            }
        }
    }

    /// Returns the totals, after the connection has ended.
    fn sent(self) -> anyhow::Result<Sent> {
        Ok(Self::join(self.thread)?.stop())
    }

    fn join(thread: JoinHandle<anyhow::Result<Simulator>>) -> anyhow::Result<Simulator> {
        thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the simulated camera panicked")))
    }
}

/// Measures both receivers with frames of one size and format, in `rounds` rounds. Each receiver takes about `each` per round.
pub(super) fn measure(
    size: (u32, u32),
    format: PixelFormat,
    rounds: usize,
    each: Duration,
) -> anyhow::Result<[Row; 2]> {
    // Records describe the frames, so that the receiver does not guess their layout.
    let config = SimConfig {
        size,
        format: Coding::Pixels(format),
        fps: 0.0,
        boxes: BOXES,
        records: true,
        ..SimConfig::default()
    };
    let format = format.name();
    let reel = Arc::new(Reel::new(&config)?);
    // Renders all frames before the measurement.
    for index in 0..reel.frames() as u64 {
        let _ = reel.still(index);
    }
    let bytes = reel.still(0).payload.len();
    let mut copying = Copying::new(bytes);
    let (mut alone, mut whole, mut copies) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        copies.push(copying.seconds());
        alone.push(receive_only(Sender::start(Arc::clone(&reel), each)?, bytes)?);
        copies.push(copying.seconds());
        whole.push(receive_all(Sender::start(Arc::clone(&reel), each)?)?);
    }
    let copy = median(&mut copies);
    Ok([row("receive", format, size, bytes, copy, &alone), row("stream", format, size, bytes, copy, &whole)])
}

pub(super) fn row(
    stage: &'static str,
    format: &str,
    (width, height): (u32, u32),
    bytes: usize,
    memcpy_seconds: f64,
    passes: &[Pass],
) -> Row {
    let mut seconds: Vec<f64> = passes.iter().map(|pass| pass.seconds / pass.frames.max(1) as f64).collect();
    let seconds = median(&mut seconds);
    let mut cpu: Vec<f64> = passes.iter().filter_map(|pass| pass.cpu_us).collect();
    let cpu_us = (!cpu.is_empty()).then(|| median(&mut cpu));
    let mut row = Row {
        camera: None,
        stage,
        what: format.to_owned(),
        width,
        height,
        bytes_per_frame: bytes as u64,
        frames: passes.iter().map(|pass| pass.frames).sum(),
        frames_lost: passes.iter().map(|pass| pass.lost).sum(),
        frames_per_s: 0.0,
        gb_per_s: 0.0,
        memcpy_share: memcpy_seconds / seconds,
        cpu_us_per_frame: None,
        cameras_at_40_fps: None,
    };
    row.set_times(seconds, cpu_us);
    row
}

/// Reads everything into a buffer of one frame, and does not parse it.
fn receive_only(sender: Sender, payload: usize) -> anyhow::Result<Pass> {
    let mut socket = TcpStream::connect(sender.address).context("cannot connect to the simulated camera")?;
    let mut buffer = vec![0; payload];
    let (mut bytes, mut start) = (0, None);
    loop {
        let n = socket.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        bytes += n;
        if start.is_none() && bytes as u64 > WARM_UP_FRAMES * payload as u64 {
            start = Some((Instant::now(), thread_cpu(), bytes));
        }
    }
    let end = (Instant::now(), thread_cpu());
    sender.sent()?;
    let (began, cpu, before) = start.context("the simulated camera sent too few frames to measure")?;
    let frames = (bytes - before) as f64 / payload as f64;
    Ok(Pass {
        frames: frames as u64,
        lost: 0,
        seconds: (end.0 - began).as_secs_f64(),
        cpu_us: end.1.zip(cpu).map(|(end, start)| end.saturating_sub(start).as_secs_f64() * 1e6 / frames),
    })
}

/// Receives, parses, converts and draws every frame that the simulated camera sends.
fn receive_all(sender: Sender) -> anyhow::Result<Pass> {
    let spec = SourceSpec::Tcp { host: sender.address.ip().to_string(), port: sender.address.port() };
    let watched = watch(spec, SessionOptions::default(), Style::default(), None, || false)?;
    let sent = sender.sent()?;
    let lost = sent.intact.saturating_sub(watched.stats.frames.confirmed);
    Ok(Pass { lost, ..watched.pass })
}

/// The result of [`watch`].
pub(super) struct Watched {
    pub(super) pass: Pass,
    /// Width and height of the first picture.
    pub(super) size: (u32, u32),
    /// Format or encoding of the first frame.
    pub(super) format: &'static str,
    /// Payload bytes of the first frame.
    pub(super) bytes: usize,
    pub(super) stats: Stats,
    /// Pictures that are damaged, so that they were left out, and the error of the first.
    pub(super) damaged: Option<(u64, anyhow::Error)>,
}

/// Receives, parses, decodes, converts and draws every frame of a stream on this thread, until the stream ends, `wanted` frames
/// have arrived that did not wait in the camera, or `over` returns `true`. Does not reconnect.
pub(super) fn watch(
    spec: SourceSpec,
    options: SessionOptions,
    style: Style,
    wanted: Option<u64>,
    over: impl Fn() -> bool,
) -> anyhow::Result<Watched> {
    let enough = Arc::new(Notify::new());
    let started = Instant::now();
    let watching = Arc::new(Mutex::new(Watching::new(style, wanted)));
    let cameras = live::cameras(&[spec]);
    // A tap runs on the receiving thread, so that the measurement covers all the work on one thread.
    cameras[0].outlets.provisional.tap({
        let (watching, enough) = (Arc::clone(&watching), Arc::clone(&enough));
        move |frame: &Arc<Frame>| {
            if !locked(&watching).frame(frame) {
                enough.notify_one();
            }
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let options = SessionOptions { reconnect: false, ..options };
    let live = Live::start_on(cameras, &options, runtime.handle());
    let session = &live.sessions()[0];
    let mut state = session.changes();
    let has_ended = runtime.block_on(async {
        let ended = state.wait_for(|state| matches!(state, SessionState::Ended { .. }));
        tokio::pin!(ended);
        tokio::select! {
            _ = &mut ended => return true,
            () = enough.notified() => {}
            () = until(over) => {}
        }
        session.stop();
        // An error means that the session is gone, so it has ended as well.
        let _ = ended.await;
        false
    });
    let now = (Instant::now(), thread_cpu());
    let stats = session.stats();
    let mut watching = locked(&watching);
    let has_picture = watching.first.is_some();
    let only_damaged = watching.damaged.take_if(|_| !has_picture).map(|(_, error)| error);
    if let Some(error) = watching.failed.take().or(only_damaged) {
        return Err(error);
    }
    if let SessionState::Ended { error: Some(error) } = session.state()
        && watching.first.is_none()
    {
        return Err(error.into());
    }
    watching.decide();
    let (end, end_cpu) = watching.end(now);
    let measured = watching.began.map_or(0, |(.., before)| watching.frames - before);
    let Some(((began, cpu, _), (size, format, bytes))) = watching.began.zip(watching.first).filter(|_| measured > 0)
    else {
        let error = watching.too_few(&stats, started, has_ended);
        let help = match watching.received() {
            0 => session.spec().help_without_frames().to_owned(),
            _ => error.help.clone(),
        };
        return Err(advised(error.into(), help));
    };
    let pass = Pass {
        frames: measured,
        // Without the estimate of frames that have no number.
        lost: stats.frames.withdrawn
            + stats.frames.lost.max(stats.frames.missing.saturating_sub(stats.frames.estimated)),
        seconds: (end - began).as_secs_f64(),
        cpu_us: end_cpu.zip(cpu).map(|(end, start)| end.saturating_sub(start).as_secs_f64() * 1e6 / measured as f64),
    };
    Ok(Watched { pass, size, format, bytes, stats, damaged: watching.damaged.take() })
}

/// Returns the whole seconds in which this number of frames arrive. `until_first`: time until the first one.
fn seconds_for(frames: u64, frame_us: f64, until_first: Duration) -> u64 {
    (until_first.as_secs_f64() + frames as f64 * frame_us / 1e6).ceil() as u64 + 1
}

async fn until(over: impl Fn() -> bool) {
    while !over() {
        tokio::time::sleep(STOP_CHECK_INTERVAL).await;
    }
}

/// Processes every frame on the thread that receives it, and notes when the measurement starts and ends.
struct Watching {
    decoder: VideoDecoder,
    /// Pictures of the last frame.
    ready: Vec<Arc<Frame>>,
    converter: Converter,
    overlay: Overlay,
    picture: Picture,
    /// Pictures that did not wait in the camera. Only these count.
    frames: u64,
    /// Pictures that waited in the camera until we connected.
    waited: u64,
    /// Pictures of which it is undecided whether they waited, with the time and the CPU time after each.
    undecided: VecDeque<(Staleness, Instant, Option<Duration>)>,
    /// Frames of video that were not decoded, because they depend on frames that were not received.
    skipped: u64,
    /// Pictures that are damaged, and the error of the first.
    damaged: Option<(u64, anyhow::Error)>,
    wanted: Option<u64>,
    warm_up: u64,
    /// Size, format and payload bytes of the first picture.
    first: Option<((u32, u32), &'static str, usize)>,
    began: Option<(Instant, Option<Duration>, u64)>,
    ended: Option<(Instant, Option<Duration>)>,
    /// Time of the first picture, and of the last one that counts.
    arrived: Option<Instant>,
    last: Option<Instant>,
    failed: Option<anyhow::Error>,
}

impl Watching {
    fn new(style: Style, wanted: Option<u64>) -> Self {
        Self {
            decoder: VideoDecoder::new(Pool::default()),
            ready: Vec::new(),
            converter: Converter::new(),
            overlay: Overlay::new(style),
            picture: Picture::default(),
            frames: 0,
            waited: 0,
            undecided: VecDeque::new(),
            skipped: 0,
            damaged: None,
            wanted,
            warm_up: wanted.map_or(WARM_UP_FRAMES, |wanted| WARM_UP_FRAMES.min(wanted / 2)).max(1),
            first: None,
            began: None,
            ended: None,
            arrived: None,
            last: None,
            failed: None,
        }
    }

    /// Returns the time and the CPU time at the end of the measurement. `now`: after the stream ended or was stopped, which may be a
    /// whole interval after its last picture.
    fn end(&self, now: (Instant, Option<Duration>)) -> (Instant, Option<Duration>) {
        self.ended.unwrap_or((self.last.unwrap_or(now.0), now.1))
    }

    /// Processes a frame. Returns `false` if no more frames are needed.
    fn frame(&mut self, frame: &Arc<Frame>) -> bool {
        if self.ended.is_some() || self.failed.is_some() {
            return false;
        }
        let Self { decoder, ready, .. } = self;
        match decoder.decode(frame, |picture| ready.push(picture)) {
            Ok(()) => {}
            // A stream may begin between key frames.
            Err(error) if error.is_skip() => self.skipped += 1,
            Err(error) => {
                let help = error.help();
                self.failed = Some(with_help(anyhow::Error::new(error).context(format!("frame {}", frame.id)), help));
                return false;
            }
        }
        let mut ready = std::mem::take(&mut self.ready);
        let goes_on = ready.drain(..).all(|picture| self.picture(&picture));
        self.ready = ready;
        goes_on
    }

    /// Converts and draws a picture. Returns `false` if no more are needed.
    fn picture(&mut self, frame: &Frame) -> bool {
        if let Err(error) = self.converter.picture(frame, &mut self.picture) {
            // One damaged JPEG says nothing about the others. A layout that cannot be converted is that of all frames.
            if frame.kind == PayloadKind::Jpeg && (self.first.is_some() || self.damaged() < DAMAGED_FIRST_MAX) {
                let first = || (0, anyhow::Error::new(error).context(format!("frame {}", frame.id)));
                self.damaged.get_or_insert_with(first).0 += 1;
                return true;
            }
            self.failed = Some(anyhow::Error::new(error).context(format!("frame {}", frame.id)));
            return false;
        }
        self.overlay.draw(&mut self.picture, &frame.detections, frame.labels.as_deref());
        let now = Instant::now();
        self.arrived.get_or_insert(now);
        if self.first.is_none() {
            // The size of a JPEG is known only after decoding.
            let size = (self.picture.width as u32, self.picture.height as u32);
            let sent = frame.sent();
            self.first = sent.format().map(|format| (size, format, sent.payload().len()));
        }
        self.undecided.push_back((frame.sent().staleness.clone(), now, thread_cpu()));
        self.decide();
        self.ended.is_none()
    }

    /// Counts the pictures of which it is known by now whether they waited in the camera.
    fn decide(&mut self) {
        while self.ended.is_none()
            && let Some((staleness, done, cpu)) = self.undecided.front()
            && let Some(stale) = staleness.get()
        {
            let (done, cpu) = (*done, *cpu);
            self.undecided.pop_front();
            if stale {
                self.waited += 1;
                continue;
            }
            self.frames += 1;
            self.last = Some(done);
            if self.frames == self.warm_up {
                self.began = Some((done, cpu, self.frames));
            }
            if self.wanted.is_some_and(|wanted| self.frames >= wanted) {
                self.ended = Some((done, cpu));
            }
        }
    }

    fn damaged(&self) -> u64 {
        self.damaged.as_ref().map_or(0, |(damaged, _)| *damaged)
    }

    /// Returns the number of frames that were received.
    fn received(&self) -> u64 {
        self.frames + self.waited + self.undecided.len() as u64 + self.skipped + self.damaged()
    }

    /// Describes a measurement without enough frames that began at `started`. `has_ended`: the stream ended before it was stopped.
    fn too_few(&self, stats: &Stats, started: Instant, has_ended: bool) -> TooFewFrames {
        let (received, least) = (self.received(), self.warm_up + 1);
        let waited = received - self.frames - self.skipped - self.damaged();
        let found = count(received, "frame", "frames");
        let uncounted = [
            (waited, "waited in the camera before the connection"),
            (self.skipped, "came before a key frame, from which video can be decoded"),
            (self.damaged(), "cannot be decoded"),
        ];
        let uncounted = uncounted.iter().filter(|(frames, _)| *frames > 0);
        let uncounted: Vec<_> = uncounted.map(|(frames, why)| format!("{frames} {why}")).collect();
        let text = match uncounted[..] {
            [] => format!("received {found}, expected at least {least} to measure"),
            _ => format!("received {found}, of which {}; expected at least {least} others", uncounted.join(" and ")),
        };
        let elapsed_us = started.elapsed().as_secs_f64() * 1e6;
        let period_us = stats.frame_time_us().filter(|us| *us > 0).map(|us| us as f64);
        let frame_us = period_us.unwrap_or(elapsed_us / received.max(1) as f64);
        let until_first = self.arrived.map_or(Duration::ZERO, |arrived| arrived - started);
        // One more, because the first one may have waited for a part of a period, and those that the measurement skips again.
        let seconds = seconds_for(least + 1 + self.skipped, frame_us, until_first);
        if has_ended {
            let help = "the stream ended: measure a longer recording, or a camera that keeps sending";
            TooFewFrames { text, help: help.to_owned(), seconds: None, received }
        } else if self.ended.is_some() {
            TooFewFrames { text, help: "measure more frames: --frames 30".to_owned(), seconds: None, received }
        } else {
            TooFewFrames {
                text,
                help: format!("measure longer: --duration {seconds}s"),
                seconds: Some(seconds),
                received,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch_sim(parameters: &str, wanted: Option<u64>, over: impl Fn() -> bool) -> anyhow::Result<Watched> {
        let spec = format!("sim:?{parameters}").parse().unwrap();
        watch(spec, SessionOptions::default(), Style::default(), wanted, over)
    }

    #[test]
    fn every_frame_is_processed_up_to_the_wanted_number() {
        let watched = watch_sim("size=64x48&fps=0&boxes=3", Some(30), || false).unwrap();
        assert_eq!((watched.pass.frames, watched.pass.lost), (30 - WARM_UP_FRAMES, 0));
        assert_eq!((watched.size, watched.format), ((64, 48), "BGR888p"));
        assert_eq!(watched.bytes, 64 * 48 * 3);
        assert!(watched.stats.balances());
    }

    #[test]
    fn the_time_after_the_last_picture_is_not_measured() {
        let mut watching = Watching::new(Style::default(), None);
        let mut frame = Frame::with_payload([0; 192]);
        frame.geometry = oaktap::frame::Geometry::tight(PixelFormat::Bgr888p, 8, 8).ok();
        assert!(watching.picture(&frame), "{:?}", watching.failed);
        let last = watching.last.expect("a picture");
        let later = last + Duration::from_secs(1);
        assert_eq!(watching.end((later, None)), (last, None));
        watching.ended = Some((last, Some(Duration::ZERO)));
        assert_eq!(watching.end((later, None)), (last, Some(Duration::ZERO)), "the wanted number of frames");
    }

    #[test]
    fn frames_that_waited_in_the_camera_do_not_count() {
        use std::sync::OnceLock;

        let mut watching = Watching::new(Style::default(), None);
        let mut frame = Frame::with_payload([0; 192]);
        frame.geometry = oaktap::frame::Geometry::tight(PixelFormat::Bgr888p, 8, 8).ok();
        let started = Instant::now();
        let verdicts: Vec<_> = (0..14).map(|_| Arc::new(OnceLock::new())).collect();
        for verdict in &verdicts {
            frame.staleness = Staleness::Later(Arc::clone(verdict));
            assert!(watching.picture(&frame));
        }
        assert_eq!(watching.frames, 0, "undecided");
        for (n, verdict) in verdicts.iter().enumerate() {
            verdict.set(n < 9).expect("not set");
        }
        watching.decide();
        assert_eq!((watching.frames, watching.waited, watching.received()), (5, 9, 14));
        assert!(watching.began.is_none());
        let error = watching.too_few(&Stats::default(), started, false);
        let expected =
            "received 14 frames, of which 9 waited in the camera before the connection; expected at least 11 others";
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.help, format!("measure longer: --duration {}s", error.seconds.expect("a longer one helps")));
        let ended = watching.too_few(&Stats::default(), started, true);
        assert!(ended.help.starts_with("the stream ended: ") && ended.seconds.is_none());
        // 2 frames/s, of which the first came after 0.6 s.
        assert_eq!(seconds_for(12, 500_000.0, Duration::from_millis(600)), 8);
        frame.staleness = Staleness::Known(false);
        (0..6).for_each(|_| assert!(watching.picture(&frame)));
        assert_eq!((watching.frames, watching.began.map(|(.., before)| before)), (11, Some(WARM_UP_FRAMES)));
    }

    #[test]
    fn damaged_jpegs_are_counted_and_left_out() {
        let mut jpeg = Vec::new();
        jpeg_encoder::Encoder::new(&mut jpeg, 80).encode(&[7; 192], 8, 8, jpeg_encoder::ColorType::Rgb).unwrap();
        let frame = |payload: &[u8]| {
            let mut frame = Frame::with_payload(payload.to_vec());
            (frame.kind, frame.staleness) = (PayloadKind::Jpeg, Staleness::Known(false));
            frame
        };
        let (intact, damaged) = (frame(&jpeg), frame(&jpeg[..20]));
        let mut watching = Watching::new(Style::default(), None);
        for frame in [&damaged, &intact, &intact, &damaged, &intact] {
            assert!(watching.picture(frame), "{:?}", watching.failed);
        }
        assert_eq!((watching.frames, watching.damaged(), watching.received()), (3, 2, 5));
        let mut watching = Watching::new(Style::default(), None);
        let taken = (0..100).take_while(|_| watching.picture(&damaged)).count() as u64;
        assert!(taken == DAMAGED_FIRST_MAX && watching.failed.is_some(), "a camera without an intact picture: {taken}");
    }

    #[test]
    fn video_is_decoded() {
        let watched = watch_sim("size=64x48&fps=0&format=h264", Some(30), || false).unwrap();
        assert_eq!((watched.size, watched.format), ((64, 48), "H264"));
        assert_eq!(watched.pass.frames, 30 - WARM_UP_FRAMES);
        assert!((1..64 * 48).contains(&watched.bytes), "bytes of video: {}", watched.bytes);
    }

    #[test]
    fn a_stream_is_measured_to_its_end_without_reconnecting() {
        let watched = watch_sim("size=64x48&fps=0&fault=cut:0.05&seed=3", None, || false).unwrap();
        assert_eq!(watched.stats.connections, 1);
        assert!(watched.stats.frames.received > 1);
    }

    #[test]
    fn streams_that_cannot_be_measured_are_errors() {
        let error = watch_sim("size=64x48&fps=0&boxes=0", None, || true).err().unwrap();
        assert!(error.to_string().contains("expected at least 11"), "{error}");
        let error = watch_sim("size=64x48&fps=0", Some(1), || false).err().unwrap();
        assert!(error.to_string().contains("expected at least 2"), "{error}");
        let error = watch_sim("size=64x48&fps=0&format=h265", Some(9), || false).err().unwrap();
        assert!(format!("{error:#}").contains("cannot decode this H.265 frame"), "{error:#}");
    }

    #[test]
    fn nothing_is_lost_over_loopback() {
        let size = (64, 48);
        let [_, jpeg] = measure(size, PixelFormat::Jpeg, 1, Duration::from_millis(100)).unwrap();
        assert!(jpeg.what == "JPEG" && jpeg.frames > 0 && jpeg.bytes_per_frame < 64 * 48 * 3, "{jpeg:?}");
        let [alone, whole] = measure(size, PixelFormat::Bgr888p, 1, Duration::from_millis(100)).unwrap();
        assert_eq!((alone.stage, whole.stage, whole.frames_lost), ("receive", "stream", 0));
        assert!(alone.frames > 0 && whole.frames > 0 && whole.bytes_per_frame == 64 * 48 * 3);
    }
}
