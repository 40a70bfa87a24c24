//! Histories of one address: what is heard, and when what is sent next.

use super::*;
use crate::hetzner::api::Body;

const SECOND: Duration = Duration::from_secs(1);

fn pace() -> Pace {
    Pace {
        recheck: Duration::from_mins(1),
        settle: Duration::from_secs(15),
        settle_every: Duration::from_secs(3),
        busy: Duration::from_secs(4),
        looks: Allowance::new(1000, SECOND),
        asks: Allowance::new(1000, SECOND),
    }
}

fn call(path: &str) -> Call {
    Call::post(path.to_owned(), Body::Nothing)
}

fn away(path: &str) -> Heard {
    Heard::Away { holder: Some("n2".to_owned()), remedy: call(path) }
}

fn passing(after: Option<Duration>) -> Result<Heard, Trouble> {
    Err(Trouble::Passing { why: "no answer".to_owned(), after })
}

fn operator() -> Result<Heard, Trouble> {
    Err(Trouble::Operator { why: "wrong password".to_owned(), remedy: "mend it".to_owned() })
}

/// A plan of a node that becomes Active, and the time, which goes on to each next step.
struct Story {
    plan: Plan,
    start: Instant,
    now: Instant,
}

impl Story {
    fn new() -> Self {
        Self::at(pace())
    }

    fn at(pace: Pace) -> Self {
        let (mut plan, now) = (Plan::new(pace), Instant::now());
        assert_eq!(plan.next(now), None, "a node that is not Active sends nothing");
        plan.turn(true, now);
        Self { plan, start: now, now }
    }

    /// The next step must be `step`, `seconds` after the last one. It comes to `heard`.
    fn goes(&mut self, step: &Step, seconds: u64, heard: Result<Heard, Trouble>) -> &mut Self {
        let (next, at) = self.plan.next(self.now).expect("a step");
        assert_eq!(
            (next, at - self.now),
            (step, SECOND * u32::try_from(seconds).unwrap()),
            "{:?}",
            self.now - self.start
        );
        self.now = at;
        self.plan.begin(at);
        // The dice are always at their highest.
        self.plan.hear(heard, at, 1.0);
        self
    }
}

#[test]
fn what_is_here_is_looked_at_now_and_then() {
    let mut story = Story::new();
    story.goes(&Step::Look, 0, Ok(Heard::Here));
    assert_eq!((story.plan.place(), story.plan.alarm_at()), (&Place::Here, None));
    story.goes(&Step::Look, 60, Ok(Heard::Here)).goes(&Step::Look, 60, Ok(away("/mine"))).goes(
        &Step::Ask(call("/mine")),
        0,
        Ok(Heard::Accepted(None)),
    );
}

#[test]
fn what_is_accepted_is_believed_when_it_is_read_back() {
    let ask = Step::Ask(call("/mine"));
    let mut story = Story::new();
    story
        .goes(&Step::Look, 0, Ok(away("/mine")))
        .goes(&ask, 0, Ok(Heard::Accepted(Some(7))))
        .goes(&Step::Follow(7), 1, Ok(Heard::Running))
        .goes(&Step::Follow(7), 1, Ok(Heard::Done))
        .goes(&Step::Look, 0, Ok(away("/mine")));
    assert_eq!(story.plan.place(), &Place::Away(Some("n2".to_owned())));
    story.goes(&Step::Look, 3, Ok(Heard::Here));
    assert_eq!(story.plan.place(), &Place::Here);
}

/// An action that fails is asked for again as soon as that may go better; that it cannot be asked how it does is no failure of it.
#[test]
fn an_action_that_fails_is_asked_for_again() {
    let ask = Step::Ask(call("/mine"));
    let failed = || Trouble::Busy("the action assign_floating_ip has failed: locked (busy)".to_owned());
    let mut story = Story::new();
    story
        .goes(&Step::Look, 0, Ok(away("/mine")))
        .goes(&ask, 0, Ok(Heard::Accepted(Some(7))))
        .goes(&Step::Follow(7), 1, Ok(Heard::Failed(failed())))
        .goes(&Step::Look, 8, Ok(away("/mine")));
    assert_eq!(story.plan.trouble(), Some(&failed()));
    story
        .goes(&ask, 0, Ok(Heard::Accepted(Some(8))))
        .goes(&Step::Follow(8), 1, passing(None))
        .goes(&Step::Look, 1, Ok(away("/mine")))
        .goes(&Step::Look, 3, Ok(Heard::Here));
}

/// It says yes, and nothing happens: it is asked again when what was said cannot be true any more, and less and less often.
#[test]
fn who_lies_is_asked_again_after_a_while() {
    let ask = Step::Ask(call("/mine"));
    let mut story = Story::new();
    for pause in [1, 2, 4] {
        story.goes(&Step::Look, if pause == 1 { 0 } else { pause / 2 }, Ok(away("/mine")));
        story.goes(&ask, 0, Ok(Heard::Accepted(None))).goes(&Step::Look, 0, Ok(away("/mine")));
        for _ in 0..5 {
            story.goes(&Step::Look, 3, Ok(away("/mine")));
        }
        let why = "the API has accepted the request, and the address is still not routed here";
        assert_eq!(story.plan.trouble().map(ToString::to_string).as_deref(), Some(why));
    }
}

/// An alias is taken from another server first; that done, the next request is another one and need not wait.
#[test]
fn steps_on_the_way_follow_each_other() {
    Story::new()
        .goes(&Step::Look, 0, Ok(away("/theirs")))
        .goes(&Step::Ask(call("/theirs")), 0, Ok(Heard::Accepted(Some(1))))
        .goes(&Step::Follow(1), 1, Ok(Heard::Done))
        .goes(&Step::Look, 0, Ok(away("/mine")))
        .goes(&Step::Ask(call("/mine")), 0, Ok(Heard::Accepted(Some(2))))
        .goes(&Step::Follow(2), 1, Ok(Heard::Done))
        .goes(&Step::Look, 0, Ok(Heard::Here));
}

#[test]
fn failures_are_tried_again_less_and_less_often() {
    let mut story = Story::new();
    story.goes(&Step::Look, 0, passing(None));
    for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
        story.goes(&Step::Look, pause, passing(None));
    }
    // What the API asks for is a minimum.
    story.goes(&Step::Look, 60, passing(Some(SECOND * 300))).goes(&Step::Look, 300, Ok(Heard::Here));
    story.goes(&Step::Look, 60, passing(None)).goes(&Step::Look, 1, Ok(Heard::Here));
}

/// The whole span is left to chance, so that nodes that have failed together do not come back together.
#[test]
fn chance_decides_when_it_is_tried_again() {
    for (dice, millis) in [(0.0, 0), (0.25, 250), (1.0, 1_000)] {
        let mut story = Story::new();
        story.plan.begin(story.now);
        story.plan.hear(passing(None), story.now, dice);
        assert_eq!(story.plan.next(story.now), Some((&Step::Look, story.now + Duration::from_millis(millis))));
    }
}

#[test]
fn each_trouble_has_its_patience() {
    let busy = || Err(Trouble::Busy("locked".to_owned()));
    let limited = |seconds| Err(Trouble::Limited { why: "too often".to_owned(), after: SECOND * seconds });
    let mut story = Story::new();
    story
        .goes(&Step::Look, 0, busy())
        .goes(&Step::Look, 8, busy())
        .goes(&Step::Look, 8, limited(36))
        .goes(&Step::Look, 36, operator())
        .goes(&Step::Look, 600, Ok(Heard::Here));
    assert_eq!(story.plan.trouble(), None);
}

#[test]
fn who_is_no_longer_active_sends_nothing_more() {
    for heard in [Ok(away("/mine")), Ok(Heard::Here), passing(None), operator()] {
        let mut story = Story::new();
        story.goes(&Step::Look, 0, heard);
        story.plan.turn(false, story.now);
        assert_eq!((story.plan.next(story.now), story.plan.alarm_at()), (None, None));
        // What comes late is void.
        story.plan.hear(Ok(away("/mine")), story.now, 1.0);
        assert_eq!(story.plan.next(story.now), None);
        // And whoever is Active again looks first.
        story.plan.turn(true, story.now);
        story.goes(&Step::Look, 0, Ok(Heard::Here));
    }
}

#[test]
fn people_are_called_when_it_takes_long_and_at_once_when_they_must_act() {
    let mut story = Story::new();
    assert_eq!(story.plan.alarm_at(), Some(story.start + SECOND * 120));
    story.goes(&Step::Look, 0, passing(None));
    assert_eq!(story.plan.alarm_at(), Some(story.start + SECOND * 120));
    story.goes(&Step::Look, 1, operator());
    assert_eq!(story.plan.alarm_at(), Some(story.start));
    story.goes(&Step::Look, 600, Ok(Heard::Here));
    assert_eq!(story.plan.alarm_at(), None);
    // That a look fails is no alarm before it has failed for long.
    story.goes(&Step::Look, 60, passing(None));
    assert_eq!(story.plan.alarm_at(), Some(story.now + SECOND * 120));
}

#[test]
fn a_reload_tries_again_at_once_what_has_failed() {
    let mut story = Story::new();
    story.goes(&Step::Look, 0, operator());
    story.plan.nudge(story.now);
    story.goes(&Step::Look, 0, Ok(Heard::Here));
    story.plan.nudge(story.now);
    story.goes(&Step::Look, 60, Ok(Heard::Here));
}

/// However often the role changes, no more is sent than is allowed.
#[test]
fn flapping_uses_up_no_allowance() {
    let mut story = Story::at(Pace { looks: Allowance::new(3, SECOND * 72), ..pace() });
    for _ in 0..3 {
        story.goes(&Step::Look, 0, Ok(Heard::Here));
        story.plan.turn(false, story.now);
        story.plan.turn(true, story.now);
    }
    story.goes(&Step::Look, 72, Ok(Heard::Here));
}
