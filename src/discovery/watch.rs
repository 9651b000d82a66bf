//! Round after round of answers -> what has changed since.

use std::collections::BTreeMap;

use super::Camera;

/// Rounds that a camera may miss before it counts as gone: datagrams get lost, and it reboots in a few seconds.
const PATIENCE: u32 = 3;

/// What is new about a camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there before.
    Came(Camera),
    /// Its state, its addresses or its interfaces are others than before.
    Changed {
        /// As it was.
        was: Camera,
        /// As it is.
        is: Camera,
    },
    /// It has not answered for some rounds.
    Gone(Camera),
}

/// Remembers who was there.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    known: BTreeMap<String, (Camera, u32)>,
}

impl Watch {
    /// Takes the cameras of one more round; what is new, by id.
    pub fn round(&mut self, cameras: Vec<Camera>) -> Vec<Change> {
        let mut changes = Vec::new();
        for (_, missed) in self.known.values_mut() {
            *missed += 1;
        }
        for is in cameras {
            match self.known.insert(is.id.clone(), (is.clone(), 0)) {
                None => changes.push(Change::Came(is)),
                Some((was, _)) if was != is => changes.push(Change::Changed { was, is }),
                Some(_) => {}
            }
        }
        let gone = self.known.extract_if(.., |_, (_, missed)| *missed >= PATIENCE);
        changes.extend(gone.map(|(_, (camera, _))| Change::Gone(camera)));
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Seen, State};
    use super::*;

    fn camera(id: &str, state: State) -> Camera {
        let seen = Seen { ip: [10, 0, 0, 5].into(), interface: None };
        Camera { id: id.to_owned(), addresses: vec![seen], state, platform: None, link: None }
    }

    #[test]
    fn only_what_is_new_is_told() {
        let (running, waiting) = (camera("A", State::FlashBooted), camera("A", State::Bootloader));
        let other = camera("B", State::FlashBooted);
        let mut watch = Watch::default();
        let came = [Change::Came(running.clone()), Change::Came(other.clone())];
        assert_eq!(watch.round(vec![running.clone(), other.clone()]), came);
        assert_eq!(watch.round(vec![running.clone(), other.clone()]), []);
        assert_eq!(watch.round(vec![other.clone()]), [], "one lost datagram is no news");
        let changed = Change::Changed { was: running, is: waiting.clone() };
        assert_eq!(watch.round(vec![waiting.clone()]), [changed]);
        assert_eq!(watch.round(vec![waiting.clone()]), []);
        assert_eq!(watch.round(vec![waiting.clone()]), [Change::Gone(other.clone())]);
        assert_eq!(watch.round(vec![waiting, other.clone()]), [Change::Came(other)]);
    }
}
