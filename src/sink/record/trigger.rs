//! Triggers of recordings, and the frames before them.

use std::collections::VecDeque;
use std::str::FromStr;
use std::time::Duration;

use crate::frame::{Detection, Frame, LabelMap};
use crate::recording::schema::{IncidentKind, RecordedIncident};

/// Detections that start a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// Name or number of the label.
    pub label: String,
    /// The confidence must be above this, 0 to 1.
    pub above: f32,
    /// Time to record before the first such detection.
    pub pre: Duration,
    /// Time to record after the last such detection.
    pub post: Duration,
    /// Memory in bytes for frames before the detection. If it is too small, `pre` is shorter.
    pub pre_bytes: usize,
}

/// A trigger that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a trigger: expected a label and a confidence below 1, such as {example}{}", self.shell())]
pub struct TriggerError {
    text: String,
    example: String,
}

impl TriggerError {
    fn new(text: &str) -> Self {
        // `LABEL>0.6` without quotes arrives as `LABEL`.
        let is_label = !text.trim().is_empty() && !text.contains(['<', '=', '>']);
        let example = if is_label { format!("'{}>0.6'", text.trim()) } else { "'person>0.6'".to_owned() };
        Self { text: text.to_owned(), example }
    }

    fn shell(&self) -> &'static str {
        if self.text.contains('>') {
            ""
        } else {
            "; without the quotes, the shell takes `>` as the name of a file to write"
        }
    }
}

impl FromStr for Trigger {
    type Err = TriggerError;

    /// Parses `person>0.6` or `57 > 60%`. Records 5 s before and 10 s after, with 256 MB.
    fn from_str(text: &str) -> Result<Self, TriggerError> {
        let parsed = || {
            let (label, above) = text.split_once('>')?;
            let (label, above) = (label.trim(), above.trim());
            let above = match above.strip_suffix('%') {
                Some(percent) => percent.trim_end().parse::<f32>().ok()? / 100.0,
                None => above.parse().ok()?,
            };
            let is_class = !label.is_empty() && !label.contains(['<', '=', '>']);
            (is_class && (0.0..1.0).contains(&above)).then(|| Self {
                label: label.to_owned(),
                above,
                pre: Duration::from_secs(5),
                post: Duration::from_secs(10),
                pre_bytes: 256_000_000,
            })
        };
        parsed().ok_or_else(|| TriggerError::new(text))
    }
}

impl std::fmt::Display for Trigger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}>{}", self.label, self.above)
    }
}

impl Trigger {
    /// Returns the first detection of the frame that matches, as text. The frame's own label names take precedence over
    /// `names`.
    pub(super) fn matched(&self, frame: &Frame, names: Option<&LabelMap>) -> Option<String> {
        let names = LabelMap::first_known([frame.labels.as_deref(), names]);
        let matches = |seen: &&Detection| seen.confidence > self.above && names.matches(seen.label, &self.label);
        let seen = frame.detections.iter().find(matches)?;
        Some(format!("{self}: {} {:.0} %", names.title(seen.label), seen.confidence * 100.0))
    }
}

/// Time without a match after which the next match counts as another firing of the trigger, in nanoseconds.
const FIRING_PAUSE_NS: u64 = 1_000_000_000;

/// Marks the frames at which a trigger fires.
#[derive(Debug, Default)]
pub(super) struct Firings {
    /// Arrival of the last frame that matched.
    last_ns: Option<u64>,
}

impl Firings {
    /// Takes a frame that matched, and returns the incident to record after it, unless the trigger has fired in the last
    /// second already.
    pub(super) fn mark(&mut self, text: String, mono_ns: u64) -> Option<RecordedIncident> {
        let last_ns = self.last_ns.replace(mono_ns);
        let is_first = last_ns.is_none_or(|last_ns| mono_ns.saturating_sub(last_ns) >= FIRING_PAUSE_NS);
        is_first.then(|| RecordedIncident {
            kind: IncidentKind::Trigger.to_string(),
            text,
            ..RecordedIncident::default()
        })
    }
}

/// What an item needs to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Nothing: a picture, or an incident.
    Alone,
    /// A key frame of this camera's video.
    KeyFrame(usize),
    /// The frames since the last key frame of this camera's video.
    Dependent(usize),
}

/// The last seconds before a trigger, in bounded memory. Video reaches back to the key frame before.
#[derive(Debug)]
pub(super) struct PreTriggerBuffer<T> {
    items: VecDeque<Buffered<T>>,
    bytes: usize,
}

#[derive(Debug)]
struct Buffered<T> {
    item: T,
    mono_ns: u64,
    bytes: usize,
    unit: Unit,
}

impl<T> Default for PreTriggerBuffer<T> {
    fn default() -> Self {
        Self { items: VecDeque::new(), bytes: 0 }
    }
}

impl<T> PreTriggerBuffer<T> {
    /// Adds an item. Returns the items that are now too old or exceed the memory, the oldest first.
    pub(super) fn push(&mut self, item: T, mono_ns: u64, bytes: usize, unit: Unit, trigger: &Trigger) -> Vec<T> {
        self.items.push_back(Buffered { item, mono_ns, bytes, unit });
        self.bytes += bytes;
        self.trim(mono_ns, trigger)
    }

    /// Removes and returns the items that are too old at this time, exceed the memory, or depend on one that was removed.
    pub(super) fn trim(&mut self, mono_ns: u64, trigger: &Trigger) -> Vec<T> {
        let pre = u64::try_from(trigger.pre.as_nanos()).unwrap_or(u64::MAX);
        let is_old = |item: &Buffered<T>| mono_ns.saturating_sub(item.mono_ns) > pre;
        let mut removed = Vec::new();
        while let Some(oldest) = self.items.front() {
            let is_needless = match oldest.unit {
                Unit::Alone => is_old(oldest),
                Unit::Dependent(_) => true,
                // Frames after it that are not too old need it, unless the next key frame is too old as well.
                key => self.items.iter().take_while(|item| is_old(item)).skip(1).any(|item| item.unit == key),
            };
            if !is_needless && self.bytes <= trigger.pre_bytes {
                break;
            }
            removed.extend(self.pop().map(|(item, _)| item));
        }
        removed
    }

    /// Removes the oldest item.
    pub(super) fn pop(&mut self) -> Option<(T, Unit)> {
        let Buffered { item, bytes, unit, .. } = self.items.pop_front()?;
        self.bytes -= bytes;
        Some((item, unit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trigger(text: &str) -> Trigger {
        text.parse().expect("a trigger")
    }

    #[test]
    fn a_trigger_is_a_label_and_a_confidence() {
        for (text, label, above) in
            [("person>0.6", "person", 0.6), (" cell phone > 60% ", "cell phone", 0.6), ("57>0", "57", 0.0)]
        {
            let found = trigger(text);
            assert_eq!((found.label.as_str(), found.above), (label, above), "{text}");
        }
        for wrong in
            ["", "person", ">0.5", "person>", "person>1", "person>=0.5", "person<0.5", "person>-1", "a>nan", "a>60"]
        {
            let error = wrong.parse::<Trigger>().expect_err(wrong);
            assert!(error.to_string().starts_with(&format!("`{wrong}` is not a trigger")), "{error}");
        }
        let error = "cell phone".parse::<Trigger>().expect_err("the shell took the rest").to_string();
        assert_eq!(
            error,
            "`cell phone` is not a trigger: expected a label and a confidence below 1, such as 'cell phone>0.6'; without \
             the quotes, the shell takes `>` as the name of a file to write"
        );
    }

    #[test]
    fn a_trigger_matches_label_and_confidence() {
        let mut frame = Frame::default();
        let names: LabelMap = ["helmet", "person"].into_iter().collect();
        assert!(trigger("person>0").matched(&frame, None).is_none(), "no detections");
        for (label, confidence) in [(0, 0.7), (2, f32::NAN)] {
            frame.detections.push(Detection { label, confidence, ..Detection::default() });
        }
        assert!(
            trigger("Person>0.6").matched(&frame, None).is_some() && trigger("0>0.6").matched(&frame, None).is_some()
        );
        assert_eq!(trigger("person>0.6").matched(&frame, None).as_deref(), Some("person>0.6: person 70 %"));
        assert!(trigger("person>0.7").matched(&frame, None).is_none(), "above, not at");
        assert!(trigger("car>0").matched(&frame, None).is_none(), "NaN is not above 0");
        assert!(
            trigger("person>0.6").matched(&frame, Some(&names)).is_none(),
            "the user's names replace those of COCO"
        );
        frame.labels = Some(std::sync::Arc::new(["person"].into_iter().collect()));
        assert!(trigger("person>0.6").matched(&frame, Some(&names)).is_some(), "the stream's names take precedence");
    }

    #[test]
    fn a_trigger_fires_again_after_a_second_without_a_match() {
        let mut firings = Firings::default();
        let ms = [0, 400, 1300, 2400, 3400, 4300];
        let fired: Vec<_> = ms.into_iter().filter(|ms| firings.mark(String::new(), ms * 1_000_000).is_some()).collect();
        assert_eq!(fired, [0, 2400, 3400]);
    }

    #[test]
    fn the_pre_trigger_buffer_is_bounded_by_time_and_bytes() {
        let bounds = Trigger { pre: Duration::from_nanos(10), pre_bytes: 100, ..trigger("a>0") };
        let mut buffer = PreTriggerBuffer::default();
        assert_eq!(buffer.push('a', 0, 10, Unit::Alone, &bounds), []);
        assert_eq!(buffer.push('b', 10, 10, Unit::Alone, &bounds), []);
        assert_eq!(buffer.push('c', 11, 10, Unit::Alone, &bounds), ['a'], "too old");
        assert_eq!(buffer.push('d', 11, 90, Unit::Alone, &bounds), ['b'], "too many bytes");
        assert_eq!(buffer.push('e', 11, 1000, Unit::Alone, &bounds), ['c', 'd', 'e'], "larger than the memory");
        assert_eq!((buffer.pop(), buffer.bytes), (None, 0));
        buffer.push('f', 12, 5, Unit::Alone, &bounds);
        assert_eq!((buffer.pop(), buffer.bytes), (Some(('f', Unit::Alone)), 0));
    }

    #[test]
    fn video_before_a_trigger_begins_at_a_key_frame() {
        let bounds = Trigger { pre: Duration::from_nanos(10), pre_bytes: 100, ..trigger("a>0") };
        let mut buffer = PreTriggerBuffer::default();
        assert_eq!(buffer.push('a', 0, 10, Unit::Dependent(0), &bounds), ['a'], "its key frame was not received");
        assert_eq!(buffer.push('K', 5, 10, Unit::KeyFrame(0), &bounds), []);
        assert_eq!(buffer.push('b', 10, 10, Unit::Dependent(0), &bounds), []);
        assert_eq!(buffer.push('c', 17, 10, Unit::Dependent(0), &bounds), [], "`b` needs the key frame");
        assert_eq!(buffer.push('L', 20, 10, Unit::KeyFrame(0), &bounds), []);
        assert_eq!(buffer.push('d', 30, 10, Unit::Dependent(0), &bounds), []);
        assert_eq!(
            buffer.push('e', 31, 10, Unit::Dependent(0), &bounds),
            ['K', 'b', 'c'],
            "the next key frame is older"
        );
        assert_eq!(buffer.push('f', 32, 75, Unit::Dependent(0), &bounds), ['L', 'd', 'e', 'f'], "too many bytes");
        assert_eq!(buffer.pop(), None);
    }
}
