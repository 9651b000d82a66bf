//! Runs a task, an `async` function over a [`Caller`], without a runtime: `async` serves only to let the compiler turn a
//! sequence of requests into a state machine, which [`Conversation`] polls whenever a reply arrives.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::client::{Client, ClientOptions, Reply, RequestData};
use super::error::ClientError;
use super::message::{BootloaderType, Request, Response};
use super::progress::TransferProgress;
use super::version::Version;

/// Sends requests to one camera, one at a time.
///
/// # Panics
/// Every request panics when the previous one has no reply yet, which `join` or a dropped future would cause: replies
/// carry no number that would tell them apart.
#[derive(Debug)]
pub struct Caller(Rc<Shared>);

/// State that the task shares with its conversation.
#[derive(Debug, Default)]
struct Shared {
    /// A new request that the conversation has not started yet.
    request: RefCell<Option<(Request, Option<RequestData>)>>,
    reply: RefCell<Option<Result<Reply, ClientError>>>,
    /// `true` if a request has no reply yet.
    waiting: Cell<bool>,
    now: Cell<Duration>,
    events: RefCell<VecDeque<ConversationEvent>>,
    /// Number of [`Hold`]s.
    holds: Cell<u32>,
}

/// Progress of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum ConversationEvent {
    /// The task began a step, with its description for the user.
    Step(String),
    /// The current request progressed.
    Progress(TransferProgress),
    /// From here on the session must not be stopped, because the camera would be left in this state.
    HoldBegins(&'static str),
    /// The session may be stopped again.
    HoldEnds,
}

/// Holds back a stop of the session while it lives: the camera would be left in a state from which it cannot boot, or
/// without its settings.
#[derive(Debug)]
pub struct Hold(Rc<Shared>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.holds.set(self.0.holds.get() - 1);
        if self.0.holds.get() == 0 {
            self.0.events.borrow_mut().push_back(ConversationEvent::HoldEnds);
        }
    }
}

/// Identity of a bootloader.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct BootloaderInfo {
    /// The version.
    pub version: Version,
    /// The commit that it was built from. `None` before 0.0.18.
    pub commit: Option<String>,
    /// The type. Before 0.0.12 the only type was USB.
    #[serde(rename = "type")]
    pub kind: BootloaderType,
    /// `true` if it runs from the user slot.
    pub user: bool,
}

impl Caller {
    /// Sends a request and returns its response.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn ask(&self, request: Request) -> Result<Response, ClientError> {
        let name = request.name();
        match self.call(request, None).await? {
            Reply::Response(response) => Ok(response),
            Reply::Data(_) => Err(ClientError::Unexpected { request: name, found: "data", expected: "a response" }),
        }
    }

    /// Sends a request and returns the data of its response.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn read(&self, request: Request) -> Result<Vec<u8>, ClientError> {
        let name = request.name();
        match self.call(request, None).await? {
            Reply::Data(data) => Ok(data),
            Reply::Response(other) => {
                Err(ClientError::Unexpected { request: name, found: other.name(), expected: "data" })
            }
        }
    }

    /// Sends a request with data and waits until the camera reports success.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn write(&self, request: Request, data: RequestData) -> Result<(), ClientError> {
        self.call(request, Some(data)).await.map(|_| ())
    }

    /// Reads the bootloader's identity with the first requests of the vendor's client (bootloader.md 3.3), then asks for the
    /// slot.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn identify(&self) -> Result<BootloaderInfo, ClientError> {
        let Response::Version(version) = self.ask(Request::Version).await? else {
            unreachable!("the client matches responses to requests")
        };
        let mut info = BootloaderInfo { version, commit: None, kind: BootloaderType::Usb, user: false };
        if version >= Version::REPORTS_COMMIT
            && let Response::Commit(commit) = self.ask(Request::Commit).await?
        {
            info.commit = Some(commit).filter(|commit| !commit.is_empty());
        }
        if version >= Version::REPORTS_TYPE
            && let Response::Type(kind) = self.ask(Request::Type).await?
        {
            info.kind = kind;
        }
        if version >= Version::HAS_USER_SLOT
            && let Response::IsUserBootloader(user) = self.ask(Request::IsUserBootloader).await?
        {
            info.user = user;
        }
        Ok(info)
    }

    /// Returns the time of the last input.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.0.now.get()
    }

    /// Reports that a step begins, described for the user.
    pub fn begin(&self, step: impl Into<String>) {
        self.0.events.borrow_mut().push_back(ConversationEvent::Step(step.into()));
    }

    /// Holds back [`Conversation::stop`] until the returned value is dropped. `otherwise` describes the camera if the session
    /// ended now.
    #[must_use]
    pub fn hold(&self, otherwise: &'static str) -> Hold {
        self.0.holds.set(self.0.holds.get() + 1);
        if self.0.holds.get() == 1 {
            self.0.events.borrow_mut().push_back(ConversationEvent::HoldBegins(otherwise));
        }
        Hold(Rc::clone(&self.0))
    }

    async fn call(&self, request: Request, data: Option<RequestData>) -> Result<Reply, ClientError> {
        assert!(!self.0.waiting.replace(true), "{}: the previous request has no reply yet", request.name());
        *self.0.request.borrow_mut() = Some((request, data));
        let reply = std::future::poll_fn(|_| match self.0.reply.borrow_mut().take() {
            Some(reply) => Poll::Ready(reply),
            None => Poll::Pending,
        })
        .await;
        self.0.waiting.set(false);
        reply
    }
}

/// A session with a camera that runs one task.
///
/// Its driver moves the bytes: it calls [`Self::output`] and [`Self::consumed`], [`Self::handle_input`],
/// [`Self::handle_timeout`] at [`Self::timeout`] and [`Self::handle_close`] in any order, and polls [`Self::poll_event`] after
/// each, before it sends more output: a [`ConversationEvent::HoldBegins`] is for the bytes that follow it. The session ends when [`Self::is_over`] returns `true` and the rest of the output is sent.
pub struct Conversation<T> {
    client: Client,
    shared: Rc<Shared>,
    task: Option<Pin<Box<dyn Future<Output = T>>>>,
    result: Option<T>,
    /// The user wants to stop.
    stop: bool,
}

impl<T> fmt::Debug for Conversation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation").field("client", &self.client).finish_non_exhaustive()
    }
}

impl<T> Conversation<T> {
    /// Starts a session on a new connection.
    pub fn new<F>(now: Duration, options: ClientOptions, task: impl FnOnce(Caller) -> F) -> Self
    where
        F: Future<Output = T> + 'static,
    {
        let shared = Rc::<Shared>::default();
        let task: Pin<Box<dyn Future<Output = T>>> = Box::pin(task(Caller(Rc::clone(&shared))));
        let mut new = Self { client: Client::new(now, options), shared, task: Some(task), result: None, stop: false };
        new.advance(now);
        new
    }

    /// Returns the next bytes to send. Report sent bytes with [`Self::consumed`].
    pub fn output(&mut self) -> &[u8] {
        self.client.output()
    }

    /// Reports that the first `n` bytes of [`Self::output`] were sent.
    pub fn consumed(&mut self, n: usize, now: Duration) {
        self.client.consumed(n, now);
    }

    /// Processes received bytes.
    pub fn handle_input(&mut self, bytes: &[u8], now: Duration) {
        self.client.handle_input(bytes, now);
        self.advance(now);
    }

    /// Reports the end of the connection.
    pub fn handle_close(&mut self, now: Duration) {
        self.client.handle_close();
        self.advance(now);
    }

    /// Returns the time at which to call [`Self::handle_timeout`].
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.client.timeout()
    }

    /// Processes elapsed time.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.client.handle_timeout(now);
        self.advance(now);
    }

    /// Ends the session on behalf of the user, after a [`Hold`]: its requests fail with [`ClientError::Stopped`]. Returns
    /// `false` while it is held back.
    pub fn stop(&mut self, now: Duration) -> bool {
        self.stop = true;
        self.advance(now);
        self.shared.holds.get() == 0
    }

    /// Returns the next event, if any.
    pub fn poll_event(&mut self) -> Option<ConversationEvent> {
        self.shared.events.borrow_mut().pop_front()
    }

    /// Returns whether the task has ended. [`Self::output`] then still returns the reset that ends the session.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.task.is_none()
    }

    /// Returns the result of the task, once.
    pub fn result(&mut self) -> Option<T> {
        self.result.take()
    }

    fn advance(&mut self, now: Duration) {
        self.shared.now.set(now);
        loop {
            while let Some(progress) = self.client.progress() {
                self.shared.events.borrow_mut().push_back(ConversationEvent::Progress(progress));
            }
            let Some(task) = &mut self.task else { return };
            let allowed = |shared: &Shared| shared.holds.get() == 0;
            if self.stop && allowed(&self.shared) {
                self.client.stop();
            }
            if let Some(reply) = self.client.reply() {
                *self.shared.reply.borrow_mut() = Some(reply);
            }
            if let Poll::Ready(result) = task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                self.task = None;
                self.result = Some(result);
                self.client.reset();
                return;
            }
            // Without a new request, the task waits for the camera.
            let Some((request, data)) = self.shared.request.borrow_mut().take() else { return };
            if self.stop && allowed(&self.shared) {
                self.client.stop();
            }
            self.client.call(request, data.as_ref(), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::bootloader::client::{BUDGET_BYTES, STREAM, WATCHDOG_STREAM};
    use crate::bootloader::message::{AnnouncedData, Memory, Storage};
    use crate::xlink::{Link, LinkEvent, Packet, StreamId};

    /// A camera with given answers that counts watchdog pings.
    struct Fake<A> {
        link: Link,
        answer: A,
        pings: usize,
        data: usize,
        reset: bool,
    }

    impl<A: FnMut(Request, usize) -> Vec<Response>> Fake<A> {
        fn new(answer: A) -> Self {
            Self { link: Link::device(), answer, pings: 0, data: 0, reset: false }
        }

        fn take(&mut self, bytes: &[u8]) {
            self.link.handle_input(bytes).expect("the client sends XLink");
            while let Some(event) = self.link.poll() {
                match event {
                    LinkEvent::OpenedByPeer(stream, _) => self.link.write_unopened(stream),
                    LinkEvent::Packet(stream, _) if self.link.name(stream) == WATCHDOG_STREAM => self.pings += 1,
                    LinkEvent::Packet(stream, bytes) => self.respond(stream, &bytes),
                    LinkEvent::Reset => self.reset = true,
                    _ => {}
                }
            }
        }

        fn respond(&mut self, stream: StreamId, bytes: &[u8]) {
            assert_eq!(self.link.name(stream), STREAM);
            let request = Request::parse(bytes).unwrap_or_else(|_| {
                self.data += bytes.len();
                Request::NoOp
            });
            for response in (self.answer)(request, self.data) {
                self.link.send(stream, Packet::from(response.to_bytes()));
            }
        }
    }

    const S: Duration = Duration::from_secs(1);

    /// Exchanges bytes, and advances the time whenever both ends are idle, until the task has a result.
    fn run<T, A>(mut conversation: Conversation<T>, fake: &mut Fake<A>) -> (T, Vec<ConversationEvent>, Duration)
    where
        A: FnMut(Request, usize) -> Vec<Response>,
    {
        let (mut now, mut events) = (Duration::ZERO, Vec::new());
        loop {
            let out = conversation.output().to_vec();
            conversation.consumed(out.len(), now);
            fake.take(&out);
            let back = fake.link.output().to_vec();
            fake.link.consumed(back.len());
            conversation.handle_input(&back, now);
            events.extend(std::iter::from_fn(|| conversation.poll_event()));
            if !out.is_empty() || !back.is_empty() {
                continue;
            }
            if let Some(result) = conversation.result() {
                return (result, events, now);
            }
            now = conversation.timeout();
            assert!(now < 1000 * S, "the conversation never ends");
            conversation.handle_timeout(now);
        }
    }

    fn answering(version: Version) -> impl FnMut(Request, usize) -> Vec<Response> {
        move |request, _| match request {
            Request::Version => vec![Response::Version(version)],
            Request::Commit => vec![Response::Commit("abc".into())],
            Request::Type => vec![Response::Type(BootloaderType::Network)],
            Request::IsUserBootloader => vec![Response::IsUserBootloader(true)],
            Request::MemoryDetails { .. } => vec![Response::NoOp { invalid: true }],
            _ => vec![],
        }
    }

    fn package() -> RequestData {
        RequestData { bytes: Arc::from(vec![0xaa; 1000]), packet: 100, window: BUDGET_BYTES }
    }

    async fn flash(caller: Caller) -> Result<(), ClientError> {
        caller.identify().await?;
        let data = package();
        let (total, packets) = (data.total(), data.packets());
        caller.write(Request::UpdateFlash { storage: Storage::Application, total, packets }, data).await
    }

    fn new<T, F: Future<Output = T> + 'static>(task: impl FnOnce(Caller) -> F) -> Conversation<T> {
        Conversation::new(Duration::ZERO, ClientOptions { inactivity_timeout: 20 * S }, task)
    }

    #[test]
    fn identify_sends_only_requests_that_the_version_supports() {
        for (version, commit, kind, user) in [
            (Version::new(0, 0, 28), Some("abc"), BootloaderType::Network, true),
            (Version::new(0, 0, 18), Some("abc"), BootloaderType::Network, false),
            (Version::new(0, 0, 12), None, BootloaderType::Network, false),
            (Version::new(0, 0, 11), None, BootloaderType::Usb, false),
        ] {
            let mut fake = Fake::new(answering(version));
            let (info, ..) = run(new(|caller| async move { caller.identify().await }), &mut fake);
            let commit = commit.map(str::to_owned);
            assert_eq!(info, Ok(BootloaderInfo { version, commit, kind, user }));
            assert!(fake.reset, "the session ends with a reset");
        }
    }

    #[test]
    fn a_stop_counts_data_as_sent_before_the_camera_returns_its_credit() {
        let mut fake = Fake::new(answering(Version::RECOMMENDED));
        let mut conversation = new(flash);
        let stopped = |mut conversation: Conversation<Result<(), ClientError>>| {
            assert!(conversation.stop(Duration::ZERO));
            match conversation.result() {
                Some(Err(ClientError::Stopped(at))) => (at.during, at.sent, at.byte, at.total),
                other => panic!("{other:?}"),
            }
        };
        while fake.data < 1000 {
            let out = conversation.output().to_vec();
            conversation.consumed(out.len(), Duration::ZERO);
            fake.take(&out);
            if fake.data == 0 {
                let back = fake.link.output().to_vec();
                fake.link.consumed(back.len());
                conversation.handle_input(&back, Duration::ZERO);
            }
        }
        assert_eq!(stopped(conversation), ("UPDATE_FLASH", true, 1000, 1000));
        assert_eq!(stopped(new(flash)), ("opening the session", false, 0, 0));
    }

    #[test]
    fn upload_reports_sent_and_written_progress() {
        let mut others = answering(Version::RECOMMENDED);
        let mut fake = Fake::new(move |request, data| match request {
            Request::NoOp if data == 1000 => {
                vec![Response::Progress(0.5), Response::Progress(1.0), Response::FlashComplete(Ok(()))]
            }
            other => others(other, data),
        });
        let (result, events, _) = run(new(flash), &mut fake);
        assert_eq!(result, Ok(()));
        let sent = |bytes| ConversationEvent::Progress(TransferProgress::Sent { bytes, total: 1000 });
        let expected: Vec<_> = (1..=10).map(|n| sent(100 * n)).collect();
        assert_eq!(events[..10], expected);
        let written = |share| ConversationEvent::Progress(TransferProgress::Written(share));
        assert_eq!(events[10..], [written(0.5), written(1.0)]);
    }

    #[test]
    fn refusal_ends_the_upload() {
        let mut others = answering(Version::RECOMMENDED);
        let mut fake = Fake::new(move |request, data| match request {
            Request::NoOp if data == 300 => vec![Response::FlashComplete(Err("Not enough space".into()))],
            other => others(other, data),
        });
        let (result, ..) = run(new(flash), &mut fake);
        let error = result.expect_err("the camera refuses");
        assert!(error.is_refusal(), "{error}");
        assert_eq!(
            error.to_string(),
            "UPDATE_FLASH: the camera refused: \"Not enough space\" (after 300 of 1000 bytes)"
        );
        assert!(fake.data < 1000 && fake.reset);
    }

    #[test]
    fn success_before_all_data_is_an_error() {
        let mut others = answering(Version::RECOMMENDED);
        let mut fake = Fake::new(move |request, data| match request {
            Request::NoOp if data == 300 => vec![Response::FlashComplete(Ok(()))],
            other => others(other, data),
        });
        let found = run(new(flash), &mut fake).0;
        assert_eq!(found, Err(ClientError::DoneEarly { request: "UPDATE_FLASH", sent: 300, total: 1000 }));
    }

    #[test]
    fn silence_ends_the_session_although_pings_are_acknowledged() {
        let mut fake = Fake::new(answering(Version::RECOMMENDED));
        let (result, _, now) = run(new(flash), &mut fake);
        let during = "UPDATE_FLASH";
        assert_eq!(result, Err(ClientError::Silent { during, limit: 20 * S, sent: 1000, received: 0 }));
        assert_eq!((now, fake.pings), (20 * S, 27), "one immediately, then one every 750 ms");
    }

    /// Advances the time in steps. In each, `each` may let the camera send more, and at most `bytes` arrive.
    fn run_slowly<T, A>(
        mut conversation: Conversation<T>,
        fake: &mut Fake<A>,
        step: Duration,
        bytes: usize,
        mut each: impl FnMut(&mut Link, u32),
    ) -> (T, Duration)
    where
        A: FnMut(Request, usize) -> Vec<Response>,
    {
        for number in 0.. {
            let now = number * step;
            assert!(now < 1000 * S, "the conversation never ends");
            while !conversation.output().is_empty() {
                let out = conversation.output().to_vec();
                conversation.consumed(out.len(), now);
                fake.take(&out);
            }
            each(&mut fake.link, number);
            let mut left = bytes;
            while left > 0 && !fake.link.output().is_empty() {
                let back = fake.link.output();
                let back = back[..back.len().min(left)].to_vec();
                fake.link.consumed(back.len());
                conversation.handle_input(&back, now);
                left -= back.len();
            }
            if now >= conversation.timeout() {
                conversation.handle_timeout(now);
            }
            if let Some(result) = conversation.result() {
                return (result, now);
            }
        }
        unreachable!("the numbers do not end")
    }

    /// A camera that sends progress for ever, or data too slowly to be useful.
    #[test]
    fn a_session_has_a_limit_whatever_the_camera_sends() {
        let during = "UPDATE_FLASH";
        let step = S / 2;
        // Whether the camera has received the request.
        let asked = Rc::new(Cell::new(false));
        let flashing = |share: fn(u32) -> f32| {
            let (mut others, seen) = (answering(Version::RECOMMENDED), Rc::clone(&asked));
            asked.set(false);
            let mut fake = Fake::new(move |request, data| {
                seen.set(seen.get() || data == 1000);
                others(request, data)
            });
            run_slowly(new(flash), &mut fake, step, usize::MAX, |link, number| {
                if let Some(stream) = link.stream(STREAM).filter(|_| asked.get()) {
                    link.send(stream, Packet::from(Response::Progress(share(number)).to_bytes()));
                }
            })
        };
        for share in
            [|_| 0.5, |number| if number % 2 == 0 { 0.1 } else { 0.5 }, |number| number as f32 * 1e-6, |_| f32::NAN]
        {
            let (result, now) = flashing(share);
            assert_eq!(result, Err(ClientError::Silent { during, limit: 20 * S, sent: 1000, received: 0 }));
            assert!(now <= 40 * S, "{now:?}");
        }
        // Each report is progress, but the last one would be there after hours.
        let (result, now) = flashing(|number| number as f32 * 1.1e-3);
        assert!(matches!(result, Err(ClientError::TooSlow { .. })), "{result:?}");
        assert!(now > 100 * S && now < 250 * S, "{now:?}");

        let read = |caller: Caller| async move {
            caller.identify().await?;
            caller.read(Request::ReadFlash { memory: Memory::Flash, offset: 0, total: 1 << 20 }).await
        };
        for bytes in [1, 150, 600] {
            let (mut others, seen) = (answering(Version::RECOMMENDED), Rc::clone(&asked));
            asked.set(false);
            let mut fake = Fake::new(move |request, data| match request {
                Request::ReadFlash { total, .. } => {
                    seen.set(true);
                    vec![Response::ReadFlash(Ok(AnnouncedData { total, packets: 1 }))]
                }
                other => others(other, data),
            });
            let mut sent = false;
            let (result, now) = run_slowly(new(read), &mut fake, step, bytes, |link, _| {
                if let Some(stream) = link.stream(STREAM).filter(|_| asked.get() && !sent) {
                    sent = true;
                    link.send(stream, Packet::from(vec![7; 1 << 20]));
                }
            });
            let ended = matches!(
                result,
                Err(ClientError::Silent { .. } | ClientError::TooSlow { .. } | ClientError::Watchdog { .. })
            );
            assert!(ended && now < 300 * S, "{bytes} bytes a step: {result:?} after {now:?}");
        }
    }

    #[test]
    fn unacknowledged_pings_end_the_session() {
        let mut fake = Fake::new(answering(Version::RECOMMENDED));
        let watchdog = fake.link.open(WATCHDOG_STREAM, 64);
        fake.link.set_releasing(watchdog, false);
        let (result, _, now) = run(new(flash), &mut fake);
        assert_eq!((result, now), (Err(ClientError::Watchdog { during: "UPDATE_FLASH" }), 6 * S));
    }

    #[test]
    fn unsupported_requests_are_reported() {
        let ask = |caller: Caller| async move {
            caller.identify().await?;
            caller.ask(Request::MemoryDetails { memory: Memory::Flash }).await
        };
        let mut old = Fake::new(answering(Version::new(0, 0, 17)));
        let error = run(new(ask), &mut old).0.expect_err("the version is too old");
        assert!(error.to_string().starts_with("GET_MEMORY_DETAILS requires bootloader 0.0.19 or newer, found 0.0.17"));
        // A bootloader that reports a newer version than it implements.
        let mut claiming = Fake::new(answering(Version::RECOMMENDED));
        let error = run(new(ask), &mut claiming).0.expect_err("the request is not supported");
        assert_eq!(error, ClientError::Unsupported { request: "GET_MEMORY_DETAILS" });
    }

    #[test]
    fn unexpected_responses_are_errors() {
        for (answer, text) in [
            (
                Response::Type(BootloaderType::Usb),
                "GET_BOOTLOADER_VERSION: the camera answered BOOTLOADER_TYPE, expected",
            ),
            (Response::NoOp { invalid: true }, "GET_BOOTLOADER_VERSION: the camera does not support this request"),
        ] {
            let mut fake = Fake::new(|_, _| vec![answer.clone()]);
            let error = run(new(|caller| async move { caller.identify().await }), &mut fake)
                .0
                .expect_err("the response is unexpected");
            assert!(error.to_string().starts_with(text), "{error}");
        }
        let mut conversation = new(|caller| async move { caller.identify().await });
        conversation.handle_close(S);
        let closed = ClientError::Closed { during: "opening the session", sent: 0, total: 0, received: 0 };
        assert_eq!(conversation.result(), Some(Err(closed)));
    }

    #[test]
    #[should_panic(expected = "GET_BOOTLOADER_COMMIT: the previous request has no reply yet")]
    fn overlapping_requests_panic() {
        let mut fake = Fake::new(answering(Version::RECOMMENDED));
        let task = |caller: Caller| async move {
            let mut dropped = Box::pin(caller.ask(Request::Version));
            assert!(dropped.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            drop(dropped);
            caller.ask(Request::Commit).await
        };
        let _ = run(new(task), &mut fake);
    }
}
