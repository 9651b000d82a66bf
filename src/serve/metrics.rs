//! `/metrics`: counts for Prometheus, read from the ledgers at each request. Clients that do not ask for the OpenMetrics text format
//! get the one before it, as from other exporters.

use std::fmt;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::camera::ServedCamera;
use super::routes::Server;
use super::viewer::ViewerCounts;
use crate::source::{Session, SessionState};
use crate::stats::{Rates, Stats};

/// Format of the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    OpenMetrics,
    /// The text format of Prometheus before OpenMetrics, which `promtool check metrics` reads.
    Text,
}

impl Format {
    /// Returns the format that a client accepts.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let accepts = |value: &HeaderValue| value.as_bytes().windows(16).any(|part| part == b"openmetrics-text");
        if headers.get_all(header::ACCEPT).iter().any(accepts) { Self::OpenMetrics } else { Self::Text }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Converts OpenMetrics to the older text format, which describes counters with `_total` and has neither units nor an end.
fn classic(text: &str) -> String {
    let counters: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut converted = String::with_capacity(text.len());
    for line in text.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(kind), Some(name), Some(rest)) if counters.contains(&name) => {
                converted.extend(["# ", kind, " ", name, "_total ", rest]);
            }
            _ => converted.push_str(line),
        }
        converted.push('\n');
    }
    converted
}

/// Names and values of labels. Viewers have no labels of their own: series would grow with each of them.
type Labels = Vec<(&'static str, String)>;

/// A metric with a value for each set of labels.
struct Family {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    values: Values,
}

enum Values {
    Counters(Vec<(Labels, u64)>),
    Gauges(Vec<(Labels, f64)>),
}

impl Family {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Self { name, help, unit, values } = self;
        match values {
            Values::Counters(values) => {
                let mut metric = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
                values.iter().try_for_each(|(labels, value)| {
                    metric.encode_family(labels)?.encode_counter::<NoLabelSet, u64, f64>(value, None)
                })
            }
            Values::Gauges(values) => {
                let mut metric = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
                values.iter().try_for_each(|(labels, value)| metric.encode_family(labels)?.encode_gauge(value))
            }
        }
    }
}

/// A copy of the counts of one camera, or of one of its further streams.
struct Sample {
    camera: String,
    /// `None` for a further stream: its frames are among those of the camera.
    received: Option<Received>,
    encoded: u64,
    viewers: Vec<ViewerCounts>,
}

/// Counts of the frames that a camera sends.
struct Received {
    is_streaming: bool,
    /// Rates of now.
    rates: Rates,
    stats: Stats,
    recording: Recording,
}

/// The recording of a camera.
struct Recording {
    is_active: bool,
    is_paused: bool,
    /// Frames in no file of all recordings so far.
    missing: u64,
}

impl Recording {
    fn new(camera: &ServedCamera) -> Self {
        let state = camera.recording.state();
        let is_paused = state.as_ref().is_some_and(|recording| recording.is_paused());
        Self { is_active: state.is_some(), is_paused, missing: camera.recording.missing() }
    }
}

impl Received {
    fn new(camera: &ServedCamera, session: &Session) -> Self {
        let (state, stats) = (session.state(), session.stats());
        let is_streaming = matches!(state, SessionState::Streaming);
        Self { is_streaming, rates: state.rates_now(stats.rates()), stats, recording: Recording::new(camera) }
    }
}

impl Sample {
    fn labels(&self, more: &[(&'static str, &str)]) -> Labels {
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        std::iter::once(("camera", self.camera.clone())).chain(more).collect()
    }
}

#[derive(Debug)]
struct Cameras(Arc<Server>);

impl Cameras {
    fn samples(&self) -> Vec<Sample> {
        let sample = |(camera, session): (&Arc<ServedCamera>, &Session)| Sample {
            camera: camera.name.clone(),
            received: camera.stream().is_none().then(|| Received::new(camera, session)),
            encoded: camera.encoded(),
            viewers: camera.viewers.by_kind(),
        };
        self.0.each().map(sample).collect()
    }
}

impl Collector for Cameras {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        families(&self.samples()).iter().try_for_each(|family| family.encode(&mut encoder))
    }
}

fn families(samples: &[Sample]) -> Vec<Family> {
    let received = || samples.iter().filter_map(|sample| Some((sample, sample.received.as_ref()?)));
    let counter = |name, help, unit, count: fn(&Received) -> u64| {
        let values = received().map(|(sample, received)| (sample.labels(&[]), count(received))).collect();
        Family { name, help, unit, values: Values::Counters(values) }
    };
    let gauge = |name, help, value: fn(&Received) -> f64| {
        let values = received().map(|(sample, received)| (sample.labels(&[]), value(received))).collect();
        Family { name, help, unit: None, values: Values::Gauges(values) }
    };
    let outcomes = |(sample, received): (&Sample, &Received)| {
        let frames = received.stats.frames;
        let outcomes = [("confirmed", frames.confirmed), ("withdrawn", frames.withdrawn), ("lost", frames.lost)];
        outcomes.map(|(outcome, count)| (sample.labels(&[("outcome", outcome)]), count))
    };
    let temperature = |(sample, received): (&Sample, &Received)| {
        let celsius = received.stats.health.celsius.filter(|_| received.is_streaming)?;
        Some((sample.labels(&[]), f64::from(celsius.last)))
    };
    let encoded = samples.iter().map(|sample| (sample.labels(&[]), sample.encoded)).collect();
    let of_viewers = |values: fn(&Sample, &ViewerCounts) -> Vec<(Labels, u64)>| -> Vec<(Labels, u64)> {
        let viewers = samples.iter().flat_map(|sample| sample.viewers.iter().map(move |counts| (sample, counts)));
        viewers.flat_map(|(sample, counts)| values(sample, counts)).collect()
    };
    let viewer_frames = of_viewers(|sample, counts| {
        let outcomes = [("sent", counts.sent), ("superseded", counts.superseded)];
        let labels = |outcome| sample.labels(&[("kind", counts.kind.name()), ("outcome", outcome)]);
        outcomes.map(|(outcome, count)| (labels(outcome), count)).to_vec()
    });
    let viewer_bytes =
        of_viewers(|sample, counts| vec![(sample.labels(&[("kind", counts.kind.name())]), counts.bytes)]);
    let present = of_viewers(|sample, counts| vec![(sample.labels(&[("kind", counts.kind.name())]), counts.viewers)]);
    vec![
        gauge("oaktap_camera_streaming", "1 while frames arrive", |received| {
            f64::from(u8::from(received.is_streaming))
        }),
        Family {
            name: "oaktap_frames",
            help: "Frames by outcome",
            unit: None,
            values: Values::Counters(received().flat_map(outcomes).collect()),
        },
        gauge("oaktap_frames_missing", "Frames of which nothing arrived, by number or by estimate", |received| {
            received.stats.frames.missing as f64
        }),
        gauge("oaktap_frame_rate", "Frames per second over the last 120 frames", |received| received.rates.fps_arrival),
        counter("oaktap_received", "Bytes received", Some(Unit::Bytes), |received| received.stats.bytes().received),
        counter("oaktap_connections", "Connections opened", None, |received| received.stats.connections),
        gauge("oaktap_frames_dropped_by_camera", "Frames that the camera reports to have dropped", |received| {
            received.stats.dropped_by_camera as f64
        }),
        Family {
            name: "oaktap_camera_temperature",
            help: "Temperature of the chip, while frames arrive and if the camera reports it",
            unit: Some(Unit::Celsius),
            values: Values::Gauges(received().filter_map(temperature).collect()),
        },
        gauge("oaktap_recording_active", "1 while the camera is recorded", |received| {
            f64::from(u8::from(received.recording.is_active))
        }),
        gauge("oaktap_recording_paused", "1 while a recording cannot write, such as to a full disk", |received| {
            f64::from(u8::from(received.recording.is_paused))
        }),
        counter("oaktap_frames_not_recorded", "Frames in no file although the camera was recorded", None, |received| {
            received.recording.missing
        }),
        Family {
            name: "oaktap_pictures_encoded",
            help: "Pictures encoded for viewers",
            unit: None,
            values: Values::Counters(encoded),
        },
        Family {
            name: "oaktap_viewers",
            help: "Viewers that are connected",
            unit: None,
            values: Values::Gauges(present.into_iter().map(|(labels, count)| (labels, count as f64)).collect()),
        },
        Family {
            name: "oaktap_viewer_frames",
            help: "Frames for viewers by outcome",
            unit: None,
            values: Values::Counters(viewer_frames),
        },
        Family {
            name: "oaktap_viewer_sent",
            help: "Bytes sent to viewers",
            unit: Some(Unit::Bytes),
            values: Values::Counters(viewer_bytes),
        },
    ]
}

/// Returns all counts as text.
pub(super) fn text(server: Arc<Server>, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Cameras(server)));
    let mut text = String::new();
    // Writing into a `String` cannot fail.
    let _ = encode(&mut text, &registry);
    if format == Format::Text { classic(&text) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_becomes_the_format_before_it() {
        let text = "# HELP a_bytes Bytes counter of\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\na_bytes_total{b=\"c\"} 1\n\
                    # HELP d Rate\n# TYPE d gauge\nd 2.5\n# EOF\n";
        let expected = "# HELP a_bytes_total Bytes counter of\n# TYPE a_bytes_total counter\na_bytes_total{b=\"c\"} 1\n\
                        # HELP d Rate\n# TYPE d gauge\nd 2.5\n";
        assert_eq!(classic(text), expected);
    }
}
