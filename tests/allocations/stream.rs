//! A steady stream does not allocate per frame (parse, convert, draw, hand over), and the memory that it holds stays
//! constant.

use std::net::TcpListener;
use std::sync::{Arc, mpsc};

use oaktap::convert::Converter;
use oaktap::frame::{Frame, Interpreter, Overrides, Picture, PixelFormat, Pool, Received};
use oaktap::hub::{Hub, Policy, Taker, lane};
use oaktap::overlay::{Overlay, Style};
use oaktap::sim::{Coding, SimConfig, Simulator, Stream};
use oaktap::source::{Outlets, Session, SessionOptions, SessionState, SourceSpec};
use oaktap::stats::Ledger;
use oaktap::wire::{Decoder, Event, Limits};

use crate::allocated;

const SIZE: (u32, u32) = (128, 96);

/// A camera's path from the socket's bytes to the picture, on one thread.
struct Path {
    decoder: Decoder,
    converter: Converter,
    overlay: Overlay,
    pictures: Pool<Picture>,
    hub: Hub<Arc<Frame>>,
    taker: Taker<Arc<Frame>>,
    ledger: Ledger,
    shown: u64,
    now: Received,
}

impl Path {
    fn new(frames: &Pool<Frame>, pictures: &Pool<Picture>, format: PixelFormat) -> Self {
        let said = Overrides { size: Some(SIZE), format: Some(format), stride: None };
        let (lane, taker) = lane("view", Policy::DropOldest(1));
        let hub = Hub::new();
        hub.add(lane);
        Self {
            hub,
            taker,
            decoder: Decoder::new(frames.clone(), Interpreter::new(said), Limits::default()),
            converter: Converter::new(),
            overlay: Overlay::new(Style::default()),
            pictures: pictures.clone(),
            ledger: Ledger::default(),
            shown: 0,
            now: Received::default(),
        }
    }

    /// Decodes one message in pieces of at most `piece` bytes, as a socket returns them.
    fn message(&mut self, bytes: &[u8], piece: usize) {
        self.now.mono_ns += 25_000_000;
        for piece in bytes.chunks(piece) {
            self.decoder.feed(piece, self.now);
            while let Some(event) = self.decoder.poll() {
                self.ledger.update(|stats| stats.event(&event));
                if let Event::Frame(frame) = &event {
                    self.hub.offer(frame);
                }
            }
            let Some(frame) = self.taker.try_take() else { continue };
            let mut picture = self.pictures.lease(4 * frame.payload().len() / 3);
            self.converter.picture(&frame, &mut picture).expect("a format that can be shown");
            self.overlay.draw(&mut picture, &frame.detections, frame.labels.as_deref());
            self.shown += 1;
        }
    }
}

#[test]
fn parsing_converting_and_drawing_do_not_allocate_per_frame() {
    let formats = [PixelFormat::Bgr888p, PixelFormat::Nv12, PixelFormat::Raw16, PixelFormat::GrayF16];
    for (format, records) in formats.into_iter().flat_map(|format| [(format, false), (format, true)]) {
        let config =
            SimConfig { size: SIZE, format: Coding::Pixels(format), boxes: 5, records, ..SimConfig::default() };
        let mut stream = Stream::new(&config).expect("a usual camera");
        // The scene repeats after 120 frames: by then every box has had each of its titles.
        let messages: Vec<_> = (0..360).map(|_| stream.turn().bytes()).collect();
        let (frames, pictures) = (Pool::default(), Pool::default());
        // Two cameras share one pool.
        let mut paths = [Path::new(&frames, &pictures, format), Path::new(&frames, &pictures, format)];
        let mut before = None;
        for (number, message) in messages.iter().enumerate() {
            if number == 130 {
                before = Some(allocated());
            }
            for (path, piece) in paths.iter_mut().zip([usize::MAX, 1448]) {
                path.message(message, piece);
            }
        }
        assert_eq!(Some(allocated()), before, "{format}, records: {records}");
        assert!(paths.iter().all(|path| path.shown == messages.len() as u64));
    }
}

#[test]
fn a_session_does_not_allocate_per_frame() {
    let config = SimConfig { size: SIZE, fps: 0.0, boxes: 5, ..SimConfig::default() };
    let simulator = Simulator::start(TcpListener::bind("127.0.0.1:0").expect("a free port"), &config);
    let simulator = simulator.expect("a simulated camera");
    let address = simulator.local_addr();
    // The whole session runs on this thread, so every allocation is counted.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (tell, counted) = mpsc::sync_channel(2);
    let outlets = Outlets::default();
    let mut frames = 0;
    outlets.provisional.tap(move |_| {
        frames += 1;
        if frames == 200 || frames == 1000 {
            tell.send(allocated()).expect("the test waits");
        }
    });
    let spec = SourceSpec::Tcp { host: address.ip().to_string(), port: address.port() };
    let options = SessionOptions { reconnect: false, ..SessionOptions::default() };
    let session = Session::start("camera", spec, options, outlets, runtime.handle());
    let (first, second) = runtime.block_on(async {
        let take = || async {
            loop {
                match counted.try_recv() {
                    Ok(count) => return count,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        (take().await, take().await)
    });
    assert_eq!(first, second, "allocations and bytes held by frame 200 and by frame 1000");
    session.stop();
    let mut state = session.changes();
    runtime
        .block_on(async { state.wait_for(|state| matches!(state, SessionState::Ended { .. })).await.map(drop) })
        .ok();
    assert!(session.stats().balances());
}
