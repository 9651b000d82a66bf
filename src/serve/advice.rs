//! Next steps, with the camera in their commands.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::source::Advise;
use crate::sync::locked;

/// Most texts that are kept: one may hold numbers from the network.
const TEXTS_MAX: usize = 512;

/// Help texts that name a camera. Pages ask for them twice a second, and writing one parses a command line.
#[derive(Debug, Default)]
pub(super) struct Advice {
    advise: Option<Advise>,
    texts: Mutex<BTreeMap<(String, String), String>>,
}

impl Advice {
    pub(super) fn new(advise: Option<Advise>) -> Self {
        Self { advise, ..Self::default() }
    }

    /// Returns the help text for this camera.
    pub(super) fn for_camera(&self, help: String, camera: &str) -> String {
        let Some(advise) = self.advise.filter(|_| help.contains('`')) else { return help };
        let mut texts = locked(&self.texts);
        if texts.len() >= TEXTS_MAX {
            texts.clear();
        }
        texts.entry((camera.to_owned(), help)).or_insert_with_key(|(camera, help)| advise(help, camera)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_camera_is_in_the_command() {
        let help = || "`oaktap doctor CAMERA` checks it".to_owned();
        let advice = Advice::new(Some(|help, camera| help.replace("CAMERA", camera)));
        for camera in ["front", "back", "front"] {
            assert_eq!(advice.for_camera(help(), camera), format!("`oaktap doctor {camera}` checks it"));
        }
        assert_eq!(Advice::default().for_camera(help(), "front"), help());
        for number in 0..2 * TEXTS_MAX {
            advice.for_camera(help(), &number.to_string());
        }
        assert!(locked(&advice.texts).len() <= TEXTS_MAX);
    }
}
