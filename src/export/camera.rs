//! The chosen cameras: their names, names of files, and class names.

use super::place::file_name;
use crate::frame::{Frame, LabelMap};
use crate::recording::CameraInfo;
use crate::sim::SimConfig;

/// A chosen camera.
#[derive(Clone, Debug)]
pub(super) struct Camera {
    pub(super) name: String,
    /// Start of its file names, unique among the cameras.
    pub(super) stem: String,
    labels: Option<LabelMap>,
    /// Names given by the user.
    pub(super) given: Option<LabelMap>,
    /// Why its video cannot be decoded, if it was a simulated camera that sends noise.
    pub(super) noise: Option<String>,
}

impl Camera {
    /// Returns the label names for a frame: those of the user, or else of the stream, or else of the recording, or else of COCO. Names that were
    /// sent and could not be read are not replaced by those of COCO.
    pub(super) fn names<'a>(&'a self, frame: &'a Frame) -> &'a LabelMap {
        LabelMap::first_known([self.given.as_ref(), frame.labels.as_deref(), self.labels.as_ref()])
    }

    fn table(&self) -> Option<&LabelMap> {
        self.given.as_ref().or(self.labels.as_ref())
    }

    /// Returns whether the names are a table, and not those that were computed from the names of detections so far.
    pub(super) fn has_table(&self) -> bool {
        self.table().is_some_and(|names| !names.is_empty() && names.iter().all(|(label, _)| label < 1 << 31))
    }

    /// Returns whether neither names nor the reason for their absence are known, so that those of COCO would be used.
    pub(super) fn lacks_names(&self) -> bool {
        self.table().is_none_or(LabelMap::may_be_guessed)
    }

    /// Sets the names that a frame of the recording has, if one has some.
    pub(super) fn set_names(&mut self, names: Option<LabelMap>) {
        if names.is_some() {
            self.labels = names;
        }
    }

    /// Returns the label names for frames of a stream without names.
    pub(super) fn default_names(&self) -> &LabelMap {
        LabelMap::first_known([self.table()])
    }
}

/// Returns the index of the camera of this name. Adds it if it is new.
pub(super) fn camera_index(cameras: &mut Vec<Camera>, info: &CameraInfo) -> usize {
    let CameraInfo { name, address, labels } = info;
    if let Some(known) = cameras.iter().position(|camera| camera.name == *name) {
        let known_labels = &mut cameras[known].labels;
        *known_labels = known_labels.take().or_else(|| labels.clone());
        return known;
    }
    let plain = file_name(name);
    // Not case-sensitive, because some file systems are not.
    let taken = |stem: &str| cameras.iter().any(|camera| camera.stem.eq_ignore_ascii_case(stem));
    let numbered = (2..).map(|n| format!("{plain}-{n}"));
    let stem = std::iter::once(plain.clone()).chain(numbered).find(|stem| !taken(stem)).unwrap_or(plain);
    let noise = SimConfig::noise_of(address);
    cameras.push(Camera { name: name.clone(), stem, labels: labels.clone(), given: None, noise });
    cameras.len() - 1
}
