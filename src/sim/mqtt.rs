//! A camera that publishes to an MQTT broker, as the Script of a camera does.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rumqttc::{Connect, Login, Packet, Publish, QoS};

use super::reel::Reel;
use super::sending::{SendingThread, Shared};
use super::server::Sent;
use crate::frame::DeviceTime;
use crate::net::tls;
use crate::sync::locked;
use crate::wire::{LINE, encode};

/// Time to connect, and for the answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Time until the next attempt to connect.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Seconds without a packet of ours after which the broker ends the connection.
const KEEP_ALIVE_S: u16 = 60;

/// Interval of a number, and of the sign of life that keeps a connection without pictures open.
const NUMBER_INTERVAL: Duration = Duration::from_secs(1);

/// Longest packet, in bytes: the limit of MQTT.
const MAX_PACKET_BYTES: usize = 268_435_455;

/// Certificates of brokers that are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificates {
    /// Those that the system trusts.
    Trusted,
    /// Any, for a broker that has made its own.
    Any,
}

/// A connection to a broker, over TCP or TLS.
trait Connection: Read + Write + Send {}
impl<T: Read + Write + Send> Connection for T {}

/// A broker, and the topic of the pictures.
#[derive(Clone)]
pub struct Broker {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether to use TLS, and then with which certificates.
    pub tls: Option<Certificates>,
    /// User name and password.
    pub login: Option<(String, String)>,
    /// Topic of the pictures. Their detections are published on `TOPIC/detections`, and their number on `TOPIC/average`.
    pub topic: String,
}

/// Without the password.
impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, topic, .. } = self;
        f.debug_struct("Broker").field("host", host).field("port", port).field("topic", topic).finish_non_exhaustive()
    }
}

/// A simulated camera that publishes JPEG pictures, their detections before each, and once a second the number of objects as
/// the official example sends it. Dropping it ends its thread and its connection.
#[derive(Debug)]
pub struct Publisher {
    thread: SendingThread,
}

impl Publisher {
    /// Connects, and publishes on a thread of its own. The camera connects again when the connection is lost.
    ///
    /// # Errors
    /// The broker cannot be reached or refuses the connection, or the system refuses a thread.
    pub fn start(broker: Broker, reel: Arc<Reel>) -> io::Result<Self> {
        reel.prepare();
        let mut connection = Some(connect(&broker)?);
        let shared = Shared::default();
        let camera = Camera { broker, reel, booted: Instant::now(), shared: shared.clone() };
        let thread = SendingThread::start("sim-mqtt".to_owned(), shared, move |shared| {
            while !shared.is_over() {
                let opened = connection.take().map_or_else(|| connect(&camera.broker), Ok);
                if let Err(error) = opened.and_then(|mut connection| camera.publish(&mut *connection)) {
                    tracing::warn!("the connection to the broker is lost: {error}");
                    shared.stopping.wait_until(Instant::now() + RETRY_DELAY);
                }
            }
        })?;
        Ok(Self { thread })
    }

    /// Returns the totals so far.
    #[must_use]
    pub fn sent(&self) -> Sent {
        self.thread.sent()
    }

    /// Ends its connection and its thread, and returns the final totals.
    #[must_use = "drop the publisher if the totals are not needed"]
    pub fn stop(self) -> Sent {
        self.thread.stop()
    }
}

/// State of the thread.
struct Camera {
    broker: Broker,
    reel: Arc<Reel>,
    booted: Instant,
    shared: Shared,
}

impl Camera {
    /// Publishes until the camera is to stop, or until the connection is lost.
    fn publish(&self, connection: &mut dyn Connection) -> io::Result<()> {
        locked(&self.shared.sent).connections += 1;
        let fps = self.reel.config().fps;
        let period = if fps == 0.0 { Duration::ZERO } else { Duration::from_secs_f64(1.0 / fps) };
        let mut bytes = BytesMut::new();
        let (mut due, mut number_due) = (Instant::now(), Instant::now());
        let (mut boxes, mut pictures) = (0, 0);
        for index in 0.. {
            while number_due < due {
                if !self.shared.stopping.wait_until(number_due) {
                    break;
                }
                self.number(connection, boxes, pictures)?;
                (boxes, pictures) = (0, 0);
                number_due += NUMBER_INTERVAL;
            }
            if !self.shared.stopping.wait_until(due) {
                break;
            }
            due += period;
            let still = self.reel.still(index);
            let time = DeviceTime(i64::try_from(self.booted.elapsed().as_micros()).unwrap_or(i64::MAX));
            bytes.clear();
            let detections = encode::detect(time, &still.detections).split_off(LINE);
            append(&mut bytes, format!("{}/detections", self.broker.topic), detections)?;
            append(&mut bytes, self.broker.topic.clone(), still.payload.to_vec())?;
            boxes += still.detections.len();
            pictures += 1;
            let written = send(connection, &bytes);
            let mut sent = locked(&self.shared.sent);
            match written {
                Ok(()) => (sent.intact, sent.bytes) = (sent.intact + 1, sent.bytes + bytes.len() as u64),
                Err(error) => {
                    sent.abandoned += 1;
                    return Err(error);
                }
            }
        }
        let mut bytes = BytesMut::new();
        write(&mut bytes, &Packet::Disconnect)?;
        send(connection, &bytes)
    }

    /// Publishes the average number of objects, rounded as the official example does.
    fn number(&self, connection: &mut dyn Connection, boxes: usize, pictures: usize) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        write(&mut bytes, &Packet::PingReq)?;
        if pictures > 0 {
            let average = (100.0 * boxes as f64 / pictures as f64).round() / 100.0;
            append(&mut bytes, format!("{}/average", self.broker.topic), format!("{average:?}").into_bytes())?;
        }
        send(connection, &bytes)?;
        locked(&self.shared.sent).bytes += bytes.len() as u64;
        Ok(())
    }
}

fn connect(broker: &Broker) -> io::Result<Box<dyn Connection>> {
    let Broker { host, port, login, tls, .. } = broker;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in (host.as_str(), *port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(TIMEOUT))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                let mut stream: Box<dyn Connection> = match tls {
                    None => Box::new(stream),
                    Some(accepted) => {
                        let is_any = *accepted == Certificates::Any;
                        Box::new(tls::blocking_handshake(host, stream, is_any).map_err(io::Error::other)?)
                    }
                };
                // The official example leaves its name to the broker.
                let mut connect = Connect::new("");
                connect.keep_alive = KEEP_ALIVE_S;
                connect.login = login.clone().map(|(username, password)| Login { username, password });
                let mut bytes = BytesMut::new();
                write(&mut bytes, &Packet::Connect(connect))?;
                send(&mut *stream, &bytes)?;
                let mut answer = [0; 4];
                stream.read_exact(&mut answer)?;
                return match answer {
                    [0x20, 2, _, 0] => Ok(stream),
                    [0x20, 2, _, code] => {
                        Err(io::Error::other(format!("the broker refuses the connection with code {code}")))
                    }
                    _ => Err(io::Error::other("the answer is not MQTT 3.1.1")),
                };
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Sends bytes, also those that TLS holds back.
fn send(connection: &mut dyn Connection, bytes: &[u8]) -> io::Result<()> {
    connection.write_all(bytes)?;
    connection.flush()
}

fn append(bytes: &mut BytesMut, topic: String, payload: Vec<u8>) -> io::Result<()> {
    write(bytes, &Packet::Publish(Publish::new(topic, QoS::AtMostOnce, payload)))
}

fn write(bytes: &mut BytesMut, packet: &Packet) -> io::Result<()> {
    packet.write(bytes, MAX_PACKET_BYTES).map(drop).map_err(io::Error::other)
}
