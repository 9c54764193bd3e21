//! Which field a key means: decided once per spelling, then recognised by its bytes.

use crate::thrio::api::Names;

/// Positions of a row whose key is expected to be that of the row before.
const POSITIONS_MAX: usize = 48;
/// Spellings that are remembered; further ones are matched anew each time.
const SPELLINGS_MAX: usize = 256;

/// What a key means at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Hit {
    targets_from: u16,
    targets_to: u16,
    /// The node below the key, 0 = none (the root is nobody's child).
    pub(super) child: u16,
}

impl Hit {
    /// Whether the value can be skipped unread.
    pub(super) const fn is_nothing(self) -> bool {
        self.targets_from == self.targets_to && self.child == 0
    }
}

/// A field of the row and how good this name for it is (0 is best).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) field: u8,
    pub(super) rank: u8,
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// Normalised names (exact pointer segments below the root) and what they mean.
    names: Vec<(String, bool, Hit)>,
    /// Spellings that were seen.
    spellings: Vec<(Box<str>, Hit)>,
    /// The index into `spellings` expected at each position of a row.
    expected: Vec<u16>,
}

/// Finds the fields of one kind of row.
#[derive(Debug, Clone)]
pub(super) struct Matcher {
    nodes: Vec<Node>,
    targets: Vec<Target>,
}

impl Matcher {
    /// A matcher for these fields, numbered in their order.
    pub(super) fn new(fields: &[&Names]) -> Self {
        let mut building = Building::default();
        for (field, names) in fields.iter().enumerate() {
            for (rank, name) in names.iter().enumerate() {
                let target = Target {
                    field: u8::try_from(field).expect("a row has few fields"),
                    rank: u8::try_from(rank).unwrap_or(u8::MAX - 1),
                };
                building.add(name, target);
            }
        }
        building.finish()
    }

    /// What the key at this position of this node means.
    pub(super) fn find(&mut self, node: u16, position: usize, key: &str) -> Hit {
        let node = &mut self.nodes[usize::from(node)];
        if let Some(&expected) = node.expected.get(position)
            && let Some((spelling, hit)) = node.spellings.get(usize::from(expected))
            && **spelling == *key
        {
            return *hit;
        }
        node.find_slowly(position, key)
    }

    /// The fields that the hit's value goes to.
    pub(super) fn targets(&self, hit: Hit) -> &[Target] {
        &self.targets[usize::from(hit.targets_from)..usize::from(hit.targets_to)]
    }

    /// The spellings that rows have used so far, known or not.
    pub(super) fn spellings(&self) -> impl Iterator<Item = (&str, bool)> {
        self.nodes[0]
            .spellings
            .iter()
            .map(|(spelling, hit)| (&**spelling, !hit.is_nothing()))
    }
}

impl Node {
    #[cold]
    fn find_slowly(&mut self, position: usize, key: &str) -> Hit {
        let known = self.spellings.iter().position(|(known, _)| **known == *key);
        let index = if let Some(index) = known {
            index
        } else {
            let hit = self.match_name(key);
            if self.spellings.len() >= SPELLINGS_MAX {
                return hit;
            }
            self.spellings.push((Box::from(key), hit));
            self.spellings.len() - 1
        };
        if position < POSITIONS_MAX {
            if self.expected.len() <= position {
                self.expected.resize(position + 1, u16::MAX);
            }
            self.expected[position] = u16::try_from(index).expect("spellings are few");
        }
        self.spellings[index].1
    }

    fn match_name(&self, key: &str) -> Hit {
        let normalised = normalise(key);
        self.names
            .iter()
            .find(|(name, exact, _)| {
                if *exact {
                    name == key
                } else {
                    *name == normalised
                }
            })
            .map_or_else(Hit::default, |(_, _, hit)| *hit)
    }
}

/// A name as names are compared: without case, `-` and `_`.
pub(crate) fn normalise(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '-' | '_'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// The tree of names while it grows: each key with its targets and children.
#[derive(Default)]
struct Building {
    root: Branch,
}

#[derive(Default)]
struct Branch {
    entries: Vec<Entry>,
}

struct Entry {
    name: String,
    exact: bool,
    targets: Vec<Target>,
    below: Branch,
}

impl Branch {
    fn entry(&mut self, name: String, exact: bool) -> &mut Entry {
        let at = self
            .entries
            .iter()
            .position(|e| e.name == name && e.exact == exact);
        let at = at.unwrap_or_else(|| {
            self.entries.push(Entry {
                name,
                exact,
                targets: Vec::new(),
                below: Branch::default(),
            });
            self.entries.len() - 1
        });
        &mut self.entries[at]
    }
}

impl Building {
    fn add(&mut self, name: &str, target: Target) {
        let Some(pointer) = name.strip_prefix('/') else {
            self.root.entry(normalise(name), false).targets.push(target);
            return;
        };
        let mut branch = &mut self.root;
        let mut segments = pointer.split('/').map(unescape).peekable();
        while let Some(segment) = segments.next() {
            let entry = branch.entry(segment, true);
            if segments.peek().is_none() {
                entry.targets.push(target);
                return;
            }
            branch = &mut entry.below;
        }
    }

    fn finish(self) -> Matcher {
        let mut matcher = Matcher {
            nodes: Vec::new(),
            targets: Vec::new(),
        };
        lay_out(self.root, &mut matcher);
        matcher
    }
}

fn lay_out(branch: Branch, matcher: &mut Matcher) -> u16 {
    let number = matcher.nodes.len();
    matcher.nodes.push(Node::default());
    // A pointer's exact segment is tried before a name, and takes what the name means with it: a
    // key can be both.
    let (exact, named): (Vec<_>, Vec<_>) = branch.entries.into_iter().partition(|e| e.exact);
    let meanings: Vec<(String, Vec<Target>)> = named
        .iter()
        .map(|entry| (entry.name.clone(), entry.targets.clone()))
        .collect();
    for mut entry in exact.into_iter().chain(named) {
        if entry.exact {
            let normalised = normalise(&entry.name);
            for (name, targets) in &meanings {
                if *name == normalised {
                    entry.targets.extend(targets);
                }
            }
        }
        let targets_from = position(matcher.targets.len());
        matcher.targets.extend(&entry.targets);
        let targets_to = position(matcher.targets.len());
        let child = if entry.below.entries.is_empty() {
            0
        } else {
            lay_out(entry.below, matcher)
        };
        let hit = Hit {
            targets_from,
            targets_to,
            child,
        };
        matcher.nodes[number]
            .names
            .push((entry.name, entry.exact, hit));
    }
    position(number)
}

fn position(n: usize) -> u16 {
    u16::try_from(n).expect("names are limited to a few hundred")
}

/// A segment of a JSON pointer as the key that it means.
pub(super) fn unescape(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(matcher: &mut Matcher, key: &str) -> Option<(u8, u8)> {
        let hit = matcher.find(0, 0, key);
        matcher.targets(hit).first().map(|t| (t.field, t.rank))
    }

    #[test]
    fn case_dashes_and_underscores_do_not_matter() {
        let mut matcher = Matcher::new(&[&Names::new(&["agent-id", "_id"]), &Names::new(&["x"])]);
        for key in ["agent-id", "agentId", "AGENT_ID", "agentid"] {
            assert_eq!(field(&mut matcher, key), Some((0, 0)), "{key}");
        }
        for key in ["_id", "id", "ID"] {
            assert_eq!(field(&mut matcher, key), Some((0, 1)), "{key}");
        }
        assert_eq!(field(&mut matcher, "agent"), None);
    }

    #[test]
    fn a_pointer_leads_below_and_matches_exactly() {
        let mut matcher = Matcher::new(&[&Names::new(&["/agent/a~1b", "agent"])]);
        let hit = matcher.find(0, 0, "agent");
        assert_ne!(hit.child, 0);
        assert_eq!(matcher.targets(hit).len(), 1, "the name counts too");
        assert_eq!(matcher.find(0, 0, "Agent").child, 0);
        let below = matcher.find(hit.child, 0, "a/b");
        assert_eq!(matcher.targets(below), [Target { field: 0, rank: 0 }]);
        assert!(matcher.find(hit.child, 0, "A/b").is_nothing());
    }

    #[test]
    fn one_key_may_serve_two_fields() {
        let mut matcher = Matcher::new(&[&Names::new(&["name"]), &Names::new(&["name"])]);
        let hit = matcher.find(0, 0, "name");
        assert_eq!(matcher.targets(hit).len(), 2);
    }

    #[test]
    fn endless_new_spellings_are_matched_but_not_kept() {
        let mut matcher = Matcher::new(&[&Names::new(&["id"])]);
        for n in 0..10_000 {
            matcher.find(0, n, &format!("key{n}"));
        }
        assert_eq!(matcher.spellings().count(), SPELLINGS_MAX);
        assert_eq!(field(&mut matcher, "ID"), Some((0, 0)));
    }
}
