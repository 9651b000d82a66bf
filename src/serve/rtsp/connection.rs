//! A connection of a player: requests in one direction, answers and packets in the other.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::message::{BadMessage, Piece, parse};
use super::reply::{BAD_REQUEST, Player, refusal};
use super::session::{Path, Session, TIMEOUT_S};
use crate::serve::http::{HEAD_TIMEOUT, Place};
use crate::serve::routes::Server;
use crate::serve::send_at_once;

/// Answers that wait for a player before its next requests are read, in bytes.
const MAX_ANSWERS_BYTES: usize = 64 << 10;

/// Longest silence of a player that does not play, and longest time in which it reads nothing.
const SILENCE_MAX: Duration = Duration::from_secs(TIMEOUT_S);

struct Connection {
    stream: TcpStream,
    player: Player,
    /// Bytes that are not a complete request yet, and the arrival of the first of them.
    incoming: Vec<u8>,
    incomplete_since: Option<Instant>,
    /// Bytes of a packet of the player that are skipped.
    skip: usize,
    /// Answers and whole frames, of which `written` bytes are sent.
    out: Vec<u8>,
    written: usize,
    answers: usize,
    /// Bytes of the frame in `out`.
    frame: Option<usize>,
    /// Last time that bytes went one way or the other.
    active: Instant,
    /// Ends when all is sent.
    ends: bool,
}

/// Serves a player until it leaves.
pub(super) async fn serve(stream: TcpStream, server: Arc<Server>, place: Place) {
    send_at_once(&SockRef::from(&stream));
    let ends = |stream: &TcpStream| io::Result::Ok((stream.local_addr()?, stream.peer_addr()?));
    let Ok((local, peer)) = ends(&stream) else { return };
    let mut connection = Connection {
        stream,
        player: Player { server, local, peer, session: None },
        incoming: Vec::new(),
        incomplete_since: None,
        skip: 0,
        out: Vec::new(),
        written: 0,
        answers: 0,
        frame: None,
        active: Instant::now(),
        ends: false,
    };
    if let Err(error) = connection.run().await {
        tracing::debug!(%peer, %error, "RTSP connection");
    }
    drop(place);
}

impl Connection {
    async fn run(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            let sends = self.written < self.out.len();
            if self.ends && !sends {
                return Ok(());
            }
            let (session, reads) = (self.player.session.as_ref(), !self.ends && self.answers < MAX_ANSWERS_BYTES);
            let report = async {
                match session {
                    Some(session) => session.path.report().await,
                    None => std::future::pending().await,
                }
            };
            let frame = async {
                match session {
                    // The next one is taken when the last one is sent, so that the lane drops what comes too late.
                    Some(session) if !sends => session.next().await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                ready = self.stream.readable(), if reads => {
                    ready?;
                    match self.stream.try_read(&mut buffer) {
                        Ok(0) => return Ok(()),
                        Ok(read) => self.receive(&buffer[..read]).await,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error),
                    }
                }
                ready = self.stream.writable(), if sends => {
                    ready?;
                    match self.stream.try_write(&self.out[self.written..]) {
                        Ok(written) => self.wrote(written),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error),
                    }
                }
                frame = frame => self.send(&frame).await,
                () = report => {
                    if let Some(session) = &mut self.player.session {
                        session.heard = Instant::now();
                    }
                }
                () = sleep_until(self.deadline()) => {
                    if Instant::now() >= self.deadline() {
                        return Err(io::Error::new(io::ErrorKind::TimedOut, "the player is silent"));
                    }
                }
            }
        }
    }

    /// Returns when the connection ends, unless something happens.
    fn deadline(&self) -> Instant {
        let plays = |session: &&Session| session.viewer.is_some();
        let silence = match self.player.session.as_ref().filter(plays) {
            _ if self.ends => self.active + HEAD_TIMEOUT,
            Some(Session { path: Path::Udp { .. }, heard, .. }) => *heard + SILENCE_MAX,
            // The connection itself shows that the player is there, even if the camera sends nothing.
            Some(_) if self.written == self.out.len() => Instant::now() + SILENCE_MAX,
            _ => self.active + SILENCE_MAX,
        };
        self.incomplete_since.map_or(silence, |since| silence.min(since + HEAD_TIMEOUT))
    }

    fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        self.active = Instant::now();
        if self.written == self.out.len() {
            self.out.clear();
            (self.written, self.answers) = (0, 0);
            let viewer = self.player.session.as_ref().and_then(|session| session.viewer.as_ref());
            if let (Some(viewer), Some(bytes)) = (viewer, self.frame.take()) {
                viewer.sent(bytes);
            }
        }
    }

    /// Sends a frame over UDP, or appends it to what is sent.
    async fn send(&mut self, frame: &crate::frame::Frame) {
        let Some(session) = &mut self.player.session else { return };
        if !session.packetize(frame, &mut self.out) {
            let (now, before) = (frame.kind.name(), session.media.kind.name());
            tracing::info!(
                camera = session.camera.name,
                now,
                before,
                "the camera sends another kind: RTSP players must connect again"
            );
            self.ends = true;
            return;
        }
        let bytes = Session::bytes(&self.out);
        // A damaged JPEG has no packets.
        if matches!(session.path, Path::Interleaved { .. }) && bytes > 0 {
            self.frame = Some(bytes);
            self.active = Instant::now();
            return;
        }
        session.path.send(&self.out).await;
        self.out.clear();
        if let Some(viewer) = &session.viewer {
            viewer.sent(bytes);
        }
    }

    /// Answers the requests in these bytes.
    async fn receive(&mut self, bytes: &[u8]) {
        self.active = Instant::now();
        self.incoming.extend_from_slice(bytes);
        while !self.ends {
            let skipped = self.skip.min(self.incoming.len());
            self.incoming.drain(..skipped);
            self.skip -= skipped;
            match parse(&self.incoming) {
                Ok(Some((piece, len))) => {
                    self.incoming.drain(..len);
                    self.incomplete_since = None;
                    self.take(piece).await;
                }
                Ok(None) => break,
                Err(error) => self.refuse(error),
            }
        }
        if self.incoming.is_empty() {
            self.incomplete_since = None;
        } else {
            self.incomplete_since.get_or_insert_with(Instant::now);
        }
    }

    async fn take(&mut self, piece: Piece) {
        match piece {
            Piece::Request(request) => {
                let answer = self.player.answer(&request).await;
                self.answers += answer.len();
                self.out.extend(answer);
                // The ledger of a player that has left does not change any more.
                if self.player.session.as_ref().is_none_or(|session| session.viewer.is_none()) {
                    self.frame = None;
                }
            }
            Piece::Packet { channel, len } => match &mut self.player.session {
                Some(session) if session.has_channel(channel) => {
                    session.heard = Instant::now();
                    self.skip = len;
                }
                _ => self.refuse(BadMessage::NotRtsp),
            },
            Piece::Nothing => {}
        }
    }

    fn refuse(&mut self, error: BadMessage) {
        tracing::debug!(peer = %self.player.peer, %error, "closed an RTSP connection");
        self.out.extend(refusal(BAD_REQUEST, &error.to_string()));
        self.incoming.clear();
        self.ends = true;
    }
}
