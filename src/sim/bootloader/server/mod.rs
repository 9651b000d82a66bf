//! Runs a [`SimulatedCamera`] on real sockets: UDP for discovery, TCP for its bootloader and the stream of its application.

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinHandle as Task, LocalSet, spawn_local};

use super::booted::BootedApplication;
use super::camera::{Activity, CameraHistory, SimulatedCamera};
use super::config::CameraConfig;
use super::fault::CameraFaults;
use super::line::Line;
use super::sockets::{Place, Sockets, StartError, nearby};
use crate::net::ACCEPT_RETRY;
use crate::sim::{Reel, Simulator};
use crate::sync::locked;

/// Bytes of the longest datagram that is read; queries have 4 bytes.
const DATAGRAM_MAX_BYTES: usize = 512;
/// Addresses of this host to try before reporting that none is free.
const ADDRESS_ATTEMPTS: u32 = 64;
/// A simulated camera on the network. Dropping it ends it.
#[derive(Debug)]
pub struct CameraSimulator {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    camera: Mutex<SimulatedCamera>,
    /// Notified after every change of the camera.
    changed: Condvar,
    places: Mutex<Vec<Place>>,
    /// Wakes the thread of the camera after a change from outside.
    touched: Notify,
    epoch: Instant,
}

impl Shared {
    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }
}

impl CameraSimulator {
    /// Starts a camera. Several places give it several addresses.
    ///
    /// # Errors
    /// [`StartError`] if the configuration is invalid or a port is in use.
    pub fn start(config: CameraConfig, places: &[Place]) -> Result<Self, StartError> {
        let reel = Arc::new(Reel::new(&config.stream)?);
        let epoch = Instant::now();
        let receives_broadcasts = config.broadcast;
        let camera = SimulatedCamera::new(config, Duration::ZERO)?;
        let sockets =
            places.iter().map(|place| Sockets::bind(*place, receives_broadcasts)).collect::<Result<Vec<_>, _>>()?;
        let places = sockets.iter().map(|sockets| sockets.place).collect();
        let (changed, touched) = (Condvar::new(), Notify::new());
        let camera = Mutex::new(camera);
        let shared = Arc::new(Shared { camera, changed, places: Mutex::new(places), touched, epoch });
        let (stop, stopped) = oneshot::channel();
        let thread_shared = Arc::clone(&shared);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (listening, is_listening) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("sim-camera".to_owned()).spawn(move || {
            let live = async move {
                let initial = sockets.iter().map(|sockets| sockets.place).collect();
                let server = Rc::new(Server {
                    shared: thread_shared,
                    reel,
                    wake_session: Notify::new(),
                    initial,
                    sockets: RefCell::new(sockets),
                    services: RefCell::new(Services::default()),
                });
                server.discover();
                server.update_services();
                // `start` may have returned early with an error.
                let _ = listening.send(());
                tokio::select! {
                    () = server.run_timers() => {}
                    _ = stopped => {}
                }
                server.close();
            };
            LocalSet::new().block_on(&runtime, live);
        })?;
        // An error means that the thread has panicked and has printed a message.
        let _ = is_listening.recv();
        Ok(Self { shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Starts a camera on the standard ports of a loopback address where they are free: on Linux one of 127.64.0.0/10,
    /// elsewhere 127.0.0.1. Tries up to 65 addresses.
    ///
    /// # Errors
    /// The errors of [`Self::start`].
    pub fn start_nearby(config: &CameraConfig) -> Result<Self, StartError> {
        let mut at = 0;
        loop {
            match Self::start(config.clone(), &[Place::standard_ports(nearby(at))]) {
                Err(StartError::Bind { .. }) if at < ADDRESS_ATTEMPTS => at += 1,
                other => return other,
            }
        }
    }

    /// Returns its current addresses and ports. A static address in its configuration can move it.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        locked(&self.shared.places).clone()
    }

    /// Returns the first of its addresses.
    #[must_use]
    pub fn ip(&self) -> Ipv4Addr {
        self.places().first().map_or(Ipv4Addr::UNSPECIFIED, |place| place.ip)
    }

    /// Calls `with` with the camera, which it may change.
    pub fn with<T>(&self, with: impl FnOnce(&mut SimulatedCamera) -> T) -> T {
        let result = with(&mut locked(&self.shared.camera));
        self.shared.touched.notify_one();
        result
    }

    /// Returns its current activity.
    #[must_use]
    pub fn activity(&self) -> Activity {
        locked(&self.shared.camera).activity()
    }

    /// Returns its events so far.
    #[must_use]
    pub fn history(&self) -> CameraHistory {
        locked(&self.shared.camera).history()
    }

    /// Replaces its faults.
    pub fn set_faults(&self, faults: CameraFaults) {
        self.with(|camera| camera.set_faults(faults));
    }

    /// Waits until `is_so` returns `true` for the camera. Returns `false` after `limit`.
    #[must_use]
    pub fn wait_until(&self, limit: Duration, mut is_so: impl FnMut(&mut SimulatedCamera) -> bool) -> bool {
        let until = Instant::now() + limit;
        let mut camera = locked(&self.shared.camera);
        while !is_so(&mut camera) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            camera = self.shared.changed.wait_timeout(camera, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Drop for CameraSimulator {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // A panic has printed a message already.
            let _ = thread.join();
        }
    }
}

/// The services that are open in the current state of the camera.
#[derive(Debug, Default)]
struct Services {
    discovery: Vec<Task<()>>,
    link: Vec<Task<()>>,
    application: Option<BootedApplication>,
    stream: Vec<Simulator>,
    /// Listeners of an application that accepts connections but sends nothing.
    silent: Vec<StdListener>,
}

struct Server {
    shared: Arc<Shared>,
    reel: Arc<Reel>,
    wake_session: Notify,
    /// Its places without a static address in its configuration.
    initial: Vec<Place>,
    sockets: RefCell<Vec<Sockets>>,
    services: RefCell<Services>,
}

impl Server {
    fn camera(&self) -> MutexGuard<'_, SimulatedCamera> {
        locked(&self.shared.camera)
    }

    /// Performs due actions of the camera. Never returns.
    async fn run_timers(self: &Rc<Self>) {
        loop {
            let due = {
                let mut camera = self.camera();
                camera.handle_timeout(self.shared.now());
                camera.poll_timeout()
            };
            self.update_services();
            self.wake_session.notify_one();
            let sleep = async {
                match due {
                    Some(due) => tokio::time::sleep_until((self.shared.epoch + due).into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep => {}
                () = self.shared.touched.notified() => {}
            }
        }
    }

    /// Opens the services that belong to the camera's current state, and closes all others.
    fn update_services(self: &Rc<Self>) {
        let (activity, address) = {
            let camera = self.camera();
            (camera.activity(), camera.address().map(Ipv4Addr::from))
        };
        self.move_to(address);
        let mut services = self.services.borrow_mut();
        if activity == Activity::Bootloader {
            if services.link.is_empty() {
                services.link =
                    self.listeners(|place| place.link).map(|l| spawn_local(Rc::clone(self).accept(l))).collect();
            }
        } else {
            services.link.drain(..).for_each(|task| task.abort());
        }
        match activity {
            Activity::Application { silent: false } => {
                let application = services.application.get_or_insert_with(|| self.boot());
                if matches!(application, BootedApplication::BuiltIn) && services.stream.is_empty() {
                    let play = |listener| warned(Simulator::play(listener, Arc::clone(&self.reel)));
                    services.stream = self.listeners(|place| place.stream).filter_map(play).collect();
                }
            }
            Activity::Application { silent: true } if services.silent.is_empty() => {
                services.silent = self.listeners(|place| place.stream).collect();
            }
            Activity::Application { .. } => {}
            Activity::Starting | Activity::Bootloader | Activity::InUse | Activity::Recovery | Activity::Gone => {
                services.application = None;
                services.stream.clear();
                services.silent.clear();
            }
        }
        drop(services);
        self.shared.changed.notify_all();
    }

    /// Boots the application in the camera's memory at the first place.
    fn boot(&self) -> BootedApplication {
        let (image, config) = {
            let mut camera = self.camera();
            (camera.application_image(), camera.config().clone())
        };
        let place = self.sockets.borrow().first().map(|sockets| sockets.place);
        place.map_or(BootedApplication::Nothing, |place| BootedApplication::boot(image, place, &config))
    }

    /// Moves the sockets to the static address of the configuration, or back to the initial places.
    fn move_to(self: &Rc<Self>, address: Option<Ipv4Addr>) {
        let wanted: Vec<_> = match (address, &self.initial[..]) {
            (Some(ip), [place, ..]) => vec![Place { ip, ..*place }],
            (_, initial) => initial.to_vec(),
        };
        let same = |sockets: &[Sockets]| sockets.iter().map(|sockets| sockets.place).eq(wanted.iter().copied());
        if same(&self.sockets.borrow()) {
            return;
        }
        let receives_broadcasts = self.camera().config().broadcast;
        match wanted.iter().map(|place| Sockets::bind(*place, receives_broadcasts)).collect::<Result<Vec<_>, _>>() {
            Ok(sockets) => {
                *locked(&self.shared.places) = sockets.iter().map(|sockets| sockets.place).collect();
                self.close();
                *self.sockets.borrow_mut() = sockets;
                self.discover();
            }
            // This host does not have the static address.
            Err(error) => tracing::warn!("the simulated camera keeps its address: {error}"),
        }
    }

    fn close(&self) {
        let mut services = self.services.borrow_mut();
        let Services { discovery, link, application, stream, silent } = &mut *services;
        *application = None;
        discovery.drain(..).chain(link.drain(..)).for_each(|task| task.abort());
        stream.clear();
        silent.clear();
    }

    fn discover(self: &Rc<Self>) {
        let mut tasks = Vec::new();
        for Sockets { udp, broadcast, .. } in self.sockets.borrow().iter() {
            for receiver in [Some(udp), broadcast.as_ref()].into_iter().flatten() {
                let tokio = |socket: &std::net::UdpSocket| warned(socket.try_clone().and_then(UdpSocket::from_std));
                if let (Some(receiver), Some(sender)) = (tokio(receiver), tokio(udp)) {
                    tasks.push(spawn_local(Rc::clone(self).answer(receiver, sender)));
                }
            }
        }
        self.services.borrow_mut().discovery = tasks;
    }

    fn listeners(&self, port: fn(&Place) -> u16) -> impl Iterator<Item = StdListener> {
        let places: Vec<_> = self.sockets.borrow().iter().map(|sockets| sockets.place).collect();
        places.into_iter().filter_map(move |place| warned(StdListener::bind((place.ip, port(&place)))))
    }

    async fn answer(self: Rc<Self>, receiver: UdpSocket, sender: UdpSocket) {
        let mut bytes = [0; DATAGRAM_MAX_BYTES];
        loop {
            // Errors here belong to earlier answers whose receiver has closed its port.
            let Ok((len, from)) = receiver.recv_from(&mut bytes).await else { continue };
            let answers = self.camera().datagram(&bytes[..len], self.shared.now());
            self.update_services();
            self.shared.touched.notify_one();
            // The tasks that were just aborted close their listeners before the answer says that they are closed.
            tokio::task::yield_now().await;
            for answer in answers {
                let _ = sender.send_to(&answer, from).await;
            }
        }
    }

    async fn accept(self: Rc<Self>, listener: StdListener) {
        let listener = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
        let Some(listener) = warned(listener) else { return };
        loop {
            let Ok((host, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            };
            if self.camera().connected(self.shared.now()) {
                spawn_local(Rc::clone(&self).serve(host));
            } else {
                reset_on_drop(&host);
            }
        }
    }

    /// Moves bytes between a host and the camera until one of them ends the connection.
    async fn serve(self: Rc<Self>, host: TcpStream) {
        let shape = self.camera().config().line;
        let mut line = Line::new(host, shape);
        loop {
            let now = self.shared.now();
            let (moved, over) = {
                let mut camera = self.camera();
                let moved = line.carry(&mut camera, now);
                (moved, line.is_lost() || camera.is_leaving() && (camera.is_lost() || line.is_drained(&mut camera)))
            };
            if moved {
                self.shared.changed.notify_all();
            }
            if over {
                break;
            }
            if moved {
                // Let discovery and the timers run.
                self.shared.touched.notify_one();
                tokio::task::yield_now().await;
            } else {
                let due = line.due().map(|due| (self.shared.epoch + due).into());
                line.ready(due, &self.wake_session).await;
            }
        }
        let mut camera = self.camera();
        if camera.is_lost() {
            reset_on_drop(line.host());
        }
        drop(line);
        camera.disconnected(self.shared.now());
        drop(camera);
        self.update_services();
        self.shared.touched.notify_one();
    }
}

/// Makes the connection reset when it is dropped, so that pending bytes do not delay its end.
fn reset_on_drop(host: &TcpStream) {
    // If this fails, the connection closes normally.
    let _ = SockRef::from(host).set_linger(Some(Duration::ZERO));
}

fn warned<T>(result: io::Result<T>) -> Option<T> {
    result.inspect_err(|error| tracing::warn!("simulated camera: {error}")).ok()
}

#[cfg(test)]
mod tests;
