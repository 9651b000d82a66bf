//! The task that moves the packets of all viewers.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use str0m::Input;
use str0m::net::{Protocol, Receive};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};

use super::Order;
use super::outbox::Outbox;
use super::peer::Peer;
use crate::frame::Frame;
use crate::net::datagram_batch::{DatagramBatch, DatagramReplies};

/// Steps of one viewer before those of others: more than one frame has packets.
pub(super) const STEPS_MAX: usize = 8192;

/// Longest sleep.
const IDLE: Duration = Duration::from_secs(1);

/// The next event of the task.
enum Turn {
    Order(Order),
    /// The next frame of the viewer with this number.
    Frame(usize, Arc<Frame>),
    Datagrams,
    /// A viewer is due.
    Due,
    /// The server ends.
    End,
}

/// The viewers, and the socket that they share.
pub(in crate::serve) struct Peers {
    socket: UdpSocket,
    batch: DatagramBatch,
    replies: DatagramReplies,
    local: SocketAddr,
    orders: mpsc::Receiver<Order>,
    peers: Vec<Peer>,
    outbox: Outbox,
    sleep: Pin<Box<Sleep>>,
}

impl Peers {
    pub(super) fn new(socket: UdpSocket, orders: mpsc::Receiver<Order>) -> io::Result<Self> {
        Ok(Self {
            batch: DatagramBatch::new(&socket)?,
            replies: DatagramReplies::new(&socket)?,
            local: socket.local_addr()?,
            socket,
            orders,
            peers: Vec::new(),
            outbox: Outbox::default(),
            sleep: Box::pin(sleep(IDLE)),
        })
    }

    /// Serves viewers until the task is dropped.
    pub(in crate::serve) async fn run(mut self) {
        loop {
            let now = Instant::now();
            let due = self.peers.iter().map(|peer| peer.due).min().map_or(now + IDLE, |due| due.min(now + IDLE));
            self.sleep.as_mut().reset(due.into());
            match poll_fn(|cx| self.poll_turn(cx)).await {
                Turn::Order(Order::Add(mut peer)) => {
                    peer.input(Input::Timeout(Instant::now()), &mut self.outbox);
                    self.peers.push(*peer);
                }
                Turn::Order(Order::End(id)) => {
                    let ended = self.peers.iter_mut().find(|peer| peer.id == id);
                    ended.into_iter().for_each(|peer| peer.close(&mut self.outbox));
                }
                Turn::Frame(number, frame) => self.peers[number].send(&frame, &mut self.outbox),
                Turn::Datagrams => self.receive(),
                Turn::Due => {}
                Turn::End => return,
            }
            let now = Instant::now();
            for peer in self.peers.iter_mut().filter(|peer| peer.due <= now) {
                peer.input(Input::Timeout(now), &mut self.outbox);
            }
            self.peers.retain(Peer::is_alive);
            for batch in self.outbox.take() {
                // A socket of one address needs no other source.
                let from = self.local.ip().is_unspecified().then(|| batch.from.ip());
                self.replies.send(&self.socket, &batch.bytes, batch.len, from, batch.to).await;
            }
        }
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        if let Poll::Ready(order) = self.orders.poll_recv(cx) {
            return Poll::Ready(order.map_or(Turn::End, Turn::Order));
        }
        for (number, peer) in self.peers.iter().enumerate() {
            if let Some(Poll::Ready(frame)) = peer.viewer.as_ref().map(|viewer| viewer.poll_next(cx)) {
                return Poll::Ready(Turn::Frame(number, frame));
            }
        }
        if self.socket.poll_recv_ready(cx).is_ready() {
            return Poll::Ready(Turn::Datagrams);
        }
        self.sleep.as_mut().poll(cx).map(|()| Turn::Due)
    }

    /// Gives the datagrams that wait to their viewers. Those of others are dropped.
    fn receive(&mut self) {
        // An error: none waits, or that of an address to which a packet was sent before. ICE notices viewers that have left.
        if self.batch.receive(&self.socket).is_err() {
            return;
        }
        let now = Instant::now();
        while let Some(datagram) = self.batch.next() {
            let to = datagram.to.map_or(self.local.ip(), |to| to.to_canonical());
            let from = SocketAddr::new(datagram.from.ip().to_canonical(), datagram.from.port());
            let contents = self.batch.datagram(&datagram.place);
            let destination = SocketAddr::new(to, self.local.port());
            let Ok(receive) = Receive::new(Protocol::Udp, from, destination, contents) else { continue };
            let input = Input::Receive(now, receive);
            if let Some(peer) = self.peers.iter_mut().find(|peer| peer.accepts(&input)) {
                peer.input(input, &mut self.outbox);
            }
        }
    }
}
