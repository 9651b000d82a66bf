//! The camera's side of HTTP: Luxonis' MJPEG server at `/` and their server of still pictures at `/img` (wire.md, F5, F6
//! and 2.6), byte for byte.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::queue::Queue;
use super::reel::Reel;
use super::server::Sent;
use crate::frame::Utc;
use crate::net::serving::write_all;
use crate::sync::locked;

/// Clients that are served at a time. Further connections are closed.
const MAX_CLIENTS: usize = 16;

/// Longest request in bytes.
const MAX_REQUEST_BYTES: u64 = 16 << 10;

/// Time for a request to arrive.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The interval at which to check whether to stop.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// State of the threads of all clients. Each client is served on a thread of its own, and all share one queue, as in the
/// program on the camera.
#[derive(Debug)]
pub(super) struct HttpCamera {
    reel: Arc<Reel>,
    queue: Mutex<Queue>,
    period: Duration,
    booted: Instant,
    sent: Arc<Mutex<Sent>>,
    /// The open connections, by number.
    clients: Mutex<Vec<(u64, TcpStream)>>,
    over: AtomicBool,
}

impl HttpCamera {
    pub(super) fn new(reel: Arc<Reel>, sent: Arc<Mutex<Sent>>) -> Arc<Self> {
        let fps = reel.config().fps;
        let period = if fps == 0.0 { Duration::ZERO } else { Duration::from_secs_f64(1.0 / fps) };
        let (clients, over) = Default::default();
        Arc::new(Self {
            reel,
            queue: Mutex::new(Queue::new(period)),
            period,
            booted: Instant::now(),
            sent,
            clients,
            over,
        })
    }

    /// Serves a client on a thread of its own.
    pub(super) fn serve(self: &Arc<Self>, client: &TcpStream) -> io::Result<()> {
        let client = client.try_clone()?;
        let mut clients = locked(&self.clients);
        if clients.len() == MAX_CLIENTS {
            return client.shutdown(Shutdown::Both);
        }
        let number = {
            let mut sent = locked(&self.sent);
            sent.connections += 1;
            sent.connections
        };
        clients.push((number, client.try_clone()?));
        drop(clients);
        let camera = Arc::clone(self);
        std::thread::Builder::new().name("sim-http".to_owned()).spawn(move || {
            if let Err(error) = camera.answer(&client) {
                tracing::debug!(%error, "HTTP client");
            }
            let _ = client.shutdown(Shutdown::Both);
            locked(&camera.clients).retain(|(other, _)| *other != number);
        })?;
        Ok(())
    }

    /// Ends all connections, after the frame that is being sent.
    pub(super) fn finish(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Ends all connections at once.
    pub(super) fn end(&self) {
        self.finish();
        for (_, client) in locked(&self.clients).drain(..) {
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    fn answer(&self, client: &TcpStream) -> io::Result<()> {
        client.set_read_timeout(Some(REQUEST_TIMEOUT))?;
        let mut request = BufReader::new(client.take(MAX_REQUEST_BYTES));
        let mut line = String::new();
        request.read_line(&mut line)?;
        let mut words = line.split_ascii_whitespace();
        let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
        loop {
            line.clear();
            if request.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim_end().is_empty() {
                break;
            }
        }
        match (method.as_str(), path.as_str()) {
            ("GET", "/") => self.stream(client),
            ("GET", "/img") => self.still(client),
            ("GET", _) => self.send(client, format!("{}\r\nUrl not found...", head("404 Not Found")).as_bytes()),
            _ => self.send(client, format!("{}\r\n", head("501 Unsupported method")).as_bytes()),
        }
    }

    fn stream(&self, client: &TcpStream) -> io::Result<()> {
        let kind = "Content-type: multipart/x-mixed-replace; boundary=--jpgboundary";
        self.send(client, format!("{}{kind}\r\n\r\n", head("200 OK")).as_bytes())?;
        while !self.over.load(Ordering::Relaxed) {
            let taken = locked(&self.queue).take(self.booted.elapsed());
            let index = match taken {
                Ok(index) => index,
                Err(due) => {
                    std::thread::sleep(due.saturating_sub(self.booted.elapsed()).min(POLL_INTERVAL));
                    continue;
                }
            };
            let picture = &self.reel.still(index).payload;
            let mut part =
                format!("--jpgboundary\r\nContent-type: image/jpeg\r\nContent-length: {}\r\n\r\n", picture.len())
                    .into_bytes();
            part.extend_from_slice(picture);
            part.extend_from_slice(b"\r\n");
            self.send_frame(client, &part)?;
        }
        Ok(())
    }

    /// Sends the picture of this moment.
    fn still(&self, client: &TcpStream) -> io::Result<()> {
        let index = self.booted.elapsed().as_nanos().checked_div(self.period.as_nanos());
        let picture = &self.reel.still(index.map_or(0, |index| u64::try_from(index).unwrap_or(u64::MAX))).payload;
        let fields = format!("Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", picture.len());
        let mut answer = (head("200 OK") + &fields).into_bytes();
        answer.extend_from_slice(picture);
        self.send_frame(client, &answer)
    }

    fn send_frame(&self, client: &TcpStream, bytes: &[u8]) -> io::Result<()> {
        let written = self.send(client, bytes);
        let mut sent = locked(&self.sent);
        if written.is_ok() {
            sent.intact += 1;
        } else {
            sent.abandoned += 1;
        }
        written
    }

    fn send(&self, client: &TcpStream, bytes: &[u8]) -> io::Result<()> {
        write_all(client, bytes)?;
        locked(&self.sent).bytes += bytes.len() as u64;
        Ok(())
    }
}

/// Returns the first lines of every answer, as Python's `http.server` writes them.
fn head(status: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let date = date(i64::try_from(now).unwrap_or(i64::MAX));
    format!("HTTP/1.0 {status}\r\nServer: BaseHTTP/0.6 Python/3.9\r\nDate: {date}\r\n")
}

/// Formats a time as HTTP does: `Sat, 21 Nov 2026 08:29:45 GMT`.
fn date(unix_ns: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let Utc { year, month, day, hour, minute, second, .. } = Utc::from_unix_ns(unix_ns);
    let days = unix_ns.div_euclid(86_400_000_000_000);
    let (name, month) = (DAYS[days.rem_euclid(7) as usize], MONTHS[(month - 1) as usize]);
    format!("{name}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;
    use crate::sim::Simulator;

    fn ask(simulator: &Simulator, request: &str) -> TcpStream {
        let mut client = TcpStream::connect(simulator.local_addr()).expect("a connection");
        client.write_all(request.as_bytes()).expect("a request");
        client
    }

    #[test]
    fn answers_are_those_of_the_official_servers() {
        let config = "size=64x48&format=JPEG&fps=0".parse().expect("a configuration");
        let reel = Arc::new(Reel::new(&config).expect("pictures"));
        let simulator = Simulator::play_http(TcpListener::bind("127.0.0.1:0").expect("a port"), Arc::clone(&reel))
            .expect("a simulator");
        let without_date = |head: &[u8]| {
            let text = String::from_utf8_lossy(head).into_owned();
            text.lines()
                .filter(|line| !line.starts_with("Date: "))
                .map(|line| line.to_owned() + "\n")
                .collect::<String>()
        };
        let mut still = Vec::new();
        ask(&simulator, "GET /img HTTP/1.1\r\nHost: x\r\n\r\n").read_to_end(&mut still).expect("an answer");
        let picture = &reel.still(0).payload;
        let (head, body) = still.split_at(still.len() - picture.len());
        assert_eq!(body, &picture[..]);
        assert_eq!(
            without_date(head),
            format!(
                "HTTP/1.0 200 OK\nServer: BaseHTTP/0.6 Python/3.9\nContent-Type: image/jpeg\nContent-Length: {}\n\n",
                picture.len()
            )
        );
        let mut other = String::new();
        ask(&simulator, "GET /x HTTP/1.0\r\n\r\n").read_to_string(&mut other).expect("an answer");
        assert!(
            other.starts_with("HTTP/1.0 404 Not Found\r\n") && other.ends_with("\r\n\r\nUrl not found..."),
            "{other}"
        );
        // Two clients share the frames.
        let mut clients = [(); 2].map(|()| ask(&simulator, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
        for client in &mut clients {
            let mut start = [0; 400];
            client.read_exact(&mut start).expect("a stream");
            let text = without_date(&start);
            let expected = "HTTP/1.0 200 OK\nServer: BaseHTTP/0.6 Python/3.9\nContent-type: multipart/x-mixed-replace; \
                            boundary=--jpgboundary\n\n--jpgboundary\nContent-type: image/jpeg\nContent-length: ";
            assert!(text.starts_with(expected), "{text}");
        }
        let sent = simulator.stop();
        assert_eq!(sent.connections, 4);
    }

    #[test]
    fn dates_are_those_of_http() {
        assert_eq!(date(1_795_249_785_000_000_000), "Sat, 21 Nov 2026 08:29:45 GMT");
    }
}
