//! Moves the bytes of a [`Conversation`] over TCP.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::bootloader::{Caller, ClientOptions, Conversation, ConversationEvent};

/// A bootloader that has just been entered does not listen at once: it is tried again for so long (bootloader.md 2).
const CONNECT: Duration = Duration::from_secs(5);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(50);
/// How long the reset at the end may take to go out (bootloader.md 2.3).
const FAREWELL: Duration = Duration::from_secs(2);
const BUFFER: usize = 256 << 10;

/// Why there is no connection to a bootloader.
#[derive(Debug, thiserror::Error)]
pub enum TalkError {
    /// Nobody listens there, or nothing gets there.
    #[error(
        "{address} cannot be connected to: {why}; a camera listens there in its bootloader only, and a firewall may stand \
         before TCP port {}", .address.port()
    )]
    Connect {
        /// Where it should listen.
        address: SocketAddr,
        /// What the system says.
        why: io::Error,
    },
}

/// Connects to a bootloader, does this with it, and resets it. `told` hears of the course.
///
/// # Errors
/// There is no connection. Everything else is in what `task` comes to.
pub async fn talk<T, F>(
    address: SocketAddr,
    options: ClientOptions,
    mut told: impl FnMut(&ConversationEvent),
    task: impl FnOnce(Caller) -> F,
) -> Result<T, TalkError>
where
    F: Future<Output = T> + 'static,
{
    let stream = connect(address).await?;
    // A wish; it is only slower without.
    let _ = stream.set_nodelay(true);
    let start = Instant::now();
    let mut conversation = Conversation::new(Duration::ZERO, options, task);
    let mut buffer = vec![0; BUFFER];
    let mut leaving = None;
    loop {
        while let Some(news) = conversation.poll_event() {
            told(&news);
        }
        if conversation.is_over() && leaving.is_none() {
            leaving = Some(start.elapsed() + FAREWELL);
        }
        let has_output = !conversation.output().is_empty();
        if leaving.is_some() && !has_output {
            break;
        }
        let interest = if has_output { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        let until = tokio::time::Instant::from_std(start + leaving.unwrap_or_else(|| conversation.timeout()));
        tokio::select! {
            ready = stream.ready(interest) => {
                if turn(&stream, ready, &mut conversation, &mut buffer, start).is_err() {
                    conversation.handle_close(start.elapsed());
                    if conversation.is_over() {
                        break;
                    }
                }
            }
            () = tokio::time::sleep_until(until) => {
                if leaving.is_some() {
                    break;
                }
                conversation.handle_timeout(start.elapsed());
            }
        }
    }
    while let Some(news) = conversation.poll_event() {
        told(&news);
    }
    Ok(conversation.result().expect("it is over"))
}

/// Sends and receives what can be sent and received now. An error is the end of the connection, whatever the reason.
fn turn<T>(
    stream: &TcpStream,
    ready: io::Result<tokio::io::Ready>,
    conversation: &mut Conversation<T>,
    buffer: &mut [u8],
    start: Instant,
) -> io::Result<()> {
    let ready = ready?;
    if ready.is_readable() {
        match stream.try_read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => conversation.handle_input(&buffer[..n], start.elapsed()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    if ready.is_writable() {
        while !conversation.output().is_empty() {
            match stream.try_write(conversation.output()) {
                Ok(n) => conversation.consumed(n, start.elapsed()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

async fn connect(address: SocketAddr) -> Result<TcpStream, TalkError> {
    let until = Instant::now() + CONNECT;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let why = match tokio::time::timeout(left, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(why)) => why,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, "no answer for 5 s"),
        };
        if Instant::now() + AGAIN >= until {
            return Err(TalkError::Connect { address, why });
        }
        tokio::time::sleep(AGAIN).await;
    }
}
