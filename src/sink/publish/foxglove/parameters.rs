//! Settings of cameras as parameters, such as `/front/exposure`.
//!
//! A camera answers a setting, and reports none that it has. So a parameter is `unknown` until a client has set it here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use foxglove::websocket::{
    AnyClient, GetParametersResponder, Parameter, ParameterHandler, ParameterValue, SetParametersResponder,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::spawn_blocking;

use crate::device::settings::SETTINGS;
use crate::error::with_causes;
use crate::source::control::{ControlAnswer, check_order, control_each, takes_controls};
use crate::source::{Session, SourceSpec};
use crate::sync::locked;

/// Longest wait for the connection to the camera, for its version, and for each answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Most parameters that one request sets. Cameras take one connection each.
const SET_MAX: usize = 64;

/// Value of a setting that no client has set here.
const UNKNOWN: &str = "unknown";

/// The settings of one camera.
#[derive(Debug)]
struct Controlled {
    /// Name in topics.
    name: String,
    session: Session,
    /// Accepted values by setting.
    values: Mutex<BTreeMap<&'static str, String>>,
    /// Held while a client sets the camera, because each connection takes one of the few that the camera serves.
    turn: tokio::sync::Mutex<()>,
}

impl Controlled {
    fn takes_controls(&self) -> bool {
        self.session.ledger().update(|stats| takes_controls(self.session.spec(), stats))
    }

    fn parameter(&self, key: &str) -> Parameter {
        let name = format!("/{}/{key}", self.name);
        let value = locked(&self.values).get(key).cloned();
        match value.as_deref().map(|value| (value, value.parse::<i64>())) {
            Some((_, Ok(number))) => Parameter::integer(name, number),
            Some((text, Err(_))) => Parameter::string(name, text),
            None => Parameter::string(name, UNKNOWN),
        }
    }

    /// Sets the camera. Returns the reasons why a setting was not accepted.
    async fn set(self: Arc<Self>, orders: Vec<String>) -> Vec<String> {
        let SourceSpec::Tcp { host, port } = self.session.spec().clone() else { return Vec::new() };
        let _turn = self.turn.lock().await;
        let camera = Arc::clone(&self);
        let work = move || {
            let mut problems = Vec::new();
            let mut each = |ControlAnswer { order, said, done }: ControlAnswer| match order.split_once('=') {
                Some((_, value)) if done => {
                    // Of the known ones: they were checked.
                    if let Ok(setting) = check_order(&order) {
                        locked(&camera.values).insert(setting.key, value.to_owned());
                    }
                }
                _ => problems.push(format!("{}: {order} was refused: {said}", camera.name)),
            };
            let result = control_each(&host, port, &orders, ANSWER_TIMEOUT, &mut each);
            if let Err(error) = result {
                problems.push(format!("{}: {}; {}", camera.name, with_causes(&error), error.help()));
            }
            problems
        };
        spawn_blocking(work).await.unwrap_or_default()
    }
}

/// The parameters of all cameras. Clones are the same parameters.
#[derive(Clone, Debug)]
pub(super) struct Parameters {
    cameras: Arc<Mutex<Vec<Arc<Controlled>>>>,
    changed: UnboundedSender<Vec<Parameter>>,
}

impl Parameters {
    /// Returns the parameters of no camera, and those that clients set, for all subscribers.
    pub(super) fn new() -> (Self, UnboundedReceiver<Vec<Parameter>>) {
        let (changed, changes) = unbounded_channel();
        (Self { cameras: Arc::default(), changed }, changes)
    }

    pub(super) fn add(&self, name: &str, session: &Session) {
        let (name, session) = (name.to_owned(), session.clone());
        let camera = Controlled { name, session, values: Mutex::default(), turn: tokio::sync::Mutex::default() };
        locked(&self.cameras).push(Arc::new(camera));
    }

    pub(super) fn remove(&self, name: &str) {
        locked(&self.cameras).retain(|camera| camera.name != name);
    }

    /// Returns the camera and the setting of a parameter.
    fn find(&self, parameter: &str) -> Result<(Arc<Controlled>, &'static str), String> {
        let (camera, key) = parameter.strip_prefix('/').and_then(|name| name.rsplit_once('/')).unwrap_or_default();
        let camera = locked(&self.cameras).iter().find(|known| known.name == camera).cloned();
        let setting = SETTINGS.iter().find(|setting| setting.key == key);
        match camera.zip(setting) {
            Some((camera, _)) if !camera.takes_controls() => Err(format!(
                "{} does not support settings, or has not said so yet: its application has to be one that oaktap built",
                camera.name
            )),
            Some((camera, setting)) => Ok((camera, setting.key)),
            None => Err(format!("unknown parameter `{parameter}`; expected one such as /front/exposure")),
        }
    }

    fn all(&self) -> Vec<Parameter> {
        let cameras = locked(&self.cameras).clone();
        let settable = cameras.iter().filter(|camera| camera.takes_controls());
        settable.flat_map(|camera| SETTINGS.iter().map(|setting| camera.parameter(setting.key))).collect()
    }

    async fn set_all(self, client: AnyClient, wanted: Vec<Parameter>, responder: SetParametersResponder) {
        let mut problems = Vec::new();
        let mut named = Vec::new();
        let mut orders: Vec<(Arc<Controlled>, Vec<String>)> = Vec::new();
        if wanted.len() > SET_MAX {
            problems.push(format!("a request sets {} parameters; expected at most {SET_MAX}", wanted.len()));
        }
        for parameter in wanted.into_iter().take(SET_MAX) {
            let (camera, key) = match self.find(&parameter.name) {
                Ok(found) => found,
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
            named.push((Arc::clone(&camera), key));
            let order = format!("{key}={}", text_of(parameter.value.as_ref()));
            if let Err(problem) = check_order(&order) {
                problems.push(format!("{}: {problem}", camera.name));
                continue;
            }
            match orders.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &camera)) {
                Some((_, orders)) => orders.push(order),
                None => orders.push((camera, vec![order])),
            }
        }
        for (camera, orders) in orders {
            problems.extend(camera.set(orders).await);
        }
        for problem in problems {
            tracing::warn!("parameters: {problem}");
            client.send_warning(problem);
        }
        let values: Vec<_> = named.iter().map(|(camera, key)| camera.parameter(key)).collect();
        responder.respond(values.clone());
        // The publisher ends before its sender.
        let _ = self.changed.send(values);
    }
}

/// Returns a value as the text of an order.
fn text_of(value: Option<&ParameterValue>) -> String {
    match value {
        Some(ParameterValue::Integer(number)) => number.to_string(),
        Some(ParameterValue::Float64(number)) => number.to_string(),
        Some(ParameterValue::String(text)) => text.clone(),
        Some(ParameterValue::Bool(value)) => value.to_string(),
        Some(ParameterValue::Array(_) | ParameterValue::Dict(_)) | None => String::new(),
    }
}

impl ParameterHandler for Parameters {
    fn get(&self, _: AnyClient, names: Vec<String>, _: Option<String>, responder: GetParametersResponder) {
        let mut parameters = self.all();
        if !names.is_empty() {
            parameters.retain(|parameter| names.contains(&parameter.name));
        }
        responder.respond(parameters);
    }

    fn set(&self, client: AnyClient, wanted: Vec<Parameter>, _: Option<String>, responder: SetParametersResponder) {
        tokio::spawn(self.clone().set_all(client, wanted, responder));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_orders() {
        for (value, text) in [
            (ParameterValue::Integer(120), "120"),
            (ParameterValue::Float64(8000.0), "8000"),
            (ParameterValue::Float64(0.5), "0.5"),
            (ParameterValue::String("auto".to_owned()), "auto"),
            (ParameterValue::Array(Vec::new()), ""),
        ] {
            assert_eq!(text_of(Some(&value)), text);
        }
    }
}
