//! Turns the events of a pointer into gestures.

use minifb::{MouseButton, MouseMode};

/// Movement in pixels up to which a press and a release are a click.
const CLICK_DISTANCE: i32 = 4;

/// Time between the clicks of a double click, in milliseconds.
const DOUBLE_CLICK_MS: u32 = 400;

/// A button that does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Button {
    Left,
    Right,
}

/// An event of the pointer, at a point of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PointerEvent {
    Moved((i32, i32)),
    /// The pointer has left the window.
    Left,
    Pressed(Button, (i32, i32)),
    /// With the time of a clock in milliseconds, which may wrap around.
    Released(Button, (i32, i32), u32),
    /// Steps of the wheel, away from the user.
    Wheel((i32, i32), i8),
}

/// What the user does with the pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gesture {
    Hover(Option<(i32, i32)>),
    Press((i32, i32)),
    Click((i32, i32)),
    /// The second click at a point. The first was a [`Gesture::Click`].
    DoubleClick((i32, i32)),
    /// A movement by some pixels, with the button pressed at `start`.
    Drag {
        start: (i32, i32),
        at: (i32, i32),
        by: (i32, i32),
    },
    Menu((i32, i32)),
    Zoom((i32, i32), i8),
}

/// The left button while it is down.
#[derive(Debug)]
struct Press {
    start: (i32, i32),
    last: (i32, i32),
    moved: bool,
}

/// State of the pointer.
#[derive(Debug, Default)]
pub(super) struct Mouse {
    press: Option<Press>,
    /// Last click, with its time.
    click: Option<((i32, i32), u32)>,
}

fn is_near(a: (i32, i32), b: (i32, i32)) -> bool {
    a.0.abs_diff(b.0).max(a.1.abs_diff(b.1)) <= CLICK_DISTANCE.unsigned_abs()
}

impl Mouse {
    /// Takes the next event.
    pub(super) fn gestures(&mut self, event: PointerEvent) -> impl Iterator<Item = Gesture> + use<> {
        let (hover, gesture) = match event {
            PointerEvent::Moved(at) => (Some(Gesture::Hover(Some(at))), self.drag(at)),
            // A button that is held keeps the pointer.
            PointerEvent::Left => (Some(Gesture::Hover(None)).filter(|_| self.press.is_none()), None),
            PointerEvent::Pressed(Button::Left, at) => {
                self.press = Some(Press { start: at, last: at, moved: false });
                (None, Some(Gesture::Press(at)))
            }
            PointerEvent::Pressed(Button::Right, at) => (None, Some(Gesture::Menu(at))),
            PointerEvent::Released(Button::Left, at, ms) => (self.drag(at), self.release(at, ms)),
            PointerEvent::Released(Button::Right, ..) => (None, None),
            PointerEvent::Wheel(at, steps) => (None, Some(Gesture::Zoom(at, steps))),
        };
        hover.into_iter().chain(gesture)
    }

    fn drag(&mut self, at: (i32, i32)) -> Option<Gesture> {
        let Press { start, last, moved } = self.press.as_mut()?;
        *moved |= !is_near(*start, at);
        let by = (at.0 - last.0, at.1 - last.1);
        if !*moved || by == (0, 0) {
            return None;
        }
        *last = at;
        Some(Gesture::Drag { start: *start, at, by })
    }

    fn release(&mut self, at: (i32, i32), ms: u32) -> Option<Gesture> {
        let Press { start, moved, .. } = self.press.take()?;
        if moved {
            self.click = None;
            return None;
        }
        let is_second =
            self.click.is_some_and(|(last, since)| is_near(last, start) && ms.wrapping_sub(since) <= DOUBLE_CLICK_MS);
        // A third click is a first one.
        self.click = (!is_second).then_some((start, ms));
        Some(if is_second { Gesture::DoubleClick(at) } else { Gesture::Click(at) })
    }
}

/// Reads the pointer from minifb, where no events are to be had: clicks that are shorter than a poll are missed.
#[derive(Debug, Default)]
pub(super) struct PolledPointer {
    at: Option<(i32, i32)>,
    down: [bool; 2],
}

impl PolledPointer {
    /// Returns what has happened since the last call.
    pub(super) fn events(&mut self, window: &minifb::Window, now_ns: u64) -> Vec<PointerEvent> {
        let mut events = Vec::new();
        let at = window.get_unscaled_mouse_pos(MouseMode::Discard).map(|(x, y)| (x as i32, y as i32));
        if at != self.at {
            events.push(at.map_or(PointerEvent::Left, PointerEvent::Moved));
            self.at = at;
        }
        let Some(at) = at else { return events };
        let ms = (now_ns / 1_000_000) as u32;
        let buttons = [(Button::Left, MouseButton::Left), (Button::Right, MouseButton::Right)];
        for ((button, name), was_down) in buttons.into_iter().zip(&mut self.down) {
            let down = window.get_mouse_down(name);
            if down && !*was_down {
                events.push(PointerEvent::Pressed(button, at));
            } else if *was_down && !down {
                events.push(PointerEvent::Released(button, at, ms));
            }
            *was_down = down;
        }
        if let Some((_, steps)) = window.get_scroll_wheel().filter(|(_, steps)| *steps != 0.0) {
            events.push(PointerEvent::Wheel(at, if steps > 0.0 { 1 } else { -1 }));
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::Button::{Left, Right};
    use super::PointerEvent::{Moved, Pressed, Released, Wheel};
    use super::*;

    fn gestures(events: &[PointerEvent]) -> Vec<Gesture> {
        let mut mouse = Mouse::default();
        events.iter().flat_map(|event| mouse.gestures(*event)).collect()
    }

    #[test]
    fn clicks_are_counted_by_place_and_time() {
        let click = |at, ms| [Pressed(Left, at), Released(Left, at, ms)];
        let (press, single, double) = (Gesture::Press((5, 5)), Gesture::Click((5, 5)), Gesture::DoubleClick((5, 5)));
        let twice = |at, ms| gestures(&[click((5, 5), u32::MAX - 100), click(at, ms)].concat());
        assert_eq!(twice((5, 5), 200), [press, single, press, double], "the clock wraps around");
        assert_eq!(twice((5, 5), 900)[3], single, "too late");
        assert_eq!(twice((25, 5), 200)[3], Gesture::Click((25, 5)), "elsewhere");
        let thrice = gestures(&[click((5, 5), 0), click((5, 5), 100), click((5, 5), 200)].concat());
        assert_eq!(thrice[5], single);
    }

    #[test]
    fn a_drag_is_no_click() {
        let events = [Pressed(Left, (5, 5)), Moved((7, 5)), Moved((30, 9)), Released(Left, (31, 9), 7)];
        let drags = gestures(&events).into_iter().filter(|gesture| !matches!(gesture, Gesture::Hover(_)));
        let drag = |at, by| Gesture::Drag { start: (5, 5), at, by };
        assert_eq!(
            drags.collect::<Vec<_>>(),
            [Gesture::Press((5, 5)), drag((30, 9), (25, 4)), drag((31, 9), (1, 0))],
            "a hand that trembles does not drag, and no pixel of the way is lost"
        );
    }

    #[test]
    fn the_pointer_hovers_zooms_and_opens_the_menu() {
        let events = [Moved((1, 2)), Wheel((1, 2), -1), Pressed(Right, (1, 2)), Released(Right, (1, 2), 0)];
        let expected = [Gesture::Hover(Some((1, 2))), Gesture::Zoom((1, 2), -1), Gesture::Menu((1, 2))];
        assert_eq!(gestures(&events), expected);
        assert_eq!(gestures(&[PointerEvent::Left]), [Gesture::Hover(None)]);
        assert_eq!(gestures(&[Pressed(Left, (1, 2)), PointerEvent::Left]), [Gesture::Press((1, 2))]);
    }
}
