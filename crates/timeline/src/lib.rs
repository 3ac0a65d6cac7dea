//! An election as people look at it: a lane for each candidate, on time. What is to be seen is data
//! ([`Timeline`]); [`svg`] draws it.
//!
//! The demo fills it from what its processes wrote down, the simulation from true time. All times
//! are nanoseconds of one clock, and it does not matter of which.
//!
//! ```
//! use tenure_timeline::{Bar, Kind, Lane, Sign, Timeline, svg};
//!
//! let mut timeline = Timeline::new("Lease demo", 0, 10_000_000_000);
//! let mut lane = Lane::new("candidate-1");
//! lane.bars.push(Bar::new(Kind::Leads, 0, 2_000_000_000).titled("leads for 2 s"));
//! timeline.lanes.push(lane);
//! timeline.keys.push(Sign::Bar(Kind::Leads).means("leads"));
//! assert!(svg(&timeline).starts_with("<svg "));
//! ```

mod svg;

pub use svg::svg;

/// Everything that a picture shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// What it is about.
    pub title: String,
    /// The title for those who do not see the picture; `title` where it is empty.
    pub spoken_title: String,
    /// The same in words, for those who do not see the picture.
    pub description: String,
    /// What came of it, and whether that is good.
    pub verdict: Option<Verdict>,
    /// When the picture begins.
    pub begin: u64,
    /// When it ends.
    pub end: u64,
    /// The moment that the axis calls 0 s; not after `begin`.
    pub zero: u64,
    /// The lanes, from top to bottom.
    pub lanes: Vec<Lane>,
    /// Stretches of time that are shown across all lanes, with words above.
    pub spans: Vec<Span>,
    /// When more led than may.
    pub overlaps: Vec<Overlap>,
    /// What the signs mean.
    pub keys: Vec<Key>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// A few words.
    pub words: String,
    /// Whether it is as it should be.
    pub good: bool,
}

/// What happened to one candidate, or to one thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    /// Its name.
    pub name: String,
    /// It is half as high as others, and its name is small.
    pub slim: bool,
    /// What lasted. Later ones lie over earlier ones.
    pub bars: Vec<Bar>,
    /// What happened in a moment, over all bars.
    pub marks: Vec<Mark>,
}

/// Something that lasted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// What it is.
    pub kind: Kind,
    /// Since when.
    pub from: u64,
    /// Until when.
    pub to: u64,
    /// More about it, shown when it is pointed at; nothing where it is empty.
    pub title: String,
    /// A word that is written in it, if it is wide enough.
    pub label: String,
}

/// What lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It lives, and does not lead.
    Waits,
    /// It leads.
    Leads,
    /// It does nothing: frozen, or its machine is asleep.
    Sleeps,
    /// Its name stands in the lock.
    Holds,
    /// A fault lasts.
    Fault,
}

/// Something that happened in a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What it is.
    pub event: Event,
    /// When.
    pub at: u64,
    /// More about it, shown when it is pointed at; nothing where it is empty.
    pub title: String,
}

/// What happens in a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// It ended at once.
    Killed,
    /// It was asked to hand over.
    Asked,
    /// It was started.
    Started,
    /// A fault struck.
    Struck,
}

/// A stretch of time across all lanes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Since when.
    pub from: u64,
    /// Until when; as `from` for a moment.
    pub to: u64,
    /// What is written above it.
    pub words: String,
    /// Its colour.
    pub tone: Tone,
    /// In which line its words are, from the top; see [`Timeline::stack_spans`].
    pub row: usize,
}

/// How something is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something bad.
    Bad,
    /// Something that was asked for.
    Asked,
}

/// A stretch of time in which more led than may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Since when.
    pub from: u64,
    /// Until when.
    pub to: u64,
    /// More about it.
    pub title: String,
}

/// A sign, and what it means.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The sign.
    pub sign: Sign,
    /// What it means.
    pub words: String,
    /// How much room it takes with its words, in points; by the length of the words where there is
    /// none.
    pub room: Option<f64>,
}

/// Something that is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// As a bar.
    Bar(Kind),
    /// As a mark.
    Mark(Event),
}

impl Timeline {
    /// An empty one, from `begin` to `end`; its axis begins at 0 s there.
    pub fn new(title: impl Into<String>, begin: u64, end: u64) -> Self {
        Self {
            title: title.into(),
            begin,
            end: end.max(begin.saturating_add(1)),
            zero: begin,
            ..Self::default()
        }
    }

    /// Puts the words of the spans into as few rows as they need to be read: in order, each into
    /// the first row in which it does not touch another.
    pub fn stack_spans(&mut self) {
        svg::stack_spans(self);
    }
}

impl Lane {
    /// One in which nothing has happened.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }
}

impl Bar {
    /// One without words.
    pub fn new(kind: Kind, from: u64, to: u64) -> Self {
        Self {
            kind,
            from,
            to,
            title: String::new(),
            label: String::new(),
        }
    }

    /// With more about it.
    #[must_use]
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// With a word in it.
    #[must_use]
    pub fn labelled(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }
}

impl Mark {
    /// One without words.
    pub fn new(event: Event, at: u64) -> Self {
        Self {
            event,
            at,
            title: String::new(),
        }
    }

    /// With more about it.
    #[must_use]
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }
}

impl Sign {
    /// The sign with its meaning.
    pub fn means(self, words: impl Into<String>) -> Key {
        Key {
            sign: self,
            words: words.into(),
            room: None,
        }
    }
}

impl Key {
    /// With that much room.
    #[must_use]
    pub fn within(mut self, room: f64) -> Self {
        self.room = Some(room);
        self
    }
}
