//! The session of one host with the bootloader: requests and responses (bootloader.md 3).

mod answer;

use std::collections::VecDeque;
use std::time::Duration;

use self::answer::set_config;
use super::board::Board;
use super::config::StreamOpening;
use super::fault::CameraFault;
use super::writing::{BOOTLOADER_PLACE, WriteTarget, Writing};
use crate::bootloader::{
    BUDGET_BYTES, Memory, Request, Response, STREAM, Storage, WATCHDOG_BUDGET_BYTES, WATCHDOG_STREAM,
};
use crate::xlink::{Link, LinkEvent, StreamId};

/// Memory of the camera for received data, of 512 MiB in total.
const DATA_MAX_BYTES: u32 = 256 << 20;
/// Requests that can wait during a write or a read. Real hosts never have more than one.
const WAITING_MAX_REQUESTS: usize = 256;
/// Byte on the watchdog stream that requests an orderly reset (bootloader.md 2.4).
const RESET_NOW: u8 = 1;

const TRY_AGAIN: &str = "Couldn't flash update, try again";

/// End of a session.
#[derive(Debug)]
pub(super) enum End {
    /// The host has requested a reset.
    Reset,
    /// The host boots this bootloader from memory.
    BootMemory(Vec<u8>),
    /// The host boots the application.
    BootApplication,
    /// The host boots the USB loader of the processor.
    UsbRom,
    /// A fault resets the connection.
    Lost,
    /// The watchdog pings of the host have stopped.
    Watchdog,
    /// The host does not speak XLink.
    Broken,
}

/// Requests and pings of a session.
#[derive(Clone, Debug, Default)]
pub(super) struct SessionHistory {
    pub(super) requests: Vec<Request>,
    pub(super) unknown: u64,
    pub(super) pings: u64,
    pub(super) longest_silence: Duration,
}

#[derive(Debug)]
struct Receiving {
    request: Request,
    total: u32,
    packets: u32,
    bytes: Vec<u8>,
    /// The reason for refusing the data, and whether the host already has the response.
    refused: Option<(String, bool)>,
}

#[derive(Debug)]
struct Reading {
    which: Memory,
    offset: u64,
    left: u32,
}

#[derive(Debug)]
pub(super) struct Session {
    link: Link,
    main: Option<StreamId>,
    watchdog: Option<StreamId>,
    releases: bool,
    /// Name of the current request.
    answering: &'static str,
    receiving: Option<Receiving>,
    writing: Option<Writing>,
    reading: Option<Reading>,
    waiting: VecDeque<Vec<u8>>,
    received_bytes: u64,
    sent_bytes: u64,
    frozen: bool,
    pinged: Duration,
    pub(super) end: Option<End>,
    pub(super) history: SessionHistory,
}

impl Session {
    pub(super) fn new(board: &mut Board, now: Duration) -> Self {
        let mut link = Link::device();
        if board.config.stale {
            link.leave_stale(WATCHDOG_STREAM, WATCHDOG_BUDGET_BYTES);
        }
        Self {
            link,
            main: None,
            watchdog: None,
            releases: !board.occurs(&CameraFault::NoCredit),
            answering: "",
            receiving: None,
            writing: None,
            reading: None,
            waiting: VecDeque::new(),
            received_bytes: 0,
            sent_bytes: 0,
            frozen: false,
            pinged: now,
            end: None,
            history: SessionHistory::default(),
        }
    }

    /// Handles bytes from the host.
    pub(super) fn input(&mut self, board: &mut Board, bytes: &[u8], now: Duration) {
        if self.end.is_some() || self.frozen {
            return;
        }
        let (before, after) = (self.received_bytes, self.received_bytes + bytes.len() as u64);
        self.received_bytes = after;
        let reached = |byte: &u64| (*byte <= after).then(|| (byte.saturating_sub(before)) as usize);
        let drop = board.faults.trigger(|fault| if let CameraFault::Drop(byte) = fault { reached(byte) } else { None });
        let freeze =
            board.faults.trigger(|fault| if let CameraFault::Freeze(byte) = fault { reached(byte) } else { None });
        let handled = drop.or(freeze).map_or(bytes, |len| &bytes[..len.min(bytes.len())]);
        if let Err(error) = self.link.handle_input(handled) {
            tracing::warn!("simulated camera: the host does not speak XLink: {error}");
            self.end = Some(End::Broken);
        }
        self.handle_events(board, now);
        if drop.is_some() {
            self.end = Some(End::Lost);
        }
        self.frozen = freeze.is_some();
    }

    /// Returns the pending bytes for the host.
    pub(super) fn output(&mut self, board: &Board) -> &[u8] {
        if self.frozen || matches!(self.end, Some(End::Lost | End::Watchdog)) {
            return &[];
        }
        let (output, sent) = (self.link.output(), self.sent_bytes);
        let most = board.faults.next_drop_of_output().map_or(usize::MAX, |byte| byte.saturating_sub(sent) as usize);
        &output[..most.min(output.len())]
    }

    /// Removes `n` sent bytes from [`Self::output`].
    pub(super) fn consumed(&mut self, board: &mut Board, n: usize, now: Duration) {
        self.link.consumed(n);
        self.sent_bytes += n as u64;
        let sent = self.sent_bytes;
        let reached =
            |fault: &CameraFault| matches!(fault, CameraFault::DropOutput(byte) if *byte <= sent).then_some(());
        if board.faults.trigger(reached).is_some() {
            self.end = Some(End::Lost);
        }
        self.continue_read(board, now);
    }

    /// Returns the time at which [`Self::handle_timeout`] must be called.
    pub(super) fn poll_timeout(&self, board: &Board) -> Option<Duration> {
        if self.end.is_some() {
            return None;
        }
        let watchdog = self.pinged + board.config.watchdog;
        Some(self.writing.as_ref().map_or(watchdog, |writing| writing.due().min(watchdog)))
    }

    /// Performs the actions that are due at `now`.
    pub(super) fn handle_timeout(&mut self, board: &mut Board, now: Duration) {
        if self.end.is_some() {
            return;
        }
        if now >= self.pinged + board.config.watchdog {
            self.end = Some(End::Watchdog);
            return;
        }
        if !self.frozen {
            self.continue_write(board, now);
        }
    }

    fn handle_events(&mut self, board: &mut Board, now: Duration) {
        while let Some(event) = self.link.poll() {
            match event {
                LinkEvent::Up if board.config.opening == StreamOpening::First => {
                    let streams =
                        (self.link.open(STREAM, BUDGET_BYTES), self.link.open(WATCHDOG_STREAM, WATCHDOG_BUDGET_BYTES));
                    (self.main, self.watchdog) = (Some(streams.0), Some(streams.1));
                }
                LinkEvent::OpenedByPeer(stream, budget) => self.opened(board, stream, budget),
                LinkEvent::Packet(stream, bytes) if Some(stream) == self.main => self.packet(board, bytes, now),
                LinkEvent::Packet(stream, bytes) if Some(stream) == self.watchdog => {
                    self.history.pings += 1;
                    self.history.longest_silence = self.history.longest_silence.max(now.saturating_sub(self.pinged));
                    self.pinged = now;
                    if bytes.first() == Some(&RESET_NOW) {
                        self.end = Some(End::Reset);
                    }
                }
                LinkEvent::Reset => self.end = Some(End::Reset),
                _ => {}
            }
        }
        self.continue_read(board, now);
    }

    fn opened(&mut self, board: &Board, stream: StreamId, budget: u32) {
        let name = self.link.name(stream).to_owned();
        match name.as_str() {
            STREAM => self.main = Some(stream),
            WATCHDOG_STREAM => self.watchdog = Some(stream),
            _ => {}
        }
        self.link.set_releasing(stream, self.releases);
        match board.config.opening {
            StreamOpening::First if [STREAM, WATCHDOG_STREAM].contains(&name.as_str()) => {}
            StreamOpening::First | StreamOpening::After => {
                self.link.open(&name, budget);
            }
            StreamOpening::Never => self.link.write_unopened(stream),
        }
    }

    fn packet(&mut self, board: &mut Board, bytes: Vec<u8>, now: Duration) {
        if self.receiving.is_some() {
            self.receive(board, &bytes, now);
        } else if self.writing.is_some() || self.reading.is_some() {
            self.waiting.push_back(bytes);
            if self.waiting.len() > WAITING_MAX_REQUESTS {
                tracing::warn!(
                    "simulated camera: more than {WAITING_MAX_REQUESTS} requests wait for a response; disconnecting the host"
                );
                self.end = Some(End::Lost);
            }
        } else {
            self.request(board, &bytes, now);
        }
    }

    /// Begins a request that is followed by data.
    fn begin(&mut self, board: &mut Board, request: Request, total: u32, packets: u32, now: Duration) {
        let refused = self.acceptable(board, &request, total).err();
        if let Some(why) = &refused {
            // Hosts send the data regardless, so it must still be received.
            self.respond(board, &Response::FlashComplete(Err(why.clone())));
        }
        let refused = refused.map(|why| (why, true));
        let receiving = Receiving { request, total, packets, bytes: Vec::new(), refused };
        if packets == 0 {
            self.received_all(board, receiving, now);
        } else {
            self.receiving = Some(receiving);
        }
    }

    fn acceptable(&mut self, board: &mut Board, request: &Request, total: u32) -> Result<(), String> {
        if total == 0 {
            return Err("Total size of flash package 0, skipping...".to_owned());
        }
        if total > DATA_MAX_BYTES {
            return Err("No memory available".to_owned());
        }
        let (which, offset) = match *request {
            Request::UpdateFlash { storage: Storage::Application, .. } => (Memory::Auto, board.map.application),
            Request::UpdateFlash { storage: Storage::Bootloader, .. } => BOOTLOADER_PLACE,
            Request::WriteFlash { memory, offset, .. } => (memory, offset.into()),
            _ => return Ok(()),
        };
        if board.occurs(&CameraFault::Refuse) {
            return Err(TRY_AGAIN.to_owned());
        }
        board.check_space(which, offset, total)
    }

    fn receive(&mut self, board: &mut Board, bytes: &[u8], now: Duration) {
        let Some(mut receiving) = self.receiving.take() else { return };
        receiving.packets -= 1;
        if receiving.refused.is_none() {
            let end = receiving.bytes.len() + bytes.len();
            if end > receiving.total as usize {
                let why = format!("packageWriteOffset: {end}, should be: {}", receiving.total);
                receiving.refused = Some((why, false));
                receiving.bytes = Vec::new();
            } else {
                receiving.bytes.extend_from_slice(bytes);
            }
        }
        if receiving.packets == 0 {
            self.received_all(board, receiving, now);
        } else {
            self.receiving = Some(receiving);
        }
    }

    fn received_all(&mut self, board: &mut Board, receiving: Receiving, now: Duration) {
        let Receiving { request, total, bytes, refused, .. } = receiving;
        let result = match refused {
            Some((_, true)) => return,
            Some((why, false)) => Err(why),
            None if bytes.len() != total as usize => Err("Didn't receive all data from host".to_owned()),
            None => Ok(()),
        };
        let (target, which, offset) = match request {
            Request::UpdateFlash { storage: Storage::Application, .. } => {
                (WriteTarget::Application, board.default_memory_name(), board.map.application)
            }
            Request::UpdateFlash { storage: Storage::Bootloader, .. } => {
                (WriteTarget::Bootloader, BOOTLOADER_PLACE.0, BOOTLOADER_PLACE.1)
            }
            Request::WriteFlash { memory, offset, .. } => (WriteTarget::Bytes, memory, offset.into()),
            Request::SetConfig { memory, offset, .. } => {
                let written = result.and_then(|()| set_config(board, memory, offset, Some(&bytes)));
                return self.respond(board, &Response::FlashComplete(written));
            }
            // `BootMemory` has no response, even on failure (bootloader.md 3.3).
            _ => {
                self.end = Some(End::BootMemory(bytes));
                return;
            }
        };
        match result.and_then(|()| Writing::begin(board, target, which, offset, bytes, now)) {
            Ok(writing) => {
                self.respond(board, &Response::Progress(writing.progress()));
                self.writing = Some(writing);
                self.continue_write(board, now);
            }
            Err(why) => self.respond(board, &Response::FlashComplete(Err(why))),
        }
    }

    /// Writes all steps that are due.
    fn continue_write(&mut self, board: &mut Board, now: Duration) {
        while let Some(mut writing) = self.writing.take() {
            let progress = writing.progress();
            let reached = |wanted: &f32| (progress >= *wanted).then_some(());
            let occurs = |board: &mut Board, chosen: fn(&CameraFault) -> Option<f32>| {
                board.faults.trigger(|fault| chosen(fault).as_ref().and_then(reached)).is_some()
            };
            if occurs(board, |fault| if let CameraFault::DropProgress(at) = fault { Some(*at) } else { None }) {
                self.end = Some(End::Lost);
                return;
            }
            if occurs(board, |fault| if let CameraFault::Stall(at) = fault { Some(*at) } else { None }) {
                return;
            }
            let refused = occurs(board, |fault| if let CameraFault::RefuseLate(at) = fault { Some(*at) } else { None });
            let result = if refused {
                Err(TRY_AGAIN.to_owned())
            } else if writing.is_through() {
                writing.finish(board)
            } else if writing.due() > now {
                self.writing = Some(writing);
                return;
            } else {
                match writing.step(board) {
                    Ok(()) => {
                        self.respond(board, &Response::Progress(writing.progress()));
                        self.writing = Some(writing);
                        continue;
                    }
                    Err(why) => Err(why),
                }
            };
            self.respond(board, &Response::FlashComplete(result));
        }
        self.answer_waiting(board, now);
    }

    /// Answers the requests that arrived during a write or a read.
    fn answer_waiting(&mut self, board: &mut Board, now: Duration) {
        while self.writing.is_none() && self.reading.is_none() && self.end.is_none() {
            let Some(bytes) = self.waiting.pop_front() else { return };
            self.packet(board, bytes, now);
        }
    }

    fn respond(&mut self, board: &mut Board, response: &Response) {
        let is_final = !matches!(response, Response::Progress(_));
        self.respond_bytes(board, response.to_bytes(), is_final);
    }

    /// Sends a packet. With `is_final`, the response faults can change it.
    fn respond_bytes(&mut self, board: &mut Board, mut bytes: Vec<u8>, is_final: bool) {
        let Some(main) = self.main else { return };
        if is_final {
            let answering = self.answering;
            let writes = ["UPDATE_FLASH", "UPDATE_FLASH_EX_2"].contains(&answering);
            let meant = |request: &Option<String>| match request {
                Some(request) => request == answering,
                None => writes,
            };
            if board.faults.trigger(|f| matches!(f, CameraFault::BadResponse(of) if meant(of)).then_some(())).is_some()
            {
                let other = if answering == "IS_USER_BOOTLOADER" {
                    Response::Progress(0.0)
                } else {
                    Response::IsUserBootloader(false)
                };
                bytes = other.to_bytes();
            }
            if board
                .faults
                .trigger(|f| matches!(f, CameraFault::ShortResponse(of) if meant(of)).then_some(()))
                .is_some()
            {
                bytes.truncate(bytes.len() / 2);
            }
        }
        self.link.send(main, bytes);
    }
}
