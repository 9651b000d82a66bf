//! systemd, if it started the program: readiness, reload, end, and the watchdog.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

/// The socket of systemd. Without one, notes go nowhere.
#[derive(Debug, Default)]
pub(crate) struct Supervisor {
    #[cfg(unix)]
    socket: Option<std::os::unix::net::UnixDatagram>,
    /// systemd restarts the program if it hears nothing for this long.
    watchdog: Option<Duration>,
}

/// Threads whose tasks must run on for the program to be alive.
#[derive(Debug)]
pub(crate) struct Pulse {
    runtimes: Vec<(Handle, Arc<AtomicBool>)>,
    /// Last time that the watchdog was fed.
    fed: Option<Instant>,
}

impl Pulse {
    pub(crate) fn new(runtimes: Vec<Handle>) -> Self {
        let runtimes = runtimes.into_iter().map(|runtime| (runtime, Arc::new(AtomicBool::new(true)))).collect();
        Self { runtimes, fed: None }
    }

    /// Returns whether each runtime has run the task of the last call, and starts the next one.
    fn beats(&self) -> bool {
        let beats = |(runtime, answered): &(Handle, Arc<AtomicBool>)| {
            if !answered.swap(false, Ordering::SeqCst) {
                return false;
            }
            let answered = Arc::clone(answered);
            runtime.spawn(async move { answered.store(true, Ordering::SeqCst) });
            true
        };
        // Each of them, so that none is left out after one that hangs.
        self.runtimes.iter().filter(|runtime| !beats(runtime)).count() == 0
    }
}

impl Supervisor {
    /// Connects to the socket in `$NOTIFY_SOCKET`.
    #[cfg(unix)]
    pub(crate) fn from_environment() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        let socket = socket_to(&name).inspect_err(|error| tracing::warn!(%error, "cannot reach systemd")).ok();
        let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
        let is_for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|us| *us > 0 && is_for_us).map(Duration::from_micros);
        Self { socket, watchdog }
    }

    /// The program was not started by systemd.
    #[cfg(not(unix))]
    pub(crate) fn from_environment() -> Self {
        Self::default()
    }

    /// Returns whether systemd started the program.
    #[cfg(unix)]
    pub(crate) const fn is_there(&self) -> bool {
        self.socket.is_some()
    }

    #[cfg(not(unix))]
    pub(crate) const fn is_there(&self) -> bool {
        false
    }

    pub(crate) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// Also for systemd 253 and later, which needs the time.
    pub(crate) fn reloading(&self) {
        #[cfg(unix)]
        {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
            self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1_000_000 + now.tv_nsec / 1000));
        }
    }

    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// Feeds the watchdog twice in its time, while all runtimes are alive.
    pub(crate) fn feed(&self, pulse: &mut Pulse) {
        let Some(watchdog) = self.watchdog else { return };
        if pulse.fed.is_some_and(|fed| fed.elapsed() < watchdog / 2) {
            return;
        }
        pulse.fed = Some(Instant::now());
        if pulse.beats() {
            self.send("WATCHDOG=1");
        }
    }

    fn send(&self, text: &str) {
        #[cfg(unix)]
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(text.as_bytes())
        {
            tracing::warn!(%error, "cannot reach systemd");
        }
        #[cfg(not(unix))]
        let _ = text;
    }
}

/// Connects to a socket by its path, or by its name in the abstract namespace (`@NAME`).
#[cfg(unix)]
fn socket_to(name: &std::ffi::OsStr) -> std::io::Result<std::os::unix::net::UnixDatagram> {
    use std::os::unix::net::UnixDatagram;
    let socket = UnixDatagram::unbound()?;
    // A systemd that hangs must not hang the program.
    socket.set_nonblocking(true)?;
    #[cfg(target_os = "linux")]
    if let Some(name) = name.as_encoded_bytes().strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt as _;
        socket.connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)?;
        return Ok(socket);
    }
    socket.connect(name)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_that_hangs_stops_the_pulse() {
        let runtime = |name: &str| {
            let builder = &mut tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(1).thread_name(name).build().expect("a thread")
        };
        let (free, stuck) = (runtime("free"), runtime("stuck"));
        let pulse = Pulse::new(vec![free.handle().clone(), stuck.handle().clone()]);
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (began, begun) = std::sync::mpsc::channel();
        assert!(pulse.beats(), "nothing is known against them yet");
        while !pulse.runtimes.iter().all(|(_, answered)| answered.load(Ordering::SeqCst)) {
            std::thread::yield_now();
        }
        stuck.spawn(async move {
            let _ = began.send(());
            let _ = held.recv();
        });
        begun.recv().expect("it runs");
        assert!(pulse.beats(), "the last task was run");
        assert!(!pulse.beats() && !pulse.beats(), "the second runtime hangs");
        drop(release);
        while !pulse.beats() {
            std::thread::yield_now();
        }
    }
}
