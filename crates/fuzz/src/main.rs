//! The program that `cargo xtask fuzz` runs: libFuzzer over the target that `TENURE_FUZZ_TARGET`
//! names.

#![no_main]

use std::sync::LazyLock;

use tenure_fuzz::Target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("TENURE_FUZZ_TARGET").unwrap_or_default();
    let Some(target) = Target::named(&name) else {
        panic!("TENURE_FUZZ_TARGET={name:?} is no target");
    };
    if std::env::var_os("TENURE_FUZZ_ASK").is_some() {
        println!("{}", target.longest);
        std::process::exit(0);
    }
    target
});

libfuzzer_sys::fuzz_target!(init: { LazyLock::force(&TARGET); }, |input: &[u8]| TARGET.run(input));
