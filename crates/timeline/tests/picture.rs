//! What a picture shows.

use tenure_timeline::{Bar, Event, Kind, Lane, Mark, Sign, Span, Timeline, Tone, svg};

const SECOND: u64 = 1_000_000_000;

fn span(from: u64, to: u64, words: &str) -> Span {
    Span {
        from: from * SECOND,
        to: to * SECOND,
        words: words.into(),
        tone: Tone::Bad,
        row: 0,
    }
}

#[test]
fn the_axis_counts_from_zero_and_shows_only_what_is_in_the_picture() {
    let mut timeline = Timeline::new("a", 71 * SECOND, 79 * SECOND);
    timeline.zero = 0;
    let drawn = svg(&timeline);
    assert!(
        drawn.contains(">71 s<") && drawn.contains(">79 s<"),
        "{drawn}"
    );
    assert!(
        !drawn.contains(">70 s<") && !drawn.contains(">80 s<"),
        "{drawn}"
    );
}

#[test]
fn less_than_two_seconds_are_counted_in_tenths() {
    let drawn = svg(&Timeline::new("a", 0, 650_000_000));
    assert!(
        drawn.contains(">0 s<") && drawn.contains(">0.6 s<"),
        "{drawn}"
    );
    let drawn = svg(&Timeline::new("a", 0, 2 * SECOND));
    assert!(
        drawn.contains(">2 s<") && !drawn.contains(".2 s<"),
        "{drawn}"
    );
}

#[test]
fn what_is_outside_of_the_picture_is_not_drawn() {
    let mut timeline = Timeline::new("a", 10 * SECOND, 20 * SECOND);
    let mut lane = Lane::new("c0");
    lane.bars
        .push(Bar::new(Kind::Leads, 0, 9 * SECOND).titled("before"));
    lane.bars
        .push(Bar::new(Kind::Leads, 9 * SECOND, 11 * SECOND).titled("across"));
    lane.marks
        .push(Mark::new(Event::Killed, 21 * SECOND).titled("after"));
    timeline.lanes.push(lane);
    let drawn = svg(&timeline);
    assert!(drawn.contains("across"), "{drawn}");
    assert!(
        !drawn.contains("before") && !drawn.contains("after"),
        "{drawn}"
    );
}

#[test]
fn words_that_would_touch_get_rows_of_their_own() {
    let mut timeline = Timeline::new("a", 0, 100 * SECOND);
    timeline.spans = vec![
        span(10, 11, "a long story"),
        span(12, 13, "another one"),
        span(80, 80, "far away"),
    ];
    timeline.stack_spans();
    let rows: Vec<usize> = timeline.spans.iter().map(|span| span.row).collect();
    assert_eq!(rows, [0, 1, 0]);
}

#[test]
fn words_are_written_into_a_bar_only_where_they_fit() {
    let mut timeline = Timeline::new("a", 0, 100 * SECOND);
    let mut lane = Lane::new("lock");
    lane.bars = vec![
        Bar::new(Kind::Holds, 0, 50 * SECOND).labelled("wide"),
        Bar::new(Kind::Holds, 50 * SECOND, 51 * SECOND).labelled("narrow"),
    ];
    timeline.lanes.push(lane);
    let drawn = svg(&timeline);
    assert!(
        drawn.contains(">wide<") && !drawn.contains("narrow"),
        "{drawn}"
    );
}

#[test]
fn no_text_breaks_the_document() {
    let mut timeline = Timeline::new("a <b> & \u{1b}[1m\u{0}", 0, 0);
    timeline
        .keys
        .push(Sign::Mark(Event::Struck).means("<struck>"));
    let drawn = svg(&timeline);
    assert!(drawn.contains("a &lt;b&gt; &amp;  [1m "), "{drawn}");
    assert!(drawn.contains("&lt;struck&gt;"), "{drawn}");
    assert!(!drawn.contains("NaN"), "{drawn}");
}
