//! The directed search reaches the edge that rule L3 leaves, and finds nobody beyond it.

use tenure_sim::{plan::SeatTiming, worst::search};

/// At the bound of L3 the worst schedule leaves no more than the network's own time between two
/// leaders; far from the bound it leaves the difference.
#[test]
fn the_worst_schedule_comes_close_and_never_too_close() {
    let at_the_bound = search(1, SeatTiming::Short, 3000);
    assert_eq!(at_the_bound.violation, None);
    println!("H at its bound: {} us", at_the_bound.slack / 1000);
    assert!(
        (0..10_000_000).contains(&at_the_bound.slack),
        "{}",
        at_the_bound.slack
    );
    let usual = search(1, SeatTiming::Usual, 3000);
    assert_eq!(usual.violation, None);
    println!("15 s, 10 s, 2 s: {} us", usual.slack / 1000);
    // 15 s on the fastest clock less 10 s on the slowest: 3.76 s.
    assert!(
        (3_750_000_000..4_200_000_000).contains(&usual.slack),
        "{}",
        usual.slack
    );
}
