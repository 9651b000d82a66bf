//! The video of one camera, for any number of players of one protocol.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::encoder::Encoding;
use super::viewer::{Viewer, ViewerKind, Viewers};
use crate::frame::{FoundSets, Frame, PayloadKind, nal_units};
use crate::hub::group_lane;

/// Frames that wait for a slow player, before it continues at a key frame.
const WAITING: usize = 16;

/// Type of a sequence parameter set of H.264.
const SEQUENCE_SET: u8 = 7;

/// The form in which players get the camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Media {
    pub(super) kind: PayloadKind,
    /// Parameter sets in the form of Annex B; empty for JPEG.
    pub(super) sets: Arc<[u8]>,
    /// Reason for encoding the pictures here, if that is so.
    pub(super) encoded: Option<Cow<'static, str>>,
}

impl Media {
    /// Returns profile, constraints and level of H.264 (ITU-T H.264, 7.3.2.1.1). `None` without a sequence parameter set.
    pub(super) fn h264_profile(&self) -> Option<[u8; 3]> {
        let mut sequences = nal_units(&self.sets).filter(|unit| unit[0] & 0x1f == SEQUENCE_SET);
        let fields = sequences.next().filter(|_| self.kind == PayloadKind::H264)?.get(1..)?;
        fields.first_chunk().copied()
    }
}

/// Reason for not serving a camera.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoMedia {
    #[error("the camera has sent no frame yet")]
    Silent,
    #[error("the camera has sent no key frame with parameter sets")]
    NoSets,
    #[error("the camera sends {0}")]
    NotCarried(&'static str),
    #[error("cannot encode the pictures of the camera: {0}")]
    NotEncoded(String),
}

/// How a protocol carries a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Carried {
    /// The bytes of the camera.
    Untouched,
    /// Encoded as H.264, because the protocol does not carry this.
    Encoded(Cow<'static, str>),
    /// Neither this nor H.264 made of it.
    #[cfg_attr(not(feature = "whep"), expect(dead_code, reason = "RTSP carries or encodes every frame"))]
    Not(&'static str),
    /// A damaged frame, which says nothing about the next one.
    Unknown,
}

/// A protocol of players.
#[derive(Debug)]
pub(super) struct FeedProtocol {
    /// Name for people.
    pub(super) name: &'static str,
    pub(super) viewers: ViewerKind,
    /// Sends video of the camera as soon as it has arrived, and does not wait until it is confirmed.
    pub(super) is_immediate: bool,
    pub(super) carries: fn(&Frame) -> Carried,
}

/// The newest known media of a camera.
type Known = watch::Sender<Result<Media, NoMedia>>;

/// Follows the media of a camera.
pub(super) struct Feed {
    protocol: &'static FeedProtocol,
    known: Arc<Known>,
    is_followed: AtomicBool,
    encoding: Arc<Encoding>,
}

impl Feed {
    /// Prepares for the players of a camera. [`Self::follow`] subscribes to it.
    pub(super) fn new(protocol: &'static FeedProtocol, encoding: &Arc<Encoding>) -> Self {
        let known = Arc::new(watch::Sender::new(Err(NoMedia::Silent)));
        Self { protocol, known, is_followed: AtomicBool::default(), encoding: Arc::clone(encoding) }
    }

    /// Looks at each frame, on the thread that receives it, for what players have to know. Another call changes nothing.
    pub(super) fn follow(&self) {
        if self.is_followed.swap(true, Ordering::SeqCst) {
            return;
        }
        let (known, carries) = (Arc::clone(&self.known), self.protocol.carries);
        self.encoding.camera.tap(move |frame| observe(&known, frame, carries(frame)));
    }

    /// Returns whether players are served.
    pub(super) fn is_followed(&self) -> bool {
        self.is_followed.load(Ordering::SeqCst)
    }

    /// Returns the media once they are known. Players wait at most this long.
    pub(super) async fn media(&self, within: Duration) -> Result<Media, NoMedia> {
        let (mut known, mut encoded_sets) = (self.known.subscribe(), self.encoding.sets());
        let mut waiting = None;
        let found = async {
            loop {
                let media = known.borrow_and_update().clone();
                match media {
                    Ok(media) if media.encoded.is_some() => {
                        let sets = Arc::clone(&encoded_sets.borrow_and_update());
                        if !sets.is_empty() {
                            return Ok(Media { sets, ..media });
                        }
                        if waiting.is_none() {
                            waiting = Some(self.encoder()?.wait());
                        }
                    }
                    Ok(media) => return Ok(media),
                    Err(reason @ NoMedia::NotCarried(_)) => return Err(reason),
                    Err(_) => {}
                }
                // This end keeps the channels open.
                tokio::select! {
                    _ = known.changed() => {}
                    _ = encoded_sets.changed() => {}
                }
            }
        };
        if let Ok(found) = timeout(within, found).await {
            return found;
        }
        let missing = self.known.borrow().as_ref().err().cloned();
        Err(self.encoding.failed().map(NoMedia::NotEncoded).or(missing).unwrap_or(NoMedia::Silent))
    }

    /// Returns the parameter sets to send before a frame, if it needs them and has none itself.
    pub(super) fn sets_before(&self, frame: &Frame) -> Arc<[u8]> {
        if !frame.kind.is_video() || !frame.is_key_frame() || frame.parameter_sets().has_sequence {
            return Arc::default();
        }
        self.known.borrow().as_ref().map_or_else(|_| Arc::default(), |media| Arc::clone(&media.sets))
    }

    /// Adds a player, which begins at a key frame.
    pub(super) fn watch(&self, viewers: &Arc<Viewers>, media: &Media) -> Result<Viewer<Arc<Frame>>, NoMedia> {
        let waiting = if media.kind.is_video() { WAITING } else { 1 };
        let (lane, taker) = group_lane("player", waiting, |frame: &Arc<Frame>| frame.is_key_frame());
        // Drops the frames before the first key frame, too.
        taker.mute(true);
        taker.mute(false);
        let encoder = media.encoded.is_some().then(|| self.encoder()).transpose()?;
        let viewer = viewers.add(self.protocol.viewers, lane.counter(), taker);
        match encoder {
            Some(encoder) => encoder.watch(lane),
            None if self.protocol.is_immediate => self.encoding.camera.subscribe(lane),
            None => self.encoding.camera.subscribe_confirmed(lane),
        }
        Ok(viewer)
    }

    /// Asks for a key frame soon. Only pictures that are encoded here have one: cameras take no requests.
    #[cfg(feature = "whep")]
    pub(super) fn request_key_frame(&self) {
        self.encoding.request_key_frame();
    }

    /// Returns the encoder, and starts it before its first use.
    fn encoder(&self) -> Result<Arc<super::encoder::PictureEncoder>, NoMedia> {
        let why = self.known.borrow().as_ref().ok().and_then(|media| media.encoded.clone()).unwrap_or_default();
        self.encoding.start(self.protocol.name, &why).map_err(|error| NoMedia::NotEncoded(error.to_string()))
    }
}

/// Publishes what a frame says about the media, if that is new.
fn observe(known: &Known, frame: &Frame, carried: Carried) {
    let kind = frame.kind;
    let found = match carried {
        Carried::Encoded(why) => Ok(Media { kind: PayloadKind::H264, sets: Arc::default(), encoded: Some(why) }),
        Carried::Not(what) => Err(NoMedia::NotCarried(what)),
        Carried::Unknown => return,
        Carried::Untouched if kind.is_video() => {
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
            Ok(Media { kind, sets: found.bytes.into(), encoded: None })
        }
        Carried::Untouched => Ok(Media { kind, sets: Arc::default(), encoded: None }),
    };
    known.send_if_modified(|known| {
        let is_new = *known != found;
        if is_new {
            *known = found;
        }
        is_new
    });
}
