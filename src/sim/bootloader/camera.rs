//! The camera without its sockets: what it is doing, who may talk to it, and what it answers.

use std::time::Duration;

use super::board::{Board, CameraError};
use super::config::{Answering, CameraConfig, Start};
use super::fault::{CameraFaults, Fault};
use super::memory::Memory;
use super::session::{End, Session};
use crate::bootloader::{Memory as Which, Request};
use crate::discovery::{Answer, CameraState, LinkInfo, Query};

/// 4 is TCP/IP, 2 is the Myriad X (bootloader.md 1).
const TCP_IP: u32 = 4;
const MYRIAD_X: u32 = 2;
/// Where the boot switch stands: PoE (bootloader.md 1).
const BOOT_MODE_POE: u32 = 3;

/// What a camera is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Nobody hears it: it starts.
    Starting,
    /// Its bootloader waits for a host, or has one.
    Bootloader,
    /// Its application runs.
    Application {
        /// Its stream says nothing.
        silent: bool,
    },
    /// A host has it.
    InUse,
    /// Its bootloader is broken: it waits for somebody at its USB socket, and nobody hears it.
    Recovery,
    /// It is not there any more.
    Gone,
}

/// What happened to a camera until now.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Hosts that connected to its bootloader.
    pub sessions: u64,
    /// How often it started again.
    pub restarts: u64,
    /// How often its application was booted.
    pub boots: u64,
    /// Everything that it was asked and understood, in order.
    pub requests: Vec<Request>,
    /// Requests that it does not know.
    pub unknown: u64,
    /// How often a host's watchdog was heard.
    pub pings: u64,
    /// The longest time between two of those in a session, and from its beginning to the first.
    pub longest_silence: Duration,
}

#[derive(Debug)]
enum Power {
    Starting {
        until: Duration,
        /// Waits for a host, then boots the application.
        waits: Waits,
        /// A bootloader that is booted from memory.
        image: Option<Vec<u8>>,
    },
    /// Boots the application at this time.
    Bootloader {
        until: Option<Duration>,
    },
    Application {
        silent: bool,
    },
    InUse,
    Recovery,
    Gone,
}

/// How long a bootloader waits for a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// As long as the configuration says.
    AsConfigured,
    /// As long as after a session.
    Again,
}

/// A camera. Times are since any moment that is the same for all of them.
#[derive(Debug)]
pub struct Camera {
    board: Board,
    power: Power,
    session: Option<Session>,
    /// The address that its configuration gave it when it started.
    address: Option<[u8; 4]>,
    account: Account,
}

impl Camera {
    /// A camera that is met at `now`.
    ///
    /// # Errors
    /// A memory cannot be opened, or what is to be in it does not fit.
    pub fn new(config: CameraConfig, now: Duration) -> Result<Self, CameraError> {
        let start = config.start;
        let mut camera = Self {
            board: Board::new(config)?,
            power: Power::InUse,
            session: None,
            address: None,
            account: Account::default(),
        };
        camera.address = camera.board.settings().static_ipv4;
        camera.power = match start {
            Start::InUse => Power::InUse,
            Start::Application => camera.application(),
            Start::Bootloader => Power::Starting { until: now, waits: Waits::AsConfigured, image: None },
        };
        camera.handle_timeout(now);
        Ok(camera)
    }

    /// What it is doing.
    #[must_use]
    pub fn doing(&self) -> Doing {
        match &self.power {
            Power::Starting { .. } => Doing::Starting,
            Power::Bootloader { .. } => Doing::Bootloader,
            Power::Application { silent } => Doing::Application { silent: *silent },
            Power::InUse => Doing::InUse,
            Power::Recovery => Doing::Recovery,
            Power::Gone => Doing::Gone,
        }
    }

    /// What it was made from.
    #[must_use]
    pub fn config(&self) -> &CameraConfig {
        &self.board.config
    }

    /// The static address of its configuration, since it last started.
    #[must_use]
    pub fn address(&self) -> Option<[u8; 4]> {
        self.address
    }

    /// What happened to it until now.
    #[must_use]
    pub fn account(&self) -> Account {
        let mut account = self.account.clone();
        if let Some(session) = &self.session {
            add(&mut account, session);
        }
        account
    }

    /// A memory of it. `Auto` is the one that the camera takes for an application.
    pub fn memory(&mut self, which: Which) -> Option<&mut Memory> {
        self.board.memory(which)
    }

    /// The application in the memory from which it would be booted, with all its sections.
    #[must_use]
    pub fn application_image(&mut self) -> Option<Vec<u8>> {
        self.board.application_image()
    }

    /// Other faults from now on.
    pub fn set_faults(&mut self, faults: CameraFaults) {
        self.board.faults = faults;
    }

    /// The host that has taken it leaves: it starts anew.
    pub fn released(&mut self) {
        if matches!(self.power, Power::InUse) {
            self.power = Power::Starting { until: Duration::ZERO, waits: Waits::AsConfigured, image: None };
        }
    }

    /// A datagram came: what it answers.
    pub fn datagram(&mut self, bytes: &[u8], now: Duration) -> Vec<Vec<u8>> {
        let state = match self.power {
            Power::Starting { .. } | Power::Recovery | Power::Gone => return Vec::new(),
            Power::Bootloader { .. } => CameraState::Bootloader,
            Power::Application { .. } => CameraState::FlashBooted,
            Power::InUse => CameraState::Booted,
        };
        match Query::parse(bytes) {
            Some(Query::Discover) if !self.board.strikes(&Fault::Mute) => self.answers(state),
            Some(Query::Info) => {
                let id = self.board.config.id.clone();
                let info = self.board.config.ethernet.map(|(speed_mbit_s, full_duplex)| {
                    Answer::Info(LinkInfo { id, speed_mbit_s, full_duplex, boot_mode: BOOT_MODE_POE }).to_bytes()
                });
                info.into_iter().collect()
            }
            // The one who has it is not to lose it.
            Some(Query::Reset) if state != CameraState::Booted && self.session.is_none() => {
                if !self.board.strikes(&Fault::Deaf) {
                    self.restart(Waits::AsConfigured, None, now);
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn answers(&self, state: CameraState) -> Vec<Vec<u8>> {
        let CameraConfig { id, answering, .. } = &self.board.config;
        let simple = Answer::Simple { id: id.clone(), state }.to_bytes();
        // The HTTP port as in transcript 02.
        let (port_http, port_https) = (crate::xlink::PORT, 0);
        let (protocol, platform) = (TCP_IP, MYRIAD_X);
        let extended = Answer::Extended { id: id.clone(), state, protocol, platform, port_http, port_https }.to_bytes();
        match answering {
            Answering::Simple => vec![simple],
            Answering::Extended => vec![extended],
            Answering::Both => vec![simple, extended],
        }
    }

    /// A host connected; `false` sends it away.
    pub fn connected(&mut self, now: Duration) -> bool {
        if self.session.is_some() || !matches!(self.power, Power::Bootloader { .. }) {
            return false;
        }
        self.account.sessions += 1;
        self.session = Some(Session::new(&mut self.board, now));
        true
    }

    /// Bytes from the host.
    pub fn input(&mut self, bytes: &[u8], now: Duration) {
        if let Some(session) = &mut self.session {
            session.input(&mut self.board, bytes, now);
        }
    }

    /// Bytes for the host, none when there is nothing to be said. See [`Self::consumed`].
    pub fn output(&mut self) -> &[u8] {
        self.session.as_mut().map_or(&[], |session| session.output(&self.board))
    }

    /// So many bytes of [`Self::output`] were sent.
    pub fn consumed(&mut self, n: usize, now: Duration) {
        if let Some(session) = &mut self.session {
            session.consumed(&mut self.board, n, now);
        }
    }

    /// Whether the camera ends the connection once there is no output. [`Self::disconnected`] is to follow.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.session.as_ref().is_none_or(|session| session.end.is_some())
    }

    /// Whether it ends the connection at once, with what is on the way.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        let end = self.session.as_ref().and_then(|session| session.end.as_ref());
        matches!(end, Some(End::Lost | End::Watchdog))
    }

    /// The connection is no more, whoever ended it.
    pub fn disconnected(&mut self, now: Duration) {
        let Some(session) = self.session.take() else { return };
        add(&mut self.account, &session);
        match session.end {
            Some(End::UsbRom) => self.power = Power::Recovery,
            Some(End::BootApplication) => self.power = self.application(),
            Some(End::BootMemory(image)) => self.restart(Waits::AsConfigured, Some(image), now),
            // What a camera does when its host just leaves is unknown (bootloader.md 9); its watchdog would end it soon.
            None | Some(End::Reset | End::Lost | End::Watchdog | End::Broken) => {
                self.restart(Waits::Again, None, now);
            }
        }
        self.handle_timeout(now);
    }

    /// When [`Self::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        match (&self.session, &self.power) {
            (Some(session), _) => session.poll_timeout(&self.board),
            (None, Power::Starting { until, .. }) => Some(*until),
            (None, Power::Bootloader { until }) => *until,
            _ => None,
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Duration) {
        if let Some(session) = &mut self.session {
            return session.handle_timeout(&mut self.board, now);
        }
        if let Power::Starting { until, waits, image } = &mut self.power
            && now >= *until
        {
            let (waits, image) = (*waits, image.take());
            self.power = self.started(waits, image, now);
        }
        if let Power::Bootloader { until: Some(until) } = self.power
            && now >= until
        {
            let boots = !self.board.strikes(&Fault::NoBoot) && self.board.boot_application().is_ok();
            // "Boot failure, continue with bootloader" (bootloader.md 8).
            self.power = if boots { self.application() } else { Power::Bootloader { until: None } };
        }
    }

    fn restart(&mut self, waits: Waits, image: Option<Vec<u8>>, now: Duration) {
        self.account.restarts += 1;
        self.power = if self.board.strikes(&Fault::Vanish) {
            Power::Gone
        } else if self.board.strikes(&Fault::Taken) {
            Power::InUse
        } else {
            Power::Starting { until: now + self.board.config.restart, waits, image }
        };
        self.handle_timeout(now);
    }

    fn started(&mut self, waits: Waits, image: Option<Vec<u8>>, now: Duration) -> Power {
        let settings = self.board.settings();
        self.address = settings.static_ipv4;
        // What does not start in memory is ended by the processor's watchdog, and the flash is next.
        let in_memory = image.is_some_and(|image| self.board.boot_memory(&image));
        if !in_memory && !self.board.power_on() {
            return Power::Recovery;
        }
        let usual = match waits {
            Waits::AsConfigured => self.board.config.wait,
            Waits::Again => self.board.config.wait_again,
        };
        // Negative is for ever (bootloader.md 4).
        let wait = match settings.timeout_ms {
            Some(..0) => None,
            Some(ms) if waits == Waits::AsConfigured => Some(Duration::from_millis(ms.cast_unsigned())),
            _ => Some(usual),
        };
        Power::Bootloader { until: wait.map(|wait| now.saturating_add(wait)) }
    }

    fn application(&mut self) -> Power {
        self.account.boots += 1;
        Power::Application { silent: self.board.strikes(&Fault::Silent) }
    }
}

fn add(account: &mut Account, session: &Session) {
    let heard = &session.heard;
    account.requests.extend(heard.requests.iter().cloned());
    account.unknown += heard.unknown;
    account.pings += heard.pings;
    account.longest_silence = account.longest_silence.max(heard.longest_silence);
}
