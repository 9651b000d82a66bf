//! `oaktap control`: sets the lens, exposure and white balance of a streaming camera.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use oaktap::device::settings::SETTINGS;
use oaktap::source::control::{ControlAnswer, ControlError, check_order, control_each, known_settings};
use oaktap::source::{NamedSource, SourceSpec};
use serde::Serialize;

use crate::cli::camera_ends::{CameraEnd, document_failure, finish, report_failure};
use crate::cli::fleet::FleetArgs;
use crate::cli::present::{self, Refused, Usage, advised};
use crate::cli::{Ctx, Outcome, json_option, value_parsers};

/// Settings that apply to one connection only.
const CONNECTION_KEYS: [&str; 4] = ["fps", "pause", "still", "stream"];

#[derive(Args, Debug)]
#[command(after_help = after_help(), override_usage = "oaktap control [OPTIONS] [URI]... <KEY=VALUE>...", arg = json_option("Print the answers as one line of JSON per camera"))]
pub(crate) struct ControlArgs {
    /// Cameras (192.168.1.50, tcp://HOST:PORT, NAME=ADDRESS), and settings such as lens=120 or exposure=8000; see below
    #[arg(value_name = "URI|KEY=VALUE", required = true)]
    words: Vec<String>,

    /// Use the cameras of this file, with their names
    #[arg(long, value_name = "oaktap.toml")]
    config: Option<PathBuf>,

    /// Wait at most this long for the connection and for each answer
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = value_parsers::duration)]
    timeout: Duration,
}

#[derive(Serialize)]
struct ControlReport<'a> {
    command: &'static str,
    camera: String,
    /// Its stream is not received, so its id is not known.
    id: Option<&'a str>,
    answers: &'a [ControlAnswer],
}

pub(crate) fn run(ctx: &Ctx, args: &ControlArgs) -> anyhow::Result<Outcome> {
    let (orders, cameras): (Vec<_>, Vec<_>) = args.words.iter().cloned().partition(|word| is_order(word));
    orders.iter().try_for_each(|order| check(order))?;
    if orders.is_empty() {
        return Err(Usage(format!("no setting given; expected {}", known_settings())).into());
    }
    if cameras.is_empty() && args.config.is_none() {
        let error = Usage(format!("no camera given for {}", orders.join(" ")));
        return Err(advised(error.into(), "give the address or the id of a camera, or --config oaktap.toml"));
    }
    let given = cameras.clone();
    let cameras = FleetArgs::of(cameras, args.config.clone()).sources_in_turn()?;
    if let Some(camera) = cameras.iter().find(|camera| !matches!(camera.spec, SourceSpec::Tcp { .. })) {
        return Err(Usage(format!("`{camera}` is not a camera on the network: expected an address")).into());
    }
    let several = cameras.len() > 1;
    let mut ends = Vec::new();
    for (at, camera) in cameras.iter().enumerate() {
        let name = camera.name.clone().unwrap_or_else(|| camera.spec.to_string());
        let result = set(ctx, args, camera, &orders, several.then_some(&name));
        if !several {
            if let Err(error) = &result {
                document_failure(ctx, &name, None, error)?;
            }
            return result.map(|()| Outcome::Done);
        }
        // If one refuses, the other cameras get their settings all the same.
        if let Err(error) = &result {
            report_failure(ctx, &name, None, error)?;
        }
        // Without words, the cameras are those of the file.
        let word = given.get(at).unwrap_or(&name).clone();
        let (retry, address) = (word.clone(), Some(camera.spec.to_string()));
        ends.push(CameraEnd { camera: name, id: None, address, word, retry, end: result.into() });
    }
    finish(ctx, ends).map(|_| Outcome::Done)
}

/// Returns whether a word is a setting, and not the address of a camera with or without a name.
fn is_order(word: &str) -> bool {
    let known = |key| SETTINGS.iter().any(|setting| setting.key == key) || CONNECTION_KEYS.contains(&key);
    word.split_once('=')
        .is_some_and(|(key, value)| known(key) || !(key.contains([':', '?', '/']) || value.contains(['.', ':'])))
}

/// Makes the settings of one camera. The answers are printed behind `name`.
fn set(
    ctx: &Ctx,
    args: &ControlArgs,
    camera: &NamedSource,
    orders: &[String],
    name: Option<&String>,
) -> anyhow::Result<()> {
    let SourceSpec::Tcp { host, port } = &camera.spec else { return Ok(()) };
    let before = name.map(|name| format!("{name}: ")).unwrap_or_default();
    let mut answers = Vec::new();
    let controlled = control_each(host, *port, orders, args.timeout, |answer| answers.push(answer));
    if !ctx.json {
        let text = answers.iter().map(|answer| format!("{before}{}\n", described(answer))).collect::<String>();
        present::result(present::printable(&text).as_bytes())?;
    }
    let refused: Vec<_> = answers.iter().filter(|answer| !answer.done).collect();
    let refusals = refused.iter().map(|answer| format!("`{}`: {}", answer.order, answer.said)).collect::<Vec<_>>();
    let error = match controlled {
        Err(error) => Some(explained(error)),
        Ok(()) if refused.is_empty() => None,
        Ok(()) => Some(Refused(format!("the camera refused {}", refusals.join(", "))).into()),
    };
    if let Some(error) = error {
        let answers = ("answers".to_owned(), serde_json::to_value(&answers)?);
        return Err(present::detailed(error, std::iter::once(answers).collect()));
    }
    if ctx.json {
        let camera = camera.name.clone().unwrap_or_else(|| camera.spec.to_string());
        present::document(&ControlReport { command: ctx.command, camera, id: None, answers: &answers })?;
    }
    Ok(())
}

/// What was sent, and what the camera answered.
fn described(ControlAnswer { order, said, done }: &ControlAnswer) -> String {
    match said.strip_prefix("no:") {
        Some(why) if !done => format!("sent {order}; the camera refused: {}", why.trim()),
        _ if said == order => format!("sent {order}; the camera acknowledged it"),
        _ => format!("sent {order}; the camera acknowledged it: {said}"),
    }
}

fn after_help() -> String {
    let settings = SETTINGS.map(|setting| format!("  {:<9} {}\n", setting.key, setting.values())).concat();
    format!(
        "Examples:\n  oaktap control 192.168.1.50 lens=120 exposure=8000 iso=400\n  oaktap control front=192.168.1.50 back=192.168.1.51 focus=auto\n  oaktap control front --config oaktap.toml wb=auto\n\nSettings:\n{settings}\nThey require an application built by oaktap. `oaktap simulate --records` acknowledges them while it has no other client, and its\npictures stay as they are."
    )
}

fn check(order: &str) -> anyhow::Result<()> {
    if let Some((key, _)) = order.split_once('=').filter(|(key, _)| CONNECTION_KEYS.contains(key)) {
        let text =
            format!("`{key}` applies to one connection only, and this one ends at once; expected {}", known_settings());
        return Err(Usage(text).into());
    }
    check_order(order).map(|_| ()).map_err(|text| Usage(text).into())
}

fn explained(error: ControlError) -> anyhow::Error {
    let help = error.help();
    let refusal = error.is_refusal();
    let text = error.to_string();
    let error = if refusal { Refused(text).into() } else { anyhow::Error::new(error) };
    present::advised(error, help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_outside_of_the_range_of_a_setting_are_refused() {
        let cases = [
            ("lens", &["0", "120", "255"][..], &["256", "999", "-1", "", "auto", "1.5", "+1", "١"][..]),
            ("focus", &["auto"], &["", "1", "on"]),
            ("exposure", &["auto", "1", "500000"], &["0", "500001", "8ms", "99999999999"]),
            ("iso", &["100", "1600"], &["99", "1601", "auto"]),
            ("wb", &["auto", "1000", "12000"], &["999", "12001", "warm"]),
        ];
        assert_eq!(cases.map(|(key, ..)| key), SETTINGS.map(|setting| setting.key));
        for (key, good, bad) in cases {
            for value in good {
                assert!(check(&format!("{key}={value}")).is_ok(), "{key}={value}");
            }
            for value in bad {
                let error = check(&format!("{key}={value}")).expect_err(value).to_string();
                let expected = format!("invalid value `{value}` for `{key}`: expected ");
                assert!(error.starts_with(&expected), "{error}");
            }
        }
        let error = check("exposure=0").expect_err("0").to_string();
        assert_eq!(error, "invalid value `0` for `exposure`: expected auto, or 1 to 500000 microseconds");
    }

    #[test]
    fn settings_are_told_from_cameras_with_names() {
        for (word, order) in [
            ("lens=120", true),
            ("zoom=3", true),
            ("iso=", true),
            ("front=192.168.1.50", false),
            ("front=tcp://oak:5000", false),
            ("192.168.1.50", false),
            ("sim:?seed=2", false),
        ] {
            assert_eq!(is_order(word), order, "{word}");
        }
    }
}
