//! Every input of the corpus, and some hundred random ones for each target: the same ones each
//! time, and in seconds. `cargo xtask fuzz` goes on from there.

use std::path::Path;

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tenure_fuzz::{TARGETS, Target};

fn random(name: &str, inputs: u64) {
    let target = &Target::named(name).expect("a target of this name");
    for seed in 0..inputs {
        let mut rng = SmallRng::seed_from_u64(seed);
        // Short inputs leave more of the story to the quiet end.
        let length = rng.random_range(0..=target.longest.min(8 << (seed % 8)));
        let mut input = vec![0; length];
        rng.fill(&mut input[..]);
        try_one(target, &input, &format!("seed {seed}"));
    }
}

fn try_one(target: &Target, input: &[u8], which: &str) {
    let tried = std::panic::catch_unwind(|| target.run(input));
    assert!(tried.is_ok(), "{}: {which} fails", target.name);
}

#[test]
fn the_corpus_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for target in TARGETS {
        let files = std::fs::read_dir(corpus.join(target.name))
            .into_iter()
            .flatten();
        for file in files {
            let path = file.expect("a readable directory").path();
            let input = std::fs::read(&path).expect("a readable input");
            try_one(&target, &input, &path.display().to_string());
        }
    }
}

#[test]
fn lease() {
    random("lease", 200);
}

#[test]
fn watch() {
    random("watch", 150);
}

#[test]
fn life() {
    random("life", 200);
}

#[test]
fn answers() {
    random("answers", 1_000);
}

#[test]
fn arguments() {
    random("arguments", 300);
}

#[test]
fn kubeconfig() {
    random("kubeconfig", 60);
}
