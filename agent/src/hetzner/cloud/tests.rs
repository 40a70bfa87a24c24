//! Answers as the documentation of Cloud has them.

use hyper::StatusCode;

use super::*;

fn reply(status: u16, body: &str) -> Reply {
    let status = StatusCode::from_u16(status).unwrap();
    Reply { status, retry_after: None, reset_at: None, body: body.as_bytes().to_vec() }
}

fn error(status: u16, code: &str) -> Reply {
    reply(status, &format!(r#"{{"error":{{"code":"{code}","message":"said so","details":{{}}}}}}"#))
}

fn kind(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::Busy(_) => "busy",
        Trouble::Passing { .. } => "passing",
        Trouble::Operator { .. } => "operator",
        Trouble::Limited { .. } => "limited",
    }
}

#[test]
fn errors_are_told_apart() {
    for (status, code, expected) in [
        (409, "conflict", "busy"),
        (423, "locked", "busy"),
        (422, "ip_not_available", "busy"),
        (429, "rate_limit_exceeded", "limited"),
        (422, "resource_unavailable", "passing"),
        (422, "service_error", "passing"),
        (503, "maintenance", "passing"),
        (500, "server_error", "passing"),
        (502, "bad_gateway", "passing"),
        (504, "timeout", "passing"),
        (401, "unauthorized", "operator"),
        (403, "token_readonly", "operator"),
        (403, "forbidden", "operator"),
        (404, "not_found", "operator"),
        (422, "invalid_input", "operator"),
    ] {
        assert_eq!(kind(&trouble(&error(status, code))), expected, "{status} {code}");
    }
}

#[test]
fn an_action_runs_and_ends() {
    for (status, failure, expected) in [
        ("running", "null", Ok(Heard::Running)),
        ("success", "null", Ok(Heard::Done)),
        ("error", r#"{"code":"action_failed","message":"Action failed"}"#, Err("passing")),
        ("error", r#"{"code":"locked","message":"another action"}"#, Err("busy")),
        ("error", "null", Err("passing")),
    ] {
        let body = format!(
            r#"{{"action":{{"id":13,"command":"assign_floating_ip","status":"{status}","progress":50,"error":{failure}}}}}"#
        );
        let Answer { action } = reply(201, &body).read().unwrap();
        assert_eq!(action.id, 13);
        assert_eq!(judge(&action).map_err(|trouble| kind(&trouble)), expected, "{status}");
    }
}

/// `RateLimit-Reset` is when all is allowed again, up to an hour away; some of it is before that.
#[test]
fn the_api_is_waited_for_as_long_as_it_says() {
    let now = clock::wall().as_secs();
    let seconds = Duration::from_secs;
    for (retry_after, reset_at, least, most) in [
        (Some(seconds(7)), Some(now + 600), 7, 7),
        (None, Some(now + 30), 28, 30),
        (None, Some(now + 3000), 60, 60),
        (None, Some(0), 1, 1),
        (None, None, 10, 10),
    ] {
        let reply = Reply { retry_after, reset_at, ..error(429, "rate_limit_exceeded") };
        let Trouble::Limited { after, .. } = trouble(&reply) else { panic!("not limited") };
        assert!((seconds(least)..=seconds(most)).contains(&after), "{after:?} for {reset_at:?}");
    }
}
