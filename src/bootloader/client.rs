//! Carries out one request at a time: sends data, matches responses, serves the watchdog, enforces timeouts.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::error::{ClientError, Stopped, WATCHDOG_TIMEOUT};
use super::message::{AnnouncedData, Request, Response};
use super::progress::TransferProgress;
use super::version::Version;
use crate::xlink::{Link, LinkEvent, Packet, StreamId};

/// Name of the stream for requests and responses.
pub const STREAM: &str = "__bootloader";
/// Budget of [`STREAM`], which limits its outstanding bytes (bootloader.md 3).
pub const BUDGET_BYTES: u32 = 5 << 20;
/// Name of the stream for watchdog pings.
pub const WATCHDOG_STREAM: &str = "__watchdog";
/// Budget of [`WATCHDOG_STREAM`] (bootloader.md 2.4).
pub const WATCHDOG_BUDGET_BYTES: u32 = 64;

/// Half of the time after which the camera reboots without a ping (bootloader.md 2.4).
const PING_INTERVAL: Duration = Duration::from_millis(750);

/// Fewer bytes than this within [`ClientOptions::inactivity_timeout`] do not count as progress, unless they complete the data.
const PROGRESS_MIN_BYTES: u64 = 4 << 10;
/// A smaller step of the share that the camera reports as written does not count as progress.
const PROGRESS_MIN_SHARE: f32 = 1e-3;
/// A session may take this many times [`ClientOptions::inactivity_timeout`], and longer for data that arrives at
/// [`SESSION_MIN_RATE`].
const SESSION_TIMEOUTS: u32 = 10;
/// Bytes per second.
const SESSION_MIN_RATE: u64 = 32 << 10;

/// Timeouts of a [`Client`].
#[derive(Clone, Copy, Debug)]
pub struct ClientOptions {
    /// A request fails when it makes no progress for this long. 60 s by default, because a camera is silent while it erases
    /// flash. A session fails after 10 times this, plus the time that its data needs at 32 KiB/s.
    pub inactivity_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { inactivity_timeout: Duration::from_secs(60) }
    }
}

/// Data that follows a request.
#[derive(Clone, Debug)]
pub struct RequestData {
    /// The whole data.
    pub bytes: Arc<[u8]>,
    /// Size of each packet but the last in bytes, at most [`BUDGET_BYTES`].
    pub packet: u32,
    /// Limit of the bytes that are sent ahead of what the camera has consumed.
    pub window: u32,
}

impl RequestData {
    /// Creates data in packets of 5 MiB, like the vendor's client.
    #[must_use]
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { bytes: bytes.into(), packet: BUDGET_BYTES, window: BUDGET_BYTES }
    }

    /// Returns the size in bytes.
    #[must_use]
    pub fn total(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }

    /// Returns the number of packets.
    #[must_use]
    pub fn packets(&self) -> u32 {
        self.total().div_ceil(self.packet)
    }
}

/// The successful result of a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    Response(Response),
    Data(Vec<u8>),
}

#[derive(Debug)]
struct Call {
    request: Request,
    /// Length of the request itself until the camera has consumed it, then 0.
    request_len: u32,
    /// Bytes of data that follow the request.
    data_total: u64,
    /// Bytes of that data that the camera has consumed.
    sent: u64,
    /// Size of the response's data, once the response is received.
    announced: Option<AnnouncedData>,
    received: Vec<u8>,
    /// Largest share that the camera has reported as written, 0 to 1; negative before the first report.
    written: f32,
}

/// The state machine of a session with one bootloader; see the [module](super).
#[derive(Debug)]
pub struct Client {
    link: Link,
    main: StreamId,
    watchdog: StreamId,
    ready: bool,
    options: ClientOptions,
    version: Option<Version>,
    call: Option<Call>,
    progress: VecDeque<TransferProgress>,
    reply: Option<Result<Reply, ClientError>>,
    failed: Option<ClientError>,
    /// Time of the last progress.
    active: Duration,
    /// Bytes since then.
    since_active: u64,
    /// Time at which the session began.
    began: Duration,
    /// Bytes of data that were sent and received in the session.
    transferred: u64,
    /// Time of the next watchdog ping.
    ping_at: Option<Duration>,
    /// Time since which a ping is outstanding.
    unserved: Option<Duration>,
}

impl Client {
    /// Starts a session on a new connection.
    #[must_use]
    pub fn new(now: Duration, options: ClientOptions) -> Self {
        let mut link = Link::host();
        let main = link.open(STREAM, BUDGET_BYTES);
        let watchdog = link.open(WATCHDOG_STREAM, WATCHDOG_BUDGET_BYTES);
        Self {
            link,
            main,
            watchdog,
            ready: false,
            options,
            version: None,
            call: None,
            progress: VecDeque::new(),
            reply: None,
            failed: None,
            active: now,
            since_active: 0,
            began: now,
            transferred: 0,
            ping_at: None,
            unserved: None,
        }
    }

    /// Returns the next bytes to send. Report sent bytes with [`Self::consumed`].
    pub fn output(&mut self) -> &[u8] {
        self.link.output()
    }

    /// Reports that the first `n` bytes of [`Self::output`] were sent.
    pub fn consumed(&mut self, n: usize, now: Duration) {
        // On a slow link, a packet takes long to send before the camera can acknowledge it: sending counts as activity.
        if self.link.is_sending(self.main) {
            self.advance(n as u64, now);
        }
        self.link.consumed(n);
    }

    /// Processes received bytes.
    pub fn handle_input(&mut self, bytes: &[u8], now: Duration) {
        if self.failed.is_some() {
            return;
        }
        if let Err(error) = self.link.handle_input(bytes) {
            self.fail(error.into());
        }
        if self.link.is_receiving(self.main) {
            // A partly received packet counts as activity too.
            self.advance(bytes.len() as u64, now);
        }
        while let Some(event) = self.link.poll() {
            self.event(event, now);
        }
    }

    /// Reports the end of the connection.
    pub fn handle_close(&mut self) {
        let (sent, total, received) = self.extent();
        self.fail(ClientError::Closed { during: self.during(), sent, total, received });
    }

    /// Returns the time at which to call [`Self::handle_timeout`].
    #[must_use]
    pub fn timeout(&self) -> Duration {
        let silent = self.active + self.options.inactivity_timeout;
        [self.ping_at, self.unserved.map(|since| since + WATCHDOG_TIMEOUT)]
            .into_iter()
            .flatten()
            .fold(silent.min(self.began + self.session_limit()), Duration::min)
    }

    fn session_limit(&self) -> Duration {
        self.options.inactivity_timeout * SESSION_TIMEOUTS + Duration::from_secs(self.transferred / SESSION_MIN_RATE)
    }

    /// Counts bytes of a request as progress.
    fn advance(&mut self, bytes: u64, now: Duration) {
        self.since_active += bytes;
        if self.since_active >= PROGRESS_MIN_BYTES {
            self.progressed(now);
        }
    }

    fn progressed(&mut self, now: Duration) {
        (self.active, self.since_active) = (now, 0);
    }

    /// Processes elapsed time: sends pings, detects a silent camera.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.failed.is_some() {
            return;
        }
        if self.ping_at.is_some_and(|at| now >= at) {
            self.ping(now);
        }
        if self.unserved.is_some_and(|since| now >= since + WATCHDOG_TIMEOUT) {
            self.fail(ClientError::Watchdog { during: self.during() });
        } else if self.call.is_some() && now >= self.began + self.session_limit() {
            let (sent, _, received) = self.extent();
            self.fail(ClientError::TooSlow { during: self.during(), limit: self.session_limit(), sent, received });
        } else if now >= self.active + self.options.inactivity_timeout {
            if self.ready && self.call.is_none() {
                // Without a request, the camera has nothing to send.
                self.progressed(now);
            } else {
                let (sent, _, received) = self.extent();
                let limit = self.options.inactivity_timeout;
                self.fail(ClientError::Silent { during: self.during(), limit, sent, received });
            }
        }
    }

    /// Returns the next progress report, if any.
    pub fn progress(&mut self) -> Option<TransferProgress> {
        self.progress.pop_front()
    }

    /// Starts a request. The previous one must have its reply.
    pub(super) fn call(&mut self, request: Request, data: Option<&RequestData>, now: Duration) {
        if let Some(error) = &self.failed {
            self.reply = Some(Err(error.clone()));
            return;
        }
        if let Some(has) = self.version.filter(|has| *has < request.since()) {
            let needs = request.since();
            self.reply = Some(Err(ClientError::TooOld { request: request.name(), needs, has }));
            return;
        }
        self.progressed(now);
        let request_bytes = request.to_bytes();
        let request_len = request_bytes.len() as u32;
        self.link.send(self.main, request_bytes);
        let data_total = data.map_or(0, |data| data.bytes.len() as u64);
        if let Some(RequestData { bytes, packet, window }) = data {
            self.link.set_window(self.main, *window);
            let packet = (*packet).clamp(1, BUDGET_BYTES) as usize;
            for from in (0..bytes.len()).step_by(packet) {
                self.link.send(self.main, Packet::part(bytes, from..bytes.len().min(from + packet)));
            }
        }
        self.call = Some(Call {
            request,
            request_len,
            data_total,
            sent: 0,
            announced: None,
            received: Vec::new(),
            written: -1.0,
        });
    }

    /// Returns the result of the request, once.
    pub(super) fn reply(&mut self) -> Option<Result<Reply, ClientError>> {
        self.reply.take()
    }

    /// Fails the request on behalf of the user, and all later ones. Does nothing if the session has failed.
    pub(super) fn stop(&mut self) {
        let during = self.during();
        // Not whether the camera has returned the credit for it: the data may be there, and the credit on its way.
        let is_sent = self.link.waiting(self.main) == 0;
        let stopped = match &self.call {
            None => Stopped { during, sent: false, byte: 0, total: 0 },
            Some(Call { sent, data_total, announced, received, written, .. }) => Stopped {
                during,
                sent: is_sent,
                byte: match announced {
                    Some(_) => received.len() as u64,
                    None if *written > 0.0 => (f64::from(*written) * *data_total as f64) as u64,
                    None if is_sent => *data_total,
                    None => *sent,
                },
                total: announced.map_or(*data_total, |announced| announced.total.into()),
            },
        };
        self.fail(ClientError::Stopped(stopped));
    }

    /// Ends the session. The camera reboots, which is the only way to leave a session (bootloader.md 2.3).
    pub fn reset(&mut self) {
        self.link.reset();
        self.ping_at = None;
        self.unserved = None;
    }

    fn event(&mut self, event: LinkEvent, now: Duration) {
        match event {
            LinkEvent::Open(stream) if stream == self.main => {
                self.progressed(now);
                self.ready = true;
            }
            LinkEvent::Open(stream) if stream == self.watchdog => self.ping(now),
            LinkEvent::Refused(stream) if stream == self.main => self.fail(ClientError::StreamRefused(STREAM)),
            LinkEvent::Refused(stream) if stream == self.watchdog => {
                self.fail(ClientError::StreamRefused(WATCHDOG_STREAM));
            }
            LinkEvent::Packet(stream, bytes) if stream == self.main => self.packet(&bytes, now),
            LinkEvent::Released(stream, len) if stream == self.main => self.taken(len, now),
            LinkEvent::Released(stream, _) if stream == self.watchdog => {
                self.unserved = (self.link.outstanding(self.watchdog) > 0).then_some(now);
            }
            // The camera reboots and closes the connection.
            LinkEvent::Reset => self.handle_close(),
            _ => {}
        }
    }

    fn ping(&mut self, now: Duration) {
        self.ping_at = Some(now + PING_INTERVAL);
        if self.link.outstanding(self.watchdog) + 4 <= u64::from(WATCHDOG_BUDGET_BYTES)
            && self.link.waiting(self.watchdog) == 0
        {
            self.link.send(self.watchdog, vec![0; 4]);
            self.unserved.get_or_insert(now);
        }
    }

    /// Counts a packet that the camera has consumed: the request first, then its data.
    fn taken(&mut self, len: u32, now: Duration) {
        let Some(call) = &mut self.call else { return };
        if std::mem::take(&mut call.request_len) == 0 {
            call.sent += u64::from(len);
            let (bytes, total, boots) =
                (call.sent, call.data_total, matches!(call.request, Request::BootMemory { .. }));
            self.transferred += u64::from(len);
            self.advance(u64::from(len), now);
            if bytes == total {
                self.progressed(now);
            }
            self.progress.push_back(TransferProgress::Sent { bytes, total });
            if bytes == total && boots {
                // BOOT_MEMORY has no response: the camera drops the connection (bootloader.md 3.3).
                self.done(Ok(Reply::Data(Vec::new())));
            }
        }
    }

    /// Processes a packet: a response, or data that a response has announced.
    fn packet(&mut self, bytes: &[u8], now: Duration) {
        let Some(call) = &mut self.call else {
            tracing::debug!("ignored an unrequested packet of {} bytes", bytes.len());
            return;
        };
        let request = call.request.name();
        if let Some(announced) = call.announced {
            call.received.extend_from_slice(bytes);
            let (received, total) = (call.received.len() as u64, u64::from(announced.total));
            if received > total {
                let requested = call.request.response_limit();
                return self.fail(ClientError::TooMuch { request, requested, announced: total, received });
            }
            self.transferred += bytes.len() as u64;
            self.progress.push_back(TransferProgress::Read { bytes: received, total });
            if received < total {
                self.advance(bytes.len() as u64, now);
            } else {
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
                // NaN stays NaN, which is not greater than anything.
                let share = share.clamp(0.0, 1.0);
                if share >= call.written + PROGRESS_MIN_SHARE {
                    call.written = share;
                    self.progress.push_back(TransferProgress::Written(share));
                    self.progressed(now);
                }
            }
            (_, Response::Progress(_)) => {}
            (_, Response::NoOp { invalid: true }) => self.done(Err(ClientError::Unsupported { request })),
            (_, Response::FlashComplete(Err(why)) | Response::BootApplication(Err(why)))
            | (Request::Application { .. }, Response::Application(Err(why)))
            | (Request::GetConfig { .. }, Response::Config(Err(why)))
            | (Request::ReadFlash { .. }, Response::ReadFlash(Err(why))) => {
                let error = refused(why);
                if sent < total {
                    // Whether the camera still expects the rest of the data is unknown: the session is unusable.
                    self.fail(error);
                } else {
                    self.done(Err(error));
                }
            }
            (Request::GetConfig { .. }, Response::Config(Ok(announced)))
            | (Request::ReadFlash { .. }, Response::ReadFlash(Ok(announced))) => {
                let requested = call.request.response_limit();
                if u64::from(announced.total) > requested {
                    let announced = u64::from(announced.total);
                    return self.fail(ClientError::TooMuch { request, requested, announced, received: 0 });
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
                // Checks unsent data, not credit: a camera may return no credit for data that it has.
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
            (request_sent, found) => {
                let expected = request_sent.response_name();
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

    /// Returns the bytes of the request's data that were sent, all of them, and the bytes of data that were received. A camera
    /// that has received megabytes may have returned no credit for them.
    fn extent(&self) -> (u64, u64, u64) {
        let Some(call) = &self.call else { return (0, 0, 0) };
        let sent = (call.sent + self.link.in_flight(self.main)).saturating_sub(call.request_len.into());
        (sent, call.data_total, call.received.len() as u64)
    }

    fn fail(&mut self, error: ClientError) {
        if self.failed.is_none() {
            // A partly sent packet is completed, because the reset that follows must start a new event.
            self.link.clear_queue(self.main);
            self.call = None;
            self.reply = Some(Err(error.clone()));
            self.failed = Some(error);
        }
    }
}
