//! The connection of one host, and the bytes on the line between it and the camera.

use std::io;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::camera::SimulatedCamera;
use super::shape::{LineShape, Pipe};

/// Maximum bytes per read.
const READ_BYTES: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Line {
    host: TcpStream,
    /// The line has neither a bandwidth limit nor a delay.
    perfect: bool,
    buffer: Vec<u8>,
    to_camera: Pipe,
    to_host: Pipe,
    /// A piece that has left `to_host`, and the number of its bytes that are written to the socket.
    arrived: Vec<u8>,
    written: usize,
    /// The send buffer of the socket is full.
    blocked: bool,
    lost: bool,
}

impl Line {
    pub(super) fn new(host: TcpStream, shape: LineShape) -> Self {
        // If this fails, answers are only a little later.
        let _ = host.set_nodelay(true);
        Self {
            host,
            perfect: shape == LineShape::default(),
            buffer: vec![0; READ_BYTES],
            to_camera: Pipe::new(shape),
            to_host: Pipe::new(shape),
            arrived: Vec::new(),
            written: 0,
            blocked: false,
            lost: false,
        }
    }

    pub(super) fn host(&self) -> &TcpStream {
        &self.host
    }

    /// Returns `true` if the host has disconnected.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Returns `true` if no bytes are pending for the host.
    pub(super) fn is_drained(&self, camera: &mut SimulatedCamera) -> bool {
        camera.output().is_empty() && self.to_host.is_empty() && self.written == self.arrived.len()
    }

    /// Moves all bytes that can be moved now. Returns `true` if it moved any.
    pub(super) fn carry(&mut self, camera: &mut SimulatedCamera, now: Duration) -> bool {
        let received = self.receive(camera, now);
        let sent = if self.perfect { self.send_directly(camera, now) } else { self.send(camera, now) };
        received || sent
    }

    fn receive(&mut self, camera: &mut SimulatedCamera, now: Duration) -> bool {
        let most = READ_BYTES.min(self.to_camera.room());
        let mut moved = false;
        if most > 0 {
            match self.host.try_read(&mut self.buffer[..most]) {
                Ok(0) => self.lost = true,
                Ok(len) if self.perfect => {
                    camera.input(&self.buffer[..len], now);
                    moved = true;
                }
                Ok(len) => {
                    self.to_camera.push(&self.buffer[..len], now);
                    moved = true;
                }
                Err(error) => self.lost = self.lost || !is_later(&error),
            }
        }
        while let Some(bytes) = self.to_camera.pop(now) {
            camera.input(&bytes, now);
            moved = true;
        }
        moved
    }

    fn send_directly(&mut self, camera: &mut SimulatedCamera, now: Duration) -> bool {
        let mut moved = false;
        self.blocked = false;
        loop {
            let bytes = camera.output();
            if bytes.is_empty() {
                return moved;
            }
            match self.host.try_write(bytes) {
                Ok(len) => {
                    camera.consumed(len, now);
                    moved = true;
                }
                Err(error) => {
                    (self.blocked, self.lost) = (is_later(&error), self.lost || !is_later(&error));
                    return moved;
                }
            }
        }
    }

    fn send(&mut self, camera: &mut SimulatedCamera, now: Duration) -> bool {
        let mut moved = false;
        self.blocked = false;
        loop {
            let room = self.to_host.room();
            let bytes = camera.output();
            let len = bytes.len().min(room);
            if len == 0 {
                break;
            }
            self.to_host.push(&bytes[..len], now);
            camera.consumed(len, now);
            moved = true;
        }
        loop {
            if self.written == self.arrived.len() {
                let Some(next) = self.to_host.pop(now) else { return moved };
                (self.arrived, self.written) = (next, 0);
            }
            match self.host.try_write(&self.arrived[self.written..]) {
                Ok(len) => {
                    self.written += len;
                    moved = true;
                }
                Err(error) => {
                    (self.blocked, self.lost) = (is_later(&error), self.lost || !is_later(&error));
                    return moved;
                }
            }
        }
    }

    /// Returns the time at which the next piece arrives at either end.
    pub(super) fn due(&self) -> Option<Duration> {
        let to_host = if self.written == self.arrived.len() { self.to_host.next() } else { None };
        [self.to_camera.next(), to_host].into_iter().flatten().min()
    }

    /// Waits until [`Self::carry`] may move bytes.
    pub(super) async fn ready(&self, due: Option<Instant>, woken: &Notify) {
        let mut interest = None;
        let mut add = |more: Interest| interest = Some(interest.map_or(more, |interest: Interest| interest | more));
        if self.to_camera.room() > 0 {
            add(Interest::READABLE);
        }
        if self.blocked {
            add(Interest::WRITABLE);
        }
        let socket = async {
            match interest {
                // The next read or write reports an error of the socket.
                Some(interest) => drop(self.host.ready(interest).await),
                None => std::future::pending().await,
            }
        };
        let due = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = socket => {}
            () = due => {}
            () = woken.notified() => {}
        }
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
