//! Identities, versions, readings of clocks, outcomes, and what is said of a loss.

use tenure_core::{
    Identity, Instant, InvalidIdentity, LossReason, MicroTime, Nonce, Outcome, ResourceVersion,
    Status, Uid, identity::MAX_IDENTITY,
};

use super::timings::SECOND;

#[test]
fn l8_an_identity_tells_one_start_of_one_process_from_every_other() {
    let nonce = Nonce::from_bits(0xab);
    assert_eq!(nonce.as_str(), "000000000000000000000000000000ab");
    assert_eq!(nonce.to_string(), nonce.as_str());
    let text = format!("web-0_some-uid_{nonce}");
    let identity = Identity::unique("web-0", Some("some-uid"), &nonce).unwrap();
    assert_eq!(identity.as_str(), text);
    assert_eq!(identity.to_string(), text);
    let without_a_pod = Identity::unique("host", None, &nonce).unwrap();
    assert_eq!(without_a_pod.as_str(), format!("host_{nonce}"));
}

#[test]
fn l8_an_identity_that_nobody_could_read_is_refused() {
    let refused = |text: &str| Identity::fixed(text).unwrap_err();
    assert_eq!(refused(" "), InvalidIdentity::Empty);
    assert_eq!(refused("a\nb"), InvalidIdentity::Control);
    assert!(Identity::fixed(&"x".repeat(MAX_IDENTITY)).is_ok());
    assert_eq!(
        refused(&"x".repeat(MAX_IDENTITY + 1)),
        InvalidIdentity::TooLong
    );
    for (error, part) in [
        (InvalidIdentity::Empty, "must not be empty"),
        (InvalidIdentity::TooLong, "at most 1024 bytes"),
        (InvalidIdentity::Control, "control characters"),
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn l19_resource_versions_that_are_no_numbers_or_not_written_alike_compare_with_nothing() {
    let rv = ResourceVersion::new;
    for (one, other) in [
        ("abc", "1"),
        ("1", "abc"),
        ("", "1"),
        ("07", "7"),
        ("1a", "2"),
    ] {
        assert_eq!(rv(one).partial_cmp(&rv(other)), None, "{one} and {other}");
    }
    assert!(rv("abc") == rv("abc") && rv("abc") <= rv("abc"));
    assert!(rv("010").newer_than(&rv("9")));
    assert_eq!(rv("12").as_str(), "12");
    assert_eq!(rv("12").to_string(), "12");
    assert_eq!(Uid::new("u-1").as_str(), "u-1");
    assert_eq!(Uid::new("u-1").to_string(), "u-1");
}

#[test]
fn readings_of_clocks_end_where_numbers_do() {
    let at = Instant::from_nanos(5);
    assert_eq!(at.as_nanos(), 5);
    assert_eq!(at.after(SECOND).as_nanos(), 1_000_000_005);
    assert_eq!(at.after(SECOND).before(SECOND), at);
    assert_eq!(at.before(SECOND), Instant::default());
    assert_eq!(at.after(std::time::Duration::MAX).as_nanos(), u64::MAX);
    assert_eq!(at.after(SECOND).since(at), SECOND);
    assert_eq!(at.since(at.after(SECOND)), std::time::Duration::ZERO);
    assert_eq!(MicroTime::from_micros(-12).as_micros(), -12);
}

#[test]
fn l6_an_outcome_keeps_what_it_says_whatever_becomes_of_its_content() {
    let half = |n: i32| match n % 2 {
        0 => Outcome::Done(n / 2),
        _ => Outcome::Unknown("odd".into()),
    };
    assert_eq!(Outcome::Done(4).and_then(half), Outcome::Done(2));
    let odd = Outcome::Unknown("odd".into());
    assert_eq!(Outcome::Done(3).and_then(half), odd);
    assert_eq!(Outcome::Done(4).map(|n| n + 1), Outcome::Done(5));
    let others = [
        Outcome::NotFound("absent".into()),
        Outcome::AlreadyExists,
        Outcome::Conflict,
        Outcome::Refused("forbidden".into()),
        Outcome::Unknown("no answer".into()),
    ];
    for outcome in others {
        assert_eq!(outcome.clone().and_then(half), outcome);
        assert_eq!(outcome.clone().map(|n| n + 1), outcome);
    }
}

#[test]
fn who_leads_and_who_does_not() {
    let (term, token, valid_until) = (1, ResourceVersion::new("5"), None);
    let leading = Status::Leading {
        term,
        token: token.clone(),
        valid_until,
    };
    let jeopardy = Status::Jeopardy {
        term,
        token,
        valid_until,
        error: "503".into(),
    };
    let lost = Status::Lost {
        reason: LossReason::Expired,
    };
    let standby = Status::Standby {
        holder: None,
        error: None,
    };
    assert!(leading.leads() && jeopardy.leads());
    assert!(!lost.leads() && !standby.leads());
}

#[test]
fn each_loss_is_said_in_its_own_words() {
    let reasons = [
        LossReason::Expired,
        LossReason::TakenBy("thief".into()),
        LossReason::Deleted,
        LossReason::Replaced,
        LossReason::Emptied,
        LossReason::Twin,
        LossReason::WentBackwards,
        LossReason::BeingDeleted,
        LossReason::SteppedDown,
        LossReason::Abandoned,
    ];
    let mut texts: Vec<_> = reasons.iter().map(ToString::to_string).collect();
    assert_eq!(texts[1], "thief holds the lock now");
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), reasons.len(), "{texts:?}");
    assert!(texts.iter().all(|text| text.len() > 10), "{texts:?}");
}
