//! The camera's own protocol again, for any number of clients.
//!
//! Each client gets the bytes of the camera unchanged: its confirmed frames, with their records, headers and detections. A slow
//! client gets the newest frame of each stream; of video, it continues at a key frame. Clients that connect later first get the
//! records of the connection that are still valid, as those that connect to the camera do, and the camera's count of the frames
//! that it has dropped (`@Q`) begins with 0 for them. When the connection of the camera ends, those of its clients end, too: they
//! reconnect, as with a camera that restarts.

use std::borrow::Cow;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpListener;

use super::camera::{CLIENT_WAITING, ServedCamera, Waiting};
use super::send_at_once;
use crate::hub::RecvTimeoutError;
use crate::net::ACCEPT_RETRY;
use crate::net::clock::received_now;
use crate::net::serving::write_all;
use crate::recording::bytes_before_payload;
use crate::source::RepeatedWarning;
use crate::sync::locked;
use crate::wire::encode::{self, MessageHead};
use crate::wire::{self, LINE, Record};

/// Clients of one camera at a time. Further ones get a note and are closed.
const MAX_CLIENTS: usize = 64;

/// The record that a client above [`MAX_CLIENTS`] gets. A receiver shows it as the reason for the end of the connection.
const REFUSAL: &[u8; LINE] = b"@N 64 clients are connected     ";

/// A client for which a frame has waited longer than this is slow, and gets the newest frames.
const DELAY_MAX: Duration = Duration::from_millis(500);

/// Streams of video of one client that are remembered: a camera may send any number of names.
const MAX_VIDEO_STREAMS: usize = 16;

/// How often a client's thread looks whether it has to end.
const STOP_INTERVAL: Duration = Duration::from_millis(100);

/// The clients of one camera, each with a thread. Dropping it ends them.
#[derive(Debug, Default)]
pub(super) struct Clients {
    ends: Arc<AtomicBool>,
    threads: Mutex<Vec<(TcpStream, JoinHandle<()>)>>,
    refusals: Mutex<RepeatedWarning>,
}

impl Clients {
    /// Accepts clients until its task is dropped.
    pub(super) async fn accept(self: Arc<Self>, listener: TcpListener, camera: Arc<ServedCamera>) {
        loop {
            let accepted = listener.accept().await;
            let started = accepted.and_then(|(stream, client)| self.start(stream.into_std()?, client, &camera));
            if let Err(error) = started {
                tracing::debug!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }

    fn start(&self, stream: TcpStream, client: SocketAddr, camera: &Arc<ServedCamera>) -> io::Result<()> {
        let mut threads = locked(&self.threads);
        threads.retain(|(_, thread)| !thread.is_finished());
        if threads.len() >= MAX_CLIENTS {
            if let Some(more) = locked(&self.refusals).admit(received_now().mono_ns) {
                tracing::warn!(
                    camera = camera.name,
                    "refused a client of the camera port, {client}: {MAX_CLIENTS} clients are connected{more}"
                );
            }
            return write_all(&stream, REFUSAL);
        }
        stream.set_nonblocking(false)?;
        send_at_once(&SockRef::from(&stream));
        let handle = stream.try_clone()?;
        let (camera, ends) = (Arc::clone(camera), Arc::clone(&self.ends));
        let thread = thread::Builder::new().name(format!("serve {}", camera.name));
        let serving = thread.spawn(move || {
            serve(&stream, &camera, &ends);
            // The other handle of the socket would keep it open. Fails if the client has left.
            let _ = stream.shutdown(Shutdown::Both);
        });
        threads.push((handle, serving?));
        Ok(())
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        for (stream, thread) in std::mem::take(&mut *locked(&self.threads)) {
            // Ends a write to a client that does not read. Fails if the client has left.
            let _ = stream.shutdown(Shutdown::Both);
            // A panic was printed when it happened.
            let _ = thread.join();
        }
    }
}

/// Selects the frames that a client gets.
#[derive(Default)]
struct Selection {
    /// Number of the next frame unless the lane drops frames.
    next: u64,
    /// Streams of video of which the client has a key frame and all frames since.
    decodable: Vec<Option<Arc<str>>>,
}

impl Selection {
    /// Returns the frames to send: of each stream the newest of `waiting`, and of video those from the last key frame on.
    fn of(&mut self, waiting: Vec<Waiting>) -> Vec<Waiting> {
        let replaces = |later: &Waiting, key: bool, earlier: &Waiting| {
            key && later.connection == earlier.connection && later.frame.stream == earlier.frame.stream
        };
        // The first frame replaces none.
        let keys: Vec<_> = waiting.iter().enumerate().map(|(at, item)| at > 0 && item.frame.is_key_frame()).collect();
        let is_newest =
            |at: usize| !(at + 1..waiting.len()).any(|later| replaces(&waiting[later], keys[later], &waiting[at]));
        let newest: Vec<_> = (0..waiting.len()).map(is_newest).collect();
        let selected = waiting.into_iter().zip(newest).filter(|(item, newest)| self.can_decode(item) && *newest);
        selected.map(|(item, _)| item).collect()
    }

    /// Returns whether the client can decode a frame. Call it with every frame, in their order.
    fn can_decode(&mut self, Waiting { number, frame, .. }: &Waiting) -> bool {
        if std::mem::replace(&mut self.next, number + 1) != *number {
            self.decodable.clear();
        }
        if !frame.kind.is_video() || self.decodable.contains(&frame.stream) {
            return true;
        }
        let is_key_frame = frame.is_key_frame();
        if is_key_frame && self.decodable.len() < MAX_VIDEO_STREAMS {
            self.decodable.push(frame.stream.clone());
        }
        is_key_frame
    }
}

/// Returns the records with the camera's count of frames that it has dropped (`@Q`) less those dropped earlier.
fn without_drops(records: &[u8], earlier: u64) -> Cow<'_, [u8]> {
    let is_count = |line: &[u8; LINE]| line.starts_with(b"@Q");
    if earlier == 0 || !records.as_chunks::<LINE>().0.iter().any(is_count) {
        return Cow::Borrowed(records);
    }
    let mut records = records.to_vec();
    for line in records.as_chunks_mut::<LINE>().0.iter_mut().filter(|line| is_count(line)) {
        let record = wire::records(line).next();
        if let Some(Record::Dropped(frames)) = record
            && let Some(own) = encode::line(&format!("@Q drop={}", frames.saturating_sub(earlier)))
        {
            *line = own;
        }
    }
    Cow::Owned(records)
}

/// Sends frames until the client leaves, or until all frames of the connection of the camera with which it began are sent.
fn serve(stream: &TcpStream, camera: &ServedCamera, ends: &AtomicBool) {
    let (viewer, joined) = camera.watch_confirmed();
    let (mut is_first, mut own, mut selection) = (true, None, Selection::default());
    while !ends.load(Ordering::SeqCst) {
        let connection = camera.connection();
        let first = match viewer.taker().recv_timeout(STOP_INTERVAL) {
            Ok(first) => first,
            // The frames of one connection of the camera are not followed by those of another one: numbers and capture times
            // begin again, and a client would count that as lost frames.
            Err(RecvTimeoutError::Timeout) if own.is_some_and(|own| own != connection) => return,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let is_slow = first.since.elapsed() > DELAY_MAX;
        let mut waiting = vec![first];
        if is_slow {
            waiting.extend(std::iter::from_fn(|| viewer.taker().try_take()).take(CLIENT_WAITING));
        }
        let taken = waiting.len();
        let selected = selection.of(waiting);
        viewer.left_out(taken - selected.len());
        for Waiting { connection, frame, .. } in selected {
            if *own.get_or_insert(connection) != connection {
                return;
            }
            let is_joined = joined.connection == connection;
            let valid: &[u8] = if std::mem::take(&mut is_first) && is_joined { &joined.records } else { &[] };
            let records = without_drops(&frame.records, if is_joined { joined.dropped } else { 0 });
            let own_head = MessageHead { records: &records, ..MessageHead::of(&frame) };
            let head = [valid, &bytes_before_payload(frame.dialect, frame.payload().len(), own_head)].concat();
            // In one piece, because the official host assumes that the 32 bytes of a header arrive in one read.
            if [&head[..], frame.payload()].into_iter().any(|bytes| write_all(stream, bytes).is_err()) {
                return;
            }
            viewer.sent(head.len() + frame.payload().len());
        }
    }
}
