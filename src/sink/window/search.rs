//! Finds a camera or a class by a part of its name.

use minifb::Key;

use super::keys::{Action, Press};
use super::screen::Screen;

/// Longest text for finding a name.
const SEARCH_CHARACTERS_MAX: usize = 64;

impl Screen {
    /// Returns whether a search finds classes of boxes: while the side panel is open, and where there is no other camera.
    pub(super) fn finds_classes(&self) -> bool {
        self.panel.is_open || self.cameras.len() == 1
    }

    /// Returns the kind of the names that a search finds, and those that it finds.
    pub(super) fn found_names(&self, search: &str) -> (&'static str, Vec<String>) {
        match self.finds_classes() {
            true => ("class", self.panel.found(search).into_iter().map(|(_, name)| name).collect()),
            false => ("camera", self.found(search).into_iter().map(|at| self.cameras[at].name.clone()).collect()),
        }
    }

    /// Draws only the first class with this text in its name; all without a text.
    fn choose_class(&mut self, search: &str) {
        let first = self.panel.found(search).into_iter().next().filter(|_| !search.is_empty());
        match first {
            Some((class, _)) => {
                self.filter_class(None);
                self.filter_class(Some(class));
            }
            None if search.is_empty() => self.filter_class(None),
            None => self.show_note(format!("no class has `{search}` in its name")),
        }
    }

    /// Edits the text of the search. Enter shows the first camera or class that it finds.
    pub(super) fn type_search(&mut self, press: Press) {
        self.stale = true;
        let Some(search) = &mut self.interaction.search else { return };
        match press {
            Press::Key(_, Some(Action::Escape)) => {
                self.interaction.search = None;
                self.escaped();
            }
            Press::Key(Key::Backspace, _) => {
                if search.pop().is_none() {
                    self.interaction.search = None;
                }
            }
            Press::Key(Key::Enter | Key::NumPadEnter, _) => {
                let search = std::mem::take(search);
                self.interaction.search = None;
                if self.finds_classes() {
                    return self.choose_class(&search);
                }
                match self.found(&search).first() {
                    Some(camera) if !search.is_empty() => self.enlarged = Some(*camera),
                    Some(_) => {}
                    None => self.show_note(format!("no camera has `{search}` in its name")),
                }
                self.apply();
            }
            Press::Character(character, _) if !character.is_control() => {
                if search.chars().count() < SEARCH_CHARACTERS_MAX {
                    search.push(character);
                }
            }
            Press::Key(..) | Press::Character(..) => {}
        }
    }

    /// Returns the cameras with this text in their names: first those that begin with it.
    fn found(&self, search: &str) -> Vec<usize> {
        let search = search.to_lowercase();
        let at = |camera: usize| self.cameras[camera].name.to_lowercase().find(&search);
        let mut found: Vec<_> = (0..self.cameras.len()).filter_map(|camera| Some((at(camera)?, camera))).collect();
        found.sort_by_key(|(at, camera)| (*at > 0, *camera));
        found.into_iter().map(|(_, camera)| camera).collect()
    }
}
