//! What an API says when it does not do what it is asked, and what becomes of that.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::{GENEROUS, Status, lab, until};
use serde_json::json;

use crate::{
    FAILOVER, FLOATING,
    api::{Answer, Asked, Mood},
    asked_by, cluster, routed, wait_here,
};

fn trouble(status: &Status, name: &str) -> String {
    routed(status, name)["trouble"].as_str().unwrap_or_default().to_owned()
}

/// The alarm that there is no address, if there is one.
fn alarm(status: &Status) -> Option<&str> {
    let alarms = status.0["alarms"].as_array()?;
    alarms.iter().find(|alarm| alarm["kind"] == "hetzner_unrouted")?["what"].as_str()
}

/// Errors that mend themselves are no matter for people: it is tried again.
#[test]
fn what_is_over_soon_is_tried_again() -> Result<()> {
    let lab = lab!();
    let patient = format!("{FAILOVER}\ntimeout = \"1s\"");
    let failed = Answer::new(500, &r#"{"error":{"status":500,"code":"FAILOVER_FAILED","message":"internal error"}}"#);
    for (mood, expected) in [
        (Mood::Says(failed), "the API answers 500 FAILOVER_FAILED (internal error)"),
        (Mood::Says(Answer::new(503, &"<html>maintenance</html>")), "the API answers 503 (<html>maintenance</html>)"),
        (Mood::Says(Answer::new(200, &"[]")), "the API's answer to a request is not understood: "),
        (Mood::Hangs, "no answer from the API within 1s"),
        (Mood::Half, "10.77.0.50:8443 does not answer in full: "),
    ] {
        let (mut cluster, api) = cluster(&lab, 1, &[("failover", &patient)])?;
        api.behave(mood);
        cluster.start_all()?;
        let agent = cluster.agent(0)?;
        let status = agent.wait_for(expected, |status| trouble(status, "failover").starts_with(expected))?;
        ensure!(alarm(&status).is_none(), "an alarm for what may be over soon: {status:?}");
        until("it to be tried again", GENEROUS, || Ok((api.count() >= 3 || api.state().halved >= 3).then_some(())))?;
        api.behave(Mood::Kind);
        let status = wait_here(agent, "failover")?;
        ensure!(routed(&status, "failover")["trouble"].is_null(), "{status:?}");
        ensure!(routed(&status, "failover")["last_error"].is_string(), "{status:?}");
    }
    Ok(())
}

/// What only people can mend is an alarm at once, with what to do; it is left alone until they say that it is mended.
#[test]
fn what_only_people_can_mend_is_an_alarm() -> Result<()> {
    let lab = lab!();
    let (mut cluster, api) = cluster(&lab, 1, &[("failover", FAILOVER), ("floating", FLOATING)])?;
    lab.secret("password", "wrong\n")?;
    lab.secret("token", "wrong\n")?;
    cluster.start_all()?;
    let agent = cluster.agent(0)?;
    let status = agent.wait_for("alarms", |status| {
        ["failover", "floating"].iter().all(|name| trouble(status, name).starts_with("the API answers 401"))
    })?;
    let said = alarm(&status).unwrap_or_default();
    let expected = "failover: this node is Active for web-a, and failover_ip 203.0.113.9 is not known to be routed to \
                    198.51.100.1; the API answers 401 UNAUTHORIZED (Unauthorized): compare username and password";
    ensure!(said.starts_with(expected), "{said}");
    ensure!(agent.run(&["status"])?.contains("ALARM hetzner_unrouted web-a: failover: this node"), "{status:?}");
    (0..3).try_for_each(|_| agent.look_again().map(drop))?;
    let tries = api.count();
    ensure!(tries == 2, "{tries} tries with a wrong secret: {:?}", api.asked(0));

    // The secrets are read anew for each request.
    lab.secret("password", "s3cret\n")?;
    lab.secret("token", "t0ken\n")?;
    agent.run(&["reload"])?;
    for name in ["failover", "floating"] {
        wait_here(agent, name)?;
    }
    let status = agent.status()?;
    ensure!(alarm(&status).is_none(), "{status:?}");
    Ok(())
}

/// Robot says how much it allows, Cloud for how long to wait: nobody asks before that.
#[test]
fn the_limits_of_an_api_are_kept() -> Result<()> {
    let lab = lab!();
    let robot = json!({"error": {"status": 403, "code": "RATE_LIMIT_EXCEEDED", "message": "rate limit exceeded",
        "max_request": 1, "interval": 4}});
    let cloud = json!({"error": {"code": "rate_limit_exceeded", "message": "limit reached", "details": {}}});
    let wait = vec![("retry-after", "4".to_owned())];
    for (name, lines, answer) in [
        ("failover", FAILOVER, Answer::new(403, &robot)),
        ("floating", FLOATING, Answer { headers: wait, ..Answer::new(429, &cloud) }),
    ] {
        let (mut cluster, api) = cluster(&lab, 1, &[(name, lines)])?;
        api.behave(Mood::Says(answer));
        cluster.start_all()?;
        until("three requests", GENEROUS, || Ok((api.count() >= 3).then_some(())))?;
        let asked = api.asked(0);
        let pauses: Vec<_> = asked.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        // The answer takes its time, too.
        ensure!(pauses.iter().all(|pause| *pause >= Duration::from_secs(4)), "{name}: {pauses:?}");
        api.behave(Mood::Kind);
        wait_here(cluster.agent(0)?, name)?;
    }
    Ok(())
}

/// The API says that it is done, and it is not: that is seen, said, and asked for again.
#[test]
fn what_is_said_to_be_done_is_read_back() -> Result<()> {
    let lab = lab!();
    let (mut cluster, api) = cluster(&lab, 1, &[("floating", FLOATING)])?;
    api.state().cloud.lies = true;
    cluster.start_all()?;
    let agent = cluster.agent(0)?;
    let expected = "the API has accepted the request, and the address is still not routed here";
    let status = agent.wait_for("the lie to be seen", |status| trouble(status, "floating") == expected)?;
    ensure!(routed(&status, "floating")["state"] == "away", "{status:?}");
    let lies = api.asked(0).iter().filter(|asked| asked.changes()).count();
    ensure!(lies == 1, "asked {lies} times while it could still have been true");
    api.state().cloud.lies = false;
    wait_here(agent, "floating")?;
    ensure!(asked_by(&api, 0, 0).into_iter().filter(Asked::changes).count() >= 2, "not asked again");
    Ok(())
}
