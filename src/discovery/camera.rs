//! Merges answers into one entry per camera id, with every address and interface that the camera answered from.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Serialize;

use super::datagram::{Answer, LinkInfo};
use super::state::CameraState;

/// Limits of the memory that forged answers can take: any device in the network can send them.
const MAX_CAMERAS: usize = 4096;
const MAX_ADDRESSES_PER_CAMERA: usize = 64;

/// An address that a camera answered from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct CameraAddress {
    /// The camera's address.
    pub ip: Ipv4Addr,
    /// The interface of this host that received the answer, if known.
    pub interface: Option<String>,
}

/// A camera that answered, merged from its answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiscoveredCamera {
    /// Unique id of the camera (the vendor's MXID).
    pub id: String,
    /// Each pair of address and interface once. Link-local addresses are last: the camera assigns them itself, so another
    /// camera may have the same one.
    pub addresses: Vec<CameraAddress>,
    /// State in the latest answer.
    pub state: CameraState,
    /// 2 is the Myriad X (RVC2). `None` if the camera did not report it.
    pub platform: Option<u32>,
    /// Ethernet link as the camera sees it. `None` if the camera did not report it.
    pub link: Option<LinkInfo>,
}

impl DiscoveredCamera {
    /// Returns the preferred address, which is the first one.
    #[must_use]
    pub fn ip(&self) -> Option<Ipv4Addr> {
        self.addresses.first().map(|address| address.ip)
    }

    /// Returns each address once, also when several interfaces received answers from it.
    #[must_use]
    pub fn ips(&self) -> Vec<Ipv4Addr> {
        let mut ips: Vec<_> = self.addresses.iter().map(|address| address.ip).collect();
        ips.dedup();
        ips
    }

    /// Returns each interface that received an answer once, sorted by name.
    #[must_use]
    pub fn interfaces(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.addresses.iter().filter_map(|address| address.interface.as_deref()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn add_address(&mut self, new: CameraAddress) {
        let known =
            |other: &CameraAddress| other.ip == new.ip && (new.interface.is_none() || other.interface == new.interface);
        if self.addresses.iter().any(known) {
            return;
        }
        self.addresses.retain(|other| other.ip != new.ip || other.interface.is_some());
        if self.addresses.len() < MAX_ADDRESSES_PER_CAMERA {
            self.addresses.push(new);
            self.addresses.sort_by_key(|address| (address.ip.is_link_local(), address.clone()));
        }
    }
}

/// The cameras that answered, at most 4096.
#[derive(Clone, Debug, Default)]
pub struct DiscoveredCameras {
    cameras: BTreeMap<String, DiscoveredCamera>,
    /// Link infos that arrived before the camera's first answer: datagrams can overtake each other.
    links: BTreeMap<String, LinkInfo>,
}

impl DiscoveredCameras {
    /// Adds an answer and returns the camera that sent it. `None` while only its link is known, and for new cameras
    /// after the first 4096.
    pub fn add(&mut self, answer: Answer, from: CameraAddress) -> Option<&DiscoveredCamera> {
        let (id, state, platform) = match answer {
            Answer::Simple { id, state } => (id, state, None),
            Answer::Extended { id, state, platform, .. } => (id, state, Some(platform)),
            Answer::Info(link) => return self.add_link(link, from),
        };
        if self.cameras.len() >= MAX_CAMERAS && !self.cameras.contains_key(&id) {
            return None;
        }
        let link = self.links.remove(&id);
        let camera = self.cameras.entry(id).or_insert_with_key(|id| DiscoveredCamera {
            id: id.clone(),
            addresses: Vec::new(),
            state,
            platform: None,
            link: None,
        });
        camera.state = state;
        camera.platform = platform.or(camera.platform);
        camera.link = link.or(camera.link.take());
        camera.add_address(from);
        Some(camera)
    }

    fn add_link(&mut self, link: LinkInfo, from: CameraAddress) -> Option<&DiscoveredCamera> {
        let Some(camera) = self.cameras.get_mut(&link.id) else {
            if self.links.len() < MAX_CAMERAS {
                self.links.insert(link.id.clone(), link);
            }
            return None;
        };
        camera.link = Some(link);
        camera.add_address(from);
        Some(camera)
    }

    /// Returns the cameras sorted by id.
    pub fn cameras(&self) -> impl ExactSizeIterator<Item = &DiscoveredCamera> {
        self.cameras.values()
    }

    /// Returns the cameras sorted by id.
    #[must_use]
    pub fn into_cameras(self) -> Vec<DiscoveredCamera> {
        self.cameras.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(ip: &str, interface: Option<&str>) -> CameraAddress {
        CameraAddress { ip: ip.parse().expect("an address"), interface: interface.map(str::to_owned) }
    }

    fn simple(id: &str, state: CameraState) -> Answer {
        Answer::Simple { id: id.to_owned(), state }
    }

    #[test]
    fn answers_are_merged_by_id() {
        let mut found = DiscoveredCameras::default();
        for (id, ip, interface) in [
            ("A", "10.0.0.5", Some("eth1")),
            ("A", "169.254.1.222", Some("eth0")),
            ("A", "10.0.0.5", None),
            ("A", "10.0.0.5", Some("eth0")),
            ("A", "10.0.0.5", Some("eth1")),
            ("B", "10.0.0.5", None),
            ("B", "10.0.0.5", Some("eth1")),
        ] {
            let camera = found.add(simple(id, CameraState::FlashBooted), address(ip, interface));
            assert_eq!(camera.map(|camera| camera.id.as_str()), Some(id));
        }
        let cameras = found.into_cameras();
        let [a, b] = cameras.as_slice() else { panic!("{cameras:?}") };
        let expected = [
            address("10.0.0.5", Some("eth0")),
            address("10.0.0.5", Some("eth1")),
            address("169.254.1.222", Some("eth0")),
        ];
        assert_eq!((a.id.as_str(), a.addresses.as_slice()), ("A", &expected[..]));
        assert_eq!(a.ip(), Some(expected[0].ip));
        assert_eq!(a.ips(), [expected[0].ip, expected[2].ip]);
        assert_eq!(a.interfaces(), ["eth0", "eth1"]);
        assert_eq!(
            b.addresses,
            [address("10.0.0.5", Some("eth1"))],
            "an address with an interface replaces one without"
        );
    }

    #[test]
    fn latest_state_replaces_and_known_details_are_kept() {
        let mut found = DiscoveredCameras::default();
        let link = LinkInfo { id: "A".into(), speed_mbit_s: 100, full_duplex: true, boot_mode: 3 };
        assert_eq!(found.add(Answer::Info(link.clone()), address("10.0.0.5", None)), None, "its state is unknown");
        let extended = Answer::Extended {
            id: "A".into(),
            state: CameraState::FlashBooted,
            protocol: 4,
            platform: 2,
            port_http: 0,
            port_https: 0,
        };
        found.add(extended, address("10.0.0.5", None));
        found.add(simple("A", CameraState::Bootloader), address("10.0.0.6", None));
        let camera = found.cameras().next().expect("a camera").clone();
        assert_eq!(
            (camera.state, camera.platform, camera.link),
            (CameraState::Bootloader, Some(2), Some(link.clone()))
        );
        let faster = LinkInfo { speed_mbit_s: 1000, ..link };
        let camera = found.add(Answer::Info(faster.clone()), address("10.0.0.5", None)).expect("a camera");
        assert_eq!(camera.link.as_ref(), Some(&faster));
    }

    #[test]
    fn forged_answers_use_bounded_memory() {
        let mut found = DiscoveredCameras::default();
        for n in 0..MAX_CAMERAS + 10 {
            found.add(simple(&format!("{n}"), CameraState::Booted), address("10.0.0.5", None));
        }
        assert_eq!(found.cameras().len(), MAX_CAMERAS);
        for n in 0..MAX_ADDRESSES_PER_CAMERA as u32 + 10 {
            let from = CameraAddress { ip: Ipv4Addr::from_bits(n), interface: None };
            assert!(found.add(simple("0", CameraState::Booted), from).is_some(), "known cameras are still updated");
        }
        assert_eq!(found.cameras().next().map(|camera| camera.addresses.len()), Some(MAX_ADDRESSES_PER_CAMERA));
    }
}
