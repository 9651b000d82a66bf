//! `oaktap control`: sets the lens, exposure and white balance of a streaming camera.

use std::time::Duration;

use clap::Args;
use oaktap::source::SourceSpec;
use oaktap::source::control::{ControlAnswer, ControlError, control};
use serde::Serialize;

use crate::cli::present::{self, Refused, Usage};
use crate::cli::{Ctx, Outcome, json_option, value_parsers};

/// Settings of the camera, which apply to all its clients, and their values.
const CAMERA_KEYS: [(&str, &str); 5] = [
    ("lens", "0 to 255"),
    ("focus", "auto"),
    ("exposure", "auto, or microseconds"),
    ("iso", "100 to 1600"),
    ("wb", "auto, or kelvin"),
];
/// Settings that apply to one connection only.
const CONNECTION_KEYS: [&str; 4] = ["fps", "pause", "still", "stream"];

#[derive(Args, Debug)]
#[command(after_help = after_help(), arg = json_option("Print the camera's answers as one line of JSON"))]
pub(crate) struct ControlArgs {
    /// Camera: an address such as 192.168.1.50, or tcp://HOST:PORT
    #[arg(value_name = "URI")]
    uri: SourceSpec,

    /// Setting, such as lens=120 or exposure=8000; see below
    #[arg(value_name = "KEY=VALUE", required = true)]
    orders: Vec<String>,

    /// Wait at most this long for the connection and for each answer
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = value_parsers::duration)]
    timeout: Duration,
}

#[derive(Serialize)]
struct ControlReport<'a> {
    command: &'static str,
    camera: String,
    answers: &'a [ControlAnswer],
}

pub(crate) fn run(ctx: &Ctx, args: &ControlArgs) -> anyhow::Result<Outcome> {
    let SourceSpec::Tcp { host, port } = &args.uri else {
        return Err(Usage(format!("`{}` is not a camera on the network: expected an address", args.uri)).into());
    };
    args.orders.iter().try_for_each(|order| check(order))?;
    let answers = control(host, *port, &args.orders, args.timeout).map_err(explained)?;
    if ctx.json {
        present::document(&ControlReport { command: ctx.command, camera: args.uri.to_string(), answers: &answers })?;
    } else {
        let text = answers.iter().map(|answer| format!("{}\n", answer.said)).collect::<String>();
        present::result(present::printable(&text).as_bytes())?;
    }
    let refused: Vec<_> = answers.iter().filter(|answer| !answer.done).collect();
    if !refused.is_empty() {
        let refusals = refused.iter().map(|answer| format!("`{}`: {}", answer.order, answer.said));
        return Err(Refused(format!("the camera refused {}", refusals.collect::<Vec<_>>().join(", "))).into());
    }
    Ok(Outcome::Done)
}

fn after_help() -> String {
    let settings = CAMERA_KEYS.map(|(key, values)| format!("  {key:<9} {values}\n")).concat();
    format!("Settings:\n{settings}\nThey require an application built by oaktap.")
}

fn known() -> String {
    CAMERA_KEYS.map(|(key, values)| format!("{key}={values}")).join("; ")
}

fn check(order: &str) -> anyhow::Result<()> {
    match order.split_once('=') {
        Some((key, value)) if CAMERA_KEYS.iter().any(|(known, _)| *known == key) && !value.is_empty() => Ok(()),
        Some((key, _)) if CONNECTION_KEYS.contains(&key) => {
            let text =
                format!("`{key}` applies to one connection only, and this one ends at once; expected {}", known());
            Err(Usage(text).into())
        }
        _ => Err(Usage(format!("unknown setting `{order}`; expected {}", known())).into()),
    }
}

fn explained(error: ControlError) -> anyhow::Error {
    let help = match &error {
        ControlError::Connect { .. } => {
            "check that the camera is on and that the port is the one of its stream (5000 or 9876)"
        }
        ControlError::NotUnderstood { .. } => {
            "`oaktap flash CAMERA` writes an application that supports these settings"
        }
        ControlError::Busy(_) | ControlError::Silent(_) => "close another client, and try again",
        _ => "try again; `oaktap doctor CAMERA` checks the connection",
    };
    let refusal = error.is_refusal();
    let text = error.to_string();
    let error = if refusal { Refused(text).into() } else { anyhow::Error::new(error) };
    present::advised(error, help)
}
