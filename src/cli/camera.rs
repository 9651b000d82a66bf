//! The CAMERA argument: an address, an id, the beginning of one, or a simulated camera -> the camera that is meant.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use oaktap::discovery::{self, Camera, Subnet};
use oaktap::net::discovery::{RESPONSE_WINDOW, Survey, Targets, find};
use oaktap::sim::bootloader::{CameraConfig, CameraSimulator};

use super::present::{self, Usage, advised, printable};
use super::values;

/// What the argument is, for `help` texts.
pub(crate) const CAMERA: &str = "IP[:PORT]|ID|sim:";
/// How long one camera that was named by its address is asked, before it counts as absent.
const PATIENCE: Duration = Duration::from_secs(2);

/// What drives the sockets of one command, on its own thread.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("sockets cannot be driven")
}

/// A camera as the user names it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum CameraArg {
    /// `192.168.1.50`, `192.168.1.50:11490`.
    Address {
        /// IPv4: cameras have no other (bootloader.md 2).
        ip: Ipv4Addr,
        /// A TCP port other than the usual one.
        port: Option<u16>,
    },
    /// An id or the beginning of one, in upper or lower case.
    Id(String),
    /// `sim:`, `sim:bootloader=0.0.21&nor=16MiB`: one that does not exist.
    Simulated(Simulated),
}

/// A camera that does not exist. It is there from when it is first looked for until the program ends.
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
            let camera = CameraSimulator::start_nearby(&self.config).context("a camera cannot be simulated")?;
            present::say(&format!("a simulated camera is at {}", camera.ip()));
            // Nobody else starts it: whoever looks for it has it for himself.
            let _ = self.camera.set(camera);
        }
        Ok(self.camera.get().map_or(Ipv4Addr::UNSPECIFIED, CameraSimulator::ip))
    }
}

impl fmt::Display for CameraArg {
    /// As the user named it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { ip, port: None } => write!(f, "{ip}"),
            Self::Address { ip, port: Some(port) } => write!(f, "{ip}:{port}"),
            Self::Id(id) => f.write_str(&printable(id)),
            Self::Simulated(simulated) => write!(f, "the simulated camera {}", simulated.config.id),
        }
    }
}

impl FromStr for CameraArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected an IPv4 address such as 192.168.1.50, or the id of a camera or its beginning such as \
                        14442C; `oaktap list` shows both";
        if let Some(config) = text.strip_prefix("sim:") {
            let config = config.strip_prefix('?').unwrap_or(config).parse::<CameraConfig>();
            let config = Box::new(config.map_err(|error| error.to_string())?);
            return Ok(Self::Simulated(Simulated { config, camera: Arc::default() }));
        }
        if text.contains('.') {
            let (ip, port) = text.split_once(':').map_or((text, None), |(ip, port)| (ip, Some(port)));
            let ip = ip.parse().map_err(|_| format!("`{ip}` is no IPv4 address; {expected}"))?;
            let port = port.map(|port| match port.parse() {
                Ok(port) if port != 0 => Ok(port),
                _ => Err(format!("expected a port from 1 to 65535, found `{port}`")),
            });
            return Ok(Self::Address { ip, port: port.transpose()? });
        }
        if text.is_empty() || !text.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(format!("`{text}` names no camera; {expected}"));
        }
        Ok(Self::Id(text.to_owned()))
    }
}

/// Where cameras are looked for, for every command that takes one.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Search")]
pub(crate) struct SearchArgs {
    /// Ask every address of this network too, for cameras behind a router: 10.0.3.0/24. Can be given several times
    #[arg(long, value_name = "NETWORK")]
    pub(crate) subnet: Vec<Subnet>,

    /// How long answers are waited for behind the last question
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = values::duration)]
    pub(crate) wait: Duration,

    /// The UDP port that cameras answer at, where it is translated
    #[arg(long, value_name = "PORT", default_value_t = discovery::PORT, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) udp_port: u16,
}

impl Default for SearchArgs {
    fn default() -> Self {
        Self { subnet: Vec::new(), wait: RESPONSE_WINDOW, udp_port: discovery::PORT }
    }
}

/// The camera that was meant, and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    /// Its address.
    pub(crate) ip: Ipv4Addr,
    /// The TCP port, if one was given.
    pub(crate) port: Option<u16>,
    /// What it said. `None`: nobody answered at the address that was given; it may still be there, behind a firewall.
    pub(crate) camera: Option<Camera>,
}

impl CameraArg {
    /// Whether it does not exist.
    pub(crate) const fn is_simulated(&self) -> bool {
        matches!(self, Self::Simulated(_))
    }

    /// One that is named by an address, or does not exist: for who looks for all the others anyway.
    pub(crate) fn with_address(text: &str) -> Result<Self, String> {
        match text.parse()? {
            Self::Address { ip, port: None } => Ok(Self::Address { ip, port: None }),
            Self::Simulated(simulated) => Ok(Self::Simulated(simulated)),
            Self::Address { .. } | Self::Id(_) => {
                Err(format!("`{text}` is no IPv4 address; expected one such as 192.168.1.50, or sim:"))
            }
        }
    }

    /// Its address, if it was named by one. A simulated camera is started.
    pub(crate) fn ip(&self) -> anyhow::Result<Option<Ipv4Addr>> {
        match self {
            Self::Address { ip, .. } => Ok(Some(*ip)),
            Self::Simulated(simulated) => simulated.ip().map(Some),
            Self::Id(_) => Ok(None),
        }
    }

    /// Finds it. An address need not answer; an id must.
    pub(crate) async fn locate(&self, search: &SearchArgs) -> anyhow::Result<Located> {
        match self {
            Self::Simulated(simulated) => {
                let ip = simulated.ip()?;
                let survey = find(&Targets::only(ip, discovery::PORT), PATIENCE.max(search.wait), |_| true).await?;
                Ok(Located { ip, port: None, camera: survey.cameras.into_iter().next() })
            }
            Self::Address { ip, port } => {
                let survey = find(&Targets::only(*ip, search.udp_port), PATIENCE.max(search.wait), |_| true).await?;
                Ok(Located { ip: *ip, port: *port, camera: survey.cameras.into_iter().next() })
            }
            Self::Id(wanted) => {
                let targets = Targets { subnets: search.subnet.clone(), port: search.udp_port, ..Targets::default() };
                let survey = find(&targets, search.wait, |camera| camera.id.eq_ignore_ascii_case(wanted)).await?;
                choose(wanted, &survey)
            }
        }
    }
}

/// The one camera whose id is `wanted` or begins with it.
fn choose(wanted: &str, survey: &Survey) -> anyhow::Result<Located> {
    let begins = |camera: &&Camera| {
        camera.id.get(..wanted.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(wanted))
    };
    let exact = survey.cameras.iter().find(|camera| camera.id.eq_ignore_ascii_case(wanted));
    let candidates: Vec<_> = exact.map_or_else(|| survey.cameras.iter().filter(begins).collect(), |exact| vec![exact]);
    match candidates.as_slice() {
        [camera] => {
            let ip = camera.ip().ok_or_else(|| anyhow::anyhow!("camera {} has no address", camera.id))?;
            Ok(Located { ip, port: None, camera: Some((*camera).clone()) })
        }
        [] if survey.cameras.is_empty() => Err(advised(
            anyhow::anyhow!("no camera answered, so none is `{wanted}`"),
            "`oaktap doctor` finds out why; a camera behind a router is found by its address, or with --subnet",
        )),
        [] => Err(advised(
            anyhow::anyhow!("no camera has an id that begins with `{wanted}`; there are {}", named(&survey.cameras)),
            "a camera behind a router is found by its address, or with --subnet",
        )),
        several => Err(Usage(format!(
            "`{wanted}` is the beginning of several ids: {}; give more of it",
            named(several.iter().copied())
        ))
        .into()),
    }
}

/// `A at 10.0.0.5, B at 10.0.0.6`.
fn named<'a>(cameras: impl IntoIterator<Item = &'a Camera>) -> String {
    let name = |camera: &Camera| match camera.ip() {
        Some(ip) => printable(&format!("{} at {ip}", camera.id)),
        None => printable(&camera.id),
    };
    cameras.into_iter().map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use oaktap::discovery::{Seen, State};

    use super::*;

    #[test]
    fn what_people_write() {
        let address = |ip: [u8; 4], port| CameraArg::Address { ip: ip.into(), port };
        for (text, expected) in [
            ("192.168.1.50", address([192, 168, 1, 50], None)),
            ("169.254.1.222:11490", address([169, 254, 1, 222], Some(11_490))),
            ("14442C10D13EABCE00", CameraArg::Id("14442C10D13EABCE00".to_owned())),
            ("1", CameraArg::Id("1".to_owned())),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for (text, error) in [
            ("", "`` names no camera"),
            ("cam 1", "`cam 1` names no camera"),
            ("192.168.1", "`192.168.1` is no IPv4 address"),
            ("192.168.1.50:0", "expected a port from 1 to 65535, found `0`"),
            ("192.168.1.50:x", "expected a port from 1 to 65535, found `x`"),
            ("fe80::1", "`fe80::1` names no camera"),
            ("sim:nor=x", "`nor=x`: expected bytes"),
            ("sim:nand=1", "`nand` is nothing that can be simulated"),
        ] {
            let found = text.parse::<CameraArg>().unwrap_err();
            assert!(found.starts_with(error), "{text}: {found}");
        }
    }

    fn survey(ids: &[&str]) -> Survey {
        let camera = |(at, id): (usize, &&str)| Camera {
            id: (*id).to_owned(),
            addresses: vec![Seen { ip: [10, 0, 0, at as u8 + 1].into(), interface: None }],
            state: State::FlashBooted,
            platform: None,
            link: None,
        };
        Survey { cameras: ids.iter().enumerate().map(camera).collect(), ..Survey::default() }
    }

    #[test]
    fn an_id_or_the_beginning_of_one_camera() {
        let survey = survey(&["14442C10", "14442C1077", "1844A"]);
        for (wanted, ip) in [("14442C10", 1), ("14442c107", 2), ("18", 3)] {
            let located = choose(wanted, &survey).expect(wanted);
            assert_eq!(located.ip, Ipv4Addr::new(10, 0, 0, ip));
        }
    }

    #[test]
    fn errors_name_the_candidates() {
        let cameras = survey(&["14442C10", "14442C11", "1844A"]);
        for (wanted, survey, error) in [
            (
                "14",
                &cameras,
                "`14` is the beginning of several ids: 14442C10 at 10.0.0.1, 14442C11 at 10.0.0.2; give more of it",
            ),
            (
                "F",
                &cameras,
                "no camera has an id that begins with `F`; there are 14442C10 at 10.0.0.1, 14442C11 at 10.0.0.2, \
                 1844A at 10.0.0.3",
            ),
            ("F", &Survey::default(), "no camera answered, so none is `F`"),
        ] {
            assert_eq!(choose(wanted, survey).unwrap_err().to_string(), error);
        }
    }
}
