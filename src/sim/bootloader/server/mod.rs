//! A [`Camera`] on real sockets: UDP for discovery, TCP for its bootloader, and the stream of its application.

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

use super::boots::Boots;
use super::camera::{Account, Camera, Doing};
use super::config::CameraConfig;
use super::fault::CameraFaults;
use super::line::Line;
use super::sockets::{Place, Sockets, StartError, nearby};
use crate::sim::{Reel, Simulator};

/// The longest datagram that is looked at: questions have 4 bytes.
const DATAGRAM: usize = 512;
/// Addresses of this host that are tried before it is said that none is free.
const ATTEMPTS: u32 = 64;

/// A simulated camera on the network. Dropping it ends it.
#[derive(Debug)]
pub struct CameraSimulator {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    camera: Mutex<Camera>,
    /// Something has happened to it.
    changed: Condvar,
    places: Mutex<Vec<Place>>,
    /// Somebody outside has changed it.
    touched: Notify,
    epoch: Instant,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that panicked has said so; the camera is what it was between two calls.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }
}

impl CameraSimulator {
    /// Puts a camera at these places: several are one camera with several addresses.
    ///
    /// # Errors
    /// There can be no such camera, or a port is taken.
    pub fn start(config: CameraConfig, places: &[Place]) -> Result<Self, StartError> {
        let reel = Arc::new(Reel::new(&config.stream)?);
        let epoch = Instant::now();
        let hears_broadcasts = config.broadcast;
        let camera = Camera::new(config, Duration::ZERO)?;
        let sockets =
            places.iter().map(|place| Sockets::bind(*place, hears_broadcasts)).collect::<Result<Vec<_>, _>>()?;
        let places = sockets.iter().map(|sockets| sockets.place).collect();
        let (changed, touched) = (Condvar::new(), Notify::new());
        let camera = Mutex::new(camera);
        let shared = Arc::new(Shared { camera, changed, places: Mutex::new(places), touched, epoch });
        let (stop, stopped) = oneshot::channel();
        let of_the_thread = Arc::clone(&shared);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (listening, is_listening) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("sim-camera".to_owned()).spawn(move || {
            let live = async move {
                let first = sockets.iter().map(|sockets| sockets.place).collect();
                let server = Rc::new(Server {
                    shared: of_the_thread,
                    reel,
                    wake_session: Notify::new(),
                    first,
                    sockets: RefCell::new(sockets),
                    open: RefCell::new(Open::default()),
                });
                server.discover();
                server.settle();
                // Nobody may be waiting for it.
                let _ = listening.send(());
                tokio::select! {
                    () = server.keep_time() => {}
                    _ = stopped => {}
                }
                server.close();
            };
            LocalSet::new().block_on(&runtime, live);
        })?;
        // An error is a thread that panicked, which is shown already.
        let _ = is_listening.recv();
        Ok(Self { shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Puts a camera at an address of this host where its usual ports are free: on Linux any of 127.0.0.0/8, elsewhere
    /// 127.0.0.1.
    ///
    /// # Errors
    /// As for [`Self::start`]; none of many addresses was free.
    pub fn start_nearby(config: &CameraConfig) -> Result<Self, StartError> {
        let mut at = 0;
        loop {
            match Self::start(config.clone(), &[Place::usual(nearby(at))]) {
                Err(StartError::Bind { .. }) if at < ATTEMPTS => at += 1,
                other => return other,
            }
        }
    }

    /// Where it is. Its configuration can move it.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        locked(&self.shared.places).clone()
    }

    /// The first of its addresses.
    #[must_use]
    pub fn ip(&self) -> Ipv4Addr {
        self.places().first().map_or(Ipv4Addr::UNSPECIFIED, |place| place.ip)
    }

    /// Looks at the camera, or changes it.
    pub fn with<T>(&self, with: impl FnOnce(&mut Camera) -> T) -> T {
        let result = with(&mut locked(&self.shared.camera));
        self.shared.touched.notify_one();
        result
    }

    /// What it is doing.
    #[must_use]
    pub fn doing(&self) -> Doing {
        locked(&self.shared.camera).doing()
    }

    /// What happened to it until now.
    #[must_use]
    pub fn account(&self) -> Account {
        locked(&self.shared.camera).account()
    }

    /// Other faults from now on.
    pub fn set_faults(&self, faults: CameraFaults) {
        self.with(|camera| camera.set_faults(faults));
    }

    /// Waits until something is so; `false` when it is not so after this time.
    #[must_use]
    pub fn wait_until(&self, limit: Duration, mut is_so: impl FnMut(&mut Camera) -> bool) -> bool {
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
            // It may have ended already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // A panic has been shown already.
            let _ = thread.join();
        }
    }
}

/// What serves at the moment.
#[derive(Debug, Default)]
struct Open {
    discovery: Vec<Task<()>>,
    link: Vec<Task<()>>,
    /// What its application does, while it runs.
    boots: Option<Boots>,
    stream: Vec<Simulator>,
    /// Applications that take connections and say nothing.
    silent: Vec<StdListener>,
}

struct Server {
    shared: Arc<Shared>,
    reel: Arc<Reel>,
    wake_session: Notify,
    /// Where it was put.
    first: Vec<Place>,
    sockets: RefCell<Vec<Sockets>>,
    open: RefCell<Open>,
}

impl Server {
    fn camera(&self) -> MutexGuard<'_, Camera> {
        locked(&self.shared.camera)
    }

    /// Does what is due, for as long as the camera is there.
    async fn keep_time(self: &Rc<Self>) {
        loop {
            let due = {
                let mut camera = self.camera();
                camera.handle_timeout(self.shared.now());
                camera.poll_timeout()
            };
            self.settle();
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

    /// Listens where the camera would now, and nowhere else.
    fn settle(self: &Rc<Self>) {
        let (doing, address) = {
            let camera = self.camera();
            (camera.doing(), camera.address().map(Ipv4Addr::from))
        };
        self.move_to(address);
        let mut open = self.open.borrow_mut();
        if doing == Doing::Bootloader {
            if open.link.is_empty() {
                open.link =
                    self.listeners(|place| place.link).map(|l| spawn_local(Rc::clone(self).accept(l))).collect();
            }
        } else {
            open.link.drain(..).for_each(|task| task.abort());
        }
        match doing {
            Doing::Application { silent: false } => {
                let boots = open.boots.get_or_insert_with(|| self.boot());
                if matches!(boots, Boots::BuiltIn) && open.stream.is_empty() {
                    let play = |listener| warned(Simulator::play(listener, Arc::clone(&self.reel)));
                    open.stream = self.listeners(|place| place.stream).filter_map(play).collect();
                }
            }
            Doing::Application { silent: true } if open.silent.is_empty() => {
                open.silent = self.listeners(|place| place.stream).collect();
            }
            Doing::Application { .. } => {}
            _ => {
                open.boots = None;
                open.stream.clear();
                open.silent.clear();
            }
        }
        drop(open);
        self.shared.changed.notify_all();
    }

    /// The application in its memory, booted at the first of its places.
    fn boot(&self) -> Boots {
        let (image, config) = {
            let mut camera = self.camera();
            (camera.application_image(), camera.config().clone())
        };
        let place = self.sockets.borrow().first().map(|sockets| sockets.place);
        place.map_or(Boots::Nothing, |place| Boots::boot(image, place, &config))
    }

    /// The static address of the configuration, or the ones that it was given here.
    fn move_to(self: &Rc<Self>, address: Option<Ipv4Addr>) {
        let wanted: Vec<_> = match (address, &self.first[..]) {
            (Some(ip), [place, ..]) => vec![Place { ip, ..*place }],
            (_, first) => first.to_vec(),
        };
        let same = |sockets: &[Sockets]| sockets.iter().map(|sockets| sockets.place).eq(wanted.iter().copied());
        if same(&self.sockets.borrow()) {
            return;
        }
        let hears_broadcasts = self.camera().config().broadcast;
        match wanted.iter().map(|place| Sockets::bind(*place, hears_broadcasts)).collect::<Result<Vec<_>, _>>() {
            Ok(sockets) => {
                *locked(&self.shared.places) = sockets.iter().map(|sockets| sockets.place).collect();
                self.close();
                *self.sockets.borrow_mut() = sockets;
                self.discover();
            }
            // The camera is at an address that this host has not.
            Err(error) => tracing::warn!("a simulated camera stays where it is: {error}"),
        }
    }

    fn close(&self) {
        let mut open = self.open.borrow_mut();
        let Open { discovery, link, boots, stream, silent } = &mut *open;
        *boots = None;
        discovery.drain(..).chain(link.drain(..)).for_each(|task| task.abort());
        stream.clear();
        silent.clear();
    }

    fn discover(self: &Rc<Self>) {
        let mut tasks = Vec::new();
        for Sockets { udp, broadcast, .. } in self.sockets.borrow().iter() {
            for ears in [Some(udp), broadcast.as_ref()].into_iter().flatten() {
                let tokio = |socket: &std::net::UdpSocket| warned(socket.try_clone().and_then(UdpSocket::from_std));
                if let (Some(ears), Some(mouth)) = (tokio(ears), tokio(udp)) {
                    tasks.push(spawn_local(Rc::clone(self).answer(ears, mouth)));
                }
            }
        }
        self.open.borrow_mut().discovery = tasks;
    }

    fn listeners(&self, port: fn(&Place) -> u16) -> impl Iterator<Item = StdListener> {
        let places: Vec<_> = self.sockets.borrow().iter().map(|sockets| sockets.place).collect();
        places.into_iter().filter_map(move |place| warned(StdListener::bind((place.ip, port(&place)))))
    }

    async fn answer(self: Rc<Self>, ears: UdpSocket, mouth: UdpSocket) {
        let mut bytes = [0; DATAGRAM];
        loop {
            // Errors are of answers that nobody waited for.
            let Ok((len, from)) = ears.recv_from(&mut bytes).await else { continue };
            let answers = self.camera().datagram(&bytes[..len], self.shared.now());
            self.settle();
            self.shared.touched.notify_one();
            for answer in answers {
                let _ = mouth.send_to(&answer, from).await;
            }
        }
    }

    async fn accept(self: Rc<Self>, listener: StdListener) {
        let listener = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
        let Some(listener) = warned(listener) else { return };
        loop {
            let Ok((host, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            if self.camera().connected(self.shared.now()) {
                spawn_local(Rc::clone(&self).serve(host));
            } else {
                abandon(&host);
            }
        }
    }

    /// Carries bytes between a host and the camera until one of them leaves.
    async fn serve(self: Rc<Self>, host: TcpStream) {
        let shape = self.camera().config().line;
        let mut line = Line::new(host, shape);
        loop {
            let now = self.shared.now();
            let (moved, over) = {
                let mut camera = self.camera();
                let moved = line.carry(&mut camera, now);
                (moved, line.is_lost() || camera.is_leaving() && (camera.is_lost() || line.is_quiet(&mut camera)))
            };
            if moved {
                self.shared.changed.notify_all();
            }
            if over {
                break;
            }
            if moved {
                // Others want to be served too: discovery, and the clock.
                self.shared.touched.notify_one();
                tokio::task::yield_now().await;
            } else {
                let due = line.due().map(|due| (self.shared.epoch + due).into());
                line.ready(due, &self.wake_session).await;
            }
        }
        let mut camera = self.camera();
        if camera.is_lost() {
            abandon(line.host());
        }
        drop(line);
        camera.disconnected(self.shared.now());
        drop(camera);
        self.settle();
        self.shared.touched.notify_one();
    }
}

/// Closes a connection so that the other end hears of it at once, whatever is still on the way.
fn abandon(host: &TcpStream) {
    // If that fails, it closes as others do.
    let _ = SockRef::from(host).set_linger(Some(Duration::ZERO));
}

fn warned<T>(result: io::Result<T>) -> Option<T> {
    result.inspect_err(|error| tracing::warn!("a simulated camera: {error}")).ok()
}

#[cfg(test)]
mod tests;
