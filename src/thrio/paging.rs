//! All pages of a list (`thrio-api.md` §4). Pure but for `fetch`; it cannot loop.
//!
//! - A list is complete only where nothing speaks against it: fewer unique entries than the
//!   announced total, or the limit of pages, make it incomplete, and such a list closes nothing.
//! - Without a total, a page that is shorter than one before ends the list. The first page cannot
//!   be told from a server's cap below what was asked for, so one more is asked for after it.

use std::collections::HashMap;
use std::hash::Hash;

use super::wire::Page;
use crate::domain::call::{RejectReason, RosterList};

/// More pages than any roster has: 200,000 entries of 100 a page.
pub(super) const PAGES_MAX: usize = 2_000;

/// Fetches pages, `fetch(offset)`, until the list is whole or cannot become so.
pub(super) fn all_pages<T, K: Hash + Eq + Clone, E>(
    is_paged: bool,
    id: impl Fn(&T) -> K,
    mut fetch: impl FnMut(u64) -> Result<Page<T>, E>,
) -> Result<RosterList<T>, E> {
    let mut list = RosterList {
        entries: Vec::new(),
        complete: false,
        rejected: crate::domain::call::Rejections::default(),
    };
    let mut places: HashMap<K, usize> = HashMap::new();
    let mut unreadable = 0;
    let mut received = 0;
    let mut longest = 0;
    let mut total = None;
    for _ in 0..PAGES_MAX {
        let page = fetch(received)?;
        let rows = page.shape.rows;
        total = page.shape.total.or(total);
        let before = places.len();
        unreadable += page.rejected.count;
        merge_rejected(&mut list.rejected, page.rejected);
        for entry in page.entries {
            take(&mut list, &mut places, id(&entry), entry);
        }
        received += rows;
        let is_done = match total {
            Some(total) => received >= total,
            None => rows < longest,
        };
        if !is_paged || rows == 0 || places.len() == before || is_done {
            let arrived = places.len() as u64 + unreadable;
            list.complete = total.is_none_or(|total| arrived >= total);
            return Ok(list);
        }
        longest = longest.max(rows);
    }
    Ok(list)
}

fn take<T, K: Hash + Eq>(
    list: &mut RosterList<T>,
    places: &mut HashMap<K, usize>,
    key: K,
    entry: T,
) {
    match places.entry(key) {
        std::collections::hash_map::Entry::Vacant(place) => {
            place.insert(list.entries.len());
            list.entries.push(entry);
        }
        std::collections::hash_map::Entry::Occupied(place) => {
            list.entries[*place.get()] = entry;
            list.rejected.push(RejectReason::Duplicate, || {
                "an id that came before".to_owned()
            });
        }
    }
}

fn merge_rejected(
    into: &mut crate::domain::call::Rejections,
    from: crate::domain::call::Rejections,
) {
    let kept = from.samples.len() as u64;
    for (reason, detail) in from.samples {
        into.push(reason, || detail);
    }
    into.count += from.count - kept;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::call::Rejections;
    use crate::thrio::wire::Shape;

    /// A server with ids `0..len` that caps pages at `cap` and announces `total`.
    fn pages(len: u64, cap: u64, total: Option<u64>) -> (RosterList<u64>, usize) {
        let mut calls = 0;
        let list = all_pages(
            true,
            |id| *id,
            |offset| {
                calls += 1;
                let entries: Vec<u64> = (offset..len).take(usize::try_from(cap).unwrap()).collect();
                Ok::<_, ()>(page(entries, total))
            },
        );
        (list.unwrap(), calls)
    }

    fn page(entries: Vec<u64>, total: Option<u64>) -> Page<u64> {
        Page {
            shape: Shape {
                rows: entries.len() as u64,
                total,
                ..Shape::default()
            },
            entries,
            rejected: Rejections::default(),
            ids_differ: None,
        }
    }

    #[test]
    fn a_total_ends_the_list_exactly() {
        for (len, cap, calls) in [
            (250, 100, 3),
            (200, 100, 2),
            (7, 100, 1),
            (120, 50, 3),
            (0, 10, 1),
        ] {
            let (list, made) = pages(len, cap, Some(len));
            assert_eq!(
                (list.entries.len() as u64, list.complete, made),
                (len, true, calls)
            );
        }
    }

    #[test]
    fn without_a_total_a_capped_page_is_not_taken_for_the_end() {
        for (len, cap, calls) in [(120, 50, 3), (100, 50, 3), (7, 100, 2), (0, 10, 1)] {
            let (list, made) = pages(len, cap, None);
            assert_eq!(
                (list.entries.len() as u64, list.complete, made),
                (len, true, calls),
                "{len}"
            );
        }
    }

    #[test]
    fn fewer_than_announced_is_incomplete() {
        let (list, made) = pages(150, 100, Some(180));
        assert_eq!((list.entries.len(), list.complete, made), (150, false, 3));
    }

    #[test]
    fn a_server_that_repeats_its_page_does_not_loop_us() {
        for (total, complete) in [(None, true), (Some(500), false)] {
            let mut calls = 0;
            let list = all_pages(
                true,
                |id| *id,
                |_| {
                    calls += 1;
                    Ok::<_, ()>(page((0..100).collect(), total))
                },
            )
            .unwrap();
            assert_eq!(
                (list.entries.len(), calls, list.complete),
                (100, 2, complete)
            );
            assert_eq!(list.rejected.count, 100);
        }
    }

    #[test]
    fn a_server_that_never_ends_is_left_incomplete() {
        let mut next = 0;
        let list = all_pages(
            true,
            |id| *id,
            |_| {
                next += 10;
                Ok::<_, ()>(page((next..next + 10).collect(), None))
            },
        )
        .unwrap();
        assert_eq!((list.entries.len(), list.complete), (PAGES_MAX * 10, false));
    }

    #[test]
    fn a_list_that_shifts_between_pages_is_incomplete_and_each_id_comes_once() {
        let mut answers = [page(vec![1, 2, 3], Some(6)), page(vec![3, 4, 5], Some(6))].into_iter();
        let list = all_pages(true, |id| *id, |_| Ok::<_, ()>(answers.next().unwrap())).unwrap();
        assert_eq!(list.entries, [1, 2, 3, 4, 5]);
        assert!(!list.complete);
    }

    #[test]
    fn an_entry_that_was_not_taken_counts_as_arrived() {
        let mut answer = page(vec![1, 2], Some(3));
        answer.shape.rows = 3;
        answer.rejected.push(RejectReason::MissingId, String::new);
        let list = all_pages(true, |id| *id, |_| Ok::<_, ()>(answer.clone())).unwrap();
        assert!(list.complete);
        assert_eq!(list.rejected.count, 1);
    }
}
