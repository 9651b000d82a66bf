//! Runs a [`Conversation`] with a bootloader over TCP.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::bootloader::{Caller, ClientOptions, Conversation, ConversationEvent};

/// Time to retry connecting: a bootloader does not listen immediately after a reset (bootloader.md 2).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// Time to wait at the end until the reset is sent (bootloader.md 2.3).
const RESET_SEND_TIMEOUT: Duration = Duration::from_secs(2);
const BUFFER_BYTES: usize = 256 << 10;

/// Progress of [`talk`].
#[derive(Clone, Debug, PartialEq)]
pub enum TalkEvent {
    /// Progress of the session.
    Conversation(ConversationEvent),
    /// The user wants to stop, which the session holds back.
    StopHeld,
}

/// Error of [`talk`].
#[derive(Debug, thiserror::Error)]
pub enum TalkError {
    /// The TCP connection could not be established.
    #[error(
        "cannot connect to {address}: {why}; a camera listens there only in its bootloader, and a firewall may block \
         TCP port {}", .address.port()
    )]
    Connect {
        /// The bootloader's address.
        address: SocketAddr,
        /// The system's error.
        why: io::Error,
    },
}

/// Connects to a bootloader, runs `task`, then resets the camera. `progress` receives updates. A number in `stop` that is not
/// 0 ends the session as soon as nothing holds it back; each higher number is reported as [`TalkEvent::StopHeld`] until then.
///
/// # Errors
/// Fails if the connection cannot be established. All later errors are part of the output of `task`.
pub async fn talk<T, F>(
    address: SocketAddr,
    options: ClientOptions,
    mut stop: watch::Receiver<u32>,
    mut progress: impl FnMut(&TalkEvent),
    task: impl FnOnce(Caller) -> F,
) -> Result<T, TalkError>
where
    F: Future<Output = T> + 'static,
{
    let stream = connect(address).await?;
    // Without TCP_NODELAY the conversation works, but is slower.
    let _ = stream.set_nodelay(true);
    let start = Instant::now();
    let mut conversation = Conversation::new(Duration::ZERO, options, task);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut reset_deadline = None;
    let mut stops = 0;
    loop {
        let asked = *stop.borrow_and_update();
        while stops < asked {
            stops += 1;
            if !conversation.stop(start.elapsed()) {
                progress(&TalkEvent::StopHeld);
            }
        }
        report(&mut conversation, &mut progress);
        if conversation.is_over() && reset_deadline.is_none() {
            reset_deadline = Some(start.elapsed() + RESET_SEND_TIMEOUT);
        }
        let has_output = !conversation.output().is_empty();
        if reset_deadline.is_some() && !has_output {
            break;
        }
        let interest = if has_output { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        let until = tokio::time::Instant::from_std(start + reset_deadline.unwrap_or_else(|| conversation.timeout()));
        tokio::select! {
            ready = stream.ready(interest) => {
                if transfer(&stream, ready, &mut conversation, &mut buffer, start, &mut progress).is_err() {
                    conversation.handle_close(start.elapsed());
                    if conversation.is_over() {
                        break;
                    }
                }
            }
            () = changed(&mut stop), if reset_deadline.is_none() => {}
            () = tokio::time::sleep_until(until) => {
                if reset_deadline.is_some() {
                    break;
                }
                conversation.handle_timeout(start.elapsed());
            }
        }
    }
    report(&mut conversation, &mut progress);
    Ok(conversation.result().expect("the conversation is over"))
}

/// Waits for the next signal. Never returns if there will be none.
async fn changed(stop: &mut watch::Receiver<u32>) {
    if stop.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn report<T>(conversation: &mut Conversation<T>, progress: &mut impl FnMut(&TalkEvent)) {
    while let Some(news) = conversation.poll_event() {
        progress(&TalkEvent::Conversation(news));
    }
}

/// Sends and receives as much as possible without waiting. Any error means that the connection is closed.
fn transfer<T>(
    stream: &TcpStream,
    ready: io::Result<tokio::io::Ready>,
    conversation: &mut Conversation<T>,
    buffer: &mut [u8],
    start: Instant,
    progress: &mut impl FnMut(&TalkEvent),
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
    // A hold must be known before the first byte that needs it is sent.
    report(conversation, progress);
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
    let until = Instant::now() + CONNECT_TIMEOUT;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let why = match tokio::time::timeout(left, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(why)) => why,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, "no answer within 5 s"),
        };
        if Instant::now() + CONNECT_RETRY_INTERVAL >= until {
            return Err(TalkError::Connect { address, why });
        }
        tokio::time::sleep(CONNECT_RETRY_INTERVAL).await;
    }
}
