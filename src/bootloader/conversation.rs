//! Runs what is done with a camera: plain `async` functions, without a runtime.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::client::Reply;
use super::{Client, ClientError, Data, Options, Progress, Request, Response, Type, Version};

/// Asks one camera. Clones ask the same one; calls must not overlap.
#[derive(Clone, Debug, Default)]
pub struct Caller(Rc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    asked: RefCell<Option<(Request, Option<Data>)>>,
    reply: RefCell<Option<Result<Reply, ClientError>>>,
    now: Cell<Duration>,
    told: RefCell<VecDeque<Told>>,
}

/// What a conversation tells of its course.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// The next thing has begun.
    Begun(String),
    /// How far it is.
    Progress(Progress),
}

/// What a bootloader says of itself when a session begins.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Greeting {
    /// Its version.
    pub version: Version,
    /// The commit that it was built from, from 0.0.18 on.
    pub commit: Option<String>,
    /// What kind it is; before 0.0.12 there was only the one for USB.
    #[serde(rename = "type")]
    pub kind: Type,
    /// Whether it is the one in the second slot.
    pub user: bool,
}

impl Caller {
    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn ask(&self, request: Request) -> Result<Response, ClientError> {
        let name = request.name();
        match self.call(request, None).await? {
            Reply::Response(response) => Ok(response),
            Reply::Data(_) => Err(ClientError::Unexpected { request: name, found: "data", expected: "one answer" }),
        }
    }

    /// Asks for data, and waits for all of it.
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

    /// Asks with data, and waits until the camera says that it is done.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn write(&self, request: Request, data: Data) -> Result<(), ClientError> {
        self.call(request, Some(data)).await.map(|_| ())
    }

    /// What the vendor's client asks first (bootloader.md 3.3), and whether it is in the second slot.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn greet(&self) -> Result<Greeting, ClientError> {
        let Response::Version(version) = self.ask(Request::Version).await? else { unreachable!("it was looked at") };
        let mut greeting = Greeting { version, commit: None, kind: Type::Usb, user: false };
        if version >= Version::TELLS_COMMIT
            && let Response::Commit(commit) = self.ask(Request::Commit).await?
        {
            greeting.commit = Some(commit).filter(|commit| !commit.is_empty());
        }
        if version >= Version::TELLS_TYPE
            && let Response::Type(kind) = self.ask(Request::Type).await?
        {
            greeting.kind = kind;
        }
        if version >= Version::HAS_USER_SLOT
            && let Response::IsUserBootloader(user) = self.ask(Request::IsUserBootloader).await?
        {
            greeting.user = user;
        }
        Ok(greeting)
    }

    /// The time of the last input.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.0.now.get()
    }

    /// Tells whoever watches that the next thing begins.
    pub fn begin(&self, what: impl Into<String>) {
        self.0.told.borrow_mut().push_back(Told::Begun(what.into()));
    }

    async fn call(&self, request: Request, data: Option<Data>) -> Result<Reply, ClientError> {
        *self.0.asked.borrow_mut() = Some((request, data));
        std::future::poll_fn(|_| match self.0.reply.borrow_mut().take() {
            Some(reply) => Poll::Ready(reply),
            None => Poll::Pending,
        })
        .await
    }
}

/// A session with a camera that does one thing, and what came of it.
///
/// Whoever moves its bytes calls, in any order: [`Self::output`] and [`Self::consumed`], [`Self::handle_input`],
/// [`Self::handle_timeout`] at [`Self::timeout`], [`Self::handle_close`], and looks at [`Self::told`] and [`Self::result`]
/// afterwards. It is over when [`Self::is_over`] says so.
pub struct Conversation<T> {
    client: Client,
    caller: Caller,
    task: Option<Pin<Box<dyn Future<Output = T>>>>,
    result: Option<T>,
}

impl<T> fmt::Debug for Conversation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation").field("client", &self.client).finish_non_exhaustive()
    }
}

impl<T> Conversation<T> {
    /// For a connection that was made just now.
    pub fn new<F>(now: Duration, options: Options, task: impl FnOnce(Caller) -> F) -> Self
    where
        F: Future<Output = T> + 'static,
    {
        let caller = Caller::default();
        let task: Pin<Box<dyn Future<Output = T>>> = Box::pin(task(caller.clone()));
        let mut new = Self { client: Client::new(now, options), caller, task: Some(task), result: None };
        new.advance(now);
        new
    }

    /// The next bytes to be sent.
    pub fn output(&mut self) -> &[u8] {
        self.client.output()
    }

    /// So many bytes of [`Self::output`] were sent.
    pub fn consumed(&mut self, n: usize, now: Duration) {
        self.client.consumed(n, now);
    }

    /// Bytes have come.
    pub fn handle_input(&mut self, bytes: &[u8], now: Duration) {
        self.client.handle_input(bytes, now);
        self.advance(now);
    }

    /// The connection has ended.
    pub fn handle_close(&mut self, now: Duration) {
        self.client.handle_close();
        self.advance(now);
    }

    /// When [`Self::handle_timeout`] is to be called.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.client.timeout()
    }

    /// It is that late.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.client.handle_timeout(now);
        self.advance(now);
    }

    /// What is to be shown of its course.
    pub fn told(&mut self) -> Option<Told> {
        self.caller.0.told.borrow_mut().pop_front()
    }

    /// Whether there is a result. What [`Self::output`] still has is the reset that ends the session.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.task.is_none()
    }

    /// What came of it, once.
    pub fn result(&mut self) -> Option<T> {
        self.result.take()
    }

    fn advance(&mut self, now: Duration) {
        self.caller.0.now.set(now);
        loop {
            while let Some(progress) = self.client.progress() {
                self.caller.0.told.borrow_mut().push_back(Told::Progress(progress));
            }
            let Some(task) = &mut self.task else { return };
            if let Some(reply) = self.client.reply() {
                *self.caller.0.reply.borrow_mut() = Some(reply);
            }
            if let Poll::Ready(result) = task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                self.task = None;
                self.result = Some(result);
                self.client.reset();
                return;
            }
            // It waits for something that only the camera can say, unless it has just asked.
            let Some((request, data)) = self.caller.0.asked.borrow_mut().take() else { return };
            self.client.call(request, data.as_ref(), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::bootloader::{BUDGET, STREAM, Storage, WATCHDOG};
    use crate::xlink::{Event, Link, Packet, Stream};

    /// A camera whose answers are made up; it counts its pings.
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
            self.link.handle_input(bytes).expect("what the client says is XLink");
            while let Some(event) = self.link.poll() {
                match event {
                    Event::OpenedByPeer(stream, _) => self.link.write_unopened(stream),
                    Event::Packet(stream, _) if self.link.name(stream) == WATCHDOG => self.pings += 1,
                    Event::Packet(stream, bytes) => self.asked(stream, &bytes),
                    Event::Reset => self.reset = true,
                    _ => {}
                }
            }
        }

        fn asked(&mut self, stream: Stream, bytes: &[u8]) {
            assert_eq!(self.link.name(stream), STREAM);
            let asked = Request::parse(bytes).unwrap_or_else(|_| {
                self.data += bytes.len();
                Request::NoOp
            });
            for response in (self.answer)(asked, self.data) {
                self.link.send(stream, Packet::from(response.to_bytes()));
            }
        }
    }

    /// Seconds.
    const S: Duration = Duration::from_secs(1);

    /// Runs both until nothing moves, then lets time pass, until there is a result.
    fn run<T, A>(mut conversation: Conversation<T>, fake: &mut Fake<A>) -> (T, Vec<Told>, Duration)
    where
        A: FnMut(Request, usize) -> Vec<Response>,
    {
        let (mut now, mut told) = (Duration::ZERO, Vec::new());
        loop {
            let out = conversation.output().to_vec();
            conversation.consumed(out.len(), now);
            fake.take(&out);
            let back = fake.link.output().to_vec();
            fake.link.consumed(back.len());
            conversation.handle_input(&back, now);
            told.extend(std::iter::from_fn(|| conversation.told()));
            if !out.is_empty() || !back.is_empty() {
                continue;
            }
            if let Some(result) = conversation.result() {
                return (result, told, now);
            }
            now = conversation.timeout();
            assert!(now < 1000 * S, "it waits for ever");
            conversation.handle_timeout(now);
        }
    }

    fn polite(version: Version) -> impl FnMut(Request, usize) -> Vec<Response> {
        move |request, _| match request {
            Request::Version => vec![Response::Version(version)],
            Request::Commit => vec![Response::Commit("abc".into())],
            Request::Type => vec![Response::Type(Type::Network)],
            Request::IsUserBootloader => vec![Response::IsUserBootloader(true)],
            Request::MemoryDetails { .. } => vec![Response::NoOp { invalid: true }],
            _ => vec![],
        }
    }

    fn package() -> Data {
        Data { bytes: Arc::from(vec![0xaa; 1000]), packet: 100, window: BUDGET }
    }

    async fn flash(caller: Caller) -> Result<(), ClientError> {
        caller.greet().await?;
        let data = package();
        let (total, packets) = (data.total(), data.packets());
        caller.write(Request::UpdateFlash { storage: Storage::Application, total, packets }, data).await
    }

    fn new<T, F: Future<Output = T> + 'static>(task: impl FnOnce(Caller) -> F) -> Conversation<T> {
        Conversation::new(Duration::ZERO, Options { inactivity: 20 * S }, task)
    }

    #[test]
    fn each_version_is_asked_what_it_knows() {
        for (version, commit, kind, user) in [
            (Version::new(0, 0, 28), Some("abc"), Type::Network, true),
            (Version::new(0, 0, 18), Some("abc"), Type::Network, false),
            (Version::new(0, 0, 12), None, Type::Network, false),
            (Version::new(0, 0, 11), None, Type::Usb, false),
        ] {
            let mut fake = Fake::new(polite(version));
            let (greeting, ..) = run(new(|caller| async move { caller.greet().await }), &mut fake);
            let commit = commit.map(str::to_owned);
            assert_eq!(greeting, Ok(Greeting { version, commit, kind, user }));
            assert!(fake.reset, "the session ends with a reset");
        }
    }

    #[test]
    fn data_is_sent_and_its_course_told() {
        let mut polite = polite(Version::RECOMMENDED);
        let mut fake = Fake::new(move |request, data| match request {
            Request::NoOp if data == 1000 => {
                vec![Response::Progress(0.5), Response::Progress(1.0), Response::FlashComplete(Ok(()))]
            }
            other => polite(other, data),
        });
        let (result, told, _) = run(new(flash), &mut fake);
        assert_eq!(result, Ok(()));
        let sent = |bytes| Told::Progress(Progress::Sent { bytes, total: 1000 });
        let course: Vec<_> = (1..=10).map(|n| sent(100 * n)).collect();
        assert_eq!(told[..10], course);
        assert_eq!(told[10..], [Told::Progress(Progress::Written(0.5)), Told::Progress(Progress::Written(1.0))]);
    }

    #[test]
    fn a_refusal_ends_the_sending() {
        let mut polite = polite(Version::RECOMMENDED);
        let mut fake = Fake::new(move |request, data| match request {
            Request::NoOp if data == 300 => vec![Response::FlashComplete(Err("Not enough space".into()))],
            other => polite(other, data),
        });
        let (result, ..) = run(new(flash), &mut fake);
        let error = result.expect_err("it refuses");
        assert!(error.is_refusal(), "{error}");
        assert_eq!(
            error.to_string(),
            "UPDATE_FLASH: the camera refused: \"Not enough space\" (after 300 of 1000 bytes)"
        );
        assert!(fake.data < 1000 && fake.reset);
    }

    #[test]
    fn done_before_it_has_everything_is_a_lie() {
        let mut polite = polite(Version::RECOMMENDED);
        let mut fake = Fake::new(move |request, data| match request {
            Request::NoOp if data == 300 => vec![Response::FlashComplete(Ok(()))],
            other => polite(other, data),
        });
        let found = run(new(flash), &mut fake).0;
        assert_eq!(found, Err(ClientError::DoneEarly { request: "UPDATE_FLASH", sent: 300, total: 1000 }));
    }

    #[test]
    fn silence_ends_while_the_watchdog_is_served() {
        let mut fake = Fake::new(polite(Version::RECOMMENDED));
        let (result, _, now) = run(new(flash), &mut fake);
        let during = "UPDATE_FLASH";
        assert_eq!(result, Err(ClientError::Silent { during, limit: 20 * S, sent: 1000, received: 0 }));
        assert_eq!((now, fake.pings), (20 * S, 27), "one at once, and one each 750 ms");
    }

    #[test]
    fn a_watchdog_that_is_not_served_ends_the_session() {
        let mut fake = Fake::new(polite(Version::RECOMMENDED));
        let watchdog = fake.link.open(WATCHDOG, 64);
        fake.link.set_releasing(watchdog, false);
        let (result, _, now) = run(new(flash), &mut fake);
        assert_eq!((result, now), (Err(ClientError::Watchdog { during: "UPDATE_FLASH" }), 6 * S));
    }

    #[test]
    fn what_an_old_one_cannot_do_is_not_asked_of_it() {
        let ask = |caller: Caller| async move {
            caller.greet().await?;
            caller.ask(Request::MemoryDetails { memory: crate::bootloader::Memory::Flash }).await
        };
        let mut old = Fake::new(polite(Version::new(0, 0, 17)));
        let error = run(new(ask), &mut old).0.expect_err("it is too old");
        assert!(
            error.to_string().starts_with("GET_MEMORY_DETAILS needs bootloader 0.0.19 or newer, and this is 0.0.17")
        );
        // One that claims to be new, and is not.
        let mut liar = Fake::new(polite(Version::RECOMMENDED));
        let error = run(new(ask), &mut liar).0.expect_err("it does not know that");
        assert_eq!(error, ClientError::Unsupported { request: "GET_MEMORY_DETAILS" });
    }

    #[test]
    fn strange_answers_are_told() {
        for (answer, text) in [
            (Response::Type(Type::Usb), "GET_BOOTLOADER_VERSION: the camera answered BOOTLOADER_TYPE, where"),
            (Response::NoOp { invalid: true }, "GET_BOOTLOADER_VERSION: the camera does not know this request"),
        ] {
            let mut fake = Fake::new(|_, _| vec![answer.clone()]);
            let error = run(new(|caller| async move { caller.greet().await }), &mut fake).0.expect_err("it is strange");
            assert!(error.to_string().starts_with(text), "{error}");
        }
        let mut conversation = new(|caller| async move { caller.greet().await });
        conversation.handle_close(S);
        let closed = ClientError::Closed { during: "opening the session", sent: 0, total: 0, received: 0 };
        assert_eq!(conversation.result(), Some(Err(closed)));
    }
}
