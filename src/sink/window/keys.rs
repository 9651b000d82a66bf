//! Maps keys to actions.
//!
//! Keys with a character are identified by it, because `?` and `+` have other places on other keyboards. Keys without a
//! character are identified by their key code.

use std::sync::mpsc::Sender;

use minifb::{InputCallback, Key};

/// An action that a key triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Ends the program. Asks before while it records.
    Quit,
    /// Closes what is open, from the question to the enlarged camera; at last ends the program.
    Escape,
    /// Answers a question.
    Yes,
    /// Pauses or continues all cameras. Starts again at the end of a recording.
    Pause,
    /// Pauses and shows the next picture.
    Step,
    /// Pauses and shows the picture before, in a recording.
    StepBack,
    /// Seeks in a recording by this number of seconds.
    Seek(i8),
    /// Seeks to the first frame of a recording.
    SeekStart,
    /// Seeks to the last frame of a recording.
    SeekEnd,
    /// Plays a recording faster.
    Faster,
    /// Plays a recording slower.
    Slower,
    /// Saves the shown pictures to files.
    Snapshot,
    /// Starts to record the shown cameras, or stops.
    Record,
    /// Switches the HUD to its next level.
    Hud,
    /// Shows or hides boxes.
    Boxes,
    /// Shows or hides labels.
    Labels,
    /// Shows or hides the trails of tracked objects.
    Trails,
    /// Raises the confidence threshold by this number of percentage points.
    Threshold(i8),
    /// Switches between the whole picture and its original size.
    ToggleZoom,
    /// Fills the screen, or returns to a window.
    Fullscreen,
    /// Enlarges text and lines by this number of steps. 0: back to the scale of the desktop.
    Scale(i8),
    /// Switches between light text on dark panels and dark text on light ones.
    Palette,
    /// Opens or closes the list of detections.
    Panel,
    /// Shows or hides the help.
    Help,
    /// Shows only this camera of the page, from 0.
    ShowOne(usize),
    /// Shows only the next camera (1) or the one before (-1).
    ShowOther(i8),
    /// Shows only the next camera that is not streaming.
    ShowAbsent,
    /// Shows the next page of cameras (1) or the one before (-1).
    Page(i8),
    /// Shows all cameras.
    ShowAll,
    /// Asks for a part of a name, and shows that camera, or only that class of boxes.
    Find,
}

const THRESHOLD_STEP_PERCENT: i8 = 5;

const SEEK_STEP_S: i8 = 5;

const SEEK_PAGE_S: i8 = 60;

impl Action {
    fn of_character(character: char) -> Option<Self> {
        Some(match character.to_ascii_lowercase() {
            'q' => Self::Quit,
            'y' => Self::Yes,
            ' ' | 'p' => Self::Pause,
            '.' => Self::Step,
            ',' => Self::StepBack,
            ']' => Self::Faster,
            '[' => Self::Slower,
            'c' => Self::Snapshot,
            'r' => Self::Record,
            'i' => Self::Hud,
            'b' => Self::Boxes,
            'l' => Self::Labels,
            't' => Self::Trails,
            '+' | '=' => Self::Threshold(THRESHOLD_STEP_PERCENT),
            '-' => Self::Threshold(-THRESHOLD_STEP_PERCENT),
            'f' => Self::Fullscreen,
            'z' => Self::ToggleZoom,
            'k' => Self::Palette,
            'd' => Self::Panel,
            '?' | 'h' => Self::Help,
            'g' => Self::ShowAll,
            'n' => Self::Page(1),
            'u' => Self::Page(-1),
            'o' => Self::ShowAbsent,
            '/' => Self::Find,
            digit @ '1'..='9' => Self::ShowOne(digit as usize - '1' as usize),
            _ => return None,
        })
    }

    /// Returns the action of a character that is typed while a control key is down.
    fn of_control(character: char) -> Option<Self> {
        Some(match character {
            '+' | '=' => Self::Scale(1),
            // Some keyboards send the control character of `_`.
            '-' | '\u{1f}' => Self::Scale(-1),
            '0' => Self::Scale(0),
            // Control characters of `q` and `w`.
            '\u{11}' | '\u{17}' => Self::Quit,
            _ => return None,
        })
    }

    const fn of_key(key: Key, shift: bool) -> Option<Self> {
        match key {
            Key::Escape => Some(Self::Escape),
            Key::Tab if shift => Some(Self::ShowOther(-1)),
            Key::Tab => Some(Self::ShowOther(1)),
            Key::Left => Some(Self::Seek(-SEEK_STEP_S)),
            Key::Right => Some(Self::Seek(SEEK_STEP_S)),
            Key::PageUp => Some(Self::Seek(-SEEK_PAGE_S)),
            Key::PageDown => Some(Self::Seek(SEEK_PAGE_S)),
            Key::Home => Some(Self::SeekStart),
            Key::End => Some(Self::SeekEnd),
            Key::Up => Some(Self::Faster),
            Key::Down => Some(Self::Slower),
            Key::F1 => Some(Self::Help),
            Key::F11 => Some(Self::Fullscreen),
            _ => None,
        }
    }

    /// Returns whether holding the key down repeats the action.
    const fn repeats(self) -> bool {
        matches!(
            self,
            Self::Step | Self::StepBack | Self::Threshold(_) | Self::Seek(_) | Self::Scale(_) | Self::ShowOther(_)
        )
    }
}

/// A press of a key, or its repetition while it is held down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Press {
    /// A key without a character.
    Key(Key, Option<Action>),
    /// A character.
    Character(char, Option<Action>),
}

/// An event of the keyboard.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeyEvent {
    Character(char),
    Key(Key, bool),
}

/// Receives key events from the window. minifb's polled key states would miss a tap that ends before the next poll.
#[derive(Debug)]
pub(super) struct KeyEvents(pub(super) Sender<KeyEvent>);

impl InputCallback for KeyEvents {
    fn add_char(&mut self, character: u32) {
        // Sending fails while the window is being closed.
        if let Some(character) = char::from_u32(character) {
            let _ = self.0.send(KeyEvent::Character(character));
        }
    }

    fn set_key_state(&mut self, key: Key, pressed: bool) {
        let _ = self.0.send(KeyEvent::Key(key, pressed));
    }
}

/// State of the keyboard.
#[derive(Debug, Default)]
pub(super) struct Keyboard {
    /// Keys that are down. A further press without a release is a repetition by the system.
    down: Vec<Key>,
    repeating: bool,
}

impl Keyboard {
    /// Takes the next event. The character of a key follows its press.
    pub(super) fn press(&mut self, event: KeyEvent) -> Option<Press> {
        let control = self.is_down(Key::LeftCtrl) || self.is_down(Key::RightCtrl);
        match event {
            KeyEvent::Character(character) => {
                let action = if control { Action::of_control(character) } else { Action::of_character(character) };
                let repeated = self.repeating && action.is_none_or(|action| !action.repeats());
                (!repeated && (action.is_some() || !character.is_control()))
                    .then_some(Press::Character(character, action))
            }
            KeyEvent::Key(key, pressed) => {
                self.repeating = pressed && self.is_down(key);
                if !pressed {
                    self.down.retain(|down| *down != key);
                    return None;
                }
                if !self.repeating {
                    self.down.push(key);
                }
                let shift = self.is_down(Key::LeftShift) || self.is_down(Key::RightShift);
                let action = Action::of_key(key, shift);
                let is_silent = !matches!(key, Key::Enter | Key::NumPadEnter | Key::Backspace) && action.is_none();
                let repeated = self.repeating && action.is_some_and(|action| !action.repeats());
                (!is_silent && !repeated).then_some(Press::Key(key, action))
            }
        }
    }

    /// Forgets the keys that are down: their releases went to another window.
    pub(super) fn release_all(&mut self) {
        self.down.clear();
        self.repeating = false;
    }

    fn is_down(&self, key: Key) -> bool {
        self.down.contains(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::super::help::GROUPS;
    use super::*;

    #[test]
    fn every_key_of_the_help_has_an_action_of_its_own() {
        let mut seen: Vec<Action> = Vec::new();
        let keyboard = GROUPS.iter().filter(|(heading, _)| *heading != "Mouse");
        for (keys, what, _) in keyboard.flat_map(|(_, entries)| entries.iter()) {
            let control = keys.starts_with("Ctrl");
            let first = keys.strip_prefix("Ctrl").unwrap_or(keys);
            for key in first.split_whitespace() {
                let action = match key {
                    "Space" => Action::of_character(' '),
                    "Tab" => Action::of_key(Key::Tab, false),
                    "Esc" => Action::of_key(Key::Escape, false),
                    "Left" => Action::of_key(Key::Left, false),
                    "Right" => Action::of_key(Key::Right, false),
                    "PgUp" => Action::of_key(Key::PageUp, false),
                    "PgDn" => Action::of_key(Key::PageDown, false),
                    "Home" => Action::of_key(Key::Home, false),
                    "End" => Action::of_key(Key::End, false),
                    "F1" => Action::of_key(Key::F1, false),
                    "F11" => Action::of_key(Key::F11, false),
                    "1..9" => Action::of_character('9'),
                    _ if control => Action::of_control(key.chars().next().expect("a key")),
                    _ => Action::of_character(key.chars().next().expect("a key")),
                };
                let action = action.unwrap_or_else(|| panic!("{key}, {what}"));
                // Also those whose entry differs between windows.
                let has_more_keys =
                    matches!(action, Action::Pause | Action::Help | Action::Fullscreen | Action::Step | Action::Find);
                assert!(has_more_keys || !seen.contains(&action), "{key}, {what}");
                seen.push(action);
            }
        }
        assert_eq!(Action::of_character('1'), Some(Action::ShowOne(0)));
        assert_eq!(Action::of_character('0'), None);
        assert_eq!(Action::of_character('='), Action::of_character('+'), "without Shift");
        assert_eq!(Action::of_character('Q'), Some(Action::Quit), "with caps lock on");
    }

    fn pressed(events: &[(Option<Key>, bool, char)]) -> Vec<Press> {
        let mut keyboard = Keyboard::default();
        let mut presses = Vec::new();
        for &(key, down, character) in events {
            presses.extend(key.and_then(|key| keyboard.press(KeyEvent::Key(key, down))));
            if down && character != '\0' {
                presses.extend(keyboard.press(KeyEvent::Character(character)));
            }
        }
        presses
    }

    fn typed(events: &[(Option<Key>, bool, char)]) -> Vec<Action> {
        let action = |press| match press {
            Press::Key(_, action) | Press::Character(_, action) => action,
        };
        pressed(events).into_iter().filter_map(action).collect()
    }

    #[test]
    fn a_tap_acts_once_and_only_some_keys_repeat() {
        let p = |pressed| (Some(Key::P), pressed, 'p');
        assert_eq!(typed(&[p(true), p(false)]), [Action::Pause]);
        assert_eq!(typed(&[p(true), p(true), p(true), p(false), p(true)]), [Action::Pause, Action::Pause]);
        let dot = |pressed| (Some(Key::Period), pressed, '.');
        assert_eq!(typed(&[dot(true), dot(true), dot(false)]), [Action::Step, Action::Step]);
    }

    #[test]
    fn arrow_keys_seek_and_change_the_speed() {
        let arrow = |key, pressed| (Some(key), pressed, '\0');
        let keys = [(Key::Left, true), (Key::Left, true), (Key::Left, false), (Key::Up, true), (Key::Up, true)];
        let events = keys.map(|(key, pressed)| arrow(key, pressed));
        assert_eq!(typed(&events), [Action::Seek(-5), Action::Seek(-5), Action::Faster], "a held key repeats seeking");
        assert_eq!(Action::of_key(Key::Down, false), Action::of_character('['));
    }

    #[test]
    fn keys_and_characters_do_not_act_twice() {
        // Some systems also send control characters for these keys.
        assert_eq!(
            typed(&[(Some(Key::Tab), true, '\t'), (Some(Key::Escape), true, '\u{1b}')]),
            [Action::ShowOther(1), Action::Escape]
        );
        assert_eq!(typed(&[(None, true, '?')]), [Action::Help]);
    }

    #[test]
    fn the_control_key_scales_and_hides_the_other_actions() {
        let held = (Some(Key::LeftCtrl), true, '\0');
        assert_eq!(typed(&[held, (Some(Key::Equal), true, '=')]), [Action::Scale(1)]);
        assert_eq!(typed(&[held, (Some(Key::Minus), true, '-')]), [Action::Scale(-1)]);
        assert_eq!(typed(&[held, (Some(Key::R), true, '\u{12}'), (Some(Key::B), true, 'b')]), [Action::Quit; 0]);
        assert_eq!(typed(&[held, (Some(Key::Q), true, '\u{11}')]), [Action::Quit]);
        assert_eq!(typed(&[held, (Some(Key::LeftCtrl), false, '\0'), (None, true, '-')]), [Action::Threshold(-5)]);
    }

    #[test]
    fn keys_released_in_another_window_are_not_down() {
        let mut keyboard = Keyboard::default();
        keyboard.press(KeyEvent::Key(Key::LeftCtrl, true));
        keyboard.press(KeyEvent::Key(Key::Tab, true));
        keyboard.release_all();
        let tab = Press::Key(Key::Tab, Some(Action::ShowOther(1)));
        assert_eq!(keyboard.press(KeyEvent::Key(Key::Tab, true)), Some(tab), "not a repetition");
        let plus = Press::Character('+', Some(Action::Threshold(5)));
        assert_eq!(keyboard.press(KeyEvent::Character('+')), Some(plus));
    }

    #[test]
    fn characters_without_an_action_can_be_typed() {
        assert_eq!(pressed(&[(Some(Key::A), true, 'a')]), [Press::Character('a', None)]);
        assert_eq!(pressed(&[(None, true, 'é')]), [Press::Character('é', None)]);
        assert_eq!(pressed(&[(Some(Key::Enter), true, '\r')]), [Press::Key(Key::Enter, None)]);
    }
}
