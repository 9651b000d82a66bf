//! Opens the connection to a broker, and explains why that fails.

use std::time::Duration;

use rumqttc::{LastWill, SubscribeFilter};

use crate::frame::{Frame, MemoryBound, Pool};
use crate::net::mqtt::{Client, GONE_HELP, Opening};
use crate::source::{Backoff, MqttSpec, SourceErrorClass, SourceErrorKind, connect, keep_alive};

/// Time to connect, and for each answer of the broker.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Delay before the next attempt when the broker has refused us: nothing changes soon.
const REFUSED_DELAY: Duration = Duration::from_secs(10);

/// Longest packet that is received. Requests for pictures are small.
const RECEIVED_MAX_BYTES: usize = 64 << 10;

/// Returns the bound on the memory for received packets.
pub(super) fn bound() -> MemoryBound {
    Pool::<Frame>::bounded(4 * RECEIVED_MAX_BYTES).bound().clone()
}

/// Connects to a broker.
pub(super) async fn open(
    spec: MqttSpec,
    identifier: String,
    last_will: LastWill,
    filters: Vec<SubscribeFilter>,
    bound: MemoryBound,
) -> Result<Client, SourceErrorKind> {
    let stream = connect(&spec.host, spec.port, ANSWER_TIMEOUT).await?;
    keep_alive(&stream);
    // Events and answers are small, and somebody waits for them.
    let _ = stream.set_nodelay(true);
    let opening = Opening {
        tls: spec.tls.then_some((&spec.host, spec.insecure)),
        identifier: &identifier,
        login: spec.login(),
        last_will: Some(last_will),
        filters,
        // A broker that refuses the subscription still takes all messages; nobody can request pictures then.
        required: 0,
        timeout: ANSWER_TIMEOUT,
        max: RECEIVED_MAX_BYTES,
        // Messages of quality of service 0, which the filters ask for, have no answers.
        output_max: usize::MAX,
        bound: &bound,
    };
    Ok(Client::open(opening, stream).await?)
}

/// Returns the delay before the next attempt. `was_good`: the connection lasted.
pub(super) fn delay(error: &SourceErrorKind, backoff: &mut Backoff, was_good: bool) -> Duration {
    match error {
        SourceErrorKind::Mqtt(error) if error.class() != SourceErrorClass::Retry => REFUSED_DELAY,
        error => backoff.delay(was_good, is_refused(error)),
    }
}

fn is_refused(error: &SourceErrorKind) -> bool {
    matches!(error, SourceErrorKind::Connect(error) if error.kind() == std::io::ErrorKind::ConnectionRefused)
}

/// Returns the next step for the user. `was_connected`: the broker has accepted a connection before.
pub(super) fn help(error: &SourceErrorKind, was_connected: bool) -> Option<&'static str> {
    match error {
        SourceErrorKind::Mqtt(error) => error.help(was_connected),
        _ if was_connected => Some(GONE_HELP),
        error if is_refused(error) => {
            Some("no broker listens on this port; on the broker's host, `mosquitto -p 1883` starts one")
        }
        SourceErrorKind::Resolve(_) | SourceErrorKind::Connect(_) | SourceErrorKind::ConnectTimeout(_) => {
            Some("check the name and the port of the broker, and whether this host reaches it")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::net::mqtt::MqttError;

    #[test]
    fn the_help_names_the_port_only_before_the_first_connection() {
        let refused = SourceErrorKind::Connect(io::ErrorKind::ConnectionRefused.into());
        for error in [refused, SourceErrorKind::Mqtt(MqttError::Closed)] {
            assert!(help(&error, false).is_some_and(|help| help.contains("port")), "{error}");
            assert_eq!(help(&error, true), Some(GONE_HELP), "{error}");
        }
        let password = SourceErrorKind::Mqtt(MqttError::Password { given: true });
        assert_eq!(help(&password, true), help(&password, false), "the broker answers");
    }
}
