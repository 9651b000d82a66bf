//! Answers -> cameras: one for each id, with every address and every interface that it answered from.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Serialize;

use super::{Answer, LinkInfo, State};

/// Cameras that are kept apart, and addresses of each. Anybody in the network can answer: a liar must not fill memory.
const CAMERAS: usize = 4096;
const ADDRESSES: usize = 64;

/// Where a camera answered from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Seen {
    /// The camera's address.
    pub ip: Ipv4Addr,
    /// This host's interface that the answer came in by, if that is known.
    pub interface: Option<String>,
}

/// A camera that answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Camera {
    /// What tells it from every other one (the vendor's MXID).
    pub id: String,
    /// Where it answered from, each pair once. Addresses that were assigned come before the link-local ones, which a
    /// camera gives itself and others may have too.
    pub addresses: Vec<Seen>,
    /// What it is doing; what it said last.
    pub state: State,
    /// 2 is the Myriad X (RVC2). Not every camera says it.
    pub platform: Option<u32>,
    /// Its own end of the cable, if it was asked and said it.
    pub link: Option<LinkInfo>,
}

impl Camera {
    /// The address to talk to it: the first one.
    #[must_use]
    pub fn ip(&self) -> Option<Ipv4Addr> {
        self.addresses.first().map(|seen| seen.ip)
    }

    /// All its addresses, each once, however many interfaces they were seen by.
    #[must_use]
    pub fn ips(&self) -> Vec<Ipv4Addr> {
        let mut ips: Vec<_> = self.addresses.iter().map(|seen| seen.ip).collect();
        ips.dedup();
        ips
    }

    /// All interfaces that it was seen by, each once.
    #[must_use]
    pub fn interfaces(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.addresses.iter().filter_map(|seen| seen.interface.as_deref()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn see(&mut self, seen: Seen) {
        let known =
            |other: &Seen| other.ip == seen.ip && (seen.interface.is_none() || other.interface == seen.interface);
        if self.addresses.iter().any(known) {
            return;
        }
        self.addresses.retain(|other| other.ip != seen.ip || other.interface.is_some());
        if self.addresses.len() < ADDRESSES {
            self.addresses.push(seen);
            self.addresses.sort_by_key(|seen| (seen.ip.is_link_local(), seen.clone()));
        }
    }
}

/// All cameras that answered.
#[derive(Clone, Debug, Default)]
pub struct Found {
    cameras: BTreeMap<String, Camera>,
    // They come before the camera's first answer when datagrams overtake each other.
    links: BTreeMap<String, LinkInfo>,
}

impl Found {
    /// Adds an answer, and lends the camera that it is from. `None`: it is not known what it does yet, or there are
    /// more cameras than any network has.
    pub fn add(&mut self, answer: Answer, seen: Seen) -> Option<&Camera> {
        let (id, state, platform) = match answer {
            Answer::Simple { id, state } => (id, state, None),
            Answer::Extended { id, state, platform, .. } => (id, state, Some(platform)),
            Answer::Info(link) => return self.link(link, seen),
        };
        if self.cameras.len() >= CAMERAS && !self.cameras.contains_key(&id) {
            return None;
        }
        let link = self.links.remove(&id);
        let camera = self.cameras.entry(id).or_insert_with_key(|id| Camera {
            id: id.clone(),
            addresses: Vec::new(),
            state,
            platform: None,
            link: None,
        });
        camera.state = state;
        camera.platform = platform.or(camera.platform);
        camera.link = link.or(camera.link.take());
        camera.see(seen);
        Some(camera)
    }

    fn link(&mut self, link: LinkInfo, seen: Seen) -> Option<&Camera> {
        let Some(camera) = self.cameras.get_mut(&link.id) else {
            if self.links.len() < CAMERAS {
                self.links.insert(link.id.clone(), link);
            }
            return None;
        };
        camera.link = Some(link);
        camera.see(seen);
        Some(camera)
    }

    /// The cameras, by id.
    pub fn cameras(&self) -> impl ExactSizeIterator<Item = &Camera> {
        self.cameras.values()
    }

    /// The cameras, by id.
    #[must_use]
    pub fn into_cameras(self) -> Vec<Camera> {
        self.cameras.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(ip: &str, interface: Option<&str>) -> Seen {
        Seen { ip: ip.parse().expect("an address"), interface: interface.map(str::to_owned) }
    }

    fn simple(id: &str, state: State) -> Answer {
        Answer::Simple { id: id.to_owned(), state }
    }

    #[test]
    fn one_row_for_each_camera() {
        let mut found = Found::default();
        for (id, ip, interface) in [
            ("A", "10.0.0.5", Some("eth1")),
            ("A", "169.254.1.222", Some("eth0")),
            ("A", "10.0.0.5", None),
            ("A", "10.0.0.5", Some("eth0")),
            ("A", "10.0.0.5", Some("eth1")),
            ("B", "10.0.0.5", None),
            ("B", "10.0.0.5", Some("eth1")),
        ] {
            let camera = found.add(simple(id, State::FlashBooted), seen(ip, interface));
            assert_eq!(camera.map(|camera| camera.id.as_str()), Some(id));
        }
        let cameras = found.into_cameras();
        let [a, b] = cameras.as_slice() else { panic!("{cameras:?}") };
        let expected =
            [seen("10.0.0.5", Some("eth0")), seen("10.0.0.5", Some("eth1")), seen("169.254.1.222", Some("eth0"))];
        assert_eq!((a.id.as_str(), a.addresses.as_slice()), ("A", &expected[..]));
        assert_eq!(a.ip(), Some(expected[0].ip));
        assert_eq!(a.ips(), [expected[0].ip, expected[2].ip]);
        assert_eq!(a.interfaces(), ["eth0", "eth1"]);
        assert_eq!(b.addresses, [seen("10.0.0.5", Some("eth1"))], "an interface is better than none");
    }

    #[test]
    fn the_last_word_counts_and_more_is_kept() {
        let mut found = Found::default();
        let link = LinkInfo { id: "A".into(), speed_mbit_s: 100, full_duplex: true, boot_mode: 3 };
        assert_eq!(found.add(Answer::Info(link.clone()), seen("10.0.0.5", None)), None, "it said nothing of its state");
        let extended = Answer::Extended {
            id: "A".into(),
            state: State::FlashBooted,
            protocol: 4,
            platform: 2,
            port_http: 0,
            port_https: 0,
        };
        found.add(extended, seen("10.0.0.5", None));
        found.add(simple("A", State::Bootloader), seen("10.0.0.6", None));
        let camera = found.cameras().next().expect("a camera").clone();
        assert_eq!((camera.state, camera.platform, camera.link), (State::Bootloader, Some(2), Some(link.clone())));
        let faster = LinkInfo { speed_mbit_s: 1000, ..link };
        let camera = found.add(Answer::Info(faster.clone()), seen("10.0.0.5", None)).expect("a camera");
        assert_eq!(camera.link.as_ref(), Some(&faster));
    }

    #[test]
    fn a_liar_does_not_fill_memory() {
        let mut found = Found::default();
        for n in 0..CAMERAS + 10 {
            found.add(simple(&format!("{n}"), State::Booted), seen("10.0.0.5", None));
        }
        assert_eq!(found.cameras().len(), CAMERAS);
        for n in 0..ADDRESSES as u32 + 10 {
            let seen = Seen { ip: Ipv4Addr::from_bits(n), interface: None };
            assert!(found.add(simple("0", State::Booted), seen).is_some(), "those who are known are still heard");
        }
        assert_eq!(found.cameras().next().map(|camera| camera.addresses.len()), Some(ADDRESSES));
    }
}
