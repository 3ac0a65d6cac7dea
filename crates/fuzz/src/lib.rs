//! What must hold of tenure whatever comes from outside.
//!
//! A target takes bytes and panics if something does not hold. What that is, is written where each
//! target is; `docs/fuzzing.md` has the list, and how to run them.

mod answers;
mod arguments;
mod choices;
mod kubeconfig;
mod lease;
mod life;
mod stage;
mod strange;
mod watch;
mod world;

/// One way in from outside.
#[derive(Clone, Copy)]
pub struct Target {
    /// What it is called on the command line and in the corpus.
    pub name: &'static str,
    /// The longest input that is worth trying, in bytes.
    pub longest: usize,
    run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 6] = [
    Target::new("answers", 256, answers::run),
    Target::new("arguments", 256, arguments::run),
    Target::new("kubeconfig", 2048, kubeconfig::run),
    Target::new("lease", 512, lease::run),
    Target::new("life", 512, life::run),
    Target::new("watch", 256, watch::run),
];

impl Target {
    const fn new(name: &'static str, longest: usize, run: fn(&[u8])) -> Self {
        Self { name, longest, run }
    }

    /// The target of this name.
    pub fn named(name: &str) -> Option<Self> {
        TARGETS.into_iter().find(|target| target.name == name)
    }

    /// Try one input.
    ///
    /// # Panics
    /// If something that must hold does not, in whichever task of the election it shows.
    pub fn run(&self, input: &[u8]) {
        panics::watch();
        (self.run)(&input[..input.len().min(self.longest)]);
        panics::none_was_swallowed();
    }
}

mod panics {
    //! A task that panics takes its panic with it, and an election's watch is such a task: so they
    //! are counted where they happen.

    use std::{cell::Cell, sync::Once};

    thread_local! {
        static SEEN: Cell<u32> = const { Cell::new(0) };
    }

    pub(super) fn watch() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let former = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                SEEN.set(SEEN.get() + 1);
                former(info);
            }));
        });
        SEEN.set(0);
    }

    pub(super) fn none_was_swallowed() {
        let seen = SEEN.replace(0);
        assert!(seen == 0, "{seen} panics in tasks, see above");
    }
}
