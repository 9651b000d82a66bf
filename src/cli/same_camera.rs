//! Finds two sources of one command that are the same camera: by the addresses of their hosts, and the port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use oaktap::source::{NamedSource, SourceSpec};

use super::present::{Usage, advised, printable};

/// The limit for all names of hosts to resolve. A later connection reports a name that does not.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(1);

/// A source as the user gave it.
#[derive(Debug)]
pub(crate) struct Given {
    /// The word, such as an id.
    pub(crate) word: String,
    pub(crate) source: NamedSource,
    /// All addresses from which the camera replied to a search.
    pub(crate) addresses: Vec<Ipv4Addr>,
}

/// Refuses two sources that are the same camera: a standalone camera serves one client at a time, so the second would only
/// wait. Two ports of one host are two cameras, because simulated ones and forwarded ports share a host.
pub(crate) fn refuse_same_camera(cameras: &[Given]) -> anyhow::Result<()> {
    let places = places(cameras);
    for (number, place) in places.iter().enumerate() {
        let Some(first) = places[..number].iter().position(|other| overlap(other, place)) else { continue };
        let [first, second] = [&cameras[first], &cameras[number]];
        let text = match (first.word == second.word, &second.source.spec) {
            (true, _) => format!("the camera `{}` is given twice", first.word),
            (false, spec) => format!("`{}` and `{}` are the same camera, {spec}", first.word, second.word),
        };
        let help = "give each camera once: it serves one client at a time, so the second would only wait";
        return Err(advised(Usage(printable(&text)).into(), help));
    }
    Ok(())
}

/// A resource that only one source of a command can use.
#[derive(Debug)]
enum Place {
    Camera(Vec<SocketAddr>),
    /// A port of this host, where it listens.
    Here(Vec<SocketAddr>),
    None,
}

fn overlap(one: &Place, other: &Place) -> bool {
    match (one, other) {
        (Place::Camera(one), Place::Camera(other)) => one.iter().any(|address| other.contains(address)),
        (Place::Here(one), Place::Here(other)) => one.iter().any(|one| {
            let any = |address: &SocketAddr| address.ip().is_unspecified();
            other.iter().any(|other| one.port() == other.port() && (one == other || any(one) || any(other)))
        }),
        _ => false,
    }
}

fn places(cameras: &[Given]) -> Vec<Place> {
    let resolved = resolve(cameras.iter().map(|camera| match &camera.source.spec {
        SourceSpec::Tcp { host, port } | SourceSpec::Listen { host, port } => Some((host.clone(), *port)),
        // Servers of other protocols have several clients.
        _ => None,
    }));
    let place = |(camera, mut addresses): (&Given, Vec<SocketAddr>)| match camera.source.spec {
        SourceSpec::Tcp { port, .. } => {
            addresses.extend(camera.addresses.iter().map(|ip| SocketAddr::from((*ip, port))));
            Place::Camera(addresses.into_iter().map(destination).collect())
        }
        SourceSpec::Listen { .. } => Place::Here(addresses),
        _ => Place::None,
    };
    cameras.iter().zip(resolved).map(place).collect()
}

/// Returns the address that a connection to this one reaches. The port and the zone stay.
fn destination(mut address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        // An IPv4 address in an IPv6 one has no zone.
        IpAddr::V4(ip) => return (ip, address.port()).into(),
        IpAddr::V6(_) => {}
    }
    address
}

/// Resolves all hosts at the same time. A host that cannot be resolved in time has no addresses.
fn resolve(hosts: impl Iterator<Item = Option<(String, u16)>>) -> Vec<Vec<SocketAddr>> {
    let (sender, receiver) = mpsc::channel();
    let mut found = Vec::new();
    for (number, host) in hosts.enumerate() {
        found.push(Vec::new());
        let Some((host, port)) = host else { continue };
        if let Ok(ip) = host.parse::<IpAddr>() {
            found[number].push((ip, port).into());
            continue;
        }
        let sender = sender.clone();
        // The end of the process ends it too. Without a thread, the host has no addresses.
        let _ = thread::Builder::new().spawn(move || {
            let addresses = (host.as_str(), port).to_socket_addrs().map_or_else(|_| Vec::new(), Iterator::collect);
            // The receiver is gone after the limit.
            let _ = sender.send((number, addresses));
        });
    }
    drop(sender);
    let until = Instant::now() + RESOLVE_TIMEOUT;
    while let Ok((number, addresses)) = receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
        found[number] = addresses;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(word: &str) -> Given {
        let source = word.parse().expect(word);
        Given { word: word.to_owned(), source, addresses: Vec::new() }
    }

    fn refusal(cameras: &[Given]) -> Option<String> {
        refuse_same_camera(cameras).err().map(|error| error.to_string())
    }

    #[test]
    fn spellings_of_one_address_are_one_camera() {
        for (one, other) in [
            ("192.168.1.50", "tcp://192.168.1.50"),
            ("192.168.1.50", "192.168.1.50:5000/"),
            ("a=192.168.1.50", "b=192.168.1.50"),
            ("a=192.168.1.50", "192.168.1.50"),
            ("localhost", "127.0.0.1:5000"),
            ("LOCALHOST:6000", "localhost:6000"),
            ("0.0.0.0:6000", "127.0.0.1:6000"),
            ("::1", "tcp://[0:0:0:0:0:0:0:1]:5000"),
            ("[::ffff:10.0.0.5]:6000", "10.0.0.5:6000"),
            ("[::ffff:0.0.0.0]:6000", "127.0.0.1:6000"),
            ("listen://:6000", "listen://10.0.0.1:6000"),
            ("listen://[::]:6000", "listen://127.0.0.1:6000"),
        ] {
            let text = refusal(&[given("10.9.9.9"), given(one), given(other)]).expect(other);
            assert!(text.starts_with(&format!("`{one}` and `{other}` are the same camera, ")), "{text}");
        }
        assert_eq!(
            refusal(&[given("10.0.0.5"), given("10.0.0.5")]).as_deref(),
            Some("the camera `10.0.0.5` is given twice")
        );
    }

    #[test]
    fn an_id_is_the_camera_of_each_of_its_addresses() {
        let mut id = given("tcp://10.0.0.5");
        (id.word, id.addresses) = ("14442C".to_owned(), vec![[10, 0, 0, 5].into(), [169, 254, 1, 222].into()]);
        let text = refusal(&[id, given("169.254.1.222")]).expect("the same");
        assert_eq!(text, "`14442C` and `169.254.1.222` are the same camera, tcp://169.254.1.222:5000");
    }

    #[test]
    fn other_ports_hosts_and_kinds_are_other_cameras() {
        let words = [
            "127.0.0.1:6000",
            "127.0.0.1:6001",
            "127.0.0.2:6000",
            "10.0.0.5",
            "[fe80::1]:6000",
            "sim:",
            "sim:",
            "a.mcap",
            "a.mcap",
            "listen://:6000",
            "listen://:6001",
            "nowhere.invalid",
            "also.nowhere.invalid",
        ];
        assert_eq!(refusal(&words.map(given)), None);
    }
}
