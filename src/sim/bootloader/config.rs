//! The configuration of a simulated camera, and its text form: `bootloader=0.0.28&nor=32MiB&fault=drop-progress:0.5*1`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::fault::{CameraFault, CameraFaults};
use super::memory::MemorySpec;
use super::shape::LineShape;
use crate::bootloader::{BootloaderType, Version};
use crate::discovery::is_camera_id;
use crate::sim::config::switch;
use crate::sim::{SimConfig, SimError};
use crate::units::{Bytes, parse_duration};

/// Time at which the camera opens its direction of the streams. Hosts must support each (bootloader.md 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamOpening {
    /// As soon as the link is up, before the host has opened a stream.
    First,
    /// After the host has opened its direction.
    After,
    /// Never. The camera writes to the stream regardless.
    Never,
}

/// State of the camera at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialState {
    /// Its bootloader waits for a host.
    Bootloader,
    /// Its application runs.
    Application,
    /// Another host uses it: it answers discovery only.
    InUse,
}

/// Format of the answers to discovery (bootloader.md 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscoveryFormat {
    /// 40 bytes.
    Simple,
    /// 52 bytes.
    Extended,
    /// One answer in each format.
    Both,
}

/// A simulated camera with its bootloader. [`Default`] has bootloader 0.0.28 and 128 MiB of flash without an application.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraConfig {
    /// Device id ("MXID"): 1 to 32 hexadecimal digits.
    pub id: String,
    /// Version of the bootloader in flash.
    pub bootloader: Version,
    /// The version that the bootloader reports instead of its own.
    pub claims: Option<Version>,
    /// Version of every bootloader that a host writes to flash or boots from memory.
    pub image: Version,
    /// Commit from which the bootloader was built.
    pub commit: String,
    /// Type of its bootloader: `Usb` or `Network`.
    pub kind: BootloaderType,
    /// NOR flash. Default size: 128 MiB (bootloader.md 3.4).
    pub nor: MemorySpec,
    /// eMMC, if the camera has one. Default size: 16 GiB.
    pub emmc: Option<MemorySpec>,
    /// A package that is in the flash at the start.
    pub application: Option<PathBuf>,
    /// State at the start.
    pub start: InitialState,
    /// Time for which the bootloader waits for a host before it boots the application, unless the camera's configuration
    /// sets `network.timeoutMs`. Default: 30 s.
    pub wait: Duration,
    /// The same wait after a session. Default: 300 ms. A real camera uses the same time for both.
    pub wait_again: Duration,
    /// Time during which the camera is unreachable when it restarts. Default: 50 ms.
    pub restart: Duration,
    /// Time at which it opens its direction of the streams.
    pub opening: StreamOpening,
    /// Leaves old stream names and sizes in its XLink responses, as real cameras do (bootloader.md 2.1).
    pub stale: bool,
    /// Maximum bytes per packet when a host reads flash, 1 to 5 MiB.
    pub packet: u32,
    /// Write speed of its memories in bytes per second; `None`: unlimited.
    pub write_rate: Option<u64>,
    /// It restarts after this long without a ping on the watchdog stream. Default: 30 s. The time of a real camera is
    /// unknown (bootloader.md 2.4).
    pub watchdog: Duration,
    /// Format of its answers to discovery.
    pub answering: DiscoveryFormat,
    /// Receives broadcasts on loopback (Linux). Otherwise only queries to its address find it.
    pub broadcast: bool,
    /// Speed of its Ethernet link in Mbit/s, and `true` for full duplex. `None`: does not answer queries for it.
    pub ethernet: Option<(u32, bool)>,
    /// Bandwidth and delay between the camera and the host.
    pub line: LineShape,
    /// Faults of the bootloader and of discovery.
    pub faults: CameraFaults,
    /// The stream of its application. If the camera runs a Script, this configures the pictures.
    pub stream: SimConfig,
    /// Runs every flashed Script, not only that of this oaktap. Everyone who can reach the camera can then run programs on
    /// this host.
    pub any_script: bool,
}

impl Default for CameraConfig {
    fn default() -> Self {
        Self {
            id: "14442C10D13EABCE00".to_owned(),
            bootloader: Version::RECOMMENDED,
            claims: None,
            image: Version::RECOMMENDED,
            commit: "0000000000000000000000000000000000000000".to_owned(),
            kind: BootloaderType::Network,
            nor: MemorySpec::default(),
            emmc: None,
            application: None,
            start: InitialState::Bootloader,
            wait: Duration::from_secs(30),
            wait_again: Duration::from_millis(300),
            restart: Duration::from_millis(50),
            opening: StreamOpening::After,
            stale: false,
            packet: 5 << 20,
            write_rate: None,
            watchdog: Duration::from_secs(30),
            answering: DiscoveryFormat::Simple,
            broadcast: false,
            ethernet: Some((1000, true)),
            line: LineShape::default(),
            faults: CameraFaults::default(),
            stream: SimConfig::default(),
            any_script: false,
        }
    }
}

/// The keys of the text form in addition to those of [`SimConfig`].
const KEYS: &str = "id, bootloader, claims, image, commit, type, nor, nor-file, emmc, emmc-file, app, state, wait, \
                    wait-again, restart, open, stale, packet, write-rate, watchdog, answer, broadcast, ethernet, bandwidth, \
                    delay, scripts";

impl FromStr for CameraConfig {
    type Err = SimError;

    /// Parses `key=value` pairs separated by `&`. Keys that are not the camera's configure its stream, see [`SimConfig`].
    fn from_str(text: &str) -> Result<Self, SimError> {
        let mut config = Self::default();
        let mut of_the_stream = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match config.set(key, value) {
                Ok(true) => {}
                Ok(false) => of_the_stream.push(pair),
                Err(expected) => {
                    let (key, value) = (key.to_owned(), value.to_owned());
                    return Err(SimError::BadValue { key, value, expected });
                }
            }
        }
        config.stream = of_the_stream.join("&").parse().map_err(|error| match error {
            SimError::UnknownKey(key) => SimError::UnknownCameraKey { key, known: KEYS },
            other => other,
        })?;
        config.check()?;
        Ok(config)
    }
}

impl CameraConfig {
    /// Sets the value of a key. Returns `false` if the key is not the camera's.
    ///
    /// # Errors
    /// A description of the valid values.
    fn set(&mut self, key: &str, value: &str) -> Result<bool, String> {
        let version = || value.parse::<Version>().map_err(|_| "a version such as 0.0.28".to_owned());
        match key {
            "id" if is_camera_id(value) => value.clone_into(&mut self.id),
            "id" => return Err("1 to 32 hexadecimal digits".to_owned()),
            "bootloader" => self.bootloader = version()?,
            "claims" => self.claims = Some(version()?),
            "image" => self.image = version()?,
            "commit" => value.clone_into(&mut self.commit),
            "type" => {
                self.kind = match value {
                    "network" => BootloaderType::Network,
                    "usb" => BootloaderType::Usb,
                    _ => return Err("network or usb".to_owned()),
                }
            }
            "nor" => self.nor.size = Some(bytes(value)?),
            "nor-file" => self.nor.file = Some(value.into()),
            "emmc" if value == "none" => self.emmc = None,
            "emmc" => self.emmc.get_or_insert_default().size = Some(bytes(value)?),
            "emmc-file" => self.emmc.get_or_insert_default().file = Some(value.into()),
            "app" => self.application = Some(value.into()),
            "state" => {
                self.start = match value {
                    "bootloader" => InitialState::Bootloader,
                    "application" => InitialState::Application,
                    "in-use" => InitialState::InUse,
                    _ => return Err("bootloader, application or in-use".to_owned()),
                }
            }
            "wait" => self.wait = time(value)?,
            "wait-again" => self.wait_again = time(value)?,
            "restart" => self.restart = time(value)?,
            "open" => {
                self.opening = match value {
                    "first" => StreamOpening::First,
                    "after" => StreamOpening::After,
                    "never" => StreamOpening::Never,
                    _ => return Err("first, after or never".to_owned()),
                }
            }
            "stale" => self.stale = switch(value).ok_or("on or off")?,
            "broadcast" => self.broadcast = switch(value).ok_or("on or off")?,
            "packet" => {
                let packet = bytes(value)?;
                // A packet above the budget of the stream would never be sent (bootloader.md 2.3).
                let fits = u32::try_from(packet).ok().filter(|packet| (1..=5 << 20).contains(packet));
                self.packet = fits.ok_or("1 byte to 5MiB")?;
            }
            "write-rate" => self.write_rate = Some(bytes(value)?.max(1)),
            "watchdog" => self.watchdog = time(value)?,
            "answer" => {
                self.answering = match value {
                    "simple" => DiscoveryFormat::Simple,
                    "extended" => DiscoveryFormat::Extended,
                    "both" => DiscoveryFormat::Both,
                    _ => return Err("simple, extended or both".to_owned()),
                }
            }
            "ethernet" => self.ethernet = ethernet(value)?,
            "bandwidth" => {
                let megabits: Option<f64> = value.strip_suffix("Mbit").and_then(|number| number.parse().ok());
                let rate = megabits.filter(|rate| *rate > 0.0 && *rate < 1e6).ok_or("a bandwidth such as 10Mbit")?;
                self.line.bits_per_second = Some(((rate * 1e6) as u64).max(1));
            }
            "scripts" => {
                self.any_script = match value {
                    "own" => false,
                    "any" => true,
                    _ => return Err("own or any".to_owned()),
                }
            }
            "delay" => self.line.delay = time(value)?,
            "fault" if value.split(',').all(CameraFault::is_name) => {
                self.faults.extend(value.parse::<CameraFaults>()?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Checks that the flash is large enough for the layout of the bootloader.
    fn check(&self) -> Result<(), SimError> {
        let smallest = super::map::of(self.kind).application + 512;
        match self.nor.size {
            Some(size) if size < smallest => Err(SimError::Contradiction(format!(
                "nor is {size} bytes: expected at least {smallest}, for the bootloader, the configuration and the table of an \
                 application"
            ))),
            _ => Ok(()),
        }
    }
}

/// Parses `1000`, `100half` or `none`.
fn ethernet(text: &str) -> Result<Option<(u32, bool)>, String> {
    if text == "none" {
        return Ok(None);
    }
    let (speed, full) = text.strip_suffix("half").map_or((text, true), |speed| (speed, false));
    let speed = speed.parse().map_err(|_| "a speed in Mbit/s such as 1000 or 100half, or none")?;
    Ok(Some((speed, full)))
}

/// Parses less than 1 TiB: more than any memory of a camera, and small enough that sums cannot overflow.
fn bytes(text: &str) -> Result<u64, String> {
    let bytes = text.parse().ok().map(|Bytes(bytes)| bytes).filter(|bytes| *bytes < 1 << 40);
    bytes.ok_or_else(|| "an amount of bytes such as 512KiB, 32MiB or 16GiB, less than 1TiB".to_owned())
}

/// Parses a time of up to a day, so that sums cannot overflow.
fn time(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).ok().filter(|time| *time <= Duration::from_secs(86_400));
    time.ok_or_else(|| "a time such as 300ms or 30s, at most a day".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> CameraConfig {
        text.parse().expect(text)
    }

    #[test]
    fn every_key_is_parsed() {
        let all = config(
            "id=ABC&bootloader=0.0.14&claims=0.0.28&image=0.0.29&commit=c1&type=network&nor=32MiB&nor-file=/tmp/n\
             &emmc=4GiB&emmc-file=/tmp/e&app=/tmp/a.dap&state=application&wait=2s&wait-again=1ms&restart=0ms&open=first\
             &stale=on&packet=1MiB&write-rate=2MiB&watchdog=6s&answer=both&broadcast=on&ethernet=100half&bandwidth=10Mbit&delay=100ms\
             &scripts=any&fault=refuse*1,mute&size=64x48&fault=junk:0.5",
        );
        assert_eq!((all.id.as_str(), all.commit.as_str()), ("ABC", "c1"));
        let version = |patch| Version::new(0, 0, patch);
        assert_eq!((all.bootloader, all.claims, all.image), (version(14), Some(version(28)), version(29)));
        let file = |path: &str, size| MemorySpec { size: Some(size), file: Some(path.into()) };
        assert_eq!((all.nor, all.emmc), (file("/tmp/n", 32 << 20), Some(file("/tmp/e", 4 << 30))));
        assert_eq!((all.kind, all.application), (BootloaderType::Network, Some("/tmp/a.dap".into())));
        assert_eq!(
            (all.start, all.opening, all.answering),
            (InitialState::Application, StreamOpening::First, DiscoveryFormat::Both)
        );
        let ms = Duration::from_millis;
        assert_eq!([all.wait, all.wait_again, all.restart, all.watchdog], [ms(2000), ms(1), ms(0), ms(6000)]);
        assert_eq!((all.stale, all.broadcast, all.packet, all.write_rate), (true, true, 1 << 20, Some(2 << 20)));
        assert_eq!(all.ethernet, Some((100, false)));
        assert_eq!(all.line, LineShape { bits_per_second: Some(10_000_000), delay: ms(100) });
        assert!(all.any_script && !config("scripts=any&scripts=own").any_script);
        assert_eq!(all.faults.to_string(), "refuse*1,mute");
        assert_eq!(all.stream, "size=64x48&fault=junk:0.5".parse().expect("a stream"));
        assert_eq!(config(""), CameraConfig::default());
        assert_eq!(config("emmc=1GiB&emmc=none&ethernet=none").emmc, None);
    }

    #[test]
    fn errors_name_the_valid_values() {
        let error = |text: &str| text.parse::<CameraConfig>().expect_err(text).to_string();
        assert!(error("nand=1").starts_with("unknown option `nand`; expected one of size, fps, "));
        assert!(error("nand=1").contains(", bandwidth, "), "{}", error("nand=1"));
        assert_eq!(error("bootloader=28"), "`bootloader=28`: expected a version such as 0.0.28");
        assert_eq!(
            error("nor=1"),
            "nor is 1 bytes: expected at least 8389120, for the bootloader, the configuration and the table of an application"
        );
        for wrong in [
            "id=",
            "id=a b",
            "id=../a",
            "type=auto",
            "nor=1TiB",
            "nor=x",
            "nor=99999999999GiB",
            "state=off",
            "wait=1",
            "wait=999999s",
            "open=x",
            "stale=x",
            "packet=0",
            "packet=6MiB",
            "answer=x",
            "broadcast=x",
            "ethernet=fast",
            "bandwidth=10",
            "bandwidth=0Mbit",
            "delay=x",
            "scripts=x",
            "fault=drop:x",
            "fault=nothing",
            "size=x",
        ] {
            let (key, _) = wrong.split_once('=').expect("a pair");
            assert!(error(wrong).starts_with(&format!("`{key}=")), "{}", error(wrong));
        }
    }
}
