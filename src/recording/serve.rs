//! A recording plays the camera on the wire: the very bytes, to whoever connects.

use std::io::{self, ErrorKind, Read as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::playback::Speed;
use super::playback::{Due, End, Playback};
use super::player::head;
use super::{Entry, Reader, Recorded, RecordingError};
use crate::net::serving::{AfterClient, SingleClientServer, StopSignal, write_all};

/// What a played camera has done until now.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Served {
    /// Connections that were accepted.
    pub connections: u64,
    /// Frames that were written to the end.
    pub frames: u64,
    /// Frames that the client did not wait for.
    pub abandoned: u64,
    /// Bytes that the system took for sending.
    pub bytes: u64,
    /// Why it cannot be played further.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One camera of a recording that listens. Its playback begins when a client connects, anew for each; one client at a
/// time is served, as the official program does it. Dropping it ends its thread and its connection.
#[derive(Debug)]
pub struct RecordingServer {
    serving: SingleClientServer,
    served: Arc<Mutex<Served>>,
}

fn locked(served: &Mutex<Served>) -> MutexGuard<'_, Served> {
    // Numbers and a text, written as a whole.
    served.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RecordingServer {
    /// Listens there, and plays this camera of the file: its number in [`Reader::cameras`]. Without `looped` it is over
    /// once a client has been sent everything.
    ///
    /// # Errors
    /// The file cannot be opened.
    ///
    /// # Panics
    /// There is no such camera.
    pub fn start(
        listener: TcpListener,
        path: &Path,
        camera: usize,
        speed: Speed,
        looped: bool,
    ) -> Result<Self, RecordingError> {
        let reader = Reader::open(path)?;
        assert!(camera < reader.cameras().len(), "camera {camera} of {}", reader.cameras().len());
        let served = Arc::<Mutex<Served>>::default();
        let mut camera = Camera { reader, camera, speed, looped, served: Arc::clone(&served), bytes: Vec::new() };
        let serving =
            SingleClientServer::start("replay", listener, move |client, stopping| camera.serve(client, stopping));
        let serving = serving.map_err(|source| RecordingError::Open { path: path.to_owned(), source })?;
        Ok(Self { serving, served })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.serving.local_addr()
    }

    /// What it has done until now.
    #[must_use]
    pub fn served(&self) -> Served {
        locked(&self.served).clone()
    }

    /// Whether everything has been sent.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.serving.is_over()
    }

    /// Ends its connection and its thread, and says what it has done.
    #[must_use = "ignore it by dropping the server instead"]
    pub fn stop(mut self) -> Served {
        self.serving.end();
        self.served()
    }
}

/// How long a client may take to read the end and to say so by closing its side.
const FAREWELL: Duration = Duration::from_secs(5);

/// Whether a client that was sent everything has taken it: what was sent may still wait in the buffers of the system, and
/// one that leaves without having read it resets the connection.
fn has_read_all(client: &TcpStream, stopping: &StopSignal) -> bool {
    let deadline = Instant::now() + FAREWELL;
    let mut heard = [0; 1024];
    if client.shutdown(Shutdown::Write).is_err() || client.set_read_timeout(Some(Duration::from_millis(50))).is_err() {
        return false;
    }
    while Instant::now() < deadline && !stopping.stopped() {
        match (&mut &*client).read(&mut heard) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
            Err(_) => return false,
        }
    }
    true
}

/// The thread's side.
struct Camera {
    reader: Reader,
    camera: usize,
    speed: Speed,
    looped: bool,
    served: Arc<Mutex<Served>>,
    /// Memory of the last head, for the next.
    bytes: Vec<u8>,
}

/// Why a client is not served any further.
enum Stop {
    /// It has left, or it is time to stop.
    Left,
    /// The recording cannot be read.
    Recording(RecordingError),
}

impl From<RecordingError> for Stop {
    fn from(error: RecordingError) -> Self {
        Self::Recording(error)
    }
}

impl Camera {
    fn serve(&mut self, client: &TcpStream, stopping: &StopSignal) -> AfterClient {
        locked(&self.served).connections += 1;
        // A wish; the stream is the same without it.
        let _ = client.set_nodelay(true);
        match self.play(client, stopping) {
            Ok(()) if has_read_all(client, stopping) => AfterClient::Done,
            Ok(()) | Err(Stop::Left) => AfterClient::Close,
            Err(Stop::Recording(error)) => {
                tracing::warn!("{error}: it is played up to there");
                locked(&self.served).error = Some(error.to_string());
                AfterClient::Done
            }
        }
    }

    /// Sends the recording from its beginning, each frame when it is due.
    fn play(&mut self, client: &TcpStream, stopping: &StopSignal) -> Result<(), Stop> {
        let mut part = Playback::new(self.speed, self.looped).join();
        self.reader.rewind()?;
        loop {
            let recorded = match self.reader.next_entry()? {
                Some(Entry::Frame(recorded)) if recorded.camera == self.camera => recorded,
                Some(_) => continue,
                None => match part.end() {
                    End::Seek(_) => {
                        self.reader.rewind()?;
                        continue;
                    }
                    End::Over | End::Held => return Ok(()),
                },
            };
            while let Due::At(ns) = part.due(recorded.log_ns, part.now_ns()) {
                let left = Duration::from_nanos(ns.saturating_sub(part.now_ns()));
                // A day is long enough to look at the clock again.
                if !stopping.wait_until(Instant::now() + left.min(Duration::from_secs(86_400))) {
                    return Err(Stop::Left);
                }
            }
            let written = self.write(client, &recorded);
            let mut served = locked(&self.served);
            if written.is_err() {
                served.abandoned += 1;
                return Err(Stop::Left);
            }
            served.frames += 1;
        }
    }

    /// Everything before the payload goes out in one piece: the official host believes that 32 bytes which it asks for
    /// come at once.
    fn write(&mut self, client: &TcpStream, recorded: &Recorded) -> io::Result<()> {
        self.bytes.clear();
        self.bytes.extend_from_slice(&recorded.wire.context);
        self.bytes.extend_from_slice(&head(&recorded.wire));
        for bytes in [&self.bytes, &recorded.payload] {
            write_all(client, bytes)?;
            locked(&self.served).bytes += bytes.len() as u64;
        }
        Ok(())
    }
}
