//! Sources over HTTP: a stream of parts (`multipart/x-mixed-replace`), or a still picture that is requested again and again.
//! The response decides.

mod auth;
mod client;
mod error;
mod spec;

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::{Response, header};
use tokio::net::TcpStream;

pub use self::error::HttpError;
pub use self::spec::HttpSpec;

use self::client::Client;
use super::SessionOptions;
use super::attempt::{Addresses, Attempts, ConnectionEnd, Source};
use super::connect::{addresses, connect, keep_alive};
use super::error::SourceErrorKind;
use super::monitor::Rhythm;
use super::png;
use super::reception::Reception;
use crate::frame::{Frame, Lease, Received};
use crate::net::clock::received_now;
use crate::wire::content::{Content, is_png};
use crate::wire::{Damage, Decoder, Multipart, Part, Protocol, boundary};

/// Memory for a still picture whose length is not known. It doubles as bytes arrive.
const GROWTH_STEP: usize = 64 << 10;

impl From<HttpError> for SourceErrorKind {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

/// Receives from one URL.
pub(super) struct HttpSource {
    url: HttpSpec,
    decoder: Decoder,
    rhythm: Rhythm,
    client: Client,
}

impl HttpSource {
    pub(super) fn new(url: HttpSpec, options: &SessionOptions) -> Self {
        let SessionOptions { frames, interpreter, limits, timeouts, .. } = options;
        let decoder = Decoder::new(frames.clone(), interpreter.clone(), *limits);
        let client = Client::new(timeouts.connect, timeouts.idle_fixed.unwrap_or(timeouts.idle));
        Self { url, decoder, rhythm: Rhythm::default(), client }
    }
}

impl Source for HttpSource {
    type Link = TcpStream;

    async fn connect(&mut self, attempts: &Attempts) -> Result<(TcpStream, Addresses), SourceErrorKind> {
        let stream = connect(&self.url.host, self.url.port, attempts.options.timeouts.connect).await?;
        keep_alive(&stream);
        let addresses = addresses(&stream);
        Ok((stream, addresses))
    }

    async fn receive(&mut self, attempts: &mut Attempts, stream: TcpStream, opened: Received) -> ConnectionEnd {
        let Self { url, decoder, rhythm, client } = self;
        let mut connection =
            Connection { url, client, reception: Reception::begin(attempts, decoder, *rhythm, opened) };
        let ended = connection.receive(stream).await;
        let mut reception = connection.reception;
        reception.count_outage(&ended);
        let result = reception.finish(&ended).and(ended);
        let (frames, bytes) = (reception.frames, reception.decoder.byte_counts().received);
        *rhythm = reception.rhythm(&result);
        ConnectionEnd { result, frames, bytes }
    }
}

/// Kind of a response, by its content type and its first bytes.
enum ResponseKind {
    Stream { boundary: Option<String> },
    Still,
    Other,
}

impl ResponseKind {
    /// `None` if the first bytes of the body decide.
    fn of(content_type: Option<&str>) -> Option<Self> {
        let kind = content_type?.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "" | "application/octet-stream" => None,
            kind if kind.starts_with("multipart/") => Some(Self::Stream { boundary: boundary(content_type?) }),
            "image/jpeg" | "image/jpg" | "image/pjpeg" | "image/png" => Some(Self::Still),
            _ => Some(Self::Other),
        }
    }

    fn of_bytes(first: &[u8]) -> Self {
        match first.trim_ascii_start() {
            [0xff, 0xd8, 0xff, ..] => Self::Still,
            file if is_png(file) => Self::Still,
            [b'-', b'-', ..] => Self::Stream { boundary: None },
            _ => Self::Other,
        }
    }
}

/// The time from the first request until the session is stopped, or until an error.
struct Connection<'a> {
    url: &'a HttpSpec,
    client: &'a mut Client,
    reception: Reception<'a>,
}

impl Connection<'_> {
    /// Returns `Ok` if the session was stopped.
    async fn receive(&mut self, stream: TcpStream) -> Result<(), SourceErrorKind> {
        let Some(found) = self.reception.unless_stopped(self.client.use_stream(self.url, stream)).await else {
            return Ok(());
        };
        found?;
        loop {
            let asked = tokio::time::Instant::now();
            let Some(response) = self.reception.wait(self.client.get(self.url)).await? else { return Ok(()) };
            let mut response = response?;
            let content_type = response
                .headers()
                .get(header::CONTENT_TYPE)
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            let mut first = Bytes::new();
            let content = match ResponseKind::of(content_type.as_deref()) {
                Some(content) => content,
                None => {
                    let Some(bytes) = self.data(response.body_mut()).await? else { return Ok(()) };
                    first = bytes.unwrap_or_default();
                    ResponseKind::of_bytes(&first)
                }
            };
            match content {
                ResponseKind::Stream { boundary } => return self.stream(response, boundary, first).await,
                ResponseKind::Still => {
                    if !self.still(response, first).await? {
                        return Ok(());
                    }
                }
                ResponseKind::Other => {
                    let found = client::page(response, &first).await;
                    return Err(HttpError::NotAStream { path: self.url.shown_path(), content_type, found }.into());
                }
            }
            let next = tokio::time::sleep_until(asked + self.url.poll_interval());
            if self.reception.unless_stopped(next).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Waits for the next bytes of a body: `Some(None)` at its end, `None` if the session was stopped.
    async fn data(&mut self, body: &mut Incoming) -> Result<Option<Option<Bytes>>, SourceErrorKind> {
        loop {
            let Some(frame) = self.reception.wait(body.frame()).await? else { return Ok(None) };
            match frame {
                None => return Ok(Some(None)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(Some(data)));
                    }
                }
                // The body ends before its length, or without its last chunk.
                Some(Err(error)) if client::is_cut(&error) => return Ok(Some(None)),
                Some(Err(error)) => return Err(client::failed(&error)),
            }
        }
    }

    /// Receives a stream until it ends. Returns `Ok` if the session was stopped.
    async fn stream(
        &mut self,
        response: Response<Incoming>,
        boundary: Option<String>,
        first: Bytes,
    ) -> Result<(), SourceErrorKind> {
        let limits = self.reception.attempts.options.limits;
        let mut parser = Multipart::new(boundary.as_deref(), self.reception.decoder.frames().clone(), limits);
        let mut body = response.into_body();
        let mut data = first;
        let ended = loop {
            let now = received_now();
            let mut rest = &data[..];
            let parsed = loop {
                match parser.parse(&mut rest) {
                    Ok(Some(part)) => {
                        take(self.reception.decoder, part, limits.payload, now).await;
                        self.reception.all_events(now).await?;
                        if self.reception.is_stopped() {
                            return Ok(());
                        }
                    }
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(HttpError::from(error).into()),
                }
            };
            if !data.is_empty() {
                self.reception.silence.bytes(now.mono_ns, parser.is_inside_a_part());
            }
            if parsed.is_err() {
                break parsed;
            }
            match self.data(&mut body).await {
                Ok(Some(Some(bytes))) => data = bytes,
                Ok(Some(None)) => break Err(SourceErrorKind::Closed),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
            self.reception.turn.work += data.len() as u64;
            self.reception.pause().await;
        };
        self.reception.attempts.delivery.ending(&ended);
        while let Some(part) = parser.finish() {
            take(self.reception.decoder, part, limits.payload, received_now()).await;
        }
        ended
    }

    /// Receives one picture. Returns `false` if the session was stopped.
    async fn still(&mut self, response: Response<Incoming>, first: Bytes) -> Result<bool, SourceErrorKind> {
        let max = self.reception.attempts.options.limits.payload;
        let mut body = response.into_body();
        let announced = body.size_hint().exact().map(|len| len.saturating_add(first.len() as u64));
        if announced.is_some_and(|len| len > max as u64) {
            return Err(HttpError::PictureTooLarge { max }.into());
        }
        let expected = announced.and_then(|len| usize::try_from(len).ok());
        let mut frame = self.reception.decoder.frames().lease(expected.unwrap_or(0).min(GROWTH_STEP));
        frame.clear();
        let (mut data, mut received) = (Some(first), 0);
        let mut no_memory = false;
        while let Some(bytes) = data {
            let to = received + bytes.len();
            if to > max {
                return Err(HttpError::PictureTooLarge { max }.into());
            }
            let capacity = frame.payload().len();
            if to > capacity {
                let wanted = to.max(2 * capacity).max(GROWTH_STEP).min(max);
                no_memory |= frame.try_payload_mut(expected.map_or(wanted, |len| wanted.min(len.max(to)))).is_none();
            }
            if no_memory {
                received = to;
                let damage = Damage::NoMemory { expected: expected.unwrap_or(received) };
                self.reception.decoder.lost_picture(damage, &[], received, received_now());
                self.reception.all_events(received_now()).await?;
                return Ok(true);
            }
            let capacity = frame.payload().len();
            frame.payload_mut(capacity)[received..to].copy_from_slice(&bytes);
            received = to;
            if !bytes.is_empty() {
                self.reception.silence.bytes(received_now().mono_ns, true);
            }
            data = match self.data(&mut body).await {
                Ok(Some(data)) => data,
                stopped => {
                    self.reception.attempts.delivery.ending(&stopped);
                    self.lose(&frame, received, expected);
                    return stopped.map(|_| false);
                }
            };
        }
        let now = received_now();
        self.reception.silence.bytes(now.mono_ns, false);
        if expected.is_some_and(|expected| expected > received) || received == 0 {
            self.lose(&frame, received, expected);
        } else {
            frame.payload_mut(received);
            deliver(self.reception.decoder, frame, max, now).await;
        }
        self.reception.all_events(now).await?;
        Ok(true)
    }

    /// Counts a still picture that did not arrive completely.
    fn lose(&mut self, frame: &Frame, received: usize, expected: Option<usize>) {
        let damage = Damage::Ended { expected: expected.unwrap_or(received), received };
        self.reception.decoder.lost_picture(damage, &frame.payload()[..received], received, received_now());
    }
}

/// Passes a part to the decoder. `max`: most bytes of a picture.
async fn take(decoder: &mut Decoder, part: Part, max: usize, now: Received) {
    match part {
        Part::Picture(frame) => deliver(decoder, frame, max, now).await,
        Part::Lost { damage, sample, len } => decoder.lost_picture(damage, &sample, len, now),
        Part::Skipped { sample, len, reason } => decoder.outside(&sample, len, reason, now),
    }
}

/// Passes a picture to the decoder. Servers also put error pages in the place of pictures.
async fn deliver(decoder: &mut Decoder, frame: Lease<Frame>, max: usize, now: Received) {
    match Content::of(frame.payload()) {
        Content::Jpeg | Content::Png => png::deliver(decoder, frame, Protocol::Http, max, now).await,
        _ => {
            let payload = frame.payload();
            let damage = Damage::NotAPicture { received: payload.len() };
            decoder.lost_picture(damage, payload, frame.header.len() + payload.len(), now);
        }
    }
}
