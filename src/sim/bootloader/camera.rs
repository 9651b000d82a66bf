//! The simulated camera without sockets: its state, its answers to discovery, and the session of its host.

use std::time::Duration;

use super::board::{Board, CameraError};
use super::config::{CameraConfig, DiscoveryFormat, InitialState};
use super::fault::{CameraFault, CameraFaults};
use super::memory::MemoryChip;
use super::session::{End, Session};
use crate::bootloader::{Memory, Request};
use crate::discovery::{Answer, CameraState, LinkInfo, Query};

/// Protocol and platform numbers of the extended discovery answer (bootloader.md 1).
const TCP_IP: u32 = 4;
const MYRIAD_X: u32 = 2;
/// Position of the boot switch for PoE (bootloader.md 1).
const BOOT_MODE_POE: u32 = 3;

/// Current activity of a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It restarts and does not answer.
    Starting,
    /// Its bootloader waits for a host or serves one.
    Bootloader,
    /// Its application runs.
    Application {
        /// The application accepts connections but sends nothing.
        silent: bool,
    },
    /// Another host uses it.
    InUse,
    /// Its bootloader is broken: it waits for a USB host and does not answer on the network.
    Recovery,
    /// It has left the network.
    Gone,
}

/// Events of a camera since its creation.
#[derive(Clone, Debug, Default)]
pub struct CameraHistory {
    /// Sessions of hosts with its bootloader.
    pub sessions: u64,
    /// Restarts.
    pub restarts: u64,
    /// Boots of its application.
    pub boots: u64,
    /// The known requests that it has received, in order.
    pub requests: Vec<Request>,
    /// Number of requests that its bootloader does not know.
    pub unknown: u64,
    /// Pings on the watchdog stream.
    pub pings: u64,
    /// The longest time between two pings of a session, or between its start and the first ping.
    pub longest_silence: Duration,
}

#[derive(Debug)]
enum Power {
    Starting {
        until: Duration,
        waits: Waits,
        /// A bootloader to boot from memory instead of the one in flash.
        image: Option<Vec<u8>>,
    },
    Bootloader {
        /// Time at which it boots the application.
        until: Option<Duration>,
    },
    Application {
        silent: bool,
    },
    InUse,
    Recovery,
    Gone,
}

/// The time that a bootloader waits for a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// [`CameraConfig::wait`] or the camera's own configuration.
    AsConfigured,
    /// [`CameraConfig::wait_again`], after a session.
    Again,
}

/// A simulated camera without sockets. All times are relative to one arbitrary epoch.
#[derive(Debug)]
pub struct SimulatedCamera {
    board: Board,
    power: Power,
    session: Option<Session>,
    /// The static address of its configuration at its last start.
    address: Option<[u8; 4]>,
    history: CameraHistory,
}

impl SimulatedCamera {
    /// Creates a camera in the state of [`CameraConfig::start`].
    ///
    /// # Errors
    /// [`CameraError`] if a memory cannot be opened, or its initial content cannot be read or does not fit.
    pub fn new(config: CameraConfig, now: Duration) -> Result<Self, CameraError> {
        let start = config.start;
        let mut camera = Self {
            board: Board::new(config)?,
            power: Power::InUse,
            session: None,
            address: None,
            history: CameraHistory::default(),
        };
        camera.address = camera.board.settings().static_ipv4;
        camera.power = match start {
            InitialState::InUse => Power::InUse,
            InitialState::Application => camera.application(),
            InitialState::Bootloader => Power::Starting { until: now, waits: Waits::AsConfigured, image: None },
        };
        camera.handle_timeout(now);
        Ok(camera)
    }

    /// Returns its current activity.
    #[must_use]
    pub fn activity(&self) -> Activity {
        match &self.power {
            Power::Starting { .. } => Activity::Starting,
            Power::Bootloader { .. } => Activity::Bootloader,
            Power::Application { silent } => Activity::Application { silent: *silent },
            Power::InUse => Activity::InUse,
            Power::Recovery => Activity::Recovery,
            Power::Gone => Activity::Gone,
        }
    }

    /// Returns the configuration from which it was created.
    #[must_use]
    pub fn config(&self) -> &CameraConfig {
        &self.board.config
    }

    /// Returns the static IPv4 address of its configuration at its last start.
    #[must_use]
    pub fn address(&self) -> Option<[u8; 4]> {
        self.address
    }

    /// Returns its events so far.
    #[must_use]
    pub fn history(&self) -> CameraHistory {
        let mut history = self.history.clone();
        if let Some(session) = &self.session {
            add(&mut history, session);
        }
        history
    }

    /// Returns one of its memories. `Auto` is the default memory for an application.
    pub fn memory(&mut self, which: Memory) -> Option<&mut MemoryChip> {
        self.board.memory(which)
    }

    /// Returns the application that would be booted, with all its sections.
    #[must_use]
    pub fn application_image(&mut self) -> Option<Vec<u8>> {
        self.board.application_image()
    }

    /// Replaces the faults.
    pub fn set_faults(&mut self, faults: CameraFaults) {
        self.board.faults = faults;
    }

    /// Ends the use by another host: the camera restarts.
    pub fn released(&mut self) {
        if matches!(self.power, Power::InUse) {
            self.power = Power::Starting { until: Duration::ZERO, waits: Waits::AsConfigured, image: None };
        }
    }

    /// Handles a datagram and returns the answers to its sender.
    pub fn datagram(&mut self, bytes: &[u8], now: Duration) -> Vec<Vec<u8>> {
        let state = match self.power {
            Power::Starting { .. } | Power::Recovery | Power::Gone => return Vec::new(),
            Power::Bootloader { .. } => CameraState::Bootloader,
            Power::Application { .. } => CameraState::FlashBooted,
            Power::InUse => CameraState::Booted,
        };
        match Query::parse(bytes) {
            Some(Query::Discover) if !self.board.occurs(&CameraFault::Mute) => self.answers(state),
            Some(Query::Info) => {
                let id = self.board.config.id.clone();
                let info = self.board.config.ethernet.map(|(speed_mbit_s, full_duplex)| {
                    Answer::Info(LinkInfo { id, speed_mbit_s, full_duplex, boot_mode: BOOT_MODE_POE }).to_bytes()
                });
                info.into_iter().collect()
            }
            // A reset must not take the camera from the host that uses it.
            Some(Query::Reset) if state != CameraState::Booted && self.session.is_none() => {
                if !self.board.occurs(&CameraFault::Deaf) {
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
            DiscoveryFormat::Simple => vec![simple],
            DiscoveryFormat::Extended => vec![extended],
            DiscoveryFormat::Both => vec![simple, extended],
        }
    }

    /// Accepts a host. Returns `false` if its connection must be closed.
    pub fn connected(&mut self, now: Duration) -> bool {
        if self.session.is_some() || !matches!(self.power, Power::Bootloader { .. }) {
            return false;
        }
        self.history.sessions += 1;
        self.session = Some(Session::new(&mut self.board, now));
        true
    }

    /// Handles bytes from the host.
    pub fn input(&mut self, bytes: &[u8], now: Duration) {
        if let Some(session) = &mut self.session {
            session.input(&mut self.board, bytes, now);
        }
    }

    /// Returns the pending bytes for the host. Report the sent ones with [`Self::consumed`].
    pub fn output(&mut self) -> &[u8] {
        self.session.as_mut().map_or(&[], |session| session.output(&self.board))
    }

    /// Removes `n` sent bytes from [`Self::output`].
    pub fn consumed(&mut self, n: usize, now: Duration) {
        if let Some(session) = &mut self.session {
            session.consumed(&mut self.board, n, now);
        }
    }

    /// Returns `true` if the connection must be closed after the pending output. Then call [`Self::disconnected`].
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.session.as_ref().is_none_or(|session| session.end.is_some())
    }

    /// Returns `true` if the connection must be reset immediately, discarding pending bytes.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        let end = self.session.as_ref().and_then(|session| session.end.as_ref());
        matches!(end, Some(End::Lost | End::Watchdog))
    }

    /// Ends the session after the connection has closed.
    pub fn disconnected(&mut self, now: Duration) {
        let Some(session) = self.session.take() else { return };
        add(&mut self.history, &session);
        match session.end {
            Some(End::UsbRom) => self.power = Power::Recovery,
            Some(End::BootApplication) => self.power = self.application(),
            Some(End::BootMemory(image)) => self.restart(Waits::AsConfigured, Some(image), now),
            // How a real camera reacts to a closed connection is unknown (bootloader.md 9). Its watchdog would restart it.
            None | Some(End::Reset | End::Lost | End::Watchdog | End::Broken) => {
                self.restart(Waits::Again, None, now);
            }
        }
        self.handle_timeout(now);
    }

    /// Returns the time at which [`Self::handle_timeout`] must be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        match (&self.session, &self.power) {
            (Some(session), _) => session.poll_timeout(&self.board),
            (None, Power::Starting { until, .. }) => Some(*until),
            (None, Power::Bootloader { until }) => *until,
            _ => None,
        }
    }

    /// Performs the actions that are due at `now`.
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
            let boots = !self.board.occurs(&CameraFault::NoBoot) && self.board.boot_application().is_ok();
            // "Boot failure, continue with bootloader" (bootloader.md 8).
            self.power = if boots { self.application() } else { Power::Bootloader { until: None } };
        }
    }

    fn restart(&mut self, waits: Waits, image: Option<Vec<u8>>, now: Duration) {
        self.history.restarts += 1;
        self.power = if self.board.occurs(&CameraFault::Vanish) {
            Power::Gone
        } else if self.board.occurs(&CameraFault::Taken) {
            Power::InUse
        } else {
            Power::Starting { until: now + self.board.config.restart, waits, image }
        };
        self.handle_timeout(now);
    }

    fn started(&mut self, waits: Waits, image: Option<Vec<u8>>, now: Duration) -> Power {
        let settings = self.board.settings();
        self.address = settings.static_ipv4;
        // If the image does not start, the watchdog of the processor resets it and it boots from flash.
        let in_memory = image.is_some_and(|image| self.board.boot_memory(&image));
        if !in_memory && !self.board.power_on() {
            return Power::Recovery;
        }
        let usual = match waits {
            Waits::AsConfigured => self.board.config.wait,
            Waits::Again => self.board.config.wait_again,
        };
        // A negative timeout means no timeout (bootloader.md 4).
        let wait = match settings.timeout_ms {
            Some(..0) => None,
            Some(ms) if waits == Waits::AsConfigured => Some(Duration::from_millis(ms.cast_unsigned())),
            _ => Some(usual),
        };
        Power::Bootloader { until: wait.map(|wait| now.saturating_add(wait)) }
    }

    fn application(&mut self) -> Power {
        self.history.boots += 1;
        Power::Application { silent: self.board.occurs(&CameraFault::Silent) }
    }
}

fn add(history: &mut CameraHistory, session: &Session) {
    let new = &session.history;
    history.requests.extend(new.requests.iter().cloned());
    history.unknown += new.unknown;
    history.pings += new.pings;
    history.longest_silence = history.longest_silence.max(new.longest_silence);
}
