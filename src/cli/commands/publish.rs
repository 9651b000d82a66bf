//! `oaktap publish`: publishes cameras to other programs.

use std::thread;

use clap::Args;
use oaktap::live;
use oaktap::sink::record::RecordersMonitor;

use super::view::{over, separated};
use crate::cli::fleet::FleetArgs;
use crate::cli::publisher::PublishArgs;
use crate::cli::receiving::Receiving;
use crate::cli::source_args::SourceArgs;
use crate::cli::{Ctx, Outcome, Until, json_option};

const EXAMPLES: &str = "\
Examples:
  oaktap publish 192.168.1.50 --to mqtt://192.168.1.10/oaktap
  oaktap publish front=192.168.1.50 --to mqtt://192.168.1.10/oaktap --home-assistant
  oaktap publish --config oaktap.toml --to mqtts://me:PASSWORD@broker.lan/oaktap --only person
  oaktap publish sim: --to mqtt://localhost/oaktap
  oaktap publish 192.168.1.50 --to foxglove://
  oaktap publish front=192.168.1.50 --to zenoh://192.168.1.10

Topics of MQTT:
  PREFIX/available           `online` or `offline`, also when oaktap is killed; retained
  PREFIX/NAME/state          state, rates, losses and all counts of a camera (JSON); retained
  PREFIX/NAME/detections     each frame, as `oaktap detections` prints it (JSON)
  PREFIX/NAME/events         objects that appear, change and leave (JSON)
  PREFIX/NAME/objects        number of objects by class (JSON); retained
  PREFIX/NAME/picture        a JPEG after each message on PREFIX/NAME/picture/get
Topics in Foxglove, which connects to ws://127.0.0.1:8765:
  /NAME/image                pictures, as recordings have them
  /NAME/detections           their boxes
  /NAME/ledger               state, rates, losses and all counts of a camera, each second (JSON)
docs/publish.md describes them.

Keys of Zenoh, with HOST for this machine; in programs that were built with --features zenoh:
  oaktap/HOST/NAME/frame       each picture (protobuf)
  oaktap/HOST/NAME/detections  its boxes (protobuf)
  oaktap/HOST/NAME/state       state, rates, losses and all counts of a camera (JSON)
  oaktap/HOST/NAME/ledger      all counts (JSON)
  oaktap/HOST/NAME/control     sets the camera, by a query
docs/zenoh.md describes them.

Topics of ROS 2, in the same programs:
  /NAME/image/compressed       each picture (sensor_msgs/CompressedImage)
  /NAME/image                  the same with --ros-raw, and depth (sensor_msgs/Image)
  /NAME/detections             its boxes (vision_msgs/Detection2DArray)
  /NAME/camera_info            its calibration (sensor_msgs/CameraInfo)
docs/ros2.md describes them.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = json_option("Print the counts of targets and a summary with all frame counts as two lines of JSON at the end"))]
pub(crate) struct PublishCommandArgs {
    #[command(flatten)]
    fleet: FleetArgs,

    #[command(flatten)]
    publish: PublishArgs,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    until: Until,
}

/// Publishes until a stop condition holds, and prints a summary.
pub(crate) fn run(ctx: &Ctx, args: &PublishCommandArgs) -> anyhow::Result<Outcome> {
    let cameras = live::cameras(&separated(&args.fleet.sources()?));
    let mut publisher = args.publish.open(args.source.style()?)?;
    publisher.connect(&cameras)?;
    let receiving = Receiving::start(ctx, cameras, &args.source, &args.until, &RecordersMonitor::default())?;
    publisher.start(receiving.sessions())?;
    while !over(&receiving, &args.until) {
        thread::sleep(receiving.stop_check_interval());
    }
    // `finish` reports how the sessions ended.
    drop(receiving.stop());
    let published = publisher.finish();
    published.print(ctx)?;
    let outcome = receiving.finish(ctx, &[])?;
    match published.failure() {
        Some(error) => Err(error),
        None => Ok(published.outcome(outcome)),
    }
}
