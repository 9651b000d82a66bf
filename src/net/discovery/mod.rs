//! Asks for cameras: by broadcast on every interface, one by one, or subnet by subnet. And one thing that is no
//! question: [`reset_to_bootloader`].
//!
//! As the vendor's client does (bootloader.md 1), with these differences: every interface is asked from a socket of its
//! own, so that it is known which one a camera is at, and two interfaces in one network are asked both; questions are
//! asked several times, because datagrams get lost; cameras behind a router can be asked address by address.

mod lines;
mod reset;

pub use reset::{RESET_LIMIT, ResetError, reset_to_bootloader, wait_for};

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::interfaces::{Interface, interfaces, source_for};
use crate::discovery::{Answer, AnswerError, CameraAddress, DiscoveredCamera, DiscoveredCameras, PORT, Query, Subnet};
use lines::Line;

/// How long answers are waited for behind the last question (bootloader.md 1, "total collection window").
pub const WINDOW: Duration = Duration::from_millis(500);
/// How often each question is asked within the window, and the time from one to the next.
const ROUNDS: u32 = 3;
const ROUND: Duration = Duration::from_millis(80);
/// Questions of a sweep that go out together, and the time from one such burst to the next: 1,000 a second. Each one may
/// cost a router an address request that nobody answers.
const BURST: usize = 10;
const PAUSE: Duration = Duration::from_millis(10);
/// Longer than any answer.
const DATAGRAM: usize = 256;
/// Strange datagrams that are kept: anybody can send them.
const STRANGE: usize = 16;

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    /// Everybody in the networks of this host.
    pub broadcast: bool,
    /// These.
    pub addresses: Vec<Ipv4Addr>,
    /// Every address of these, one after the other: for cameras behind a router, which broadcasts do not pass.
    pub subnets: Vec<Subnet>,
    /// Ask `addresses` for the speed of their link too. A camera may leave that unanswered.
    pub link: bool,
    /// The UDP port that cameras answer at.
    pub port: u16,
}

impl Default for Targets {
    fn default() -> Self {
        Self { broadcast: true, addresses: Vec::new(), subnets: Vec::new(), link: false, port: PORT }
    }
}

impl Targets {
    /// One camera at an address.
    #[must_use]
    pub fn only(ip: Ipv4Addr, port: u16) -> Self {
        Self { broadcast: false, addresses: vec![ip], port, ..Self::default() }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Survey {
    /// Who answered, by id.
    pub cameras: Vec<DiscoveredCamera>,
    /// What could not be asked. The vendor's client keeps silent about it.
    pub unsent: Vec<Unsent>,
    /// Who else answered, and why that is no camera.
    pub strange: Vec<(Ipv4Addr, AnswerError)>,
    /// The networks that were asked by broadcast.
    pub asked: Vec<Interface>,
}

/// A question that could not be sent.
#[derive(Debug)]
pub struct Unsent {
    /// To whom: an address, or the broadcast address of a network.
    pub to: Ipv4Addr,
    /// The interface that it was to leave by, if that was given.
    pub interface: Option<String>,
    /// How many more like it: other addresses of the subnet that is swept.
    pub more: u64,
    /// Why.
    pub error: io::Error,
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to)?;
        if self.more > 0 {
            write!(f, " and {} more", self.more)?;
        }
        if let Some(interface) = &self.interface {
            write!(f, " on {interface}")?;
        }
        write!(f, " could not be asked: {}", self.error)
    }
}

/// Why nobody could be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// The system does not tell its interfaces.
    #[error("the interfaces of this host cannot be listed: {0}")]
    Interfaces(#[source] io::Error),
    /// There is no socket to be had.
    #[error("no UDP socket can be opened: {0}")]
    Socket(#[source] io::Error),
}

/// Asks, and collects answers for `window` behind the last question, or until `until` says of a camera, as it has
/// answered so far, that this is enough.
///
/// It asks only [`Query::Discover`] (and [`Query::Info`] when `link` is set): nothing on a camera is stopped or changed.
///
/// # Errors
/// Nobody could be asked. That a part of them could not is in the [`Survey`].
pub async fn find(
    targets: &Targets,
    window: Duration,
    mut until: impl FnMut(&DiscoveredCamera) -> bool,
) -> Result<Survey, FindError> {
    let local = interfaces().map_err(FindError::Interfaces)?;
    let (lines, mut unsent) = lines::open(targets, &local)?;
    let (tell, mut heard) = mpsc::channel(64);
    let mut listening = JoinSet::new();
    for line in &lines {
        listening.spawn(listen(Arc::clone(line), tell.clone()));
    }
    drop(tell);

    let mut found = DiscoveredCameras::default();
    let mut strange = Vec::new();
    let mut ways = Ways { local, known: BTreeMap::new() };
    let mut take = |heard: Heard, ways: &mut Ways| match Answer::parse(&heard.datagram) {
        Ok(answer) => {
            let interface = heard.interface.or_else(|| ways.to(heard.from));
            found.add(answer, CameraAddress { ip: heard.from, interface }).is_some_and(&mut until)
        }
        Err(error) => {
            tracing::debug!(from = %heard.from, "{error}");
            if strange.len() < STRANGE {
                strange.push((heard.from, error));
            }
            false
        }
    };
    {
        let asking = ask(&lines, targets, window, &mut unsent);
        tokio::pin!(asking);
        loop {
            tokio::select! {
                Some(heard) = heard.recv() => if take(heard, &mut ways) { break },
                () = &mut asking => {
                    // What is there already was in time.
                    while let Ok(heard) = heard.try_recv() {
                        if take(heard, &mut ways) {
                            break;
                        }
                    }
                    break;
                }
            }
        }
    }
    let asked = lines.iter().filter_map(|line| line.interface.clone()).collect();
    Ok(Survey { cameras: found.into_cameras(), unsent, strange, asked })
}

/// A datagram that came.
struct Heard {
    from: Ipv4Addr,
    interface: Option<String>,
    datagram: Vec<u8>,
}

async fn listen(line: Arc<Line>, tell: mpsc::Sender<Heard>) {
    let mut buffer = [0; DATAGRAM];
    loop {
        match line.socket.recv_from(&mut buffer).await {
            Ok((length, SocketAddr::V4(from))) => {
                let interface = line.interface.as_ref().map(|interface| interface.name.clone());
                let heard = Heard { from: *from.ip(), interface, datagram: buffer[..length].to_vec() };
                if tell.send(heard).await.is_err() {
                    return;
                }
            }
            Ok((_, SocketAddr::V6(_))) => {}
            // Windows tells here that nobody listens where an earlier question went, or that a datagram was longer.
            Err(error) => tracing::debug!("while answers are waited for: {error}"),
        }
    }
}

/// Which interface packets to an address leave by, asked of the system once for each.
struct Ways {
    local: Vec<Interface>,
    known: BTreeMap<Ipv4Addr, Option<String>>,
}

impl Ways {
    fn to(&mut self, ip: Ipv4Addr) -> Option<String> {
        let Self { local, known } = self;
        let way = || {
            let source = source_for(ip).ok()?;
            local.iter().find(|interface| interface.ip == source).map(|interface| interface.name.clone())
        };
        known.entry(ip).or_insert_with(way).clone()
    }
}

/// Asks everybody, several times, and waits to the end of the window behind the last question.
async fn ask(lines: &[Arc<Line>], targets: &Targets, window: Duration, unsent: &mut Vec<Unsent>) {
    let start = Instant::now();
    for round in 0..ROUNDS {
        tokio::time::sleep_until(start + ROUND.min(window / ROUNDS) * round).await;
        for line in lines {
            line.ask(targets, round == 0, unsent).await;
        }
    }
    let mut last = start;
    let Some(everywhere) = lines.iter().find(|line| line.interface.is_none()) else { return };
    for subnet in &targets.subnets {
        let mut failed: Option<Unsent> = None;
        for (number, host) in subnet.hosts().enumerate() {
            if number % BURST == 0 {
                tokio::time::sleep(PAUSE).await;
            }
            if let Err(error) = everywhere.send(Query::Discover, host, targets.port).await {
                match &mut failed {
                    Some(failed) => failed.more += 1,
                    None => failed = Some(Unsent { to: host, interface: None, more: 0, error }),
                }
            }
        }
        unsent.extend(failed);
        last = Instant::now();
    }
    tokio::time::sleep_until(last + window).await;
}

/// The address of a socket that any IPv4 address may answer.
fn any_port(ip: Ipv4Addr) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(ip), 0)
}

#[cfg(test)]
mod tests;
