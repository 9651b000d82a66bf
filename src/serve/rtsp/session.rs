//! One player: the packets that it gets.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep};

use super::jpeg::{self, NotCarried};
use super::nal;
use super::packet::{PREFIX_BYTES, Rtp, written};
use super::sdp::payload_type;
use super::transport::Transport;
use crate::frame::{Frame, PayloadKind};
use crate::serve::camera::ServedCamera;
use crate::serve::capture_clock::CaptureClock;
use crate::serve::feed::{Media, NoMedia};
use crate::serve::viewer::Viewer;

/// Seconds after which a session over UDP ends, if its player sends nothing.
pub(super) const TIMEOUT_S: u64 = 60;

/// Time between two sender reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Packets that are sent over UDP at once. More would not fit the buffer of the receiver's socket.
const BURST_PACKETS: usize = 16;

/// Pause after a burst: at most 180 Mbit/s.
const BURST_PAUSE: Duration = Duration::from_millis(1);

/// Attempts to get two free ports in a row.
const PORT_ATTEMPTS: usize = 16;

/// Path of the packets.
#[derive(Debug)]
pub(super) enum Path {
    Interleaved { rtp: u8, rtcp: u8 },
    Udp { rtp: UdpSocket, rtcp: UdpSocket },
}

impl Path {
    /// Prepares a transport between the addresses of an RTSP connection. Returns the path, and the header that describes it.
    pub(super) async fn open(transport: Transport, server: IpAddr, player: IpAddr) -> io::Result<(Self, String)> {
        match transport {
            Transport::Interleaved { rtp, rtcp } => {
                Ok((Self::Interleaved { rtp, rtcp }, format!("RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp}")))
            }
            Transport::Udp { rtp, rtcp } => {
                let (rtp_socket, rtcp_socket, port) = port_pair(server).await?;
                // Connected: takes packets of the player only.
                rtp_socket.connect((player, rtp)).await?;
                rtcp_socket.connect((player, rtcp)).await?;
                let next = port + 1;
                let header = format!("RTP/AVP;unicast;client_port={rtp}-{rtcp};server_port={port}-{next}");
                Ok((Self::Udp { rtp: rtp_socket, rtcp: rtcp_socket }, header))
            }
        }
    }

    const fn channels(&self) -> (u8, u8) {
        match self {
            Self::Interleaved { rtp, rtcp } => (*rtp, *rtcp),
            Self::Udp { .. } => (0, 1),
        }
    }

    /// Sends packets over UDP that were written for a connection. Those that the system refuses are lost like any other.
    pub(super) async fn send(&self, packets: &[u8]) {
        let Self::Udp { rtp, rtcp } = self else { return };
        for (number, (channel, packet)) in written(packets).enumerate() {
            if number > 0 && number % BURST_PACKETS == 0 {
                sleep(BURST_PAUSE).await;
            }
            let socket = if channel == 0 { rtp } else { rtcp };
            if let Err(error) = socket.send(packet).await {
                tracing::trace!(%error, "RTP packet");
            }
        }
    }

    /// Waits for a report of the player over UDP.
    pub(super) async fn report(&self) {
        let Self::Udp { rtcp, .. } = self else { return std::future::pending().await };
        // An error: nobody listens there yet, or not any more.
        while rtcp.recv(&mut [0; 1500]).await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Binds an even port and the next one.
async fn port_pair(address: IpAddr) -> io::Result<(UdpSocket, UdpSocket, u16)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..PORT_ATTEMPTS {
        let first = UdpSocket::bind(SocketAddr::new(address, 0)).await?;
        let port = first.local_addr()?.port();
        if port % 2 == 1 || port == u16::MAX - 1 {
            continue;
        }
        match UdpSocket::bind(SocketAddr::new(address, port + 1)).await {
            Ok(second) => return Ok((first, second, port)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A player of one camera.
pub(super) struct Session {
    pub(super) id: String,
    pub(super) camera: Arc<ServedCamera>,
    pub(super) media: Media,
    pub(super) path: Path,
    pub(super) rtp: Rtp,
    /// `None` before PLAY and after PAUSE.
    pub(super) viewer: Option<Viewer<Arc<Frame>>>,
    /// Last sign of the player.
    pub(super) heard: Instant,
    clock: CaptureClock,
    reported: Option<Instant>,
}

impl Session {
    pub(super) fn new(camera: Arc<ServedCamera>, media: Media, path: Path) -> Self {
        Self {
            id: format!("{:016X}", crate::serve::random()),
            camera,
            rtp: Rtp::new(payload_type(media.kind)),
            media,
            path,
            viewer: None,
            heard: Instant::now(),
            clock: CaptureClock::new(),
            reported: None,
        }
    }

    /// Begins or continues.
    ///
    /// # Errors
    /// The pictures of the camera cannot be encoded.
    pub(super) fn play(&mut self) -> Result<(), NoMedia> {
        if self.viewer.is_none() {
            self.viewer = Some(self.camera.rtsp.watch(&self.camera.viewers, &self.media)?);
        }
        Ok(())
    }

    /// Waits for the next frame.
    pub(super) async fn next(&self) -> Arc<Frame> {
        match &self.viewer {
            Some(viewer) => viewer.next().await,
            None => std::future::pending().await,
        }
    }

    /// Returns whether packets travel on the RTSP connection with this channel.
    pub(super) fn has_channel(&self, channel: u8) -> bool {
        matches!(self.path, Path::Interleaved { rtp, rtcp } if [rtp, rtcp].contains(&channel))
    }

    /// Appends the packets of a frame, with a report if one is due. Returns `false` if the player expects other media: the
    /// camera has been changed.
    pub(super) fn packetize(&mut self, frame: &Frame, out: &mut Vec<u8>) -> bool {
        if frame.kind != self.media.kind {
            return false;
        }
        let time = self.clock.stamp(frame) as u32;
        let (rtp, rtcp) = self.path.channels();
        let packets = &mut self.rtp.packets(out, rtp, time);
        if frame.kind == PayloadKind::Jpeg {
            match jpeg::scan(frame.payload()) {
                Ok(scan) => jpeg::packetize(&scan, packets),
                Err(NotCarried::Damaged) => return true,
                Err(_) => return false,
            }
        } else {
            nal::packetize(frame.kind, &self.camera.rtsp.sets_before(frame), frame.payload(), packets);
        }
        if self.reported.is_none_or(|reported| reported.elapsed() >= REPORT_INTERVAL) {
            self.reported = Some(Instant::now());
            self.rtp.report(out, rtcp, time, frame.received.unix_ns);
        }
        true
    }

    /// Returns the bytes of packets without the prefixes of RTSP.
    pub(super) fn bytes(packets: &[u8]) -> usize {
        packets.len() - PREFIX_BYTES * written(packets).count()
    }
}
