//! Faults of a simulated stream and their rates.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::config::did_you_mean;

/// A fault of one frame (wire.md section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// Bytes of detections or payload are missing, as after a short `send()`.
    ShortFrame,
    /// The end of the header or the whole header is missing.
    ShortHeader,
    /// The connection is closed inside the frame.
    Cut,
    /// The connection is reset inside the frame.
    Reset,
    /// Meaningless bytes precede the frame.
    Junk,
    /// A 32-byte record of an unknown kind precedes the frame.
    Foreign,
    /// The camera stops inside the frame and resumes after [`Faults::stall_for`].
    Stall,
    /// The camera restarts after the frame: it resets the connection, and its clock restarts at 0.
    Reboot,
    /// The header is whole, but long numbers make it longer than 32 bytes (256 for `ABCDE-256`).
    Overflow,
    /// The header announces more or fewer bytes than the camera sends.
    WrongSize,
    /// A datagram is not sent.
    Loss,
    /// A datagram is sent after up to 8 later ones.
    Reorder,
    /// A datagram is sent twice.
    Duplicate,
}

impl Fault {
    /// All faults of frames.
    pub const ALL: [Self; 10] = [
        Self::ShortFrame,
        Self::ShortHeader,
        Self::Cut,
        Self::Reset,
        Self::Junk,
        Self::Foreign,
        Self::Stall,
        Self::Reboot,
        Self::Overflow,
        Self::WrongSize,
    ];

    /// All faults of datagrams. Their rates are fractions of the datagrams; they have no effect over TCP.
    pub const DATAGRAMS: [Self; 3] = [Self::Loss, Self::Reorder, Self::Duplicate];

    /// Returns `true` if the frame is lost. A receiver must survive the other faults without a loss.
    #[must_use]
    pub const fn damages(self) -> bool {
        match self {
            Self::ShortFrame | Self::ShortHeader | Self::Cut | Self::Reset | Self::WrongSize | Self::Loss => true,
            Self::Junk
            | Self::Foreign
            | Self::Stall
            | Self::Reboot
            | Self::Overflow
            | Self::Reorder
            | Self::Duplicate => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ShortFrame => "short",
            Self::ShortHeader => "header",
            Self::Cut => "cut",
            Self::Reset => "reset",
            Self::Junk => "junk",
            Self::Foreign => "foreign",
            Self::Stall => "stall",
            Self::Reboot => "reboot",
            Self::Overflow => "overflow",
            Self::WrongSize => "size",
            Self::Loss => "loss",
            Self::Reorder => "reorder",
            Self::Duplicate => "duplicate",
        })
    }
}

/// Faults of a stream and their rates.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// Each fault and the fraction of frames that it hits, 0 to 1. The last entry of a fault counts.
    pub rates: Vec<(Fault, f64)>,
    /// The most bytes per write.
    pub fragment: Option<NonZeroUsize>,
    /// Duration of a stall. Default: 3 s, longer than a receiver should wait.
    pub stall_for: Duration,
}

impl Default for Faults {
    fn default() -> Self {
        Self { rates: Vec::new(), fragment: None, stall_for: Duration::from_secs(3) }
    }
}

impl Faults {
    /// Returns the fraction of frames that a fault hits, 0 to 1.
    #[must_use]
    pub fn rate(&self, fault: Fault) -> f64 {
        self.rates.iter().rev().find(|(which, _)| *which == fault).map_or(0.0, |(_, rate)| *rate)
    }

    /// Adds comma-separated `name:rate` pairs; `all:rate` adds every fault of frames.
    ///
    /// # Errors
    /// A description of the valid form.
    pub(super) fn add(&mut self, text: &str) -> Result<(), String> {
        for pair in text.split(',') {
            let (name, rate) = pair.split_once(':').unwrap_or((pair, ""));
            let names: Vec<_> = Fault::ALL.iter().chain(&Fault::DATAGRAMS).map(Fault::to_string).collect();
            if name != "all" && !names.iter().any(|known| known == name) {
                let hint = did_you_mean(name, names.iter().map(String::as_str));
                return Err(format!("one of {} or all with its rate, such as `short:0.01`{hint}", names.join(", ")));
            }
            let rate: f64 = rate
                .parse()
                .ok()
                .filter(|rate| (0.0..=1.0).contains(rate))
                .ok_or_else(|| format!("`{name}:RATE` with a rate of 0 to 1"))?;
            let named = |fault: &Fault| fault.to_string() == name;
            let of_frames = Fault::ALL.into_iter().filter(|fault| name == "all" || named(fault));
            self.rates.extend(of_frames.chain(Fault::DATAGRAMS.into_iter().filter(named)).map(|fault| (fault, rate)));
        }
        Ok(())
    }
}

impl fmt::Display for Faults {
    /// Writes the rates in the form that is parsed: `short:0.01,junk:0.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (fault, rate)) in self.rates.iter().enumerate() {
            let separator = if i == 0 { "" } else { "," };
            write!(f, "{separator}{fault}:{rate}")?;
        }
        Ok(())
    }
}
