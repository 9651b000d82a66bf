//! Cameras on loopback, and threads that receive them: each side stays on a processor of its own.

#![allow(dead_code)] // Each bench uses its part.

#[path = "../../src/cli/commands/bench/measure.rs"]
pub(crate) mod measure;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use oaktap::convert::Converter;
use oaktap::frame::{DeviceTime, Frame, Picture, Pool};
use oaktap::hub::{Policy, lane};
use oaktap::live::{Camera, Live};
use oaktap::overlay::{Overlay, Style};
use oaktap::sim::{Reel, SimConfig, Still};
use oaktap::source::{Session, SessionOptions, SessionState, SourceSpec};
use oaktap::stats::Stats;
use oaktap::view::{View, ViewOptions};
use oaktap::wire::{LINE, encode};

use measure::{stay_on_first_cpu, thread_cpu};

/// Bytes of data in a packet of 1500 bytes, without the headers of IP and TCP with time stamps.
const SEGMENT_BYTES: usize = 1448;

/// Time of such a packet on Gigabit Ethernet: 1538 bytes with preamble, checksum and gap.
const SEGMENT_TIME: Duration = Duration::from_nanos(12_304);

/// Frames before the measurement starts, while memory and caches are still cold.
pub(crate) const WARM_UP_FRAMES: usize = 10;

/// Rhythm of a [`Sender`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Frames per second; `None`: as fast as the receiver takes them.
    pub(crate) fps: Option<f64>,
    /// Sends packets at the rate of Gigabit Ethernet.
    pub(crate) line_rate: bool,
}

pub(crate) const SATURATED: Pace = Pace { fps: None, line_rate: false };
pub(crate) const CAMERA: Pace = Pace { fps: Some(40.0), line_rate: false };
pub(crate) const GIGABIT: Pace = Pace { fps: Some(40.0), line_rate: true };

/// Sends one frame with its boxes repeatedly, with new times, on the other processor. Computes nothing, so that the
/// receiver is the slower side.
pub(crate) struct Sender {
    pub(crate) address: SocketAddr,
    thread: JoinHandle<Vec<u64>>,
}

impl Sender {
    /// Serves the first client for `duration`, then ends the connection.
    pub(crate) fn start(still: &Still, pace: Pace, duration: Duration) -> Self {
        let still = still.clone();
        let text = encode::detections(&still.detections);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let thread = std::thread::spawn(move || {
            stay_on_first_cpu(false);
            let (client, _) = listener.accept().expect("a client");
            client.set_nodelay(pace.line_rate).expect("an option of every socket");
            let start = Instant::now();
            let mut sent = Vec::new();
            for frame in 0_u32.. {
                if let Some(fps) = pace.fps {
                    let due = start + Duration::from_secs_f64(f64::from(frame) / fps);
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                }
                if start.elapsed() >= duration {
                    break;
                }
                let header = encode::img(DeviceTime(i64::from(frame) * 25_000), still.payload.len(), text.len());
                let written = send(&client, &header, pace.line_rate)
                    .and_then(|()| send(&client, &text, pace.line_rate))
                    .and_then(|()| send(&client, &still.payload, pace.line_rate));
                if written.is_err() {
                    break; // It has seen enough.
                }
                sent.push(monotonic_ns());
            }
            // It may have left.
            let _ = client.shutdown(Shutdown::Write);
            sent
        });
        Self { address, thread }
    }

    /// When the last byte of each frame had been given to the kernel, on the clock of [`monotonic_ns`].
    pub(crate) fn sent(self) -> Vec<u64> {
        self.thread.join().expect("a sender does not panic")
    }
}

fn send(mut client: &TcpStream, bytes: &[u8], line_rate: bool) -> std::io::Result<()> {
    if !line_rate {
        return client.write_all(bytes);
    }
    let mut due = Instant::now();
    for packet in bytes.chunks(SEGMENT_BYTES) {
        // No burst makes up for lost time: a cable has none either. A sleep would be too coarse.
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        due = due.max(Instant::now() - SEGMENT_TIME) + SEGMENT_TIME;
        client.write_all(packet)?;
    }
    Ok(())
}

/// The clock that all processes of this machine share, in nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec).expect("after boot") * 1_000_000_000 + u64::try_from(time.tv_nsec).expect("not negative")
}

/// A picture of a camera, with five boxes.
pub(crate) fn still(size: (u32, u32)) -> Still {
    let config = SimConfig { size, boxes: 5, ..SimConfig::default() };
    Reel::new(&config).expect("a usual camera").still(0).clone()
}

/// Length of a message with it in bytes.
pub(crate) fn message_len(still: &Still) -> usize {
    LINE + encode::detections(&still.detections).len() + still.payload.len()
}

/// Work of a receiving thread per frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Receive and parse only.
    Nothing,
    /// Convert to a picture and draw boxes.
    Pictures,
}

/// Result of a receiving thread.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) frames: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_us: f64,
    /// Ledger of each session.
    pub(crate) stats: Vec<Stats>,
}

/// Runs a session per address on this thread, on the first processor, until all have ended.
pub(crate) fn sessions(addresses: &[SocketAddr], work: Work) -> Done {
    on_first_cpu(addresses, move |addresses| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let options = SessionOptions { reconnect: false, ..SessionOptions::default() };
        let pictures = Pool::<Picture>::default();
        let began = Arc::new(Mutex::new((0_u64, None)));
        let cameras: Vec<_> = addresses
            .iter()
            .map(|address| {
                let spec = SourceSpec::Tcp { host: address.ip().to_string(), port: address.port() };
                let camera = Camera::new(address.to_string(), spec);
                let (pictures, began) = (pictures.clone(), Arc::clone(&began));
                let (mut converter, mut overlay) = (Converter::new(), Overlay::new(Style::default()));
                camera.outlets.provisional.tap(move |frame: &Arc<Frame>| {
                    if work == Work::Pictures {
                        let mut picture = pictures.lease(4 * frame.payload().len() / 3);
                        converter.picture(frame, &mut picture).expect("the camera's own format");
                        overlay.draw(&mut picture, &frame.detections, None);
                    }
                    let mut began = began.lock().expect("no thread panics");
                    began.0 += 1;
                    if began.0 == WARM_UP_FRAMES as u64 {
                        began.1 = Some((Instant::now(), thread_cpu()));
                    }
                });
                camera
            })
            .collect();
        let live = Live::start_on(cameras, &options, runtime.handle());
        let sessions = live.sessions();
        runtime.block_on(async {
            for session in sessions {
                let mut state = session.changes();
                // An error means that the session has ended, too.
                let _ = state.wait_for(|state| matches!(state, SessionState::Ended { .. })).await;
            }
        });
        let (end, end_cpu) = (Instant::now(), thread_cpu());
        let (frames, start) = *began.lock().expect("no thread panics");
        let (start, start_cpu) = start.expect("enough frames to get warm");
        let frames = frames - WARM_UP_FRAMES as u64;
        let stats: Vec<_> = sessions.iter().map(Session::stats).collect();
        assert!(stats.iter().all(Stats::balances), "{stats:?}");
        Done { frames, seconds: (end - start).as_secs_f64(), cpu_us: micros(end_cpu, start_cpu) / frames as f64, stats }
    })
}

/// Reads from each address into a buffer of its own, as soon as there is anything, on one thread.
pub(crate) fn read_each(addresses: &[SocketAddr], message: usize) -> Done {
    on_first_cpu(addresses, move |addresses| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (began, cpu) = (Instant::now(), thread_cpu());
        let read = |address: SocketAddr| async move {
            let socket = tokio::net::TcpStream::connect(address).await.expect("the sender listens");
            let (mut buffer, mut bytes) = (vec![0; message], 0);
            loop {
                socket.readable().await.expect("a socket");
                match socket.try_read(&mut buffer[bytes % message..]) {
                    Ok(0) => return bytes,
                    Ok(n) => bytes += n,
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let tasks: Vec<_> = addresses.iter().map(|address| runtime.spawn(read(*address))).collect();
        let bytes: usize = tasks.into_iter().map(|task| runtime.block_on(task).expect("a reader")).sum();
        let frames = (bytes / message) as u64;
        Done {
            frames,
            seconds: began.elapsed().as_secs_f64(),
            cpu_us: micros(thread_cpu(), cpu) / frames as f64,
            stats: Vec::new(),
        }
    })
}

/// Reads frames of one connection one after the other, each whole, into one buffer: what an ordinary program does.
pub(crate) fn read_exact(address: SocketAddr, message: usize) -> Done {
    on_first_cpu(address, move |address| {
        let mut socket = TcpStream::connect(address).expect("the sender listens");
        let mut buffer = vec![0; message];
        let (mut frames, mut start) = (0_u64, None);
        while socket.read_exact(&mut buffer).is_ok() {
            frames += 1;
            if frames == WARM_UP_FRAMES as u64 {
                start = Some((Instant::now(), thread_cpu()));
            }
        }
        let (start, start_cpu) = start.expect("enough frames to get warm");
        let frames = frames - WARM_UP_FRAMES as u64;
        Done {
            frames,
            seconds: start.elapsed().as_secs_f64(),
            cpu_us: micros(thread_cpu(), start_cpu) / frames as f64,
            stats: Vec::new(),
        }
    })
}

/// One camera as `oaktap view` shows it: a thread that receives, one that makes pictures, and this one, which is handed
/// them. The number of each frame and when its picture was here, on the clock of [`monotonic_ns`].
pub(crate) fn views(address: SocketAddr) -> Vec<(u64, u64)> {
    let spec = SourceSpec::Tcp { host: address.ip().to_string(), port: address.port() };
    let camera = Camera::new("camera", spec);
    let view = View::start(&camera, ViewOptions::default()).expect("a thread");
    let (lane, pictures) = lane("window", Policy::DropOldest(1));
    view.pictures().add(lane);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let options = SessionOptions { reconnect: false, ..SessionOptions::default() };
    let live = Live::start_on(vec![camera], &options, runtime.handle());
    let mut done = Vec::new();
    loop {
        match pictures.recv_timeout(Duration::from_millis(200)) {
            Ok(picture) => done.push((picture.frame_id, monotonic_ns())),
            Err(_) if live.ended() => break,
            Err(_) => {}
        }
    }
    done
}

fn micros(end: Option<Duration>, start: Option<Duration>) -> f64 {
    end.zip(start).map_or(f64::NAN, |(end, start)| end.saturating_sub(start).as_secs_f64() * 1e6)
}

fn on_first_cpu<I: Send, O: Send>(input: I, work: impl FnOnce(I) -> O + Send) -> O {
    std::thread::scope(|scope| {
        let receiving = scope.spawn(|| {
            stay_on_first_cpu(true);
            work(input)
        });
        receiving.join().expect("a receiver does not panic")
    })
}
