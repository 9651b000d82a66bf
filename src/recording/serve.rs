//! Serves a recording over TCP: sends the bytes that the camera sent to each client.

use std::io::{self, ErrorKind, Read as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::playback::{AtEnd, Due, Playback, Rhythm, Speed};
use super::player::{bytes_before_payload, head_of};
use super::{RecordedFrame, RecordingEntry, RecordingError, Series};
use crate::error::with_causes;
use crate::file::is_locked;
use crate::net::serving::{AfterClient, SingleClientServer, StopSignal, write_all};
use crate::sync::locked;

/// Counts of a [`RecordingServer`].
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ServedCounts {
    /// Accepted connections.
    pub connections: u64,
    /// Frames that were sent completely.
    pub frames: u64,
    /// Frames during which the client disconnected.
    pub abandoned: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Error that ended the playback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A TCP server that plays one camera of a recording, from the beginning for each client. It serves one client at a time,
/// as the official program does. Dropping it ends its thread and its connection.
#[derive(Debug)]
pub struct RecordingServer {
    serving: SingleClientServer,
    served: Arc<Mutex<ServedCounts>>,
}

impl RecordingServer {
    /// Serves the recording of a camera on `listener`. Without `looped`, the server ends once a client has received
    /// everything.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(listener: TcpListener, series: Series, speed: Speed, looped: bool) -> Result<Self, RecordingError> {
        let path = series.path().to_owned();
        let served = Arc::<Mutex<ServedCounts>>::default();
        let mut camera = CameraServer { series, speed, looped, served: Arc::clone(&served), bytes: Vec::new() };
        let serving =
            SingleClientServer::start("replay", listener, move |client, stopping| camera.serve(client, stopping));
        let serving = serving.map_err(|source| RecordingError::Open { path, source })?;
        Ok(Self { serving, served })
    }

    /// Address on which it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.serving.local_addr()
    }

    /// Counts so far.
    #[must_use]
    pub fn served(&self) -> ServedCounts {
        locked(&self.served).clone()
    }

    /// Returns whether the server has ended, because a client received everything or the recording cannot be read.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.serving.is_over()
    }

    /// Ends the connection and the thread. Returns the final counts.
    #[must_use = "drop the server to stop it without the counts"]
    pub fn stop(mut self) -> ServedCounts {
        self.serving.end();
        self.served()
    }
}

/// Time for a client to read the rest and close its side after the last byte was sent.
const CLIENT_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Waits for the client to close its side. Returns whether it read everything: sent bytes may still be in the buffers of
/// the system, and a client that disconnects without reading them resets the connection.
fn has_read_all(client: &TcpStream, stopping: &StopSignal) -> bool {
    let deadline = Instant::now() + CLIENT_CLOSE_TIMEOUT;
    let mut buffer = [0; 1024];
    if client.shutdown(Shutdown::Write).is_err() || client.set_read_timeout(Some(Duration::from_millis(50))).is_err() {
        return false;
    }
    while Instant::now() < deadline && !stopping.stopped() {
        match (&mut &*client).read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
            Err(_) => return false,
        }
    }
    true
}

/// State of the server's thread.
struct CameraServer {
    series: Series,
    speed: Speed,
    looped: bool,
    served: Arc<Mutex<ServedCounts>>,
    /// Buffer for the bytes before the payload, reused for each frame.
    bytes: Vec<u8>,
}

/// Reason to stop serving a client.
enum StopReason {
    /// The client disconnected, or the server is stopping.
    Disconnected,
    /// The recording cannot be read.
    Recording(RecordingError),
}

impl From<RecordingError> for StopReason {
    fn from(error: RecordingError) -> Self {
        Self::Recording(error)
    }
}

impl CameraServer {
    fn serve(&mut self, client: &TcpStream, stopping: &StopSignal) -> AfterClient {
        locked(&self.served).connections += 1;
        // Only reduces latency.
        let _ = client.set_nodelay(true);
        match self.play(client, stopping) {
            Ok(()) if has_read_all(client, stopping) => AfterClient::Done,
            Ok(()) | Err(StopReason::Disconnected) => AfterClient::Close,
            Err(StopReason::Recording(error)) => {
                tracing::warn!("{error}; playback ends there");
                locked(&self.served).error = Some(error.to_string());
                AfterClient::Done
            }
        }
    }

    /// Sends the recording from its beginning, each frame when it is due.
    fn play(&mut self, client: &TcpStream, stopping: &StopSignal) -> Result<(), StopReason> {
        let mut playback = Playback::new(self.speed, self.looped).join();
        self.series.rewind()?;
        let (mut rhythm, mut last_ns) = (Rhythm::default(), None);
        loop {
            let recorded = match self.series.next_entry() {
                Some(RecordingEntry::Frame(recorded)) => recorded,
                Some(_) => continue,
                None => match playback.end() {
                    AtEnd::Seek(_) => {
                        self.series.rewind()?;
                        last_ns = None;
                        continue;
                    }
                    AtEnd::Stop | AtEnd::Wait => {
                        // The end of a file that a recorder is writing is not damage.
                        let damage = self.series.take_damage();
                        let path = self.series.path();
                        let damage =
                            damage.filter(|error| !(error.is_torn() && is_locked(error.path().unwrap_or(path))));
                        locked(&self.served).error = damage.map(|error| with_causes(&error));
                        return Ok(());
                    }
                },
            };
            let interval_ns =
                last_ns.replace(recorded.log_ns).map(|last_ns: i64| recorded.log_ns.saturating_sub(last_ns));
            let is_gap = interval_ns.is_some_and(|interval_ns| rhythm.is_gap(interval_ns));
            rhythm.frame(interval_ns);
            playback.after_gap(is_gap || self.series.begins_file());
            while let Due::At(ns) | Due::Skip(ns) = playback.due(recorded.log_ns, playback.now_ns()) {
                let left = Duration::from_nanos(ns.saturating_sub(playback.now_ns()));
                // The wait is limited to one day, so that adding it to `Instant::now` cannot overflow.
                if !stopping.wait_until(Instant::now() + left.min(Duration::from_secs(86_400))) {
                    return Err(StopReason::Disconnected);
                }
            }
            let written = self.write(client, &recorded);
            let mut served = locked(&self.served);
            if written.is_err() {
                served.abandoned += 1;
                return Err(StopReason::Disconnected);
            }
            served.frames += 1;
        }
    }

    /// Sends everything before the payload in one piece, because the official host assumes that the 32 bytes of a header
    /// arrive in one read.
    fn write(&mut self, client: &TcpStream, recorded: &RecordedFrame) -> io::Result<()> {
        self.bytes.clear();
        self.bytes.extend_from_slice(&recorded.wire.context);
        let payload_len = usize::try_from(recorded.wire.payload_len).unwrap_or(usize::MAX);
        let head = bytes_before_payload(&recorded.wire.dialect, payload_len, head_of(&recorded.wire));
        self.bytes.extend_from_slice(&head);
        for bytes in [&self.bytes, &recorded.payload] {
            write_all(client, bytes)?;
            locked(&self.served).bytes += bytes.len() as u64;
        }
        Ok(())
    }
}
