//! Sliders in the side panel that set the camera: lens, exposure, gain and white balance.
//!
//! Only for applications that announce that they take these records. A thread for each camera sends them over a connection of
//! its own, the newest value of each setting.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::design::Ink;
use super::pen::Pen;
use crate::overlay::Rect;
use crate::source::SourceSpec;
use crate::source::control::control;

/// Longest wait for the connection, and for each answer of the camera.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A setting of the camera.
#[derive(Debug, PartialEq)]
struct Setting {
    /// Its key in control records.
    key: &'static str,
    unit: &'static str,
    low: u32,
    high: u32,
    /// Equal distances on the slider are equal factors, not equal differences.
    logarithmic: bool,
    /// The record that lets the camera decide.
    auto: Option<&'static str>,
}

/// Ranges are those of the application (`device/script.py`), except that no usual frame rate allows longer exposures.
const SETTINGS: [Setting; 4] = [
    Setting { key: "lens", unit: "", low: 0, high: 255, logarithmic: false, auto: Some("focus=auto") },
    Setting { key: "exposure", unit: " us", low: 20, high: 33_000, logarithmic: true, auto: Some("exposure=auto") },
    Setting { key: "iso", unit: "", low: 100, high: 1600, logarithmic: true, auto: None },
    Setting { key: "wb", unit: " K", low: 1000, high: 12_000, logarithmic: false, auto: Some("wb=auto") },
];

impl Setting {
    /// Returns the value at a share of the slider, 0 to 1.
    fn value(&self, share: f64) -> u32 {
        let (low, high, share) = (f64::from(self.low), f64::from(self.high), share.clamp(0.0, 1.0));
        let value = if self.logarithmic { low * (high / low).powf(share) } else { low + (high - low) * share };
        // Two digits of longer values: nobody sets 8137 us.
        let step = 10_f64.powi((value.log10().floor() as i32).saturating_sub(1).max(0));
        let value = if self.high > 1000 { (value / step).round() * step } else { value.round() };
        value.clamp(low, high) as u32
    }

    /// Returns the record that sends a value.
    fn order(&self, sent: Sent) -> Option<String> {
        match sent {
            Sent::Unknown => None,
            Sent::Auto => self.auto.map(str::to_owned),
            Sent::Value(value) => Some(format!("{}={value}", self.key)),
        }
    }

    fn share(&self, value: u32) -> f64 {
        let (low, high, value) = (f64::from(self.low), f64::from(self.high), f64::from(value));
        let share =
            if self.logarithmic { (value / low).ln() / (high / low).ln() } else { (value - low) / (high - low) };
        share.clamp(0.0, 1.0)
    }
}

/// The last value that was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Sent {
    /// Cameras do not tell their values.
    #[default]
    Unknown,
    Auto,
    Value(u32),
}

/// One camera, from its first setting on.
#[derive(Debug)]
struct Controlled {
    camera: usize,
    sent: [Sent; SETTINGS.len()],
    orders: Sender<Order>,
}

/// A setting to make: its index, and the text of its record.
type Order = (usize, String);

/// Orders that a camera did not carry out.
#[derive(Debug)]
struct Failure {
    camera: usize,
    orders: Vec<String>,
    why: String,
}

/// Place of a slider in the window.
#[derive(Clone, Copy, Debug)]
struct Slider {
    setting: usize,
    bar: Rect,
    auto: Rect,
}

/// The sliders.
#[derive(Debug)]
pub(super) struct Controls {
    controlled: Vec<Controlled>,
    /// Camera whose sliders were drawn last, and their places.
    shown: Option<usize>,
    sliders: Vec<Slider>,
    failures: (Sender<Failure>, Receiver<Failure>),
}

impl Default for Controls {
    fn default() -> Self {
        Self { controlled: Vec::new(), shown: None, sliders: Vec::new(), failures: channel() }
    }
}

impl Controls {
    /// Returns the height of the sliders.
    pub(super) fn height(pen: &Pen<'_>) -> i32 {
        (SETTINGS.len() as i32) * Self::row(pen)
    }

    fn row(pen: &Pen<'_>) -> i32 {
        pen.design.line() + 3 * pen.design.space()
    }

    /// Forgets where the sliders are: they are not drawn.
    pub(super) fn hide(&mut self) {
        self.shown = None;
        self.sliders.clear();
    }

    /// Draws the sliders of a camera with the values sent last.
    pub(super) fn draw(&mut self, pen: &mut Pen<'_>, at: Rect, camera: usize) {
        self.hide();
        self.shown = Some(camera);
        let (space, line, row) = (pen.design.space(), pen.design.line(), Self::row(pen));
        let sent = self.of(camera).map_or([Sent::Unknown; SETTINGS.len()], |known| known.sent);
        for (setting, sent) in SETTINGS.iter().zip(sent) {
            let n = self.sliders.len() as i32;
            let y = at.y + n * row;
            let value = match sent {
                Sent::Unknown => "not set".to_owned(),
                Sent::Auto => "auto".to_owned(),
                Sent::Value(value) => format!("{value}{}", setting.unit),
            };
            pen.write(at.x, y, Ink::Dim, setting.key);
            let x = at.x + 9 * pen.advance();
            pen.write(x, y, Ink::Text, &value);
            let wide = pen.width("auto");
            let auto = Rect::new(at.right() - wide, y, wide, line);
            if setting.auto.is_some() {
                pen.write(auto.x, y, if sent == Sent::Auto { Ink::Good } else { Ink::Dim }, "auto");
            }
            let bar = Rect::new(at.x, y + line, at.width, space);
            pen.fill(bar, Ink::Dim);
            if let Sent::Value(value) = sent {
                let gone = (setting.share(value) * f64::from(bar.width)).round() as i32;
                pen.fill(Rect { width: gone, ..bar }, Ink::Good);
                let handle = (bar.x + gone - space / 2).clamp(bar.x, bar.right() - space);
                pen.fill(Rect::new(handle, bar.y - space / 2, space, 2 * space), Ink::Text);
            }
            // Easier to hit than to see.
            let bar = Rect::new(bar.x, bar.y - space, bar.width, 3 * space);
            self.sliders.push(Slider { setting: n as usize, bar, auto });
        }
    }

    /// Moves the slider that was pressed at `start` to a column. Returns whether there is one.
    pub(super) fn drag(&mut self, start: (i32, i32), x: i32, spec: impl Fn(usize) -> SourceSpec) -> bool {
        let Some(slider) = self.sliders.iter().find(|slider| is_on(slider.bar, start)).copied() else { return false };
        let setting = &SETTINGS[slider.setting];
        let share = f64::from(x - slider.bar.x) / f64::from((slider.bar.width - 1).max(1));
        let value = setting.value(share);
        self.send(slider.setting, Sent::Value(value), spec);
        true
    }

    /// Lets the camera decide about the setting whose `auto` is at a point.
    pub(super) fn click(&mut self, at: (i32, i32), spec: impl Fn(usize) -> SourceSpec) {
        let Some(slider) = self.sliders.iter().find(|slider| is_on(slider.auto, at)) else { return };
        let setting = slider.setting;
        self.send(setting, Sent::Auto, spec);
    }

    /// Returns why a setting was not made, if that is new. Its value is then unknown.
    pub(super) fn failure(&mut self) -> Option<String> {
        let failures: Vec<Failure> = self.failures.1.try_iter().collect();
        for Failure { camera, orders, .. } in &failures {
            let Some(known) = self.controlled.iter_mut().find(|known| known.camera == *camera) else { continue };
            for (setting, sent) in SETTINGS.iter().zip(&mut known.sent) {
                // Not a newer value.
                if setting.order(*sent).is_some_and(|order| orders.contains(&order)) {
                    *sent = Sent::Unknown;
                }
            }
        }
        failures.into_iter().last().map(|failure| failure.why)
    }

    fn of(&self, camera: usize) -> Option<&Controlled> {
        self.controlled.iter().find(|controlled| controlled.camera == camera)
    }

    fn send(&mut self, setting: usize, sent: Sent, spec: impl Fn(usize) -> SourceSpec) {
        let (Some(camera), Some(order)) = (self.shown, SETTINGS[setting].order(sent)) else { return };
        if self.of(camera).is_none() {
            let orders = start(camera, spec(camera), self.failures.0.clone());
            self.controlled.push(Controlled { camera, sent: Default::default(), orders });
        }
        let Some(known) = self.controlled.iter_mut().find(|known| known.camera == camera) else { return };
        if known.sent[setting] != sent {
            known.sent[setting] = sent;
            // The thread ends only when it could not be started, which was reported.
            let _ = known.orders.send((setting, order));
        }
    }
}

/// Starts the thread that sends the settings of a camera. It ends with the sender.
fn start(camera: usize, spec: SourceSpec, failures: Sender<Failure>) -> Sender<Order> {
    let (sender, orders) = channel::<Order>();
    let SourceSpec::Tcp { host, port } = spec else { return sender };
    let report = failures.clone();
    let run = move || {
        while let Ok(first) = orders.recv() {
            // While a setting is being made, a slider may move on: only its newest value is sent.
            let mut newest = [const { None }; SETTINGS.len()];
            std::iter::once(first).chain(orders.try_iter()).for_each(|(setting, order)| newest[setting] = Some(order));
            let due: Vec<String> = newest.into_iter().flatten().collect();
            // Fails after the window was closed.
            let failed = |orders: &[String], why: String| {
                drop(failures.send(Failure { camera, orders: orders.to_vec(), why }));
            };
            match control(&host, port, &due, TIMEOUT) {
                Ok(answers) => answers.iter().filter(|answer| !answer.done).for_each(|answer| {
                    let why = format!("the camera refused `{}`: {}", answer.order, answer.said);
                    failed(std::slice::from_ref(&answer.order), why);
                }),
                Err(error) => failed(&due, format!("{} is not set: {error}", due.join(", "))),
            }
        }
    };
    if let Err(error) = thread::Builder::new().name("controls".to_owned()).spawn(run) {
        let why = format!("the camera cannot be set: {error}");
        let _ = report.send(Failure { camera, orders: Vec::new(), why });
    }
    sender
}

fn is_on(rect: Rect, (x, y): (i32, i32)) -> bool {
    (rect.x..rect.right()).contains(&x) && (rect.y..rect.bottom()).contains(&y)
}

#[cfg(test)]
mod tests {
    use super::super::design::Design;
    use super::*;
    use crate::device::settings;
    use crate::overlay::{Canvas, Text};

    #[test]
    fn sliders_cover_the_range_of_their_setting() {
        for setting in &SETTINGS {
            assert_eq!((setting.value(-1.0), setting.value(2.0)), (setting.low, setting.high), "{}", setting.key);
            assert_eq!((setting.value(0.0), setting.value(1.0)), (setting.low, setting.high), "{}", setting.key);
            let accepted = settings::SETTINGS.iter().find(|known| known.key == setting.key).expect("a known setting");
            assert_eq!(setting.auto.is_some(), accepted.has_auto || setting.key == "lens", "{}", setting.key);
            for value in [setting.low, setting.high] {
                assert!(accepted.accepts(&value.to_string()), "{}={value}", setting.key);
            }
            for percent in 0..=100 {
                let value = setting.value(f64::from(percent) / 100.0);
                let again = setting.value(setting.share(value));
                assert!(value.abs_diff(again) <= 1, "{}: {value} is drawn at {again}", setting.key);
            }
        }
        assert_eq!(SETTINGS[1].value(0.8), 7500, "two digits");
        assert_eq!(SETTINGS[0].value(0.5), 128);
    }

    #[test]
    fn dragging_a_slider_sends_its_values_and_shows_the_last() {
        let (mut words, mut text) = (vec![0; 300 * 200], Text::new());
        let mut pen = Pen { canvas: Canvas::new(&mut words, 300, 200), text: &mut text, design: Design::default() };
        let mut controls = Controls::default();
        let (sender, orders) = channel();
        controls.controlled.push(Controlled { camera: 3, sent: Default::default(), orders: sender });
        controls.draw(&mut pen, Rect::new(10, 20, 256, 160), 3);
        let spec = |_| -> SourceSpec { panic!("its thread runs") };
        let lens = controls.sliders[0];
        let start = (lens.bar.x + 100, lens.bar.y + 1);
        for x in [start.0, start.0 + 1, start.0 + 1, 9999] {
            assert!(controls.drag(start, x, spec));
        }
        assert!(!controls.drag((150, 22), 0, spec), "the caption is not the slider");
        let auto = controls.sliders[3].auto;
        controls.click((auto.x + 1, auto.y + 1), spec);
        let iso = controls.sliders[2].auto;
        controls.click((iso.x + 1, iso.y + 1), spec);
        let sent: Vec<_> = orders.try_iter().map(|(_, order)| order).collect();
        assert_eq!(sent, ["lens=100", "lens=101", "lens=255", "wb=auto"]);
        assert_eq!(controls.controlled[0].sent, [Sent::Value(255), Sent::Unknown, Sent::Unknown, Sent::Auto]);
        // The last value of the lens was not set, and neither was an older one of another setting.
        let failed = |orders: &[&str]| Failure {
            camera: 3,
            orders: orders.iter().map(|order| (*order).to_owned()).collect(),
            why: "no answer".to_owned(),
        };
        for failure in [failed(&["lens=255", "iso=100"]), failed(&["wb=4000"])] {
            controls.failures.0.send(failure).expect("it is received");
        }
        assert_eq!(controls.failure().as_deref(), Some("no answer"));
        assert_eq!(controls.controlled[0].sent[..], [Sent::Unknown, Sent::Unknown, Sent::Unknown, Sent::Auto]);
        assert!(controls.drag(start, 9999, spec));
        assert_eq!(orders.try_iter().map(|(_, order)| order).collect::<Vec<_>>(), ["lens=255"], "once more");
        controls.hide();
        assert!(!controls.drag(start, 0, spec), "hidden");
    }
}
