//! `oaktap simulate --mqtt`: publishes to a broker.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use oaktap::sim::{Broker, Certificates, Publisher, Reel, Sent};
use oaktap::source::{MqttSpec, SourceSpec};
use oaktap::units::{Bytes, count};
use serde::Serialize;

use super::{POLL_INTERVAL, SimulateArgs};
use crate::cli::receiving::StreamSummary;
use crate::cli::{Ctx, Outcome, present};

#[derive(Debug, Serialize)]
struct SimulatedPublisher {
    /// The broker and the topic.
    source: String,
    #[serde(flatten)]
    sent: Sent,
}

/// Parses the address of `--mqtt`.
pub(super) fn target(text: &str) -> Result<MqttSpec, String> {
    match text.parse() {
        Ok(SourceSpec::Mqtt(spec)) if spec.topic.contains(['+', '#']) => {
            Err("expected a topic without + and #: nothing can be published on a wildcard".to_owned())
        }
        Ok(SourceSpec::Mqtt(spec)) => Ok(spec),
        Ok(_) => Err("expected mqtt://BROKER/TOPIC or mqtts://BROKER/TOPIC".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Returns the address with any certificate accepted.
fn insecure(spec: &MqttSpec) -> MqttSpec {
    MqttSpec { insecure: true, ..spec.clone() }
}

pub(super) fn run(ctx: &Ctx, args: &SimulateArgs, spec: &MqttSpec) -> anyhow::Result<Outcome> {
    if args.count != 1 {
        let text =
            "--mqtt simulates one camera, so it cannot be used with --count; run `oaktap simulate` once per camera";
        return Err(present::Usage(text.to_owned()).into());
    }
    let reel = Arc::new(Reel::new(&args.jpeg_config("--mqtt")?)?);
    let login = spec.credentials.as_ref().map(|found| (found.user.clone(), found.password.reveal().to_owned()));
    let tls = spec.tls.then_some(if spec.insecure { Certificates::Any } else { Certificates::Trusted });
    let broker = Broker { host: spec.host.clone(), port: spec.port, tls, login, topic: spec.topic.clone() };
    ctx.stop.on_signals()?;
    let publisher =
        Publisher::start(broker, reel).with_context(|| format!("cannot publish on {spec}")).map_err(|error| {
            let help = match spec.tls {
                true => format!("if the broker has made its certificate itself, accept any with {}", insecure(spec)),
                false => "`mosquitto -p 1883` starts a broker on this host".to_owned(),
            };
            present::advised(error, help)
        })?;
    // Other programs wait for this line.
    present::say(&format!("publishing on {spec}"));
    let deadline = args.until.deadline();
    loop {
        let now = Instant::now();
        let next = now + POLL_INTERVAL;
        let over = deadline.is_some_and(|deadline| deadline <= now)
            || args.until.frames.is_some_and(|frames| publisher.sent().intact >= frames);
        if over || ctx.stop.wait_until(Some(deadline.map_or(next, |deadline| deadline.min(next)))) {
            break;
        }
    }
    let camera = SimulatedPublisher { source: spec.to_string(), sent: publisher.stop() };
    let Sent { connections, intact, bytes, .. } = camera.sent;
    present::say(&format!(
        "{spec}: {}, {}, {}",
        count(connections, "connection", "connections"),
        count(intact, "frame", "frames"),
        Bytes(bytes)
    ));
    if ctx.json {
        present::document(&StreamSummary { command: ctx.command, cameras: &[camera], recordings: &[] })?;
    }
    Ok(Outcome::Done)
}
