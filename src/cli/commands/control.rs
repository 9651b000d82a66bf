//! `oaktap control`: lens, exposure and white balance of a camera while it streams.

use std::time::Duration;

use clap::Args;
use oaktap::source::SourceSpec;
use oaktap::source::control::{Answer, ControlError, control};
use serde::Serialize;

use crate::cli::present::{self, Refused, Usage};
use crate::cli::{Ctx, Outcome, value_parsers};

/// What is the camera's, for all who receive it. Pausing, frame rate and choice of the stream are each connection's own.
const KEYS: [(&str, &str); 5] = [
    ("lens", "0 to 255"),
    ("focus", "auto"),
    ("exposure", "auto, or microseconds"),
    ("iso", "100 to 1600"),
    ("wb", "auto, or kelvin"),
];
/// The connection's own.
const OTHERS: [&str; 4] = ["fps", "pause", "still", "stream"];

#[derive(Args, Debug)]
#[command(after_help = format!("What can be set: {}. Each is one control record, which the application that oaktap \
                                flashes understands; others are told nothing.", known()))]
pub(crate) struct ControlArgs {
    /// The camera: an address such as 192.168.1.50, or tcp://HOST:PORT
    #[arg(value_name = "URI")]
    uri: SourceSpec,

    /// What is to be set: lens=120, exposure=8000
    #[arg(value_name = "KEY=VALUE", required = true)]
    orders: Vec<String>,

    /// How long to wait for the connection, and for each answer
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = value_parsers::duration)]
    timeout: Duration,
}

#[derive(Serialize)]
struct Document<'a> {
    command: &'static str,
    camera: String,
    answers: &'a [Answer],
}

/// Says it, and tells what the camera answers.
pub(crate) fn run(ctx: &Ctx, args: &ControlArgs) -> anyhow::Result<Outcome> {
    let SourceSpec::Tcp { host, port } = &args.uri else {
        return Err(Usage(format!("{} is no camera on the network: expected an address", args.uri)).into());
    };
    args.orders.iter().try_for_each(|order| check(order))?;
    let answers = control(host, *port, &args.orders, args.timeout).map_err(explained)?;
    if ctx.json {
        present::document(&Document { command: "control", camera: args.uri.to_string(), answers: &answers })?;
    } else {
        let told = answers.iter().map(|answer| format!("{}\n", answer.said)).collect::<String>();
        present::result(present::printable(&told).as_bytes())?;
    }
    let refused: Vec<_> = answers.iter().filter(|answer| !answer.done).collect();
    if !refused.is_empty() {
        let told = refused.iter().map(|answer| format!("`{}`: {}", answer.order, answer.said));
        return Err(Refused(format!("the camera refused {}", told.collect::<Vec<_>>().join(", "))).into());
    }
    Ok(Outcome::Done)
}

fn known() -> String {
    KEYS.map(|(key, values)| format!("{key}={values}")).join("; ")
}

fn check(order: &str) -> anyhow::Result<()> {
    match order.split_once('=') {
        Some((key, value)) if KEYS.iter().any(|(known, _)| *known == key) && !value.is_empty() => Ok(()),
        Some((key, _)) if OTHERS.contains(&key) => {
            let text =
                format!("`{key}` holds for the connection that says it, and this one ends at once; known: {}", known());
            Err(Usage(text).into())
        }
        _ => Err(Usage(format!("`{order}` is nothing that can be set; known: {}", known())).into()),
    }
}

fn explained(error: ControlError) -> anyhow::Error {
    let help = match &error {
        ControlError::Connect { .. } => "is the camera on, and is it the port of its stream (5000 or 9876)?",
        ControlError::NotUnderstood { .. } => "`oaktap flash CAMERA` writes an application that understands them",
        ControlError::Busy(_) | ControlError::Silent(_) => "close another client, and try again",
        _ => "try again; `oaktap doctor CAMERA` looks at the connection",
    };
    let refusal = error.is_refusal();
    let text = error.to_string();
    let error = if refusal { Refused(text).into() } else { anyhow::Error::new(error) };
    present::advised(error, help)
}
