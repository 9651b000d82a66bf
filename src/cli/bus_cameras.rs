//! Sources with `*` for the cameras on a bus: replaced by the cameras that are there.

use std::collections::HashMap;

use anyhow::Context as _;
use oaktap::source::{FleetReceiver, NamedSource, SourceSpec, ZenohFleet, ZenohSpec, check_name};
use tokio::runtime::{Builder, Runtime};

use super::present::{self, advised, printable};
use super::same_camera::Given;

/// Most cameras that an error lists.
const LISTED_MAX: usize = 20;

/// Returns a runtime for sessions with a router. Zenoh panics in one without threads of its own.
pub(super) fn bus_runtime() -> anyhow::Result<Runtime> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.context("cannot start the network runtime")
}

/// Replaces each source with `*` by the cameras that match.
pub(super) fn with_bus_cameras(given: Vec<Given>) -> anyhow::Result<Vec<Given>> {
    let mut all = Vec::new();
    for given in given {
        match &given.source {
            NamedSource { name, spec: SourceSpec::Zenoh(pattern) } if pattern.is_pattern() => {
                let found = find(pattern)?;
                present::say(&printable(&format!("{pattern}: {}", present::listed(&places(&found)))));
                let names = names(name.as_deref(), &found);
                let camera = |(spec, name)| {
                    let source = NamedSource { name, spec: SourceSpec::Zenoh(spec) };
                    Given { word: given.word.clone(), source, addresses: Vec::new() }
                };
                all.extend(found.into_iter().zip(names).map(camera));
            }
            _ => all.push(given),
        }
    }
    Ok(all)
}

/// Returns the cameras that match.
fn find(pattern: &ZenohSpec) -> anyhow::Result<Vec<ZenohSpec>> {
    let search = async {
        let fleet = ZenohFleet::open(&pattern.router).await?;
        let found = fleet.matching(pattern).await;
        let receivers = fleet.receivers();
        fleet.close().await;
        Ok::<_, oaktap::source::ZenohError>((found, receivers))
    };
    let (found, receivers) = bus_runtime()?.block_on(search).map_err(|error| {
        let help = error.help();
        present::with_help(error.into(), help)
    })?;
    if !found.is_empty() {
        return Ok(found);
    }
    let text = format!("no camera matches {pattern}; {}", alive(&receivers));
    let help = "`oaktap publish CAMERA --to zenoh://ROUTER` on its receiver publishes a camera; \
                `oaktap fleet --router ROUTER` lists all";
    Err(advised(anyhow::anyhow!(printable(&text)), help))
}

/// Describes what is alive.
fn alive(receivers: &[FleetReceiver]) -> String {
    let cameras = |receiver: &FleetReceiver| {
        let alive = receiver.cameras.iter().filter(|camera| camera.alive);
        alive.map(|camera| format!("{}/{}", receiver.host, camera.camera)).collect::<Vec<_>>()
    };
    let mut all: Vec<String> = receivers.iter().flat_map(cameras).collect();
    let is_bare = |receiver: &&FleetReceiver| receiver.alive && cameras(receiver).is_empty();
    all.extend(receivers.iter().filter(is_bare).map(|receiver| format!("{} without a camera", receiver.host)));
    let more = all.len().saturating_sub(LISTED_MAX);
    all.truncate(LISTED_MAX);
    if more > 0 {
        all.push(format!("{more} more"));
    }
    if all.is_empty() { "nothing is alive there".to_owned() } else { format!("alive there: {}", all.join(", ")) }
}

fn places(found: &[ZenohSpec]) -> Vec<String> {
    found.iter().map(|spec| format!("{}/{}", spec.host, spec.camera)).collect()
}

/// Returns a name for each camera: its own, with that of its receiver if two have the same. `given`: the name that the user
/// gave to all of them.
fn names(given: Option<&str>, found: &[ZenohSpec]) -> Vec<Option<String>> {
    let mut cameras: HashMap<String, usize> = HashMap::new();
    for spec in found {
        *cameras.entry(spec.camera.to_lowercase()).or_default() += 1;
    }
    let mut taken: Vec<String> = Vec::new();
    let name = |spec: &ZenohSpec| {
        let is_shared = cameras.get(&spec.camera.to_lowercase()).is_some_and(|count| *count > 1);
        let own = if is_shared { format!("{}_{}", spec.host, spec.camera) } else { spec.camera.clone() };
        let name = match given {
            Some(given) if found.len() == 1 => given.to_owned(),
            Some(given) => format!("{given}_{own}"),
            None => own,
        };
        let allowed = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
        let name: String = name.chars().map(allowed).collect();
        // Another one is derived from the source, with a number.
        let is_free = check_name(&name).is_ok() && !taken.contains(&name.to_lowercase());
        taken.push(name.to_lowercase());
        is_free.then_some(name)
    };
    found.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use oaktap::source::FleetCamera;

    use super::*;

    fn found(places: &[(&str, &str)]) -> Vec<ZenohSpec> {
        let spec = |(host, camera): &(&str, &str)| match format!("zenoh://bus/{host}/{camera}").parse() {
            Ok(SourceSpec::Zenoh(spec)) => spec,
            other => panic!("{other:?}"),
        };
        places.iter().map(spec).collect()
    }

    #[test]
    fn cameras_keep_their_names_unless_two_have_the_same() {
        let cameras = found(&[("desk", "front"), ("lab", "Front"), ("lab", "10.0.0.5:9876"), ("lab", "-x")]);
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(
            names(None, &cameras),
            [some("desk_front"), some("lab_Front"), some("10.0.0.5-9876"), None],
            "a name that is not valid is derived from the source"
        );
        assert_eq!(names(Some("site"), &cameras[1..3]), [some("site_Front"), some("site_10.0.0.5-9876")]);
        assert_eq!(names(Some("door"), &cameras[..1]), [some("door")]);
    }

    #[test]
    fn what_is_alive_is_listed() {
        assert_eq!(alive(&[]), "nothing is alive there");
        let camera = |camera: &str, alive| FleetCamera { camera: camera.to_owned(), alive, state: None };
        let receivers = [
            FleetReceiver {
                host: "desk".to_owned(),
                alive: true,
                cameras: vec![camera("a", true), camera("b", false)],
            },
            FleetReceiver { host: "lab".to_owned(), alive: true, cameras: Vec::new() },
            FleetReceiver { host: "gone".to_owned(), alive: false, cameras: Vec::new() },
        ];
        assert_eq!(alive(&receivers), "alive there: desk/a, lab without a camera");
        let cameras = (0..30).map(|number| camera(&number.to_string(), true)).collect();
        let text = alive(&[FleetReceiver { host: "desk".to_owned(), alive: true, cameras }]);
        assert!(text.ends_with("desk/19, 10 more"), "{text}");
    }
}
