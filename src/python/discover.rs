//! `oaktap.discover`.

use std::net::Ipv4Addr;
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use super::error::OaktapError;
use super::{stream, value};
use crate::discovery::Subnet;
use crate::net::discovery::{RESPONSE_WINDOW, Targets, find};

/// Interval at which a search looks for Ctrl-C.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(100);

// The signature that Python shows has numbers only.
const _: () = assert!(crate::discovery::PORT == 11491);

/// Finds cameras by UDP on the networks of this host, as `oaktap list` does, and waits `wait` seconds for answers. Returns objects with
/// `id`, `addresses` (`ip`, `interface`), `state`, `platform` and `link`. Changes nothing on a camera.
#[pyfunction]
#[pyo3(signature = (*, wait = None, addresses = None, subnets = None, broadcast = true, port = 11491))]
pub(super) fn discover<'py>(
    py: Python<'py>,
    wait: Option<f64>,
    addresses: Option<Vec<String>>,
    subnets: Option<Vec<String>>,
    broadcast: bool,
    port: u16,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let window = stream::timeout(wait)?.unwrap_or(RESPONSE_WINDOW);
    let address = |text: &String| {
        text.parse::<Ipv4Addr>()
            .map_err(|_| PyValueError::new_err(format!("invalid address `{text}`: expected one such as 192.168.1.50")))
    };
    let addresses = addresses.unwrap_or_default().iter().map(address).collect::<PyResult<_>>()?;
    let subnet = |text: &String| text.parse::<Subnet>().map_err(|error| PyValueError::new_err(error.to_string()));
    let subnets = subnets.unwrap_or_default().iter().map(subnet).collect::<PyResult<_>>()?;
    let targets = Targets { broadcast, addresses, subnets, port, ..Targets::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut search = Box::pin(async move { find(&targets, window, |_| false).await });
    let survey = loop {
        let step = py.detach(|| runtime.block_on(async { tokio::time::timeout(SIGNAL_INTERVAL, &mut search).await }));
        match step {
            Ok(survey) => break survey.map_err(|error| OaktapError::new_err(error.to_string()))?,
            Err(_) => py.check_signals()?,
        }
    };
    if let [unsent, ..] = &*survey.unsent
        && survey.cameras.is_empty()
        && survey.queried.is_empty()
    {
        return Err(PyOSError::new_err(unsent.to_string()));
    }
    survey.cameras.iter().map(|camera| value::fields(py, camera)).collect()
}
