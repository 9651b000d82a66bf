//! The publisher of `oaktap publish`, and the same beside a window, a recorder or a server.

use std::io;
use std::sync::Arc;

use clap::Args;
use oaktap::live::{self, Camera, Sink as _};
use oaktap::overlay::Style;
use oaktap::recording::Playback;
use oaktap::sink::publish::{Publish, PublishCounts, PublishOptions, PublishTarget};
#[cfg(feature = "zenoh")]
use oaktap::sink::publish::{Ros2Options, RosDistro};
use oaktap::sink::record::{RecordersMonitor, RecordingSwitch};
use oaktap::source::Session;
use oaktap::units::{Bytes, count};
use serde::Serialize;

#[cfg(feature = "zenoh")]
use super::calibration_arg::{CalibrationArg, calibration};
use super::present::{self, ExitReason, Usage};
use super::{Ctx, Outcome};

/// Options of the publisher.
pub(crate) const PUBLISH: &str = "Publish";

/// The default discovery prefix of Home Assistant.
const DISCOVERY_PREFIX: &str = "homeassistant";

const NO_BROKER: &str = "check the address, and that the broker runs: its first error is above";

const PORT_IN_USE: &str = "another program listens there: end it, or choose another port, as in foxglove://:8766";

/// Options of every command that publishes.
#[derive(Args, Clone, Debug, Default)]
struct HomeAssistantArgs {
    /// Describe the cameras to Home Assistant, in discovery messages below this prefix; without a value below homeassistant, and then
    /// written after the cameras
    #[arg(long, value_name = "DISCOVERY_PREFIX", num_args = 0..=1, default_missing_value = DISCOVERY_PREFIX)]
    #[arg(value_parser = discovery_prefix, help_heading = PUBLISH)]
    home_assistant: Option<String>,
}

/// Options of targets of ROS 2.
#[cfg(feature = "zenoh")]
#[derive(Args, Clone, Debug, Default)]
struct RosArgs {
    /// Distribution of ROS 2 that subscribes: humble, jazzy or kilted [default: jazzy]
    #[arg(long, value_name = "DISTRO", help_heading = PUBLISH)]
    ros_distro: Option<RosDistro>,

    /// Publish pixels to ROS 2 as sensor_msgs/Image, instead of JPEG
    #[arg(long, help_heading = PUBLISH)]
    ros_raw: bool,

    /// Publish a calibration to ROS 2: the YAML file of camera_calibration, with several cameras NAME=FILE; repeatable
    #[arg(long, value_name = "[NAME=]FILE", value_parser = calibration, help_heading = PUBLISH)]
    camera_info: Vec<CalibrationArg>,
}

#[cfg(feature = "zenoh")]
impl RosArgs {
    /// Returns the first option that was given.
    fn given(&self) -> Option<&'static str> {
        let Self { ros_distro, ros_raw, camera_info } = self;
        let all = [
            ("--ros-distro", ros_distro.is_some()),
            ("--ros-raw", *ros_raw),
            ("--camera-info", !camera_info.is_empty()),
        ];
        all.into_iter().find(|(_, is_given)| *is_given).map(|(option, _)| option)
    }

    fn options(&self, targets: &[PublishTarget]) -> anyhow::Result<Ros2Options> {
        let has_target = targets.iter().any(|target| matches!(target, PublishTarget::Ros2(_)));
        if let Some(option) = self.given().filter(|_| !has_target) {
            return Err(Usage(format!("`{option}` requires a target `ros2`")).into());
        }
        let of = |CalibrationArg { camera, calibration }: &CalibrationArg| (camera.clone(), calibration.clone());
        let calibrations = self.camera_info.iter().map(of).collect();
        Ok(Ros2Options { distro: self.ros_distro.unwrap_or_default(), raw: self.ros_raw, calibrations })
    }
}

/// Parses a discovery prefix. A camera in its place is recognized by the characters of its address.
fn discovery_prefix(text: &str) -> Result<String, String> {
    let is_level = |level: &str| !level.is_empty() && !level.contains(['+', '#', ':', '=', '.']);
    if text.split('/').all(is_level) {
        Ok(text.to_owned())
    } else {
        Err(format!("expected a topic such as {DISCOVERY_PREFIX}; write --home-assistant after the cameras"))
    }
}

/// Options of `oaktap publish`.
#[derive(Args, Clone, Debug)]
pub(crate) struct PublishArgs {
    /// Publish here: mqtt://[USER:PASSWORD@]BROKER[:PORT]/PREFIX or mqtts://, with the topic above those of the cameras;
    /// foxglove://[ADDR][:PORT], where the Foxglove app connects; zenoh://[ROUTER][:PORT][/HOST], with the name of this machine;
    /// or ros2://[ROUTER][:PORT][/NAMESPACE]; repeatable
    #[arg(long, value_name = "TARGET", required = true, help_heading = PUBLISH)]
    to: Vec<PublishTarget>,

    #[command(flatten)]
    home_assistant: HomeAssistantArgs,

    #[cfg(feature = "zenoh")]
    #[command(flatten)]
    ros: RosArgs,
}

impl PublishArgs {
    pub(crate) fn open(&self, style: Style) -> anyhow::Result<Publisher> {
        let options = PublishOptions {
            fails_alone: true,
            #[cfg(feature = "zenoh")]
            ros2: self.ros.options(&self.to)?,
            ..options(&self.home_assistant, style)
        };
        Ok(Publisher::new(&self.to, options))
    }
}

/// Options of a command that can publish beside its own work.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PublishBesideArgs {
    /// Also publish the cameras, as `oaktap publish --to TARGET` does; repeatable
    #[arg(long, value_name = "TARGET", help_heading = PUBLISH)]
    publish: Vec<PublishTarget>,

    #[command(flatten)]
    home_assistant: HomeAssistantArgs,

    #[cfg(feature = "zenoh")]
    #[command(flatten)]
    ros: RosArgs,
}

impl PublishBesideArgs {
    /// Returns whether the command publishes.
    pub(crate) fn is_given(&self) -> bool {
        !self.publish.is_empty()
    }

    pub(crate) fn open(&self, style: Style) -> anyhow::Result<Option<Publisher>> {
        if self.home_assistant.home_assistant.is_some() && !self.is_given() {
            return Err(Usage("`--home-assistant` requires `--publish`".to_owned()).into());
        }
        let options = PublishOptions {
            #[cfg(feature = "zenoh")]
            ros2: self.ros.options(&self.publish)?,
            ..options(&self.home_assistant, style)
        };
        Ok(self.is_given().then(|| Publisher::new(&self.publish, options)))
    }
}

fn options(args: &HomeAssistantArgs, style: Style) -> PublishOptions {
    let home_assistant = args.home_assistant.clone();
    PublishOptions {
        style,
        home_assistant,
        report: present::log,
        playback: None,
        fails_alone: false,
        #[cfg(feature = "zenoh")]
        ros2: Ros2Options::default(),
    }
}

/// Publishes cameras.
#[derive(Debug)]
pub(crate) struct Publisher {
    publish: Publish,
    /// Cameras that were connected, and whether they have to be one.
    cameras: usize,
    is_of_one_camera: bool,
}

impl Publisher {
    fn new(targets: &[PublishTarget], options: PublishOptions) -> Self {
        #[cfg(feature = "zenoh")]
        let is_of_one_camera = options.ros2.calibrations.iter().any(|(camera, _)| camera.is_none());
        #[cfg(not(feature = "zenoh"))]
        let is_of_one_camera = false;
        Self { publish: Publish::new(targets.to_vec(), options), cameras: 0, is_of_one_camera }
    }

    /// Returns the publisher of recordings that a client controls.
    pub(crate) fn of_playback(target: &PublishTarget, style: Style, playback: Playback) -> Self {
        let options = options(&HomeAssistantArgs::default(), style);
        Self::new(
            std::slice::from_ref(target),
            PublishOptions { playback: Some(playback), fails_alone: true, ..options },
        )
    }

    /// Also publishes the state of the recordings that the program makes of the cameras, and lets clients start and stop them. Call
    /// it before they are connected.
    pub(crate) fn show_recordings(&mut self, recorders: RecordersMonitor, switch: Option<Arc<dyn RecordingSwitch>>) {
        self.publish.show_recordings(recorders, switch);
    }

    /// Subscribes to the cameras, before their sessions start.
    pub(crate) fn connect(&mut self, cameras: &[Camera]) -> anyhow::Result<()> {
        self.cameras += cameras.len();
        if self.is_of_one_camera && self.cameras > 1 {
            let text = "`--camera-info FILE` is for one camera, but there are several; write `--camera-info NAME=FILE`";
            return Err(Usage(text.to_owned()).into());
        }
        Ok(live::connect(cameras, &mut self.publish)?)
    }

    /// Begins to publish the cameras of these sessions.
    pub(crate) fn start(&mut self, sessions: &[Session]) -> anyhow::Result<()> {
        self.publish.start(sessions).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => present::advised(error.into(), PORT_IN_USE),
            _ => error.into(),
        })
    }

    /// Forgets a camera that the user has removed.
    pub(crate) fn remove(&mut self, name: &str) {
        self.cameras = self.cameras.saturating_sub(1);
        self.publish.remove(name);
    }

    /// Sends what waits, disconnects, and prints the counts. Call it after the sessions were stopped.
    pub(crate) fn finish(self) -> Published {
        let published = Published(self.publish.finish());
        published.0.iter().for_each(|target| present::say(&line(target)));
        published
    }
}

fn line(target: &PublishCounts) -> String {
    let PublishCounts { target, connections, listened, messages, bytes, lost, unpublished, .. } = target;
    let (connections, messages) =
        (count(*connections, "connection", "connections"), count(*messages, "message", "messages"));
    let rest = match unpublished {
        0 => String::new(),
        some => format!(", {} not published at the end", count(*some, "frame", "frames")),
    };
    // A server does not know what its clients lost.
    let lost = if listened.is_none() { format!(", {lost} lost") } else { String::new() };
    format!("{target}: {connections}, {messages}, {}{lost}{rest}", Bytes(*bytes))
}

/// Counts of each target.
#[derive(Debug)]
pub(crate) struct Published(Vec<PublishCounts>);

/// Counts of the targets for `--json`.
#[derive(Serialize)]
struct PublishedLine<'a> {
    published: &'a [PublishCounts],
}

impl Published {
    /// Prints the counts as a line of JSON with `--json`.
    pub(crate) fn print(&self, ctx: &Ctx) -> anyhow::Result<()> {
        if ctx.json {
            present::result(present::json(&PublishedLine { published: &self.0 })?.as_bytes())?;
        }
        Ok(())
    }

    /// Returns the targets that were never connected, or never listened.
    fn unreached(&self) -> impl Iterator<Item = &PublishCounts> {
        self.0.iter().filter(|target| !target.listened.unwrap_or(target.connections > 0))
    }

    /// Returns the outcome of a command that has ended with this one, by the targets that were never connected. Says so.
    pub(crate) fn outcome(&self, outcome: Outcome) -> Outcome {
        let reason = |PublishCounts { target, listened, .. }: &PublishCounts| {
            let (what, help) = match listened {
                Some(_) => ("never listened", PORT_IN_USE),
                None => ("never connected", NO_BROKER),
            };
            let text = format!("{target}: exit code 3: {what}, so nothing was published");
            ExitReason { text, help: help.into(), camera: None }
        };
        let reasons: Vec<_> = self.unreached().map(reason).collect();
        present::exit_reasons(&reasons);
        if reasons.is_empty() { outcome } else { Outcome::Lossy }
    }

    /// Returns the error of a command whose only purpose is to publish: no target was ever connected.
    pub(crate) fn failure(&self) -> Option<anyhow::Error> {
        let targets: Vec<_> = self.unreached().map(|target| target.target.as_str()).collect();
        let text = format!("nothing was published: never connected to {}", targets.join(", "));
        (targets.len() == self.0.len()).then(|| present::advised(anyhow::anyhow!(text), NO_BROKER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_in_the_place_of_the_discovery_prefix_is_recognized() {
        for prefix in ["homeassistant", "home/discovery"] {
            assert_eq!(discovery_prefix(prefix).as_deref(), Ok(prefix));
        }
        for camera in ["sim:", "192.168.1.50", "front=10.0.0.5", "", "a//b", "a/#"] {
            assert!(discovery_prefix(camera).unwrap_err().contains("after the cameras"), "{camera}");
        }
    }
}
