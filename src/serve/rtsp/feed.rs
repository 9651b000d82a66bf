//! The video of one camera, for any number of players.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::encoder::PictureEncoder;
use super::jpeg::{self, NotCarried};
use crate::frame::{FoundSets, Frame, PayloadKind};
use crate::hub::{Hub, Lane, group_lane};
use crate::live::Camera;
use crate::serve::viewer::{Viewer, ViewerKind, Viewers};
use crate::sync::locked;

/// Time that a player waits for the first frame: longer than between two key frames of usual encoders.
const MEDIA_TIMEOUT: Duration = Duration::from_secs(5);

/// Frames that wait for a slow player, before it continues at a key frame.
const WAITING: usize = 16;

/// The form in which players get the camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Media {
    pub(super) kind: PayloadKind,
    /// Parameter sets in the form of Annex B; empty for JPEG.
    pub(super) sets: Arc<[u8]>,
    /// Reason for encoding the pictures here, if that is so.
    pub(super) encoded: Option<Arc<str>>,
}

/// Reason for not serving a camera.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoMedia {
    #[error("the camera has sent no frame within {} s", MEDIA_TIMEOUT.as_secs())]
    Silent,
    #[error("the camera has sent no key frame with parameter sets")]
    NoSets,
    #[error("cannot encode the pictures of the camera: {0}")]
    NotEncoded(String),
}

/// The newest known media of a camera.
type Known = watch::Sender<Result<Media, NoMedia>>;

/// Follows the media of a camera.
pub(in crate::serve) struct Feed {
    known: Arc<Known>,
    is_followed: AtomicBool,
    confirmed: Hub<Arc<Frame>>,
    stream: Option<Arc<str>>,
    name: String,
    /// Started for the first player that needs it.
    encoder: Mutex<Option<Arc<PictureEncoder>>>,
}

impl Feed {
    /// Prepares for the players of a camera. [`Self::follow`] subscribes to it.
    pub(in crate::serve) fn new(camera: &Camera) -> Self {
        Self {
            known: Arc::new(watch::Sender::new(Err(NoMedia::Silent))),
            is_followed: AtomicBool::default(),
            confirmed: camera.outlets.confirmed.clone(),
            stream: camera.stream.clone(),
            name: camera.name.clone(),
            encoder: Mutex::default(),
        }
    }

    /// Looks at each frame, on the thread that receives it, for what players have to know.
    pub(in crate::serve) fn follow(&self) {
        self.is_followed.store(true, Ordering::SeqCst);
        let (known, stream) = (Arc::clone(&self.known), self.stream.clone());
        self.confirmed.tap(move |frame: &Arc<Frame>| {
            if frame.stream == stream {
                observe(&known, frame);
            }
        });
    }

    /// Returns whether players are served.
    pub(in crate::serve) fn is_followed(&self) -> bool {
        self.is_followed.load(Ordering::SeqCst)
    }

    /// Returns the media once they are known.
    pub(super) async fn media(&self) -> Result<Media, NoMedia> {
        let mut known = self.known.subscribe();
        let mut waiting = None;
        let found = async {
            loop {
                let media = known.borrow_and_update().clone();
                match media {
                    Ok(media) if media.encoded.is_some() && media.sets.is_empty() => {
                        if waiting.is_none() {
                            waiting = Some(self.encoder()?.wait());
                        }
                    }
                    Ok(media) => return Ok(media),
                    Err(_) => {}
                }
                // This end keeps the channel open.
                let _ = known.changed().await;
            }
        };
        if let Ok(found) = timeout(MEDIA_TIMEOUT, found).await {
            return found;
        }
        let failed = locked(&self.encoder).as_ref().and_then(|encoder| encoder.failed());
        let missing = self.known.borrow().as_ref().err().cloned();
        Err(failed.map(NoMedia::NotEncoded).or(missing).unwrap_or(NoMedia::Silent))
    }

    /// Returns the parameter sets that are valid now.
    pub(super) fn sets(&self) -> Arc<[u8]> {
        self.known.borrow().as_ref().map_or_else(|_| Arc::default(), |media| Arc::clone(&media.sets))
    }

    /// Returns the number of pictures that were encoded.
    pub(in crate::serve) fn encoded(&self) -> u64 {
        locked(&self.encoder).as_ref().map_or(0, |encoder| encoder.encoded())
    }

    /// Adds a player, which begins at a key frame.
    pub(super) fn watch(&self, viewers: &Arc<Viewers>, media: &Media) -> Result<Viewer<Arc<Frame>>, NoMedia> {
        let waiting = if media.kind.is_video() { WAITING } else { 1 };
        let (lane, taker) = group_lane("rtsp", waiting, |frame: &Arc<Frame>| frame.is_key_frame());
        // Drops the frames before the first key frame, too.
        taker.mute(true);
        taker.mute(false);
        let encoder = media.encoded.is_some().then(|| self.encoder()).transpose()?;
        let viewer = viewers.add(ViewerKind::Rtsp, lane.counter(), taker);
        match encoder {
            Some(encoder) => encoder.watch(lane),
            None => self.subscribe(lane),
        }
        Ok(viewer)
    }

    fn subscribe(&self, lane: Lane<Arc<Frame>>) {
        let stream = self.stream.clone();
        self.confirmed.add_mapped(lane, move |frame| (frame.stream == stream).then(|| Arc::clone(frame)));
    }

    /// Returns the encoder, and starts it before its first use.
    fn encoder(&self) -> Result<Arc<PictureEncoder>, NoMedia> {
        let mut encoder = locked(&self.encoder);
        if let Some(encoder) = &*encoder {
            return Ok(Arc::clone(encoder));
        }
        let known = Arc::clone(&self.known);
        let sets = move |sets: Vec<u8>| {
            known.send_if_modified(|known| match known {
                Ok(media) if media.encoded.is_some() => {
                    media.sets = sets.into();
                    true
                }
                _ => false,
            });
        };
        let started = PictureEncoder::start(&self.name, |lane| self.subscribe(lane), sets);
        let started = started.map_err(|error| NoMedia::NotEncoded(error.to_string()))?;
        if let Ok(Media { encoded: Some(why), .. }) = &*self.known.borrow() {
            tracing::info!(camera = self.name, "encodes H.264 for RTSP, which does not carry {why}");
        }
        Ok(Arc::clone(encoder.insert(Arc::new(started))))
    }
}

/// Publishes what a frame says about the media, if that is new.
fn observe(known: &Known, frame: &Frame) {
    let kind = frame.kind;
    let found = match kind {
        PayloadKind::Raw => encoded("raw pictures"),
        PayloadKind::Jpeg => match jpeg::scan(frame.payload()) {
            Ok(_) => Media { kind, sets: Arc::default(), encoded: None },
            Err(NotCarried::Damaged) => return,
            Err(reason) => encoded(&reason.to_string()),
        },
        PayloadKind::H264 | PayloadKind::H265 => {
            let found = if frame.is_key_frame() { frame.parameter_sets() } else { FoundSets::default() };
            if !found.has_sequence {
                known.send_if_modified(|known| {
                    let is_first = *known == Err(NoMedia::Silent);
                    if is_first {
                        *known = Err(NoMedia::NoSets);
                    }
                    is_first
                });
                return;
            }
            Media { kind, sets: found.bytes.into(), encoded: None }
        }
    };
    known.send_if_modified(|known| {
        // The encoder adds the parameter sets.
        let is_known = match known {
            Ok(media) if found.encoded.is_some() => media.encoded == found.encoded,
            Ok(media) => *media == found,
            Err(_) => false,
        };
        if !is_known {
            *known = Ok(found);
        }
        !is_known
    });
}

fn encoded(why: &str) -> Media {
    Media { kind: PayloadKind::H264, sets: Arc::default(), encoded: Some(why.into()) }
}
