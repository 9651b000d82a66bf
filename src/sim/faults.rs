//! What can go wrong between camera and host, and how often.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

/// One thing that can go wrong with a frame (wire.md section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// Bytes of detections or payload are missing, as after a short `send()`.
    ShortFrame,
    /// The end of the header is missing, or all of it.
    ShortHeader,
    /// The connection is closed inside the frame.
    Cut,
    /// The connection is reset inside the frame.
    Reset,
    /// Bytes that mean nothing come before the frame.
    Junk,
    /// 32-byte records of somebody else come before the frame.
    Foreign,
    /// The camera stops in the middle of the frame, and goes on after [`Faults::stall_for`].
    Stall,
    /// The camera restarts after the frame: the connection is reset, and its clock begins again.
    Reboot,
    /// The header is longer than 32 bytes (256 for `ABCDE-256`), because its numbers are. Nothing of it is missing.
    Overflow,
    /// The header promises more bytes or fewer than are sent.
    WrongSize,
}

impl Fault {
    /// All of them.
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

    /// Whether the frame that it strikes is lost. The others are to be survived without a loss.
    #[must_use]
    pub const fn damages(self) -> bool {
        match self {
            Self::ShortFrame | Self::ShortHeader | Self::Cut | Self::Reset | Self::WrongSize => true,
            Self::Junk | Self::Foreign | Self::Stall | Self::Reboot | Self::Overflow => false,
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
        })
    }
}

/// What goes wrong, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// Each fault and the share of frames that it strikes, 0 to 1.
    pub rates: Vec<(Fault, f64)>,
    /// Bytes are written in pieces of at most so many.
    pub fragment: Option<NonZeroUsize>,
    /// How long a stall lasts. 3 s by default: longer than a receiver should wait.
    pub stall_for: Duration,
}

impl Default for Faults {
    fn default() -> Self {
        Self { rates: Vec::new(), fragment: None, stall_for: Duration::from_secs(3) }
    }
}

impl Faults {
    /// How often a fault strikes, 0 to 1.
    #[must_use]
    pub fn rate(&self, fault: Fault) -> f64 {
        self.rates.iter().rev().find(|(which, _)| *which == fault).map_or(0.0, |(_, rate)| *rate)
    }

    /// Adds `name:rate` pairs with commas between them; `all:rate` is every fault.
    pub(super) fn add(&mut self, text: &str) -> Result<(), String> {
        for pair in text.split(',') {
            let (name, rate) = pair.split_once(':').unwrap_or((pair, ""));
            let rate: f64 = rate
                .parse()
                .ok()
                .filter(|rate| (0.0..=1.0).contains(rate))
                .ok_or_else(|| format!("`{name}:RATE` with a rate of 0 to 1"))?;
            let before = self.rates.len();
            self.rates.extend(
                Fault::ALL.into_iter().filter(|fault| name == "all" || fault.to_string() == name).map(|f| (f, rate)),
            );
            if self.rates.len() == before {
                let names: Vec<_> = Fault::ALL.iter().map(Fault::to_string).collect();
                return Err(format!("one of {} or all, and its rate: `short:0.01`", names.join(", ")));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Faults {
    /// The rates, as they are given: `short:0.01,junk:0.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (fault, rate)) in self.rates.iter().enumerate() {
            let separator = if i == 0 { "" } else { "," };
            write!(f, "{separator}{fault}:{rate}")?;
        }
        Ok(())
    }
}
