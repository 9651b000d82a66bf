//! Compares rounds of discovery and reports the changes.

use std::collections::BTreeMap;

use super::camera::DiscoveredCamera;

/// Consecutive rounds without an answer after which a camera has disappeared. Datagrams get lost, and a reboot takes a few
/// seconds.
const MAX_MISSED_ROUNDS: u32 = 3;

/// A difference between two rounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CameraChange {
    /// A new camera answered.
    Appeared(DiscoveredCamera),
    /// State, addresses, interfaces or details differ from the previous answer.
    Changed {
        /// The camera before the change.
        before: DiscoveredCamera,
        /// The camera after the change.
        after: DiscoveredCamera,
    },
    /// The camera has not answered in 3 consecutive rounds.
    Disappeared(DiscoveredCamera),
}

/// The cameras of earlier rounds.
#[derive(Clone, Debug, Default)]
pub struct CameraWatch {
    /// Cameras by id, with the number of rounds that each has missed.
    known: BTreeMap<String, (DiscoveredCamera, u32)>,
}

impl CameraWatch {
    /// Adds the cameras of a round and returns the changes: new and changed cameras in the given order, then those that
    /// disappeared.
    pub fn round(&mut self, cameras: Vec<DiscoveredCamera>) -> Vec<CameraChange> {
        let mut changes = Vec::new();
        for (_, missed) in self.known.values_mut() {
            *missed += 1;
        }
        for camera in cameras {
            match self.known.insert(camera.id.clone(), (camera.clone(), 0)) {
                None => changes.push(CameraChange::Appeared(camera)),
                Some((before, _)) if before != camera => {
                    changes.push(CameraChange::Changed { before, after: camera });
                }
                Some(_) => {}
            }
        }
        let disappeared = self.known.extract_if(.., |_, (_, missed)| *missed >= MAX_MISSED_ROUNDS);
        changes.extend(disappeared.map(|(_, (camera, _))| CameraChange::Disappeared(camera)));
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CameraAddress, CameraState};
    use super::*;

    fn camera(id: &str, state: CameraState) -> DiscoveredCamera {
        let address = CameraAddress { ip: [10, 0, 0, 5].into(), interface: None };
        DiscoveredCamera { id: id.to_owned(), addresses: vec![address], state, platform: None, link: None }
    }

    #[test]
    fn only_changes_are_reported() {
        let (running, waiting) = (camera("A", CameraState::FlashBooted), camera("A", CameraState::Bootloader));
        let other = camera("B", CameraState::FlashBooted);
        let mut watch = CameraWatch::default();
        let appeared = [CameraChange::Appeared(running.clone()), CameraChange::Appeared(other.clone())];
        assert_eq!(watch.round(vec![running.clone(), other.clone()]), appeared);
        assert_eq!(watch.round(vec![running.clone(), other.clone()]), []);
        assert_eq!(watch.round(vec![other.clone()]), [], "one missed round is not a change");
        let changed = CameraChange::Changed { before: running, after: waiting.clone() };
        assert_eq!(watch.round(vec![waiting.clone()]), [changed]);
        assert_eq!(watch.round(vec![waiting.clone()]), []);
        assert_eq!(watch.round(vec![waiting.clone()]), [CameraChange::Disappeared(other.clone())]);
        assert_eq!(watch.round(vec![waiting, other.clone()]), [CameraChange::Appeared(other)]);
    }
}
