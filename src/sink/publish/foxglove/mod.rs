//! Publishes to the Foxglove app, which connects to a WebSocket server here.
//!
//! | Topic | Schema | Content |
//! |---|---|---|
//! | `/NAME/image` | `foxglove.RawImage`, `CompressedImage`, `CompressedVideo` | each confirmed frame |
//! | `/NAME/detections` | `foxglove.ImageAnnotations` | its boxes |
//! | `/NAME/measurement/TOPIC` | `oaktap.Measurement` | numbers beside the pictures |
//! | `/NAME/ledger` | `oaktap.Ledger` | state and counts, each second; not of recordings |
//!
//! The messages are those of recordings, byte for byte. They are encoded on the thread of the target, which also drives the
//! sockets: between two frames the clients take what waits, so that only a client that is slow misses messages. The server
//! keeps a few messages for each client and drops the oldest, and does not report which.

mod address;
mod camera;
mod clients;
mod ledger;
mod parameters;
mod services;
mod stream;
mod timeline;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use foxglove::websocket::{Capability, Parameter};
use foxglove::{Context, FoxgloveError, WebSocketServer, WebSocketServerHandle};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

pub(super) use self::address::parse;

use self::camera::{FoxgloveCamera, refused};
use self::clients::{Clients, Subscription};
use self::parameters::Parameters;
use self::stream::Encoder;
use self::timeline::Timeline;
use super::camera::PublishedFrame;
use super::turns::next_in_turn;
use super::{Command, PublishCounts, PublishOptions};
use crate::error::with_causes;
use crate::frame::{Frame, Received};
use crate::hub::Taker;
use crate::recording::topics::topic_name;
use crate::source::Measurement;
use crate::sync::locked;

/// Messages that wait for a slow client: at least, for each camera, and at most. They may all be raw pictures.
const BACKLOG_MIN: usize = 8;
const BACKLOG_CAMERA: usize = 4;
const BACKLOG_MAX: usize = 64;
/// With a timeline, the client gets its time through a queue of the same size, which ends its connection when it is full.
const BACKLOG_TIMELINE: usize = 16;

/// Time between attempts to listen.
const LISTEN_RETRY: Duration = Duration::from_secs(2);

/// Interval of the states of cameras.
const LEDGER_INTERVAL: Duration = Duration::from_secs(1);

/// How often clients get the time of the timeline.
const TIMELINE_INTERVAL: Duration = Duration::from_millis(200);

/// Longest time that the end waits for clients.
const FINISH_MAX: Duration = Duration::from_millis(500);

/// Publishes on one address until the sender of its commands is dropped.
pub(super) struct FoxglovePublisher {
    address: SocketAddr,
    options: PublishOptions,
    commands: UnboundedReceiver<Command>,
    counts: Arc<Mutex<PublishCounts>>,
    backlog: usize,
    context: Arc<Context>,
    clients: Arc<Clients>,
    subscriptions: Receiver<Subscription>,
    parameters: Parameters,
    changes: UnboundedReceiver<Vec<Parameter>>,
    timeline: Option<Arc<Timeline>>,
    server: Option<WebSocketServerHandle>,
    cameras: Vec<FoxgloveCamera>,
    encoder: Encoder,
    /// The camera whose frame is taken next.
    next_camera: usize,
}

/// Something to publish.
enum Item {
    Frame(PublishedFrame),
    Number(Measurement, Received),
}

impl FoxglovePublisher {
    pub(super) fn new(
        address: SocketAddr,
        options: PublishOptions,
        commands: UnboundedReceiver<Command>,
        counts: Arc<Mutex<PublishCounts>>,
        cameras: usize,
    ) -> Self {
        let timeline = options.playback.clone().map(|playback| Arc::new(Timeline::new(playback)));
        let (clients, subscriptions) = Clients::new(Arc::clone(&counts), timeline.clone());
        let (parameters, changes) = Parameters::new();
        let least = if timeline.is_some() { BACKLOG_TIMELINE } else { BACKLOG_MIN };
        locked(&counts).listened = Some(false);
        Self {
            address,
            options,
            commands,
            counts,
            backlog: (cameras * BACKLOG_CAMERA).clamp(least, BACKLOG_MAX),
            context: Context::new(),
            clients,
            subscriptions,
            parameters,
            changes,
            timeline,
            server: None,
            cameras: Vec::new(),
            encoder: Encoder::default(),
            next_camera: 0,
        }
    }

    /// Tries to listen once, and reports a failure.
    ///
    /// # Errors
    /// The address cannot be listened on, and nothing is published without it.
    pub(super) async fn opened(mut self) -> io::Result<Self> {
        match self.listen().await {
            Err(error) if self.options.fails_alone => {
                let kind = if let FoxgloveError::Bind(error) = &error { error.kind() } else { io::ErrorKind::Other };
                return Err(io::Error::new(kind, self.failure(&error)));
            }
            Err(error) => (self.options.report)(&format!("{}; retrying{}", self.failure(&error), help(&error))),
            Ok(()) => {}
        }
        Ok(self)
    }

    fn failure(&self, error: &FoxgloveError) -> String {
        let why = if let FoxgloveError::Bind(error) = error { error.to_string() } else { with_causes(error) };
        format!("cannot listen on {} for Foxglove: {why}", self.address)
    }

    async fn listen(&mut self) -> Result<(), FoxgloveError> {
        let host = match self.address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        let server = WebSocketServer::new()
            .name(concat!("oaktap ", env!("CARGO_PKG_VERSION")))
            .bind(host, self.address.port())
            .context(&self.context)
            .tokio_runtime(&Handle::current())
            .message_backlog_size(self.backlog)
            .supported_encodings([services::ENCODING])
            .listener(Arc::clone(&self.clients) as _);
        let server = match &self.timeline {
            Some(timeline) => {
                let (first, last) = timeline.range();
                server.capabilities([Capability::Time]).playback_time_range(first, last)
            }
            None => server.capabilities([Capability::Services]).parameter_handler(Arc::new(self.parameters.clone())),
        };
        let server = server.start().await?;
        {
            let mut counts = locked(&self.counts);
            (counts.connected, counts.listened) = (true, Some(true));
        }
        let address = SocketAddr::new(self.address.ip(), server.port());
        (self.options.report)(&listening(address, &server.app_url().to_string()));
        self.server = Some(server);
        Ok(())
    }

    /// Publishes until the program has finished publishing. Counts the frames that were not published by then.
    pub(super) async fn run(mut self) {
        let is_listening = self.server.is_some() || self.wait_to_listen().await;
        if is_listening {
            self.publish().await;
            self.finish().await;
        }
        let waiting = self.cameras.iter().map(|known| known.frames.waiting() as u64).sum();
        let mut counts = locked(&self.counts);
        counts.connected = is_listening;
        counts.unpublished = waiting;
    }

    /// Tries to listen again and again. Returns whether it did, before the program has finished publishing.
    async fn wait_to_listen(&mut self) -> bool {
        loop {
            let mut retry = std::pin::pin!(sleep(LISTEN_RETRY));
            loop {
                tokio::select! {
                    () = &mut retry => break,
                    command = self.commands.recv() => match command {
                        Some(command) => self.command(command),
                        None => return false,
                    },
                }
            }
            if self.listen().await.is_ok() {
                return true;
            }
        }
    }

    async fn publish(&mut self) {
        let ticks = |period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let (mut ledgers, mut times) = (ticks(LEDGER_INTERVAL), ticks(TIMELINE_INTERVAL));
        if let Some(server) = &self.server {
            for known in &self.cameras {
                offer_services(server, known, self.timeline.is_some());
            }
        }
        loop {
            let next = |at: usize, cx: &mut TaskContext<'_>| next_of(&self.cameras[at], cx);
            tokio::select! {
                (at, item) = next_in_turn(self.cameras.len(), self.next_camera, next) => self.item(at, item).await,
                Some((channel, client)) = self.subscriptions.recv() => self.repeat((channel, client)),
                Some(values) = self.changes.recv() => {
                    if let Some(server) = &self.server {
                        server.publish_parameter_values(values);
                    }
                }
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => return,
                },
                _ = ledgers.tick(), if self.timeline.is_none() => self.ledgers(),
                _ = times.tick(), if self.timeline.is_some() => {
                    if let (Some(timeline), Some(server)) = (&self.timeline, &self.server) {
                        timeline.follow(server);
                    }
                }
            }
            // Clients take what waits for them.
            tokio::task::yield_now().await;
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Add(camera) => {
                let name = topic_name(camera.session.name());
                let numbered = (2..).map(|number| format!("{name}-{number}"));
                let is_free = |name: &String| self.cameras.iter().all(|known| known.name != *name);
                let name = std::iter::once(name.clone()).chain(numbered).find(is_free).unwrap_or(name);
                let is_played = self.timeline.is_some();
                self.parameters.add(&name, &camera.session);
                let Some(mut known) = FoxgloveCamera::new(*camera, name, is_played) else { return };
                // Clients see its topics before its first frame.
                known.stream(&self.context, None);
                if !is_played {
                    known.ledger(&self.context, &self.clients);
                }
                if let Some(server) = &self.server {
                    offer_services(server, &known, is_played);
                }
                self.cameras.push(known);
            }
            Command::Remove(name) => {
                let Some(at) = self.cameras.iter().position(|known| known.session.name() == name) else {
                    return;
                };
                let known = self.cameras.remove(at);
                self.parameters.remove(&known.name);
                if let Some(server) = &self.server {
                    server.remove_services([services::snapshot_name(&known.name)]);
                }
            }
        }
    }

    async fn item(&mut self, at: usize, item: Item) {
        match item {
            Item::Frame(PublishedFrame { detected, .. }) => {
                self.next_camera = at + 1;
                let lead_in = self.cameras[at].lead_ins.as_ref().and_then(Taker::try_take);
                for frame in lead_in.iter().flat_map(|frames| frames.iter()) {
                    self.frame(at, frame);
                    // They are more than a client's queue holds.
                    tokio::task::yield_now().await;
                }
                self.frame(at, &detected.frame);
            }
            Item::Number(number, received) => {
                self.cameras[at].number(&self.context, &number, received, &self.clients);
            }
        }
    }

    fn frame(&mut self, at: usize, frame: &Arc<Frame>) {
        let Self { context, clients, options, encoder, timeline, cameras, .. } = self;
        let known = &mut cameras[at];
        let publish_ns = known.clock.observe_frame(frame, frame.received.unix_ns);
        let Some(stream) = known.stream(context, frame.stream.as_ref()) else { return };
        let sent = stream.frame(context, frame, publish_ns, timeline.is_some(), (encoder, &options.style, clients));
        if let Err(error) = sent {
            refused(&error);
        }
    }

    /// Sends the last frame to a client that subscribes while a recording is paused.
    fn repeat(&mut self, (channel, client): Subscription) {
        let Self { clients, options, encoder, timeline, cameras, .. } = self;
        if timeline.as_ref().is_some_and(|timeline| timeline.stands_still()) {
            for stream in cameras.iter().flat_map(|known| known.streams.values()) {
                stream.repeat(channel, client, (encoder, &options.style, clients));
            }
        }
    }

    fn ledgers(&mut self) {
        for known in &mut self.cameras {
            known.ledger(&self.context, &self.clients);
        }
    }

    /// Publishes the frames that wait and the last counts, and ends the connections. The sessions have ended.
    async fn finish(&mut self) {
        for at in 0..self.cameras.len() {
            while let Some(frame) = self.cameras[at].frames.try_take() {
                self.frame(at, &frame.detected.frame);
                tokio::task::yield_now().await;
            }
        }
        if self.timeline.is_none() {
            self.ledgers();
            tokio::task::yield_now().await;
        }
        if let Some(server) = self.server.take() {
            // A client that does not read keeps its connection open; that ends with the runtime.
            let _ = timeout(FINISH_MAX, server.stop().wait()).await;
        }
    }
}

/// Returns the report of the address, with a warning if other hosts reach it. `url`: opens the app with this server.
fn listening(address: SocketAddr, url: &str) -> String {
    let text = format!("publishing on foxglove://{address}: open ws://{address} in Foxglove");
    if !address.ip().is_loopback() {
        return format!(
            "{text}\nwarning: there is no password: whoever reaches this host sees the cameras and changes their settings"
        );
    }
    // The crate leaves out the brackets of an IPv6 address.
    if address.is_ipv4() { format!("{text}, or {url}") } else { text }
}

/// Offers the services of a camera to clients.
fn offer_services(server: &WebSocketServerHandle, known: &FoxgloveCamera, is_played: bool) {
    if !is_played {
        let service = services::snapshot(&known.name, Arc::clone(&known.pictures));
        if let Err(error) = server.add_services([service]) {
            refused(&error);
        }
    }
}

/// Returns the next step for the user.
fn help(error: &FoxgloveError) -> &'static str {
    match error {
        FoxgloveError::Bind(error) if error.kind() == io::ErrorKind::AddrInUse => {
            "\nhelp: another program listens there: end it, or choose another port, as in foxglove://:8766"
        }
        _ => "",
    }
}

/// Takes the next number or frame of a camera.
fn next_of(known: &FoxgloveCamera, cx: &mut TaskContext<'_>) -> Poll<Item> {
    match known.numbers.poll_take(cx) {
        Poll::Ready((number, received)) => Poll::Ready(Item::Number(number, received)),
        Poll::Pending => known.frames.poll_take(cx).map(Item::Frame),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_reach_is_warned_about() {
        let text = |address: &str| listening(address.parse().expect("an address"), "https://app");
        assert_eq!(
            text("127.0.0.1:8765"),
            "publishing on foxglove://127.0.0.1:8765: open ws://127.0.0.1:8765 in Foxglove, or https://app"
        );
        for address in ["0.0.0.0:8765", "192.168.1.2:80", "[::]:8765"] {
            assert!(text(address).contains(&format!("open ws://{address} in Foxglove\nwarning: there is no password")));
        }
        assert_eq!(text("[::1]:8765"), "publishing on foxglove://[::1]:8765: open ws://[::1]:8765 in Foxglove");
    }
}
