//! A run on its way through its window, piece by piece.
//!
//! A piece is what one call asks for, or, where each call asks for a single queue, what the calls
//! for all queues ask for together. An interval is read when its piece is complete.

use std::sync::Arc;

use super::super::ids::QueueId;
use super::super::interval::Window;
use super::super::record::Run;

/// Which of the feed's runs asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Live,
    Hourly,
    Nightly,
    Heal,
    /// The backfill with this id.
    Manual(u64),
}

impl Lane {
    pub(super) const fn run(self) -> Run {
        match self {
            Self::Live => Run::Live,
            Self::Hourly => Run::Hourly,
            Self::Nightly => Run::Nightly,
            Self::Heal => Run::Heal,
            Self::Manual(_) => Run::Manual,
        }
    }
}

/// A run with what it still has to read.
#[derive(Debug, Clone)]
pub(super) struct Track {
    /// The boundary, hour, night or backfill that the run is of.
    pub(super) slot: i64,
    /// What is left.
    pub(super) rest: Window,
    newest_first: bool,
    /// The piece that is being read.
    pub(super) piece: Option<Piece>,
    /// The longest piece after failures; doubles with each success.
    len_max: i64,
    /// Failures since the last success of this run.
    pub(super) failures: u32,
    /// Intervals that were passed over because Thrio would not answer for them.
    pub(super) skipped: i64,
}

/// What is being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) window: Window,
    /// The queues to ask for one by one; empty = one call for all.
    pub(super) queues: Vec<QueueId>,
    /// How many of them were answered.
    pub(super) answered: usize,
    /// Rows per interval so far.
    pub(super) rows: Vec<u32>,
    /// Why Thrio would not answer for one of the queues: the piece is not complete then.
    pub(super) refused: Option<Arc<str>>,
}

impl Piece {
    fn new(window: Window, queues: Vec<QueueId>) -> Self {
        let len = usize::try_from(window.len()).expect("a piece holds at most a day");
        Self {
            window,
            queues,
            answered: 0,
            rows: vec![0; len],
            refused: None,
        }
    }

    /// The queue that the next call asks for.
    pub(super) fn queue(&self) -> Option<&QueueId> {
        self.queues.get(self.answered)
    }

    /// Whether the next answer completes it.
    pub(super) fn is_last_call(&self) -> bool {
        self.answered + 1 >= self.queues.len()
    }
}

impl Track {
    pub(super) fn new(slot: i64, window: Window, newest_first: bool) -> Self {
        Self {
            slot,
            rest: window,
            newest_first,
            piece: None,
            len_max: i64::MAX,
            failures: 0,
            skipped: 0,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// The piece that is being read, or the next one, at most `len_max` intervals long.
    pub(super) fn piece(&mut self, len_max: i64, queues: impl FnOnce() -> Vec<QueueId>) -> &Piece {
        let (rest, newest_first) = (self.rest, self.newest_first);
        let len = len_max.min(self.len_max).clamp(1, rest.len().max(1));
        self.piece.get_or_insert_with(|| {
            let window = if newest_first {
                Window::new(rest.to.plus(-len), rest.to)
            } else {
                Window::new(rest.from, rest.from.plus(len))
            };
            Piece::new(window, queues())
        })
    }

    /// An answer came, with these rows per interval.
    pub(super) fn answered(&mut self, rows: &[u32]) {
        self.failures = 0;
        let Some(piece) = &mut self.piece else {
            return;
        };
        if piece.is_last_call() {
            self.len_max = self.len_max.saturating_mul(2);
            self.pass();
        } else {
            piece.answered += 1;
            for (sum, more) in piece.rows.iter_mut().zip(rows) {
                *sum += more;
            }
        }
    }

    /// Why a queue of the piece was not answered for, if one was not.
    pub(super) fn refused(&self) -> Option<Arc<str>> {
        self.piece.as_ref().and_then(|p| p.refused.clone())
    }

    /// Thrio does not answer for one queue of the piece: go on with the next queue.
    pub(super) fn skip_queue(&mut self, reason: Arc<str>) {
        if let Some(piece) = &mut self.piece {
            piece.refused = Some(reason);
        }
        self.answered(&[]);
    }

    /// The piece is too much for one answer.
    pub(super) fn halve(&mut self) {
        if let Some(piece) = self.piece.take() {
            self.len_max = (piece.window.len() / 2).max(1);
        }
    }

    /// Thrio does not answer for the piece: go on without it.
    pub(super) fn skip(&mut self) {
        self.failures = 0;
        self.skipped += self.piece.as_ref().map_or(0, |p| p.window.len());
        self.pass();
    }

    fn pass(&mut self) {
        let Some(piece) = self.piece.take() else {
            return;
        };
        self.rest = if self.newest_first {
            Window::new(self.rest.from, piece.window.from)
        } else {
            Window::new(piece.window.to, self.rest.to)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::interval::IntervalStart;
    use super::*;

    fn window(from: i64, to: i64) -> Window {
        let at = |n: i64| IntervalStart::aligned_s(n * 900).expect("a multiple of 900");
        Window::new(at(from), at(to))
    }

    #[test]
    fn a_run_reads_its_window_once_in_pieces() {
        for (newest_first, expected) in [
            (false, [window(0, 4), window(4, 8), window(8, 9)]),
            (true, [window(5, 9), window(1, 5), window(0, 1)]),
        ] {
            let mut track = Track::new(0, window(0, 9), newest_first);
            let mut read = Vec::new();
            while !track.is_done() {
                read.push(track.piece(4, Vec::new).window);
                track.answered(&[]);
            }
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn a_piece_of_single_queues_is_read_when_the_last_queue_answered() {
        let queues = || vec![QueueId::all(), QueueId::new("q2").expect("an id")];
        let mut track = Track::new(0, window(0, 2), false);
        assert_eq!(track.piece(96, queues).queue(), Some(&QueueId::all()));
        track.answered(&[1, 0]);
        assert!(!track.is_done());
        assert_eq!(track.piece(96, queues).queue(), queues().get(1));
        assert_eq!(track.piece(96, queues).rows, [1, 0]);
        track.answered(&[1, 1]);
        assert!(track.is_done());
    }

    #[test]
    fn too_much_is_halved_and_grows_again() {
        let mut track = Track::new(0, window(0, 200), false);
        assert_eq!(track.piece(96, Vec::new).window.len(), 96);
        track.halve();
        assert_eq!(track.piece(96, Vec::new).window.len(), 48);
        track.answered(&[]);
        assert_eq!(track.piece(96, Vec::new).window, window(48, 144));
        track.skip();
        assert_eq!((track.skipped, track.rest), (96, window(144, 200)));
    }
}
