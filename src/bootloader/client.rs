//! One request at a time, and everything around it: data, answers, the watchdog, time limits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::error::{ClientError, MISSED};
use super::message::{Announced, Request, Response};
use super::{BUDGET, STREAM, Version, WATCHDOG, WATCHDOG_BUDGET};
use crate::xlink::{Event, Link, Packet, Stream};

/// How often the watchdog is served: half of the time after which the camera reboots (bootloader.md 2.4).
const PING: Duration = Duration::from_millis(750);
/// A configuration is not longer than its place in the flash; this leaves room for other places.
const LONGEST_CONFIG: u32 = 1 << 20;

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The camera may be silent for so long while something is asked of it: erasing a flash takes a while.
    pub inactivity: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { inactivity: Duration::from_secs(60) }
    }
}

/// Data that follows a request.
#[derive(Clone, Debug)]
pub struct Data {
    /// All of it.
    pub bytes: Arc<[u8]>,
    /// Bytes of each packet but the last, at most [`BUDGET`].
    pub packet: u32,
    /// Bytes that may be ahead of what the camera has taken.
    pub window: u32,
}

impl Data {
    /// In packets as large as the vendor's.
    #[must_use]
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { bytes: bytes.into(), packet: BUDGET, window: BUDGET }
    }

    /// Bytes of all of it.
    #[must_use]
    pub fn total(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }

    /// In how many packets it goes.
    #[must_use]
    pub fn packets(&self) -> u32 {
        self.total().div_ceil(self.packet)
    }
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress {
    /// The camera has taken so many bytes of the data.
    Sent {
        /// Bytes so far.
        bytes: u64,
        /// Bytes in all.
        total: u64,
    },
    /// So many bytes were read.
    Read {
        /// Bytes so far.
        bytes: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The camera says that it has written so much, from 0 to 1.
    Written(f32),
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    Response(Response),
    Data(Vec<u8>),
}

#[derive(Debug)]
struct Calling {
    request: Request,
    request_taken: bool,
    /// Bytes of data that follow the request, and those that the camera has taken.
    data_total: u64,
    sent: u64,
    /// The response was seen; its data is being received.
    announced: Option<Announced>,
    received: Vec<u8>,
}

/// Talks to one bootloader. See the [module](super).
#[derive(Debug)]
pub struct Client {
    link: Link,
    main: Stream,
    watchdog: Stream,
    ready: bool,
    options: Options,
    version: Option<Version>,
    call: Option<Calling>,
    told: VecDeque<Progress>,
    reply: Option<Result<Reply, ClientError>>,
    failed: Option<ClientError>,
    /// When the camera has last said or taken something.
    active: Duration,
    /// When the watchdog is to be served next, and since when no ping was taken.
    ping_at: Option<Duration>,
    unserved: Option<Duration>,
}

impl Client {
    /// For a connection that was made just now.
    #[must_use]
    pub fn new(now: Duration, options: Options) -> Self {
        let mut link = Link::host();
        let main = link.open(STREAM, BUDGET);
        let watchdog = link.open(WATCHDOG, WATCHDOG_BUDGET);
        Self {
            link,
            main,
            watchdog,
            ready: false,
            options,
            version: None,
            call: None,
            told: VecDeque::new(),
            reply: None,
            failed: None,
            active: now,
            ping_at: None,
            unserved: None,
        }
    }

    /// The bytes to be sent, and that so many of them were.
    pub fn output(&mut self) -> &[u8] {
        self.link.output()
    }

    /// So many bytes of [`Self::output`] were sent. On a slow link a packet is under way for long before the camera can
    /// say that it has taken it.
    pub fn consumed(&mut self, n: usize, now: Duration) {
        if n > 0 && self.link.is_sending(self.main) {
            self.active = now;
        }
        self.link.consumed(n);
    }

    /// Bytes have come.
    pub fn handle_input(&mut self, bytes: &[u8], now: Duration) {
        if self.failed.is_some() {
            return;
        }
        if let Err(error) = self.link.handle_input(bytes) {
            self.fail(error.into());
        }
        if self.link.is_receiving(self.main) {
            // So is a packet that comes.
            self.active = now;
        }
        while let Some(event) = self.link.poll() {
            self.event(event, now);
        }
    }

    /// The connection has ended.
    pub fn handle_close(&mut self) {
        let (sent, total, received) = self.extent();
        self.fail(ClientError::Closed { during: self.during(), sent, total, received });
    }

    /// When [`Self::handle_timeout`] is to be called.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        let silent = self.active + self.options.inactivity;
        [self.ping_at, self.unserved.map(|since| since + MISSED)].into_iter().flatten().fold(silent, Duration::min)
    }

    /// It is that late.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.failed.is_some() {
            return;
        }
        if self.ping_at.is_some_and(|at| now >= at) {
            self.ping(now);
        }
        if self.unserved.is_some_and(|since| now >= since + MISSED) {
            self.fail(ClientError::Watchdog { during: self.during() });
        } else if now >= self.active + self.options.inactivity {
            if self.ready && self.call.is_none() {
                // Nothing is asked of it, so it has nothing to say.
                self.active = now;
            } else {
                let (sent, _, received) = self.extent();
                let limit = self.options.inactivity;
                self.fail(ClientError::Silent { during: self.during(), limit, sent, received });
            }
        }
    }

    /// How far the call is.
    pub fn progress(&mut self) -> Option<Progress> {
        self.told.pop_front()
    }

    /// Asks for something. One call at a time.
    pub(super) fn call(&mut self, request: Request, data: Option<&Data>, now: Duration) {
        if let Some(error) = &self.failed {
            self.reply = Some(Err(error.clone()));
            return;
        }
        if let Some(has) = self.version.filter(|has| *has < request.since()) {
            let needs = request.since();
            self.reply = Some(Err(ClientError::TooOld { request: request.name(), needs, has }));
            return;
        }
        self.active = now;
        self.link.send(self.main, request.to_bytes());
        let data_total = data.map_or(0, |data| data.bytes.len() as u64);
        if let Some(Data { bytes, packet, window }) = data {
            self.link.set_window(self.main, *window);
            let packet = (*packet).clamp(1, BUDGET) as usize;
            for from in (0..bytes.len()).step_by(packet) {
                self.link.send(self.main, Packet::part(bytes, from..bytes.len().min(from + packet)));
            }
        }
        self.call =
            Some(Calling { request, request_taken: false, data_total, sent: 0, announced: None, received: Vec::new() });
    }

    /// What became of the call.
    pub(super) fn reply(&mut self) -> Option<Result<Reply, ClientError>> {
        self.reply.take()
    }

    /// Ends the session. The camera reboots, and so it comes out of its bootloader (bootloader.md 2.3).
    pub fn reset(&mut self) {
        self.link.reset();
        self.ping_at = None;
        self.unserved = None;
    }

    fn event(&mut self, event: Event, now: Duration) {
        match event {
            Event::Open(stream) if stream == self.main => {
                self.active = now;
                self.ready = true;
            }
            Event::Open(stream) if stream == self.watchdog => self.ping(now),
            Event::Refused(stream) if stream == self.main => self.fail(ClientError::StreamRefused(STREAM)),
            Event::Refused(stream) if stream == self.watchdog => self.fail(ClientError::StreamRefused(WATCHDOG)),
            Event::Packet(stream, bytes) if stream == self.main => {
                self.active = now;
                self.packet(&bytes);
            }
            Event::Released(stream, len) if stream == self.main => {
                self.active = now;
                self.taken(len);
            }
            Event::Released(stream, _) if stream == self.watchdog => {
                self.unserved = (self.link.outstanding(self.watchdog) > 0).then_some(now);
            }
            // It reboots, and closes the connection.
            Event::Reset => self.handle_close(),
            _ => {}
        }
    }

    fn ping(&mut self, now: Duration) {
        self.ping_at = Some(now + PING);
        if self.link.outstanding(self.watchdog) + 4 <= u64::from(WATCHDOG_BUDGET)
            && self.link.waiting(self.watchdog) == 0
        {
            self.link.send(self.watchdog, vec![0; 4]);
            self.unserved.get_or_insert(now);
        }
    }

    /// The camera has taken a packet of so many bytes: the request first, then its data.
    fn taken(&mut self, len: u32) {
        let Some(call) = &mut self.call else { return };
        if std::mem::replace(&mut call.request_taken, true) {
            call.sent += u64::from(len);
            let (bytes, total) = (call.sent, call.data_total);
            self.told.push_back(Progress::Sent { bytes, total });
            if bytes == total && matches!(call.request, Request::BootMemory { .. }) {
                // There is no answer to this: what boots now knows nothing of it (bootloader.md 3.3).
                self.done(Ok(Reply::Data(Vec::new())));
            }
        }
    }

    /// A packet of the camera: an answer, or data that an answer has announced.
    fn packet(&mut self, bytes: &[u8]) {
        let Some(call) = &mut self.call else {
            tracing::debug!("{} bytes from the camera that nobody asked for", bytes.len());
            return;
        };
        let request = call.request.name();
        if let Some(announced) = call.announced {
            call.received.extend_from_slice(bytes);
            let (came, total) = (call.received.len() as u64, u64::from(announced.total));
            if came > total {
                let asked = asked(&call.request);
                return self.fail(ClientError::TooMuch { request, asked, announced: total, came });
            }
            self.told.push_back(Progress::Read { bytes: came, total });
            if came == total {
                let data = std::mem::take(&mut call.received);
                self.done(Ok(Reply::Data(data)));
            }
            return;
        }
        let response = match Response::parse(bytes) {
            Ok(response) => response,
            Err(error) => return self.fail(ClientError::Message { during: request, error }),
        };
        let (sent, total) = (call.sent, call.data_total);
        let refused = |why: &String| ClientError::Refused { request, why: why.clone(), sent, total };
        match (&call.request, &response) {
            (Request::UpdateFlash { .. } | Request::WriteFlash { .. }, Response::Progress(share)) => {
                self.told.push_back(Progress::Written(share.clamp(0.0, 1.0)));
            }
            (_, Response::Progress(_)) => {}
            (_, Response::NoOp { invalid: true }) => self.done(Err(ClientError::Unsupported { request })),
            (_, Response::FlashComplete(Err(why)) | Response::BootApplication(Err(why)))
            | (Request::Application { .. }, Response::Application(Err(why)))
            | (Request::GetConfig { .. }, Response::Config(Err(why)))
            | (Request::ReadFlash { .. }, Response::ReadFlash(Err(why))) => {
                let error = refused(why);
                if sent < total {
                    // What it expects next nobody knows: the session is of no use any more.
                    self.fail(error);
                } else {
                    self.done(Err(error));
                }
            }
            (Request::GetConfig { .. }, Response::Config(Ok(announced)))
            | (Request::ReadFlash { .. }, Response::ReadFlash(Ok(announced))) => {
                let asked = asked(&call.request);
                if u64::from(announced.total) > asked {
                    let announced = u64::from(announced.total);
                    return self.fail(ClientError::TooMuch { request, asked, announced, came: 0 });
                }
                if announced.total == 0 {
                    self.done(Ok(Reply::Data(Vec::new())));
                } else {
                    call.announced = Some(*announced);
                }
            }
            (
                Request::UpdateFlash { .. }
                | Request::WriteFlash { .. }
                | Request::SetConfig { .. }
                | Request::UpdateBootHeader { .. },
                Response::FlashComplete(Ok(())),
            ) => {
                // One that returns no credit may have it all the same.
                if self.link.waiting(self.main) > 0 || self.link.is_sending(self.main) {
                    return self.fail(ClientError::DoneEarly { request, sent, total });
                }
                self.done(Ok(Reply::Response(response)));
            }
            (Request::Version, Response::Version(version)) => {
                self.version = Some(*version);
                self.done(Ok(Reply::Response(response)));
            }
            (Request::Type, Response::Type(_))
            | (Request::Commit, Response::Commit(_))
            | (Request::Application { .. }, Response::Application(Ok(_)))
            | (Request::MemoryDetails { .. }, Response::MemoryDetails(_))
            | (Request::IsUserBootloader, Response::IsUserBootloader(_))
            | (Request::NoOp, Response::NoOp { .. })
            | (Request::BootApplication, Response::BootApplication(Ok(()))) => self.done(Ok(Reply::Response(response))),
            (asked, found) => {
                let expected = expected(asked);
                self.fail(ClientError::Unexpected { request, found: found.name(), expected });
            }
        }
    }

    fn done(&mut self, reply: Result<Reply, ClientError>) {
        self.call = None;
        self.reply = Some(reply);
    }

    fn during(&self) -> &'static str {
        match &self.call {
            _ if !self.ready => "opening the session",
            Some(call) => call.request.name(),
            None => "between requests",
        }
    }

    fn extent(&self) -> (u64, u64, u64) {
        self.call.as_ref().map_or((0, 0, 0), |call| (call.sent, call.data_total, call.received.len() as u64))
    }

    fn fail(&mut self, error: ClientError) {
        if self.failed.is_none() {
            // What has begun to be sent goes to its end: the reset must stand at the beginning of an event.
            self.link.forget(self.main);
            self.call = None;
            self.reply = Some(Err(error.clone()));
            self.failed = Some(error);
        }
    }
}

/// Bytes that a request asks for, at most.
fn asked(request: &Request) -> u64 {
    match request {
        Request::ReadFlash { total, .. } => u64::from(*total),
        Request::GetConfig { .. } => u64::from(LONGEST_CONFIG),
        _ => 0,
    }
}

/// Name of the answer that a request should get.
fn expected(request: &Request) -> &'static str {
    match request {
        Request::UpdateFlash { .. }
        | Request::WriteFlash { .. }
        | Request::SetConfig { .. }
        | Request::UpdateBootHeader { .. } => "FLASH_COMPLETE",
        Request::Version => "BOOTLOADER_VERSION",
        Request::Type => "BOOTLOADER_TYPE",
        Request::GetConfig { .. } => "GET_BOOTLOADER_CONFIG",
        Request::Commit => "BOOTLOADER_COMMIT",
        Request::ReadFlash { .. } => "READ_FLASH",
        Request::Application { .. } => "APPLICATION_DETAILS",
        Request::MemoryDetails { .. } => "MEMORY_DETAILS",
        Request::IsUserBootloader => "IS_USER_BOOTLOADER",
        Request::NoOp => "NO_OP",
        Request::BootApplication => "BOOT_APPLICATION",
        Request::UsbRomBoot | Request::BootMemory { .. } => "the end of the connection",
    }
}
