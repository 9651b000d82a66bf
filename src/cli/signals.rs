//! Stopping on signals.
//!
//! | Signal | First | Again |
//! |---|---|---|
//! | INT (Ctrl-C), TERM, and Ctrl-Break on Windows | asks the command to stop | ends the process at once, but not in the first [`FINISHING_TIME`] |
//! | HUP (the terminal was closed) | asks the command to stop | nothing: the kernel and the shell both send one |
//! | HUP to a service of systemd | asks the command to reload its files | the same |
//!
//! A command that was asked to stop finishes its files first. A second Ctrl-C in that time is usually a nervous finger, and
//! would leave recordings unfinished. No signal ends the process while a camera is [held](Stop::hold). `nohup` makes the process ignore HUP, and it stays ignored.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use oaktap::sync::locked;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use super::present;

/// The exit code that shells report after SIGINT: 128 + 2.
const EXIT_INTERRUPTED: i32 = 130;

/// For this long after the first request, further signals do not end the process.
const FINISHING_TIME: Duration = Duration::from_secs(5);

/// A request to stop that a signal makes. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Number of signals.
    signals: watch::Sender<u32>,
}

#[derive(Debug, Default)]
struct State {
    /// When the first signal was received.
    asked: Option<Instant>,
    /// Number of [`StopHold`]s.
    holds: u32,
    /// Signals are received already.
    listens: bool,
    /// HUP asks to reload.
    reloads: bool,
    /// HUP was received since [`Stop::take_reload`].
    reload_asked: bool,
}

/// While it lives, no signal ends the process: a camera would be left in a state from which it cannot boot.
#[derive(Debug)]
pub(crate) struct StopHold(Stop);

impl Drop for StopHold {
    fn drop(&mut self) {
        self.0.state().holds -= 1;
    }
}

/// A signal that asks to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    /// INT or TERM: somebody wants the process to end.
    Interrupt,
    /// HUP: the terminal was closed.
    Hangup,
}

/// Reaction to a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    /// Wake the command, which finishes its files.
    Stop,
    /// Keep finishing. The next Ctrl-C ends the process after this time.
    Finish(Duration),
    /// End the process without finishing.
    Exit,
    /// Read the files again.
    Reload,
    Ignore,
}

impl State {
    fn receive(&mut self, signal: Signal, now: Instant) -> Reaction {
        if signal == Signal::Hangup && self.reloads && self.asked.is_none() {
            self.reload_asked = true;
            return Reaction::Reload;
        }
        let Some(asked) = self.asked else {
            self.asked = Some(now);
            return Reaction::Stop;
        };
        let left = FINISHING_TIME.saturating_sub(now.saturating_duration_since(asked));
        match signal {
            _ if self.holds > 0 => Reaction::Ignore,
            Signal::Hangup => Reaction::Ignore,
            Signal::Interrupt if left.is_zero() => Reaction::Exit,
            Signal::Interrupt => Reaction::Finish(left),
        }
    }
}

impl Stop {
    /// Makes signals ask to stop instead of ending the process.
    pub(crate) fn on_signals(&self) -> anyhow::Result<()> {
        if std::mem::replace(&mut self.state().listens, true) {
            return Ok(());
        }
        let runtime = Builder::new_current_thread().enable_io().build().context("cannot handle signals")?;
        let mut signals = {
            let _context = runtime.enter();
            Signals::listen().context("cannot handle signals")?
        };
        let stop = self.clone();
        let mut receive = move |runtime: &Runtime| {
            runtime.block_on(async {
                loop {
                    let signal = signals.next().await;
                    stop.receive(signal);
                }
            })
        };
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || receive(&runtime))
            .context("cannot handle signals")?;
        Ok(())
    }

    fn receive(&self, signal: Signal) {
        let mut state = self.state();
        let reaction = state.receive(signal, Instant::now());
        if reaction == Reaction::Exit {
            // Nothing begins a hold meanwhile, because the state is locked.
            std::process::exit(EXIT_INTERRUPTED);
        }
        drop(state);
        if reaction != Reaction::Reload {
            self.0.signals.send_modify(|signals| *signals += 1);
        }
        match reaction {
            Reaction::Stop => {
                present::ends_at(Instant::now());
                self.0.changed.notify_all();
            }
            Reaction::Finish(left) => {
                let seconds = left.as_secs_f64().ceil();
                let text = format!("still finishing; in {seconds} s, Ctrl-C ends the program without finishing");
                // Another thread, because a standard error that nobody reads must not keep the next signal waiting.
                std::thread::spawn(move || present::say(&text));
            }
            Reaction::Exit | Reaction::Reload | Reaction::Ignore => {}
        }
    }

    /// Lets HUP ask to reload instead of to stop.
    pub(crate) fn reload_on_hangup(&self) {
        self.state().reloads = true;
    }

    /// Returns whether HUP has asked to reload since the last call.
    pub(crate) fn take_reload(&self) -> bool {
        std::mem::take(&mut self.state().reload_asked)
    }

    /// Returns the number of signals that ask to stop so far, and reports each further one.
    pub(crate) fn signals(&self) -> watch::Receiver<u32> {
        self.0.signals.subscribe()
    }

    /// Keeps signals from ending the process while the returned value lives.
    pub(crate) fn hold(&self) -> StopHold {
        self.state().holds += 1;
        StopHold(self.clone())
    }

    pub(crate) fn asked(&self) -> bool {
        self.state().asked.is_some()
    }

    /// Waits for a signal until `moment`, or without limit. Returns whether one was received.
    pub(crate) fn wait_until(&self, moment: Option<Instant>) -> bool {
        let mut state = self.state();
        while state.asked.is_none() {
            let changed = &self.0.changed;
            match moment.map(|moment| moment.saturating_duration_since(Instant::now())) {
                None => state = changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => break,
                Some(left) => state = changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            }
        }
        state.asked.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.0.state)
    }
}

/// The signals that ask to stop.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// `None` if the process was started with HUP ignored.
    hangup: Option<tokio::signal::unix::Signal>,
}

/// Keeps the signal of a file that reaches its limit (`ulimit -f`) from ending the process: the write fails instead.
#[cfg(unix)]
pub(crate) fn survive_file_size_limit() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let _context = runtime.enter();
    // The handler stays when the receiver is dropped.
    signal(SignalKind::from_raw(libc::SIGXFSZ)).map(drop)
}

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let hangup = if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hangup })
    }

    async fn next(&mut self) -> Signal {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Interrupt,
            _ = hangup => Signal::Hangup,
        }
    }
}

/// Returns whether the process was started with HUP ignored, as `nohup` does. Known on Linux only.
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

/// Reads the mask of ignored signals from the text of `/proc/PID/status`. HUP is bit 0.
#[cfg(unix)]
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// The events that ask to stop.
#[cfg(windows)]
struct Signals {
    ctrl_c: tokio::signal::windows::CtrlC,
    ctrl_break: tokio::signal::windows::CtrlBreak,
    close: tokio::signal::windows::CtrlClose,
    shutdown: tokio::signal::windows::CtrlShutdown,
}

#[cfg(windows)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};
        Ok(Self { ctrl_c: ctrl_c()?, ctrl_break: ctrl_break()?, close: ctrl_close()?, shutdown: ctrl_shutdown()? })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.ctrl_c.recv() => Signal::Interrupt,
            _ = self.ctrl_break.recv() => Signal::Interrupt,
            _ = self.close.recv() => Signal::Hangup,
            _ = self.shutdown.recv() => Signal::Hangup,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn only_a_late_interrupt_ends_the_process_at_once() {
        for first in [Signal::Interrupt, Signal::Hangup] {
            let (mut state, start) = (State::default(), Instant::now());
            assert_eq!(state.receive(first, start), Reaction::Stop);
            assert_eq!(state.receive(Signal::Interrupt, start), Reaction::Finish(FINISHING_TIME));
            assert_eq!(state.receive(Signal::Interrupt, at(start, 3)), Reaction::Finish(Duration::from_secs(2)));
            assert_eq!(state.receive(Signal::Interrupt, at(start, 5)), Reaction::Exit);
        }
    }

    #[test]
    fn further_hangups_change_nothing() {
        let (mut state, start) = (State::default(), Instant::now());
        assert_eq!(state.receive(Signal::Hangup, start), Reaction::Stop);
        for seconds in [0, 1, 60] {
            assert_eq!(state.receive(Signal::Hangup, at(start, seconds)), Reaction::Ignore);
        }
    }

    #[test]
    fn hangup_of_a_service_reloads_until_it_stops() {
        let (stop, start) = (Stop::default(), Instant::now());
        stop.reload_on_hangup();
        let hangup = || stop.state().receive(Signal::Hangup, start);
        assert!(hangup() == Reaction::Reload && hangup() == Reaction::Reload);
        assert!(stop.take_reload() && !stop.take_reload() && !stop.asked());
        assert_eq!(stop.state().receive(Signal::Interrupt, start), Reaction::Stop);
        assert_eq!(hangup(), Reaction::Ignore);
        assert!(!stop.take_reload());
    }

    #[test]
    fn no_signal_ends_the_process_while_a_camera_is_held() {
        let (stop, start) = (Stop::default(), Instant::now());
        let first = stop.hold();
        let second = stop.hold();
        assert_eq!(stop.state().receive(Signal::Interrupt, start), Reaction::Stop);
        drop(first);
        assert_eq!(stop.state().receive(Signal::Interrupt, at(start, 60)), Reaction::Ignore);
        drop(second);
        assert_eq!(stop.state().receive(Signal::Interrupt, at(start, 60)), Reaction::Exit);
    }

    #[cfg(unix)]
    #[test]
    fn ignored_hangup_is_read_from_the_mask_of_the_process() {
        assert!(ignores_hangup("Name:\toaktap\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangup("Name:\toaktap\nSigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup(""));
    }
}
