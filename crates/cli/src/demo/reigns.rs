//! From marks to reigns, and from reigns to the one question: did two ever lead at once?
//!
//! **A reign** is the time from the first to the last mark of one term of one process that say
//! `true`, with none between them that says `false`. It lasts from the reading *after* the first
//! answer to the reading *before* the last: it is shorter than what the process believed, by two
//! marks at most, and never longer. Between two marks of one reign the process led also if it was
//! not scheduled for a while; how long that was is kept as [`Reign::widest_gap`].
//!
//! **An overlap** is a stretch of time that two reigns of different processes share. Since no
//! reign is longer than the truth, every overlap is a true one. One that is shorter than two marks
//! (4 ms on an idle machine) can go unseen.

use super::marks::Mark;

/// A stretch of time in which one process led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reign {
    /// Which process: no two of a demo share a number.
    pub(crate) process: usize,
    /// Since when it certainly led, in nanoseconds.
    pub(crate) begin: u64,
    /// Until when it certainly did.
    pub(crate) end: u64,
    /// When belief would have ended by itself, as its last mark says; `None` for a lock for life.
    pub(crate) valid_until: Option<u64>,
    /// How many marks show it.
    pub(crate) marks: u64,
    /// The longest time between two of them.
    pub(crate) widest_gap: u64,
    term: u32,
}

/// A stretch of time in which two processes led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overlap {
    pub(crate) first: usize,
    pub(crate) second: usize,
    pub(crate) begin: u64,
    pub(crate) end: u64,
}

impl Overlap {
    pub(crate) fn length(&self) -> u64 {
        self.end - self.begin
    }
}

/// Makes reigns of one process' marks, as they come.
#[derive(Debug)]
pub(crate) struct Reigns {
    process: usize,
    all: Vec<Reign>,
    open: bool,
}

impl Reigns {
    pub(crate) fn new(process: usize) -> Self {
        Self {
            process,
            all: Vec::new(),
            open: false,
        }
    }

    pub(crate) fn add(&mut self, mark: Mark) {
        if !mark.leading {
            self.open = false;
            return;
        }
        let valid_until = (mark.valid_until > 0).then_some(mark.valid_until);
        match self.all.last_mut() {
            Some(reign) if self.open && reign.term == mark.term => {
                let end = mark.before.max(reign.end);
                reign.widest_gap = reign.widest_gap.max(end - reign.end);
                reign.end = end;
                reign.marks += 1;
                reign.valid_until = valid_until;
            }
            _ => {
                self.open = true;
                self.all.push(Reign {
                    process: self.process,
                    begin: mark.after,
                    end: mark.after,
                    valid_until,
                    marks: 1,
                    widest_gap: 0,
                    term: mark.term,
                });
            }
        }
    }

    pub(crate) fn as_slice(&self) -> &[Reign] {
        &self.all
    }

    /// Whether the newest mark says that it leads.
    pub(crate) fn present(&self) -> Option<&Reign> {
        self.all.last().filter(|_| self.open)
    }
}

/// Every stretch that two processes share.
pub(crate) fn overlaps(reigns: &[Reign]) -> Vec<Overlap> {
    let mut found = Vec::new();
    for (at, one) in reigns.iter().enumerate() {
        for other in &reigns[at + 1..] {
            let (begin, end) = (one.begin.max(other.begin), one.end.min(other.end));
            if one.process != other.process && begin < end {
                found.push(Overlap {
                    first: one.process,
                    second: other.process,
                    begin,
                    end,
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn mark(at_ms: u64, term: u32, leading: bool) -> Mark {
        Mark {
            before: at_ms * MS,
            after: at_ms * MS + 500,
            valid_until: (at_ms + 2000) * MS,
            term,
            leading,
        }
    }

    /// The reigns of a process that marks every 2 ms of these stretches, and once after each.
    fn of(process: usize, stretches: &[(u64, u64)]) -> Vec<Reign> {
        let mut reigns = Reigns::new(process);
        for (term, &(begin, end)) in (1..).zip(stretches) {
            for at in (begin..=end).step_by(2) {
                reigns.add(mark(at, term, true));
            }
            reigns.add(mark(end + 2, term, false));
        }
        reigns.as_slice().to_vec()
    }

    #[test]
    fn a_reign_is_never_longer_than_its_marks_prove() {
        let reigns = of(0, &[(100, 110), (200, 200)]);
        let [long, short] = reigns[..] else {
            panic!("{reigns:?}")
        };
        assert_eq!((long.begin, long.end), (100 * MS + 500, 110 * MS));
        assert_eq!((long.marks, long.valid_until), (6, Some(2110 * MS)));
        assert!(long.widest_gap <= 2 * MS);
        assert_eq!((short.begin, short.end), (200 * MS + 500, 200 * MS + 500));
    }

    #[test]
    fn a_mark_that_says_no_ends_a_reign_also_within_a_term() {
        let mut reigns = Reigns::new(0);
        for (at, leading) in [(10, true), (12, false), (14, true)] {
            reigns.add(mark(at, 1, leading));
        }
        assert_eq!(reigns.as_slice().len(), 2);
        assert!(reigns.present().is_some());
        reigns.add(mark(16, 2, true));
        assert_eq!(reigns.as_slice().len(), 3, "another term is another reign");
        reigns.add(mark(18, 2, false));
        assert!(reigns.present().is_none());
    }

    #[test]
    fn leaders_that_follow_each_other_do_not_overlap() {
        let mut reigns = of(0, &[(0, 100), (300, 400)]);
        reigns.extend(of(1, &[(102, 298)]));
        assert_eq!(overlaps(&reigns), []);
    }

    #[test]
    fn two_that_lead_at_once_are_found_and_measured() {
        let mut reigns = of(0, &[(0, 100)]);
        reigns.extend(of(1, &[(90, 200)]));
        let found = overlaps(&reigns);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].first, found[0].second), (0, 1));
        assert_eq!(found[0].length(), 10 * MS - 500);
    }

    #[test]
    fn one_that_leads_within_the_reign_of_another_is_found_although_the_other_slept() {
        let mut sleeper = Reigns::new(0);
        sleeper.add(mark(0, 1, true));
        sleeper.add(mark(500, 1, true));
        let mut reigns = sleeper.as_slice().to_vec();
        assert_eq!(reigns[0].widest_gap, 500 * MS - 500);
        reigns.extend(of(1, &[(100, 110)]));
        assert_eq!(overlaps(&reigns).len(), 1);
    }
}
