//! Decodes the video of chosen frames.

use std::collections::VecDeque;
use std::sync::Arc;

use super::camera::Camera;
use super::frames::ChosenFrame;
use super::report::{AFTER_FAILURE, ExportReport, NO_REFERENCE, Skip};
use crate::decode::VideoDecoder;
use crate::frame::{Frame, Pool};

/// Decoders of the cameras, and the chosen frames that wait for their pictures.
#[derive(Debug, Default)]
pub(super) struct Decoding {
    decoders: Vec<VideoDecoder>,
    /// For each camera, whether a frame could not be decoded since the last key frame that could.
    has_failed: Vec<bool>,
    pub(super) waiting: Vec<ChosenFrame>,
    pub(super) ready: VecDeque<ChosenFrame>,
}

impl Decoding {
    /// Creates a decoder for each camera.
    pub(super) fn new(cameras: usize, pool: &Pool<Frame>) -> Self {
        let decoders = (0..cameras).map(|_| VideoDecoder::new(pool.clone())).collect();
        Self { decoders, has_failed: vec![false; cameras], ..Self::default() }
    }

    /// Decodes a frame of a camera, whether it was chosen or not: later ones may depend on it.
    pub(super) fn decode(&mut self, camera: usize, frame: &Arc<Frame>, cameras: &[Camera], report: &mut ExportReport) {
        let Self { decoders, has_failed, waiting, ready } = self;
        let result = decoders[camera].decode(frame, |decoded| give(waiting, ready, &decoded));
        match &result {
            Ok(()) if frame.is_key_frame() => has_failed[camera] = false,
            Err(error) if !error.is_skip() => has_failed[camera] = true,
            _ => {}
        }
        if let Err(error) = result
            && let Some(at) = waiting.iter().position(|chosen| Arc::ptr_eq(&chosen.frame, frame))
        {
            waiting.remove(at);
            let (camera, has_failed, why) = (&cameras[camera], has_failed[camera], error.to_string());
            match error.is_skip() {
                true if has_failed => report.skip(&camera.name, Skip { kind: AFTER_FAILURE, why }),
                true => report.skip(&camera.name, Skip { kind: NO_REFERENCE, why }),
                false => report.skip_undecoded(camera, why),
            }
        }
    }

    /// Ends the decoders. Counts frames whose pictures do not come.
    pub(super) fn flush(&mut self, cameras: &[Camera], report: &mut ExportReport) {
        let Self { decoders, waiting, ready, .. } = self;
        for decoder in decoders {
            decoder.flush(|decoded| give(waiting, ready, &decoded));
        }
        for chosen in waiting.drain(..) {
            let why = "the decoder gave no picture".to_owned();
            report.skip_undecoded(&cameras[chosen.camera], why);
        }
    }
}

/// Moves the chosen frame of a picture to those that are ready.
fn give(waiting: &mut Vec<ChosenFrame>, ready: &mut VecDeque<ChosenFrame>, decoded: &Arc<Frame>) {
    let is_its = |chosen: &ChosenFrame| decoded.coded.as_ref().is_some_and(|coded| Arc::ptr_eq(&chosen.frame, coded));
    if let Some(at) = waiting.iter().position(is_its) {
        let chosen = waiting.remove(at);
        ready.push_back(ChosenFrame { frame: Arc::clone(decoded), parameter_sets: None, ..chosen });
    }
}
