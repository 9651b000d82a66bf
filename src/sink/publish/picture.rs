//! Pictures of one camera as JPEG files, each made for a request: without one, there is no lane, no decoder and no thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

use tokio::sync::mpsc::UnboundedSender;

use crate::convert::{ConvertError, Converter, EncodeJpegError, encode_jpeg};
use crate::decode::DecodeError;
use crate::frame::{Frame, PayloadKind, Picture};
use crate::hub::{Policy, RecvTimeoutError, Taker, lane};
use crate::live::{Camera, Decoding, PictureLanes};
use crate::sync::locked;

/// How often the thread checks whether it has to end while no frame arrives.
const END_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Reason for not making a picture of a frame.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum PictureError {
    #[error(transparent)]
    Convert(#[from] ConvertError),
    #[error(transparent)]
    Encode(#[from] EncodeJpegError),
    #[error("cannot start a thread: {0}")]
    Thread(String),
}

/// The answer to a request.
#[derive(Debug)]
pub(super) struct TakenPicture {
    /// Name of the camera.
    pub(super) camera: String,
    /// The JPEG file.
    pub(super) file: Result<Vec<u8>, PictureError>,
}

/// Who waits for the next picture, and the thread that makes it.
#[derive(Default)]
struct Requests {
    /// A target asks again only when it was answered.
    waiting: Vec<UnboundedSender<TakenPicture>>,
    is_running: bool,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    requests: Mutex<Requests>,
    ends: AtomicBool,
}

/// Makes the pictures of one camera, on a thread that runs while one is requested. Dropping it ends the thread.
pub(super) struct PictureMaker {
    camera: Camera,
    shared: Arc<Shared>,
}

impl PictureMaker {
    pub(super) fn new(camera: &Camera) -> Self {
        Self { camera: camera.clone(), shared: Arc::default() }
    }

    /// Sends the next picture of the camera there.
    pub(super) fn request(&self, answer: UnboundedSender<TakenPicture>) {
        let mut requests = locked(&self.shared.requests);
        requests.waiting.push(answer);
        if requests.is_running {
            return;
        }
        match self.start() {
            // The thread before has ended: it needs no join.
            Ok(thread) => (requests.thread, requests.is_running) = (Some(thread), true),
            Err(error) => {
                let waiting = std::mem::take(&mut requests.waiting);
                send(waiting, &self.camera.name, &Err(PictureError::Thread(error.to_string())));
            }
        }
    }

    fn start(&self) -> io::Result<JoinHandle<()>> {
        let Camera { name, outlets, .. } = &self.camera;
        let (lane, frames) = lane("publish pictures", Policy::DropOldest(1));
        outlets.ledger.watch(lane.counter());
        let failed =
            |_: &Arc<Frame>, error: &DecodeError| tracing::debug!("cannot decode a frame for a picture: {error}");
        let lanes = PictureLanes { confirmed: Some(lane), ..PictureLanes::default() };
        let worker = Worker {
            camera: name.clone(),
            shared: Arc::clone(&self.shared),
            frames,
            _decoding: Decoding::start(&self.camera, lanes, Box::new(failed))?,
            converter: Converter::new(),
            picture: Picture::default(),
        };
        thread::Builder::new().name(format!("picture {name}").replace('\0', " ")).spawn(move || worker.run())
    }
}

impl fmt::Debug for PictureMaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PictureMaker").finish_non_exhaustive()
    }
}

impl Drop for PictureMaker {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        let thread = locked(&self.shared.requests).thread.take();
        if let Some(thread) = thread {
            // A panic was printed when it happened.
            let _ = thread.join();
        }
    }
}

/// Answers requests. A target that has ended needs no answer.
fn send(waiting: Vec<UnboundedSender<TakenPicture>>, camera: &str, file: &Result<Vec<u8>, PictureError>) {
    for answer in waiting {
        let _ = answer.send(TakenPicture { camera: camera.to_owned(), file: file.clone() });
    }
}

struct Worker {
    camera: String,
    shared: Arc<Shared>,
    frames: Taker<Arc<Frame>>,
    /// Subscribes to the camera, and decodes its video.
    _decoding: Decoding,
    converter: Converter,
    picture: Picture,
}

impl Worker {
    fn run(mut self) {
        while !self.shared.ends.load(Ordering::SeqCst) {
            match self.frames.recv_timeout(END_CHECK_INTERVAL) {
                Ok(frame) => {
                    let waiting = std::mem::take(&mut locked(&self.shared.requests).waiting);
                    let file = self.file(&frame);
                    send(waiting, &self.camera, &file);
                }
                Err(RecvTimeoutError::Timeout) => {}
                // The session has ended. Requests wait until the camera is not published any more.
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let mut requests = locked(&self.shared.requests);
            if requests.waiting.is_empty() {
                requests.is_running = false;
                return;
            }
        }
    }

    /// Returns the JPEG of the camera, or a new one.
    fn file(&mut self, frame: &Frame) -> Result<Vec<u8>, PictureError> {
        if frame.kind == PayloadKind::Jpeg {
            return Ok(frame.payload().to_vec());
        }
        self.converter.picture(frame, &mut self.picture)?;
        Ok(encode_jpeg(&self.picture)?)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::frame::{Geometry, PixelFormat};

    #[test]
    fn a_picture_is_made_for_a_request_only() {
        let camera = Camera::new("cam", "sim:".parse().expect("a source"));
        let maker = PictureMaker::new(&camera);
        let mut frame = Frame::with_payload([128; 64 * 48]);
        frame.geometry = Geometry::tight(PixelFormat::Gray8, 64, 48).ok();
        let frame = Arc::new(frame);
        camera.outlets.confirmed.offer(&frame);
        assert!(camera.outlets.confirmed.is_empty() && camera.outlets.ledger.snapshot().lanes.is_empty());
        for number in 1..=2 {
            let (answer, mut answers) = unbounded_channel();
            maker.request(answer.clone());
            maker.request(answer);
            // Subscribed, and at the latest after the next frame no more.
            assert_eq!(camera.outlets.ledger.snapshot().lanes[0].name, "publish pictures");
            camera.outlets.confirmed.offer(&frame);
            for _ in 0..2 {
                let taken = answers.blocking_recv().expect("an answer");
                let picture = image::load_from_memory(&taken.file.expect("a file")).expect("a JPEG");
                assert_eq!((&*taken.camera, picture.width(), picture.height()), ("cam", 64, 48), "{number}");
            }
            assert!(answers.blocking_recv().is_none(), "a request has one picture");
            while locked(&maker.shared.requests).is_running {
                thread::yield_now();
            }
        }
    }
}
