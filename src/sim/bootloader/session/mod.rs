//! One host at the bootloader: what it asks, and what it is answered (bootloader.md 3).

mod answer;

use std::collections::VecDeque;
use std::time::Duration;

use self::answer::set_config;
use super::board::Board;
use super::config::Opening;
use super::fault::Fault;
use super::writing::{BOOTLOADER_PLACE, What, Writing};
use crate::bootloader::{
    BUDGET_BYTES, Memory as Which, Request, Response, STREAM, Storage, WATCHDOG_BUDGET_BYTES, WATCHDOG_STREAM,
};
use crate::xlink::{Link, LinkEvent, StreamId};

/// Memory that the camera has for what it is sent. It has 512 MiB for everything.
const LARGEST: u32 = 256 << 20;
/// Requests that may wait while something is written. No host has more than one.
const MOST_WAITING: usize = 256;
/// What the watchdog's stream says on an orderly end (bootloader.md 2.4).
const RESET_NOW: u8 = 1;

const TRY_AGAIN: &str = "Couldn't flash update, try again";

/// How a session ended.
#[derive(Debug)]
pub(super) enum End {
    /// The host wants a reset.
    Reset,
    /// This is to be booted.
    BootMemory(Vec<u8>),
    /// The application is to be booted.
    BootApplication,
    /// The processor's own loader, which is reached by USB.
    UsbRom,
    /// A fault: the connection breaks.
    Lost,
    /// The host's watchdog was not heard.
    Watchdog,
    /// What the host sends is no XLink.
    Broken,
}

/// What was heard and said.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
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
    /// What is wrong with it, and whether that was said.
    refused: Option<(String, bool)>,
}

#[derive(Debug)]
struct Reading {
    which: Which,
    offset: u64,
    left: u32,
}

#[derive(Debug)]
pub(super) struct Session {
    link: Link,
    main: Option<StreamId>,
    watchdog: Option<StreamId>,
    releases: bool,
    /// Name of the request that is being answered.
    answering: &'static str,
    receiving: Option<Receiving>,
    writing: Option<Writing>,
    reading: Option<Reading>,
    waiting: VecDeque<Vec<u8>>,
    received: u64,
    sent: u64,
    frozen: bool,
    pinged: Duration,
    pub(super) end: Option<End>,
    pub(super) heard: Heard,
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
            releases: !board.strikes(&Fault::NoCredit),
            answering: "",
            receiving: None,
            writing: None,
            reading: None,
            waiting: VecDeque::new(),
            received: 0,
            sent: 0,
            frozen: false,
            pinged: now,
            end: None,
            heard: Heard::default(),
        }
    }

    /// Bytes from the host.
    pub(super) fn input(&mut self, board: &mut Board, bytes: &[u8], now: Duration) {
        if self.end.is_some() || self.frozen {
            return;
        }
        let (before, after) = (self.received, self.received + bytes.len() as u64);
        self.received = after;
        let reached = |byte: &u64| (*byte <= after).then(|| (byte.saturating_sub(before)) as usize);
        let drop = board.faults.strike(|fault| if let Fault::Drop(byte) = fault { reached(byte) } else { None });
        let freeze = board.faults.strike(|fault| if let Fault::Freeze(byte) = fault { reached(byte) } else { None });
        let heard = drop.or(freeze).map_or(bytes, |len| &bytes[..len.min(bytes.len())]);
        if let Err(error) = self.link.handle_input(heard) {
            tracing::warn!("a simulated camera hears no XLink: {error}");
            self.end = Some(End::Broken);
        }
        self.happen(board, now);
        if drop.is_some() {
            self.end = Some(End::Lost);
        }
        self.frozen = freeze.is_some();
    }

    /// Bytes for the host.
    pub(super) fn output(&mut self, board: &Board) -> &[u8] {
        if self.frozen || matches!(self.end, Some(End::Lost | End::Watchdog)) {
            return &[];
        }
        let (output, sent) = (self.link.output(), self.sent);
        let most = board.faults.next_drop_of_output().map_or(usize::MAX, |byte| byte.saturating_sub(sent) as usize);
        &output[..most.min(output.len())]
    }

    /// So many of them were sent.
    pub(super) fn consumed(&mut self, board: &mut Board, n: usize, now: Duration) {
        self.link.consumed(n);
        self.sent += n as u64;
        let sent = self.sent;
        let reached = |fault: &Fault| matches!(fault, Fault::DropOutput(byte) if *byte <= sent).then_some(());
        if board.faults.strike(reached).is_some() {
            self.end = Some(End::Lost);
        }
        self.read_on(board, now);
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(super) fn poll_timeout(&self, board: &Board) -> Option<Duration> {
        if self.end.is_some() {
            return None;
        }
        let watchdog = self.pinged + board.config.watchdog;
        Some(self.writing.as_ref().map_or(watchdog, |writing| writing.due().min(watchdog)))
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, board: &mut Board, now: Duration) {
        if self.end.is_some() {
            return;
        }
        if now >= self.pinged + board.config.watchdog {
            self.end = Some(End::Watchdog);
            return;
        }
        if !self.frozen {
            self.write_on(board, now);
        }
    }

    fn happen(&mut self, board: &mut Board, now: Duration) {
        while let Some(event) = self.link.poll() {
            match event {
                LinkEvent::Up if board.config.opening == Opening::First => {
                    let streams =
                        (self.link.open(STREAM, BUDGET_BYTES), self.link.open(WATCHDOG_STREAM, WATCHDOG_BUDGET_BYTES));
                    (self.main, self.watchdog) = (Some(streams.0), Some(streams.1));
                }
                LinkEvent::OpenedByPeer(stream, budget) => self.opened(board, stream, budget),
                LinkEvent::Packet(stream, bytes) if Some(stream) == self.main => self.packet(board, bytes, now),
                LinkEvent::Packet(stream, bytes) if Some(stream) == self.watchdog => {
                    self.heard.pings += 1;
                    self.heard.longest_silence = self.heard.longest_silence.max(now.saturating_sub(self.pinged));
                    self.pinged = now;
                    if bytes.first() == Some(&RESET_NOW) {
                        self.end = Some(End::Reset);
                    }
                }
                LinkEvent::Reset => self.end = Some(End::Reset),
                _ => {}
            }
        }
        self.read_on(board, now);
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
            Opening::First if [STREAM, WATCHDOG_STREAM].contains(&name.as_str()) => {}
            Opening::First | Opening::After => {
                self.link.open(&name, budget);
            }
            Opening::Never => self.link.write_unopened(stream),
        }
    }

    fn packet(&mut self, board: &mut Board, bytes: Vec<u8>, now: Duration) {
        if self.receiving.is_some() {
            self.receive(board, &bytes, now);
        } else if self.writing.is_some() || self.reading.is_some() {
            self.waiting.push_back(bytes);
            if self.waiting.len() > MOST_WAITING {
                tracing::warn!("a host asks {MOST_WAITING} times without waiting for an answer: it is sent away");
                self.end = Some(End::Lost);
            }
        } else {
            self.request(board, &bytes, now);
        }
    }

    /// Data follows.
    fn begin(&mut self, board: &mut Board, request: Request, total: u32, packets: u32, now: Duration) {
        let refused = self.acceptable(board, &request, total).err();
        if let Some(why) = &refused {
            // Said at once. Hosts send it all the same, and it has to go somewhere.
            self.say(board, &Response::FlashComplete(Err(why.clone())));
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
        if total > LARGEST {
            return Err("No memory available".to_owned());
        }
        let (which, offset) = match *request {
            Request::UpdateFlash { storage: Storage::Application, .. } => (Which::Auto, board.map.application),
            Request::UpdateFlash { storage: Storage::Bootloader, .. } => BOOTLOADER_PLACE,
            Request::WriteFlash { memory, offset, .. } => (memory, offset.into()),
            _ => return Ok(()),
        };
        if board.strikes(&Fault::Refuse) {
            return Err(TRY_AGAIN.to_owned());
        }
        board.room(which, offset, total)
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
        let (what, which, offset) = match request {
            Request::UpdateFlash { storage: Storage::Application, .. } => {
                (What::Application, board.usual_name(), board.map.application)
            }
            Request::UpdateFlash { storage: Storage::Bootloader, .. } => {
                (What::Bootloader, BOOTLOADER_PLACE.0, BOOTLOADER_PLACE.1)
            }
            Request::WriteFlash { memory, offset, .. } => (What::Bytes, memory, offset.into()),
            Request::SetConfig { memory, offset, .. } => {
                let written = result.and_then(|()| set_config(board, memory, offset, Some(&bytes)));
                return self.say(board, &Response::FlashComplete(written));
            }
            // There is no answer to it, whatever happens (bootloader.md 3.3).
            _ => {
                self.end = Some(End::BootMemory(bytes));
                return;
            }
        };
        match result.and_then(|()| Writing::begin(board, what, which, offset, bytes, now)) {
            Ok(writing) => {
                self.say(board, &Response::Progress(writing.progress()));
                self.writing = Some(writing);
                self.write_on(board, now);
            }
            Err(why) => self.say(board, &Response::FlashComplete(Err(why))),
        }
    }

    /// Writes as much as there was time for.
    fn write_on(&mut self, board: &mut Board, now: Duration) {
        while let Some(mut writing) = self.writing.take() {
            let progress = writing.progress();
            let reached = |wanted: &f32| (progress >= *wanted).then_some(());
            let strikes = |board: &mut Board, chosen: fn(&Fault) -> Option<f32>| {
                board.faults.strike(|fault| chosen(fault).as_ref().and_then(reached)).is_some()
            };
            if strikes(board, |fault| if let Fault::DropProgress(at) = fault { Some(*at) } else { None }) {
                self.end = Some(End::Lost);
                return;
            }
            if strikes(board, |fault| if let Fault::Stall(at) = fault { Some(*at) } else { None }) {
                return;
            }
            let refused = strikes(board, |fault| if let Fault::RefuseLate(at) = fault { Some(*at) } else { None });
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
                        self.say(board, &Response::Progress(writing.progress()));
                        self.writing = Some(writing);
                        continue;
                    }
                    Err(why) => Err(why),
                }
            };
            self.say(board, &Response::FlashComplete(result));
        }
        self.go_on(board, now);
    }

    /// Answers what was asked in the meantime.
    fn go_on(&mut self, board: &mut Board, now: Duration) {
        while self.writing.is_none() && self.reading.is_none() && self.end.is_none() {
            let Some(bytes) = self.waiting.pop_front() else { return };
            self.packet(board, bytes, now);
        }
    }

    fn say(&mut self, board: &mut Board, response: &Response) {
        let last = !matches!(response, Response::Progress(_));
        self.say_bytes(board, response.to_bytes(), last);
    }

    /// Sends a packet; `answer` is one that faults may strike.
    fn say_bytes(&mut self, board: &mut Board, mut bytes: Vec<u8>, answer: bool) {
        let Some(main) = self.main else { return };
        if answer {
            let answering = self.answering;
            let writes = ["UPDATE_FLASH", "UPDATE_FLASH_EX_2"].contains(&answering);
            let meant = |request: &Option<String>| match request {
                Some(request) => request == answering,
                None => writes,
            };
            if board.faults.strike(|f| matches!(f, Fault::BadResponse(of) if meant(of)).then_some(())).is_some() {
                let other = if answering == "IS_USER_BOOTLOADER" {
                    Response::Progress(0.0)
                } else {
                    Response::IsUserBootloader(false)
                };
                bytes = other.to_bytes();
            }
            if board.faults.strike(|f| matches!(f, Fault::ShortResponse(of) if meant(of)).then_some(())).is_some() {
                bytes.truncate(bytes.len() / 2);
            }
        }
        self.link.send(main, bytes);
    }
}
