//! What a state text means: Thrio's built-in states and the site's own (domain rule 7).
//!
//! The text itself always travels whole beside its category. Texts are compared ignoring case,
//! blanks, `-` and `_`; a text that nobody mapped is `UNMAPPED`, never dropped and never guessed.

use std::collections::HashMap;

use super::ids::STATE_CHARS_MAX;
use super::record::Category;

/// Thrio's built-in states, folded as [`fold`] does.
const BUILT_IN: [(&str, Category); 7] = [
    ("loggedout", Category::LoggedOut),
    ("loggedin", Category::LoggedIn),
    ("available", Category::Available),
    ("busy", Category::Busy),
    ("working", Category::Working),
    ("wrapup", Category::Wrapup),
    ("noanswer", Category::NoAnswer),
];

/// Which category a state text has. The default knows Thrio's built-in states only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StateMap {
    custom: HashMap<String, Category>,
}

/// What a text means, and whether anybody said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// The category; [`Category::Unmapped`] where nobody said.
    pub category: Category,
    /// Whether a built-in name or a setting maps the text.
    pub mapped: bool,
}

/// Why a line of the settings is no mapping.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateMapError {
    /// Nothing but blanks and separators.
    #[error("a state text is empty")]
    EmptyText,
    /// Longer than any state text can be.
    #[error("the state text \"{start}…\" is longer than {STATE_CHARS_MAX} characters")]
    TooLong {
        /// Its first characters.
        start: String,
    },
    /// A category that only the program itself gives.
    #[error("\"{text}\" cannot be mapped to {}: use LOGGED_OUT, LOGGED_IN, AVAILABLE, BUSY, WORKING, WRAPUP, NO_ANSWER or AUX", category.as_str())]
    NotASetting {
        /// The state text.
        text: String,
        /// The category.
        category: Category,
    },
    /// The same text, but for case and separators, twice with different meanings.
    #[error("\"{text}\" is mapped to both {} and {}", first.as_str(), second.as_str())]
    Contradiction {
        /// The state text.
        text: String,
        /// What it was mapped to first.
        first: Category,
        /// What it was mapped to then.
        second: Category,
    },
}

impl StateMap {
    /// Adds one line of the settings; it wins over a built-in meaning.
    pub fn insert(&mut self, text: &str, category: Category) -> Result<(), StateMapError> {
        let folded = fold(text);
        if folded.is_empty() {
            return Err(StateMapError::EmptyText);
        }
        if text.chars().count() > STATE_CHARS_MAX {
            return Err(StateMapError::TooLong {
                start: text.chars().take(24).collect(),
            });
        }
        if matches!(category, Category::Unmapped | Category::Unknown) {
            return Err(StateMapError::NotASetting {
                text: text.to_owned(),
                category,
            });
        }
        match self.custom.get(&folded) {
            Some(&first) if first != category => Err(StateMapError::Contradiction {
                text: text.to_owned(),
                first,
                second: category,
            }),
            _ => {
                self.custom.insert(folded, category);
                Ok(())
            }
        }
    }

    /// Whether a line of the settings maps the text.
    pub fn is_custom(&self, text: &str) -> bool {
        self.custom.contains_key(&fold(text))
    }

    /// What the text means.
    pub fn meaning(&self, text: &str) -> Meaning {
        let folded = fold(text);
        let built_in = || {
            let found = BUILT_IN.iter().find(|(name, _)| *name == folded);
            found.map(|(_, category)| *category)
        };
        match self.custom.get(&folded).copied().or_else(built_in) {
            Some(category) => Meaning {
                category,
                mapped: true,
            },
            None => Meaning {
                category: Category::Unmapped,
                mapped: false,
            },
        }
    }
}

/// The category of this name, as settings write it (case, blanks, `-` and `_` do not matter).
pub fn category_named(name: &str) -> Option<Category> {
    let folded = fold(name);
    let same = |category: &Category| fold(category.as_str()) == folded;
    Category::ALL.into_iter().find(same)
}

/// Whether two texts are one state.
pub fn same_text(a: &str, b: &str) -> bool {
    fold(a) == fold(b)
}

/// The text without what does not matter in a comparison.
fn fold(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_whitespace() && *c != '-' && *c != '_')
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(map: &StateMap, text: &str, category: Category) {
        let expected = Meaning {
            category,
            mapped: category != Category::Unmapped,
        };
        assert_eq!(map.meaning(text), expected, "{text}");
    }

    #[test]
    fn built_in_states_are_known_in_every_spelling() {
        let map = StateMap::default();
        check(&map, "Logged out", Category::LoggedOut);
        check(&map, "loggedOut", Category::LoggedOut);
        check(&map, "LoggedIn", Category::LoggedIn);
        check(&map, "available", Category::Available);
        check(&map, "BUSY", Category::Busy);
        check(&map, "working", Category::Working);
        check(&map, "Wrap-up", Category::Wrapup);
        check(&map, "No_Answer", Category::NoAnswer);
        check(&map, "noAnswer", Category::NoAnswer);
    }

    #[test]
    fn a_custom_state_is_unmapped_until_a_setting_says_what_it_means() {
        let mut map = StateMap::default();
        check(&map, "Mittagspause", Category::Unmapped);
        map.insert("mittags-pause", Category::Aux).unwrap();
        check(&map, "Mittagspause", Category::Aux);
    }

    #[test]
    fn a_setting_wins_over_a_built_in_meaning() {
        let mut map = StateMap::default();
        map.insert("Busy", Category::Aux).unwrap();
        check(&map, "busy", Category::Aux);
    }

    #[test]
    fn lines_that_cannot_be_meant_are_refused() {
        let mut map = StateMap::default();
        assert_eq!(
            map.insert(" - ", Category::Aux),
            Err(StateMapError::EmptyText)
        );
        assert!(matches!(
            map.insert("Lunch", Category::Unknown),
            Err(StateMapError::NotASetting { .. })
        ));
        map.insert("Lunch", Category::Aux).unwrap();
        map.insert("lunch", Category::Aux).unwrap();
        assert!(matches!(
            map.insert("LUNCH", Category::Busy),
            Err(StateMapError::Contradiction { .. })
        ));
        let long = "x".repeat(STATE_CHARS_MAX + 1);
        assert!(matches!(
            map.insert(&long, Category::Aux),
            Err(StateMapError::TooLong { .. })
        ));
    }

    #[test]
    fn categories_are_found_by_name() {
        for category in Category::ALL {
            assert_eq!(category_named(category.as_str()), Some(category));
        }
        assert_eq!(category_named("logged out"), Some(Category::LoggedOut));
        assert_eq!(category_named("pause"), None);
    }
}
