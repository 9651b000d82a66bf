//! A camera that connects to a host, like the programs that a host waits for with `listen://`.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::reel::Reel;
use super::sending::{SendingThread, Shared};
use super::server::{CameraThread, Sent};

/// Time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time until the next attempt, after a refusal or the end of a connection.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// A simulated camera that connects to a host and streams, and connects again whenever it is refused or the connection ends.
/// Dropping it ends its thread and its connection.
#[derive(Debug)]
pub struct ConnectingCamera {
    host: SocketAddr,
    thread: SendingThread,
}

impl ConnectingCamera {
    /// Starts a camera that connects to this address. The camera boots now: its frames queue up even before it is connected.
    ///
    /// # Errors
    /// The error of the system if it cannot start a thread.
    pub fn start(host: SocketAddr, reel: Arc<Reel>) -> io::Result<Self> {
        reel.prepare();
        let shared = Shared::default();
        let mut camera = CameraThread::new(reel, Arc::clone(&shared.sent), Arc::clone(&shared.finishing));
        let name = format!("sim-connect-{}", host.port());
        let thread = SendingThread::start(name, shared, move |shared| run(host, &mut camera, shared))?;
        Ok(Self { host, thread })
    }

    /// Returns the address to which it connects.
    #[must_use]
    pub fn host(&self) -> SocketAddr {
        self.host
    }

    /// Returns the totals so far.
    #[must_use]
    pub fn sent(&self) -> Sent {
        self.thread.sent()
    }

    /// Ends its connection after the frame that is being sent, without waiting for that.
    pub fn finish(&self) {
        self.thread.finish();
    }

    /// Ends its connection and its thread, and returns the final totals.
    #[must_use = "drop the camera if the totals are not needed"]
    pub fn stop(self) -> Sent {
        self.thread.stop()
    }
}

/// Connects and streams until the camera is to stop or to finish.
fn run(host: SocketAddr, camera: &mut CameraThread, shared: &Shared) {
    let stopping = &*shared.stopping;
    let mut is_reported = false;
    while !shared.is_over() {
        match TcpStream::connect_timeout(&host, CONNECT_TIMEOUT) {
            Ok(stream) => {
                is_reported = false;
                if !stopping.set_client(&stream) {
                    return;
                }
                let _ = camera.serve(&stream, stopping);
                stopping.forget_client();
            }
            Err(error) if !is_reported => {
                is_reported = true;
                tracing::warn!("cannot connect to {host}: {error}; trying again");
            }
            Err(_) => {}
        }
        if !stopping.wait_until(Instant::now() + RETRY_DELAY) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn it_connects_again_when_the_host_is_back() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let host = listener.local_addr().expect("bound");
        let reel = Arc::new(Reel::new(&"size=64x48&fps=0".parse().expect("a stream")).expect("pictures"));
        let camera = ConnectingCamera::start(host, reel).expect("a thread");
        let begins = |listener: &TcpListener| {
            let mut client = listener.accept().expect("the camera").0;
            let mut head = [0; 4];
            client.read_exact(&mut head).expect("a stream");
            assert_eq!(&head, b"IMG ");
        };
        begins(&listener);
        begins(&listener);
        // Refused meanwhile.
        drop(listener);
        let again = TcpListener::bind(host).expect("the same port");
        begins(&again);
        assert!(camera.sent().connections >= 3);
        assert!(camera.stop().connections >= 3);
    }

    #[test]
    fn it_stops_in_every_state() {
        let reel = || Arc::new(Reel::new(&"size=64x48&fps=0".parse().expect("a stream")).expect("pictures"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let camera = ConnectingCamera::start(listener.local_addr().expect("bound"), reel()).expect("a thread");
        // The host has stopped reading.
        let mut client = listener.accept().expect("the camera").0;
        client.read_exact(&mut [0]).expect("a stream");
        assert_eq!(camera.stop().connections, 1);
        let closed = listener.local_addr().expect("bound");
        drop(listener);
        assert_eq!(ConnectingCamera::start(closed, reel()).expect("a thread").stop(), Sent::default());
    }
}
