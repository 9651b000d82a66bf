//! Serves cameras to browsers and programs over HTTP and RTSP, and to clients of the camera's own protocol.
//!
//! ```text
//! provisional frames, video decoded --DropOldest(1)--> thread "serve NAME": one JPEG per frame and size --> Hub<Arc<Shot>>
//!                                                               each viewer: DropOldest(1) --> page, MJPEG, snapshot
//! provisional frames of H.264 --each page: DropToStart(8)--> page, as fragments of MP4
//! provisional frames --each viewer: DropToStart--> WebRTC
//! confirmed frames --each client: DropOldest--> /events, camera port, RTSP
//! ```
//!
//! Frames are converted only while a viewer watches. JPEG cameras are not converted: their viewers get the bytes of the camera.
//! Pages get the H.264 of cameras as it is, unless they cannot play it.
//! Every viewer has a lane of its own, so that a slow one delays no other and neither the camera; its ledger holds at every
//! moment: offered = sent + superseded + pending.

mod address;
mod advice;
mod camera;
mod camera_port;
mod capture_clock;
mod controls;
mod encoder;
mod events;
mod feed;
mod form;
mod fragments;
mod guard;
mod http;
mod metrics;
mod mjpeg;
mod page;
mod page_message;
mod page_video;
mod recording;
mod recordings;
mod replay;
mod routes;
mod rtsp;
mod shot;
mod signature;
mod signed_query;
mod socket;
mod status;
mod streams;
mod tls;
mod viewer;
#[cfg(feature = "whep")]
mod whep;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::runtime::{Builder, Handle, Runtime};

pub use self::address::{ServeAddress, is_host_name};
use self::camera::ServedCamera;
use self::camera_port::Clients;
pub use self::guard::{Token, TokenError};
use self::recording::{CameraRecorder, RecordingMonitor};
use self::routes::Server;
pub use self::rtsp::url as rtsp_url;
pub use self::tls::{Tls, TlsFileError};
pub use self::viewer::{ViewerCounts, ViewerKind};
use crate::live::{Camera, Sink};
use crate::overlay::Style;
use crate::sink::record::{RecordError, RecordOptions, RecorderOutcome, RecordersMonitor, RecordingSwitch};
use crate::source::{Advise, Session};

/// Threads that serve. Pictures are made on threads of the cameras.
const SERVE_THREADS: usize = 2;

/// Bytes that the system keeps for a client that does not read. Linux takes twice as many.
const SEND_BUFFER_BYTES: usize = 256 << 10;

/// Bytes that may wait in the system before they are sent to a client. With more, the newest frame of a slow client would wait
/// after old ones: a full send buffer is 0.5 s at 1 MB/s. Bytes on the way to the client do not count.
#[cfg(any(target_os = "android", target_os = "linux"))]
const UNSENT_BYTES: u32 = 32 << 10;

/// Longest time that the end waits for connections.
const SHUTDOWN_MAX: Duration = Duration::from_millis(500);

/// Options of [`Serve`].
#[derive(Clone, Debug, Default)]
pub struct ServeOptions {
    /// Detections that are sent, and the names of their labels.
    pub style: Style,
    /// Required from every client, if there is one.
    pub token: Option<Token>,
    /// Names of this host in requests, besides `localhost` and addresses.
    pub host_names: Vec<String>,
    /// Encrypts HTTP, if there is a certificate.
    pub tls: Option<Tls>,
    /// How clients record cameras into a folder; `None`: they cannot.
    pub recordings: Option<RecordOptions>,
    /// Names a camera in the commands that are suggested to clients; `None`: they say `CAMERA`.
    pub advise: Option<Advise>,
}

/// Counts of the viewers of one camera.
#[derive(Clone, Debug, serde::Serialize)]
pub struct CameraViewers {
    /// Name of the camera, or of one of its further streams.
    pub camera: String,
    /// Counts of each kind of viewer that there was.
    pub viewers: Vec<ViewerCounts>,
}

/// Returns the counts of the viewers of a camera and of its further streams.
fn counts(camera: &Arc<ServedCamera>) -> impl Iterator<Item = CameraViewers> {
    let of =
        |camera: &Arc<ServedCamera>| CameraViewers { camera: camera.name.clone(), viewers: camera.viewers.by_kind() };
    camera.with_streams().map(of)
}

/// A camera between two servers: with the counts of its viewers, and a recording that may run.
#[derive(Debug)]
pub struct KeptCamera(Arc<ServedCamera>);

impl KeptCamera {
    /// Returns whether a client has started a recording that still runs.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.0.recorder.as_ref().is_some_and(|recorder| recorder.is_on())
    }

    /// Finishes the recordings that clients have started. Returns them, and the counts of the viewers. Call it after the session of
    /// the camera has ended.
    #[must_use]
    pub fn finish(self) -> (Vec<RecorderOutcome>, Vec<CameraViewers>) {
        let recordings = self.0.recorder.as_ref().map(|recorder| recorder.finish()).unwrap_or_default();
        (recordings, counts(&self.0).collect())
    }
}

/// Serves cameras. [`Sink::connect`] adds them, [`Self::start`] begins to accept clients.
#[derive(Debug)]
pub struct Serve {
    options: ServeOptions,
    cameras: Vec<Arc<ServedCamera>>,
    /// Taken by [`Self::start`].
    rtsp: Option<TcpListener>,
    /// Address of the socket for WebRTC.
    webrtc: Option<SocketAddr>,
    /// Recordings of the program beside the server.
    program: RecordersMonitor,
    runtime: Option<Runtime>,
    clients: Vec<Arc<Clients>>,
}

impl Serve {
    /// Creates a server without cameras.
    #[must_use]
    pub fn new(options: ServeOptions) -> Self {
        Self {
            options,
            cameras: Vec::new(),
            rtsp: None,
            webrtc: None,
            program: RecordersMonitor::default(),
            runtime: None,
            clients: Vec::new(),
        }
    }

    /// Also serves RTSP, at this socket. Call it before cameras are added.
    pub fn serve_rtsp(&mut self, listener: TcpListener) {
        self.rtsp = Some(listener);
    }

    /// Also shows the recordings that the program makes of the same cameras, in the same order. Call it before cameras are added.
    pub fn show_recordings(&mut self, recorders: RecordersMonitor) {
        self.program = recorders;
    }

    /// Begins to accept clients: of HTTP at `http`, of RTSP after [`Self::serve_rtsp`], and of each camera's own protocol at its
    /// socket of `camera_ports`, if there are any. `sessions` and `camera_ports` are in the order of the cameras.
    ///
    /// # Errors
    /// The system refuses threads or the socket.
    pub fn start(&mut self, sessions: &[Session], http: TcpListener, camera_ports: Vec<TcpListener>) -> io::Result<()> {
        let runtime =
            Builder::new_multi_thread().worker_threads(SERVE_THREADS).thread_name("serve").enable_all().build()?;
        let server = Server::new(&self.options, &self.cameras, sessions);
        let inside = runtime.enter();
        for (listener, camera) in camera_ports.into_iter().zip(&self.cameras) {
            let clients = Arc::<Clients>::default();
            self.clients.push(Arc::clone(&clients));
            runtime.spawn(clients.accept(asynchronous(listener)?, Arc::clone(camera)));
        }
        if let Some(listener) = self.rtsp.take() {
            runtime.spawn(rtsp::accept(asynchronous(listener)?, Arc::clone(&server)));
        }
        #[cfg(feature = "whep")]
        let more = self.open_whep(http.local_addr()?, &runtime)?;
        #[cfg(not(feature = "whep"))]
        let more = axum::Router::new().route("/whep/{*rest}", axum::routing::any(routes::without_webrtc));
        let listener = asynchronous(http)?;
        runtime.spawn(streams::serve(Arc::clone(&server)));
        runtime.spawn(status::publish(Arc::clone(&server)));
        runtime.spawn(http::accept(listener, routes::router(server, more), self.options.tls.clone()));
        drop(inside);
        self.runtime = Some(runtime);
        Ok(())
    }

    /// Opens the socket for WebRTC. Returns the addresses of WHEP.
    #[cfg(feature = "whep")]
    fn open_whep(&mut self, http: SocketAddr, runtime: &Runtime) -> io::Result<axum::Router<Arc<Server>>> {
        let (door, peers) = whep::open(http)?;
        self.cameras.iter().for_each(|camera| camera.whep.follow());
        self.webrtc = Some(door.local());
        runtime.spawn(peers.run());
        Ok(whep::routes(door))
    }

    /// Returns the UDP address for WebRTC, whose viewers begin at `/whep/NAME` of HTTP. `None` before [`Self::start`], and without
    /// the feature `whep`.
    #[must_use]
    pub const fn webrtc(&self) -> Option<SocketAddr> {
        self.webrtc
    }

    /// Returns the runtime that answers clients. `None` before [`Self::start`].
    #[must_use]
    pub fn runtime(&self) -> Option<&Handle> {
        self.runtime.as_ref().map(Runtime::handle)
    }

    /// Returns an observer of the recordings that clients start of these cameras.
    #[must_use]
    pub fn recordings(&self, cameras: &[Camera]) -> RecordersMonitor {
        let served = |camera: &Camera| self.cameras.iter().find(|served| served.name == camera.name);
        let recorders = cameras.iter().filter_map(|camera| served(camera)?.recorder.as_ref());
        RecordersMonitor::of_each(recorders.map(|recorder| recorder.monitor()))
    }

    /// Returns what starts and stops the recording of the camera of this name as clients do; `None` without a folder for recordings.
    #[must_use]
    pub fn recording_switch(&self, name: &str) -> Option<Arc<dyn RecordingSwitch>> {
        let recorder = self.cameras.iter().find(|camera| camera.name == name)?.recorder.clone()?;
        Some(recorder)
    }

    /// Starts to record the camera of this name as a client does, if there is a folder for recordings.
    ///
    /// # Errors
    /// As [`Recorder::start`](crate::sink::record::Recorder::start).
    pub fn record(&self, name: &str) -> Result<(), RecordError> {
        let named = self.cameras.iter().filter(|camera| camera.name == name);
        named.filter_map(|camera| camera.recorder.as_ref()).try_for_each(|recorder| recorder.start())
    }

    /// Serves a camera that another server has served.
    pub fn keep(&mut self, camera: KeptCamera) {
        self.cameras.push(camera.0);
    }

    /// Ends all connections. Returns the cameras, which stay connected, for another server.
    #[must_use]
    pub fn into_cameras(mut self) -> Vec<KeptCamera> {
        self.end_connections();
        std::mem::take(&mut self.cameras).into_iter().map(KeptCamera).collect()
    }

    fn end_connections(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(SHUTDOWN_MAX);
        }
        // Ends the clients of the cameras' own protocol.
        self.clients.clear();
    }

    /// Finishes the recordings that clients have started. Call it after the sessions have ended.
    pub fn end_recordings(&mut self) -> Vec<RecorderOutcome> {
        let recorders = self.cameras.iter().filter_map(|camera| camera.recorder.as_ref());
        // All at once, because each may wait 2 s for a full disk.
        recorders.clone().for_each(|recorder| recorder.stop());
        recorders.flat_map(|recorder| recorder.finish()).collect()
    }
}

/// Returns a number that others cannot guess.
fn random() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    // The keys of each state are random.
    RandomState::new().hash_one(0)
}

/// Turns a socket into one of the runtime.
fn asynchronous(listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

/// Sends without delay, and lets the system keep little for a client that does not read: with more, the newest frame would wait
/// after old ones.
fn send_at_once(stream: &SockRef<'_>) {
    // They only reduce latency.
    let _ = stream.set_tcp_nodelay(true);
    let _ = stream.set_send_buffer_size(SEND_BUFFER_BYTES);
    #[cfg(any(target_os = "android", target_os = "linux"))]
    let _ = stream.set_tcp_notsent_lowat(UNSENT_BYTES);
}

impl Sink for Serve {
    type Outcome = Vec<CameraViewers>;

    fn connect(&mut self, camera: &Camera) -> io::Result<()> {
        let recorder =
            self.options.recordings.clone().map(|options| CameraRecorder::new(camera, options)).transpose()?;
        let recording = match &recorder {
            Some(recorder) => RecordingMonitor { recorders: recorder.monitor(), camera: 0 },
            None => RecordingMonitor { recorders: self.program.clone(), camera: self.cameras.len() },
        };
        let served =
            ServedCamera::start(camera, self.options.style.clone(), recorder.map(Arc::new), recording, Arc::default())?;
        if self.rtsp.is_some() {
            served.rtsp.follow();
        }
        self.cameras.push(served);
        Ok(())
    }

    /// Ends all connections and returns the counts of their viewers.
    fn finish(mut self) -> Vec<CameraViewers> {
        self.end_connections();
        self.cameras.iter().flat_map(counts).collect()
    }
}
