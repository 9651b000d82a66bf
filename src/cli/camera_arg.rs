//! The CAMERA argument, and the search for the camera that it names.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use oaktap::discovery::{self, AnswerError, DiscoveredCamera, Subnet};
use oaktap::net::discovery::{RESPONSE_WINDOW, Survey, Targets, find};
use oaktap::sim::bootloader::{CameraConfig, CameraSimulator};
use oaktap::source::{intended, without_password};

use super::present::{self, Usage, advised, printable};
use super::{SEARCH, value_parsers};

/// Cameras that an error names.
const NAMED_MAX: usize = 5;
/// Extensions of files that people give in the place of a camera.
const FILES: [&str; 4] = ["mcap", "dap", "toml", "blob"];

/// The limit for a camera that is named by its address to reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);

/// Creates the runtime that drives the sockets of one command on the current thread.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the network runtime")
}

/// A camera as named on the command line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum CameraArg {
    /// `192.168.1.50`, `192.168.1.50:11490`.
    Address {
        /// IPv4 only, like the bootloader (bootloader.md 2).
        ip: Ipv4Addr,
        /// The TCP port, if it is not the default one.
        port: Option<u16>,
    },
    /// `oak1.local`, `oak1.local:11490`: a name to resolve.
    Host {
        host: String,
        /// The TCP port, if it is not the default one.
        port: Option<u16>,
    },
    /// An id or the start of one, in upper or lower case.
    Id(String),
    /// `sim:`, `sim:bootloader=0.0.21&nor=16MiB`: a simulated camera.
    Simulated(Simulated),
}

/// A simulated camera. Starts when it is first searched for and runs until the program ends.
#[derive(Clone, Debug)]
pub(crate) struct Simulated {
    config: Box<CameraConfig>,
    camera: Arc<OnceLock<CameraSimulator>>,
}

impl PartialEq for Simulated {
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config
    }
}

impl Simulated {
    fn ip(&self) -> anyhow::Result<Ipv4Addr> {
        if self.camera.get().is_none() {
            let camera = CameraSimulator::start_nearby(&self.config).context("cannot simulate a camera")?;
            present::say(&format!("simulated camera at {}", camera.ip()));
            // Cannot fail: one thread alone searches for this camera.
            let _ = self.camera.set(camera);
        }
        Ok(self.camera.get().map_or(Ipv4Addr::UNSPECIFIED, CameraSimulator::ip))
    }
}

impl fmt::Display for CameraArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { ip, port: None } => write!(f, "{ip}"),
            Self::Address { ip, port: Some(port) } => write!(f, "{ip}:{port}"),
            Self::Host { host, port: None } => f.write_str(host),
            Self::Host { host, port: Some(port) } => write!(f, "{host}:{port}"),
            Self::Id(id) => f.write_str(&printable(id)),
            Self::Simulated(simulated) => write!(f, "the simulated camera {}", simulated.config.id),
        }
    }
}

impl FromStr for CameraArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // As in the sources of commands that receive, which share the configuration file.
        let text = text.trim();
        let expected = "expected an IPv4 address such as 192.168.1.50, the id of a camera, or the start of its id such as \
                        14442C; `oaktap list` shows both";
        let invalid = || match Path::new(text).is_file() || text.starts_with("file:") {
            true => {
                let path = oaktap::file::shell_word(Path::new(text.strip_prefix("file:").unwrap_or(text)));
                format!("`{text}` is a file, not a camera; `oaktap inspect {path}` shows recordings and packages")
            }
            false => format!("invalid camera `{}`; {expected}", without_password(text)),
        };
        if let Some(config) = text.strip_prefix("sim:") {
            let config = config.strip_prefix('?').unwrap_or(config).parse::<CameraConfig>();
            let config = Box::new(config.map_err(|error| error.to_string())?);
            return Ok(Self::Simulated(Simulated { config, camera: Arc::default() }));
        }
        if discovery::is_camera_id(text) {
            return Ok(Self::Id(text.to_owned()));
        }
        let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
        let ip = host.parse();
        let is_address = port.is_none_or(|port| !port.contains([':', '/'])) && !text.starts_with("file:");
        if !is_address || ip.is_err() && !is_host_name(host) {
            return Err(invalid());
        }
        let port = port.map(|port| match port.parse() {
            Ok(port) if port != 0 => Ok(port),
            // Shows nothing of a password.
            _ if port.contains('@') => Err("an address has no user name: remove all up to `@`".to_owned()),
            _ => {
                let intended = intended(text).map(|intended| format!("; did you mean `{intended}`?"));
                Err(format!("expected a port from 1 to 65535, found `{port}`{}", intended.unwrap_or_default()))
            }
        });
        let port = port.transpose()?;
        Ok(ip.map_or_else(|_| Self::Host { host: host.to_owned(), port }, |ip| Self::Address { ip, port }))
    }
}

/// Returns whether the text can be the name of a host, and not of a file.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        label.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_')) && label.starts_with(char::is_alphanumeric)
    };
    let path = Path::new(text);
    let is_file = path.extension().is_some_and(|found| FILES.iter().any(|known| found.eq_ignore_ascii_case(known)));
    text.contains(char::is_alphabetic) && text.split('.').all(is_label) && !is_file && !path.exists()
}

/// Finds the IPv4 address of a host by its name.
fn resolve(host: &str) -> anyhow::Result<Ipv4Addr> {
    let resolved = (host, 0).to_socket_addrs().map_err(|error| error.to_string());
    let ipv4 = |mut found: std::vec::IntoIter<SocketAddr>| {
        found.find_map(|address| if let IpAddr::V4(ip) = address.ip() { Some(ip) } else { None })
    };
    resolved.and_then(|found| ipv4(found).ok_or_else(|| "it has no IPv4 address".to_owned())).map_err(|why| {
        let error = anyhow::anyhow!("invalid camera `{host}`: no id, and not the name of a host: {why}");
        advised(error, "give its IPv4 address or its id; `oaktap list` shows both")
    })
}

/// Options of the search for cameras.
#[derive(Args, Clone, Debug)]
pub(crate) struct SearchArgs {
    /// Also query every address of this network, for cameras behind a router, such as 10.0.3.0/24; repeatable
    #[arg(long, value_name = "NETWORK", help_heading = SEARCH)]
    pub(crate) subnet: Vec<Subnet>,

    /// Wait this long for replies after the last query
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = value_parsers::duration, help_heading = SEARCH)]
    pub(crate) wait: Duration,

    /// UDP port of the cameras' discovery service, if remapped
    #[arg(long, value_name = "PORT", default_value_t = discovery::PORT, help_heading = SEARCH,
          value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) udp_port: u16,
}

impl Default for SearchArgs {
    fn default() -> Self {
        Self { subnet: Vec::new(), wait: RESPONSE_WINDOW, udp_port: discovery::PORT }
    }
}

/// A camera that was searched for.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) ip: Ipv4Addr,
    /// The TCP port, if the user gave one.
    pub(crate) port: Option<u16>,
    /// The UDP port of its discovery service: a simulated camera does not use that of `--udp-port`.
    pub(crate) udp_port: u16,
    /// Its reply. `None`: no reply from the address that the user gave. A firewall may block it.
    pub(crate) camera: Option<DiscoveredCamera>,
    /// The reason for rejecting a reply from this address.
    pub(crate) rejected: Option<AnswerError>,
}

impl Located {
    fn at(ip: Ipv4Addr, port: Option<u16>, udp_port: u16, survey: Survey) -> Self {
        let rejected = survey.unrecognized.into_iter().find(|(from, _)| *from == ip).map(|(_, error)| error);
        Self { ip, port, udp_port, camera: survey.cameras.into_iter().next(), rejected }
    }

    /// Returns the reply of the camera.
    pub(crate) fn replied(&self) -> anyhow::Result<DiscoveredCamera> {
        self.camera.clone().ok_or_else(|| {
            let Self { ip, udp_port, .. } = self;
            let error = match &self.rejected {
                Some(error) => {
                    anyhow::anyhow!("the reply from {ip}, UDP port {udp_port}, is not from a camera: {error}")
                }
                None => anyhow::anyhow!("no reply from a camera at {ip}, UDP port {udp_port}"),
            };
            advised(error, format!("`oaktap doctor {ip}` finds out why"))
        })
    }
}

impl CameraArg {
    /// Returns whether the camera is simulated.
    pub(crate) const fn is_simulated(&self) -> bool {
        matches!(self, Self::Simulated(_))
    }

    /// Returns the TCP port, if one is given.
    pub(crate) const fn port(&self) -> Option<u16> {
        match self {
            Self::Address { port, .. } | Self::Host { port, .. } => *port,
            Self::Id(_) | Self::Simulated(_) => None,
        }
    }

    /// Returns the camera with the default port.
    pub(crate) fn without_port(self) -> Self {
        match self {
            Self::Address { ip, .. } => Self::Address { ip, port: None },
            Self::Host { host, .. } => Self::Host { host, port: None },
            camera => camera,
        }
    }

    /// Returns a camera that is named by its host as one named by its address.
    pub(crate) fn resolved(&self) -> anyhow::Result<Self> {
        match self {
            Self::Host { host, port } => Ok(Self::Address { ip: resolve(host)?, port: *port }),
            camera => Ok(camera.clone()),
        }
    }

    /// Returns the address, unless the camera is named by its id. Starts a simulated camera.
    pub(crate) fn ip(&self) -> anyhow::Result<Option<Ipv4Addr>> {
        match self {
            Self::Address { ip, .. } => Ok(Some(*ip)),
            Self::Host { host, .. } => resolve(host).map(Some),
            Self::Simulated(simulated) => simulated.ip().map(Some),
            Self::Id(_) => Ok(None),
        }
    }

    /// Searches for the camera. A camera named by its address need not reply; one named by its id must.
    pub(crate) async fn locate(&self, search: &SearchArgs) -> anyhow::Result<Located> {
        match &self.resolved()? {
            Self::Host { .. } => unreachable!("it has been resolved"),
            Self::Simulated(simulated) => {
                let ip = simulated.ip()?;
                let survey =
                    find(&Targets::only(ip, discovery::PORT), REPLY_TIMEOUT.max(search.wait), |_| true).await?;
                Ok(Located::at(ip, None, discovery::PORT, survey))
            }
            Self::Address { ip, port } => {
                let survey =
                    find(&Targets::only(*ip, search.udp_port), REPLY_TIMEOUT.max(search.wait), |_| true).await?;
                Ok(Located::at(*ip, *port, search.udp_port, survey))
            }
            Self::Id(wanted) => {
                let targets = Targets { subnets: search.subnet.clone(), port: search.udp_port, ..Targets::default() };
                let survey = find(&targets, search.wait, |camera| camera.id.eq_ignore_ascii_case(wanted)).await?;
                choose(wanted, &survey, search.udp_port)
            }
        }
    }
}

/// Returns the only camera whose id is `wanted` or starts with it. `udp_port` is the one that was searched.
pub(crate) fn choose(wanted: &str, survey: &Survey, udp_port: u16) -> anyhow::Result<Located> {
    let begins = |camera: &&DiscoveredCamera| {
        camera.id.get(..wanted.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(wanted))
    };
    let exact = survey.cameras.iter().find(|camera| camera.id.eq_ignore_ascii_case(wanted));
    let candidates: Vec<_> = exact.map_or_else(|| survey.cameras.iter().filter(begins).collect(), |exact| vec![exact]);
    match candidates.as_slice() {
        [camera] => {
            let ip = camera.ip().ok_or_else(|| anyhow::anyhow!("camera {} has no address", camera.id))?;
            Ok(Located { ip, port: None, udp_port, camera: Some((*camera).clone()), rejected: None })
        }
        [] if survey.cameras.is_empty() => Err(advised(
            anyhow::anyhow!("no camera replied to the search for `{wanted}`"),
            "`oaktap doctor` finds out why; for a camera behind a router, give its address or --subnet",
        )),
        [] => Err(advised(
            anyhow::anyhow!("no camera id starts with `{wanted}`; found {}", named(&survey.cameras)),
            "for a camera behind a router, give its address or --subnet",
        )),
        several => {
            Err(Usage(format!("`{wanted}` matches several ids: {}; give more digits", named(several.iter().copied())))
                .into())
        }
    }
}

/// Formats a list such as `A at 10.0.0.5, B at 10.0.0.6`.
fn named<'a>(cameras: impl IntoIterator<Item = &'a DiscoveredCamera>) -> String {
    let name = |camera: &DiscoveredCamera| match camera.ip() {
        Some(ip) => printable(&format!("{} at {ip}", camera.id)),
        None => printable(&camera.id),
    };
    let mut names: Vec<_> = cameras.into_iter().map(name).collect();
    let more = names.len().saturating_sub(NAMED_MAX);
    names.truncate(NAMED_MAX);
    let listed = present::listed(&names);
    if more == 0 { listed } else { format!("{listed}, and {more} more (`oaktap list` shows all)") }
}

#[cfg(test)]
mod tests {
    use oaktap::discovery::{CameraAddress, CameraState};

    use super::*;

    #[test]
    fn addresses_ids_and_simulated_cameras_are_parsed() {
        let address = |ip: [u8; 4], port| CameraArg::Address { ip: ip.into(), port };
        for (text, expected) in [
            ("192.168.1.50", address([192, 168, 1, 50], None)),
            (" 192.168.1.50 ", address([192, 168, 1, 50], None)),
            ("169.254.1.222:11490", address([169, 254, 1, 222], Some(11_490))),
            ("14442C10D13EABCE00", CameraArg::Id("14442C10D13EABCE00".to_owned())),
            ("1", CameraArg::Id("1".to_owned())),
            ("oak1.local", CameraArg::Host { host: "oak1.local".to_owned(), port: None }),
            ("garden:11490", CameraArg::Host { host: "garden".to_owned(), port: Some(11_490) }),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for (text, error) in [
            ("", "invalid camera ``"),
            ("cam 1", "invalid camera `cam 1`"),
            ("oak1.local:0", "expected a port from 1 to 65535, found `0`"),
            ("-oak1", "invalid camera `-oak1`"),
            ("../a", "invalid camera `../a`"),
            ("192.168.1", "invalid camera `192.168.1`"),
            ("192.168.1.50:0", "expected a port from 1 to 65535, found `0`"),
            ("192.168.1.50:x", "expected a port from 1 to 65535, found `x`"),
            ("192.168.1.256", "invalid camera `192.168.1.256`"),
            ("tcp://192.168.1.50", "invalid camera `tcp://192.168.1.50`; expected an IPv4 address"),
            ("recording.mcap", "invalid camera `recording.mcap`; expected an IPv4 address"),
            ("fe80::1", "invalid camera `fe80::1`"),
            ("http://admin:s3cret@cam/x", "invalid camera `http://admin:***@cam/x`"),
            ("admin:s3cret@cam", "an address has no user name"),
            ("file:x.mcap", "`file:x.mcap` is a file, not a camera; `oaktap inspect x.mcap` shows recordings"),
            ("sim:nor=x", "`nor=x`: expected an amount of bytes"),
            ("sim:nand=1", "unknown option `nand`"),
        ] {
            let found = text.parse::<CameraArg>().unwrap_err();
            assert!(found.starts_with(error) && !found.contains("s3cret"), "{text}: {found}");
        }
    }

    #[test]
    fn hosts_are_found_by_their_names() {
        let camera: CameraArg = "localhost:11490".parse().expect("a host");
        let address = CameraArg::Address { ip: Ipv4Addr::LOCALHOST, port: Some(11_490) };
        assert_eq!(camera.resolved().expect("it is in every list of hosts"), address);
        // RFC 6761: names below `invalid` do not exist.
        let gone: CameraArg = "oak1.invalid".parse().expect("a host");
        let error = gone.ip().expect_err("no such host").to_string();
        assert!(error.starts_with("invalid camera `oak1.invalid`: no id, and not the name of a host: "), "{error}");
    }

    fn survey(ids: &[&str]) -> Survey {
        let camera = |(at, id): (usize, &&str)| DiscoveredCamera {
            id: (*id).to_owned(),
            addresses: vec![CameraAddress { ip: [10, 0, 0, at as u8 + 1].into(), interface: None }],
            state: CameraState::FlashBooted,
            platform: None,
            link: None,
        };
        Survey { cameras: ids.iter().enumerate().map(camera).collect(), ..Survey::default() }
    }

    #[test]
    fn an_exact_id_wins_over_longer_ids_that_start_with_it() {
        let survey = survey(&["14442C10", "14442C1077", "1844A"]);
        for (wanted, ip) in [("14442C10", 1), ("14442c107", 2), ("18", 3)] {
            let located = choose(wanted, &survey, 11_491).expect(wanted);
            assert_eq!(located.ip, Ipv4Addr::new(10, 0, 0, ip));
        }
    }

    #[test]
    fn errors_list_the_candidates() {
        let cameras = survey(&["14442C10", "14442C11", "1844A"]);
        for (wanted, survey, error) in [
            ("14", &cameras, "`14` matches several ids: 14442C10 at 10.0.0.1, 14442C11 at 10.0.0.2; give more digits"),
            (
                "F",
                &cameras,
                "no camera id starts with `F`; found 14442C10 at 10.0.0.1, 14442C11 at 10.0.0.2, 1844A at 10.0.0.3",
            ),
            ("F", &Survey::default(), "no camera replied to the search for `F`"),
        ] {
            assert_eq!(choose(wanted, survey, 11_491).unwrap_err().to_string(), error);
        }
    }
}
