//! Finds the class names of cameras whose metadata has none: the file may begin before the camera has sent its names.

use crate::export::camera::Camera;
use crate::frame::{LabelMap, Pool};
use crate::recording::{Played, Player};

use super::{Frames, InputFile};

impl Frames {
    /// Reads the names of cameras whose metadata has none, up to the first frame that has names. Frames before it would
    /// otherwise get the names of COCO, and a data set the numbers of COCO. Reads a recording without any names to its end.
    pub(in crate::export) fn with_names_of_frames(mut self) -> Self {
        let mut found: Vec<_> = self.cameras.iter().map(|_| None).collect();
        for file in &self.remaining {
            read_names(file, &self.cameras, &mut found);
        }
        if found.iter().any(Option::is_some) {
            let mut cameras: Vec<Camera> = self.cameras.to_vec();
            for (camera, names) in cameras.iter_mut().zip(found) {
                camera.set_names(names);
            }
            self.cameras = cameras.into();
        }
        self
    }
}

/// Reads a file until each of its cameras without names has some.
fn read_names(file: &InputFile, cameras: &[Camera], found: &mut [Option<LabelMap>]) {
    let lacks_names = |found: &[Option<_>]| {
        file.cameras.iter().flatten().any(|camera| cameras[*camera].lacks_names() && found[*camera].is_none())
    };
    if !lacks_names(found) {
        return;
    }
    // Reading the frames reports errors when it gets there.
    let Ok(mut player) = Player::open(&file.path, Pool::default()) else { return };
    while lacks_names(found) {
        match player.next_played() {
            Ok(Some(Played::Frame(played))) => {
                let camera = file.cameras.get(played.camera).copied().flatten();
                let Some(camera) = camera.filter(|camera| cameras[*camera].lacks_names()) else { continue };
                let names = played.frame.labels.as_deref().filter(|names| !names.may_be_guessed());
                found[camera] = found[camera].take().or_else(|| names.cloned());
            }
            Ok(Some(Played::Measurement(_))) => {}
            Err(error) if error.is_damage() => {}
            Ok(None) | Err(_) => return,
        }
    }
}
