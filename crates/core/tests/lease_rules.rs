//! The Lease protocol, rule by rule. Each test names its rule, and fails when only that is broken.

#[path = "lease_rules/bench.rs"]
mod bench;
#[path = "lease_rules/clocks.rs"]
mod clocks;
#[path = "lease_rules/found.rs"]
mod found;
#[path = "lease_rules/holding.rs"]
mod holding;
#[path = "lease_rules/leaving.rs"]
mod leaving;
#[path = "lease_rules/looking.rs"]
mod looking;
#[path = "lease_rules/racing.rs"]
mod racing;
#[path = "lease_rules/renewing.rs"]
mod renewing;
#[path = "lease_rules/steering.rs"]
mod steering;
#[path = "lease_rules/taking.rs"]
mod taking;
#[path = "lease_rules/turns.rs"]
mod turns;
