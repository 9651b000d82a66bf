//! Pictures of one camera as JPEG files, each made for a request: without one, nothing is decoded or encoded.

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

/// How often the thread looks whether it has to end while no frame arrives.
const END_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Reason for not making a picture of a frame.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum PictureError {
    #[error(transparent)]
    Convert(#[from] ConvertError),
    #[error(transparent)]
    Encode(#[from] EncodeJpegError),
}

/// The answer to a request.
#[derive(Debug)]
pub(super) struct TakenPicture {
    /// Name of the camera.
    pub(super) camera: Arc<str>,
    /// The JPEG file.
    pub(super) file: Result<Vec<u8>, PictureError>,
}

#[derive(Default)]
struct Shared {
    /// Who waits for the next picture. A target asks again only when it was answered.
    waiting: Mutex<Vec<UnboundedSender<TakenPicture>>>,
    ends: AtomicBool,
}

/// Makes the pictures of one camera on a thread of its own. Dropping it ends the thread.
pub(super) struct PictureMaker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl PictureMaker {
    /// Subscribes to a camera. The ledger counts the frames that arrive while a picture is made.
    pub(super) fn start(camera: &Camera) -> io::Result<Self> {
        let (lane, frames) = lane("publish pictures", Policy::DropOldest(1));
        camera.outlets.ledger.watch(lane.counter());
        frames.mute(true);
        let failed =
            |_: &Arc<Frame>, error: &DecodeError| tracing::debug!("cannot decode a frame for a picture: {error}");
        let lanes = PictureLanes { confirmed: Some(lane), ..PictureLanes::default() };
        let decoding = Decoding::start(camera, lanes, Box::new(failed))?;
        decoding.mute(true);
        let shared = Arc::<Shared>::default();
        let worker = Worker {
            camera: camera.name.as_str().into(),
            shared: Arc::clone(&shared),
            frames,
            decoding,
            converter: Converter::new(),
            picture: Picture::default(),
        };
        let name = format!("picture {}", camera.name).replace('\0', " ");
        let thread = thread::Builder::new().name(name).spawn(move || worker.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Sends the next picture of the camera there.
    pub(super) fn request(&self, answer: UnboundedSender<TakenPicture>) {
        locked(&self.shared.waiting).push(answer);
        self.wake();
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
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
        self.wake();
        if let Some(thread) = self.thread.take() {
            // A panic was printed when it happened.
            let _ = thread.join();
        }
    }
}

struct Worker {
    camera: Arc<str>,
    shared: Arc<Shared>,
    frames: Taker<Arc<Frame>>,
    decoding: Decoding,
    converter: Converter,
    picture: Picture,
}

impl Worker {
    fn run(mut self) {
        while !self.shared.ends.load(Ordering::SeqCst) {
            let is_wanted = !locked(&self.shared.waiting).is_empty();
            self.frames.mute(!is_wanted);
            self.decoding.mute(!is_wanted);
            if !is_wanted {
                // A request wakes the thread.
                thread::park();
                drop(self.frames.try_take());
                continue;
            }
            match self.frames.recv_timeout(END_CHECK_INTERVAL) {
                Ok(frame) => self.answer(&frame),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    }

    /// Answers everyone who waits.
    fn answer(&mut self, frame: &Frame) {
        // Later requests are for a later frame.
        let waiting = std::mem::take(&mut *locked(&self.shared.waiting));
        if waiting.is_empty() {
            return;
        }
        let file = self.file(frame);
        for answer in waiting {
            // A target that has ended needs no answer.
            let _ = answer.send(TakenPicture { camera: Arc::clone(&self.camera), file: file.clone() });
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
        let maker = PictureMaker::start(&camera).expect("a thread");
        let mut frame = Frame::with_payload([128; 64 * 48]);
        frame.geometry = Geometry::tight(PixelFormat::Gray8, 64, 48).ok();
        let frame = Arc::new(frame);
        let counts = || camera.outlets.ledger.snapshot().lanes[0];
        camera.outlets.confirmed.offer(&frame);
        assert_eq!((counts().name, counts().offered), ("publish pictures", 0));
        let (answer, mut answers) = unbounded_channel();
        maker.request(answer);
        let taken = loop {
            // The lane opens when the thread has seen the request.
            camera.outlets.confirmed.offer(&frame);
            match answers.try_recv() {
                Ok(taken) => break taken,
                Err(_) => thread::yield_now(),
            }
        };
        let file = taken.file.expect("a file");
        let picture = image::load_from_memory(&file).expect("a JPEG");
        assert_eq!((&*taken.camera, picture.width(), picture.height()), ("cam", 64, 48));
        drop(maker);
        assert!(answers.try_recv().is_err(), "one request, one picture");
    }
}
