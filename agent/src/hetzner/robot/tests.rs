//! Answers as Robot's documentation has them.

use super::*;

fn reply(status: u16, body: &str) -> Reply {
    let status = StatusCode::from_u16(status).unwrap();
    Reply { status, retry_after: None, reset_at: None, body: body.as_bytes().to_vec() }
}

fn robot(address: &str, server: &str) -> Robot {
    Robot { address: address.parse().unwrap(), server: server.parse().unwrap() }
}

/// The examples of the documentation.
const IPV4: &str = r#"{"failover":{"ip":"123.123.123.123","netmask":"255.255.255.255","server_ip":"78.46.1.93",
    "server_ipv6_net":"2a01:4f8:d0a:2003::","server_number":321,"active_server_ip":"124.124.124.124"}}"#;
const IPV6: &str = r#"{"failover":{"ip":"2a01:4f8:fff1::","netmask":"ffff:ffff:ffff:ffff::","server_ip":"78.46.1.93",
    "server_ipv6_net":"2a01:4f8:d0a:2003::","server_number":321,"active_server_ip":"2a01:4f8:0:5176::"}}"#;

#[test]
fn where_a_failover_ip_is_routed_is_read() {
    assert_eq!(robot("123.123.123.123", "124.124.124.124").found(&reply(200, IPV4)), Ok(Heard::Here));
    assert_eq!(robot("2a01:4f8:fff1::", "2a01:4f8:0:5176::").found(&reply(200, IPV6)), Ok(Heard::Here));
    let nowhere = IPV4.replace("\"124.124.124.124\"", "null");
    for (body, holder) in [(IPV4, Some("124.124.124.124".to_owned())), (&nowhere, None)] {
        let heard = robot("123.123.123.123", "78.46.1.93").found(&reply(200, body));
        let Ok(Heard::Away { holder: said, remedy }) = heard else { panic!("{heard:?}") };
        assert_eq!(said, holder);
        assert_eq!((remedy.method.as_str(), remedy.path.as_str()), ("POST", "/failover/123.123.123.123"));
        assert_eq!(remedy.body, Body::Form("active_server_ip=78.46.1.93".to_owned()));
    }
}

#[test]
fn a_subnet_is_asked_for_by_its_first_address() {
    let heard = robot("2a01:4f8:fff1::", "2a01:4f8:0:1::").found(&reply(200, IPV6));
    let Ok(Heard::Away { remedy, .. }) = heard else { panic!("{heard:?}") };
    assert_eq!(remedy.path, "/failover/2a01:4f8:fff1::");
    assert_eq!(remedy.body, Body::Form("active_server_ip=2a01%3A4f8%3A0%3A1%3A%3A".to_owned()));
}

#[test]
fn nonsense_is_not_believed() {
    let robot = robot("123.123.123.124", "124.124.124.124");
    for body in [IPV4, "", "{}", "null", r#"{"failover":{"ip":"123.123.123.124","active_server_ip":7}}"#] {
        let heard = robot.found(&reply(200, body));
        assert!(matches!(heard, Err(Trouble::Passing { .. })), "{body}: {heard:?}");
    }
}

fn error(status: u16, code: &str) -> Reply {
    reply(status, &format!(r#"{{"error":{{"status":{status},"code":"{code}","message":"said so"}}}}"#))
}

#[test]
fn errors_are_told_apart() {
    for (status, code, expected) in [
        (409, "FAILOVER_LOCKED", "busy"),
        (500, "FAILOVER_FAILED", "passing"),
        (500, "FAILOVER_NOT_COMPLETE", "passing"),
        (500, "INTERNAL_ERROR", "passing"),
        (503, "", "passing"),
        (400, "INVALID_INPUT", "operator"),
        (401, "UNAUTHORIZED", "operator"),
        (404, "NOT_FOUND", "operator"),
        (404, "FAILOVER_NEW_SERVER_NOT_FOUND", "operator"),
        (403, "RATE_LIMIT_EXCEEDED", "limited"),
    ] {
        let heard = accepted(&error(status, code));
        let said = match &heard {
            Err(Trouble::Busy(_)) => "busy",
            Err(Trouble::Passing { .. }) => "passing",
            Err(Trouble::Operator { .. }) => "operator",
            Err(Trouble::Limited { .. }) => "limited",
            Ok(_) => "accepted",
        };
        assert_eq!(said, expected, "{status} {code}");
    }
    assert_eq!(accepted(&error(409, "FAILOVER_ALREADY_ROUTED")), Ok(Heard::Accepted(None)));
    assert_eq!(accepted(&reply(200, IPV4)), Ok(Heard::Accepted(None)));
    let said = accepted(&error(404, "FAILOVER_NEW_SERVER_NOT_FOUND")).unwrap_err().to_string();
    assert_eq!(
        said,
        "the API answers 404 FAILOVER_NEW_SERVER_NOT_FOUND (said so): write into servers the main address of this node's \
         server, as Robot shows it"
    );
    let html = accepted(&reply(502, "<html>\nBad\u{7} Gateway</html>")).unwrap_err().to_string();
    assert_eq!(html, "the API answers 502 (<html>Bad Gateway</html>)");
}

/// As the documentation has it: so many requests in so many seconds. One in each part of that is never too much.
#[test]
fn no_more_is_asked_than_robot_allows() {
    for (limits, seconds) in [
        (r#""max_request":100,"interval":3600,"#, 36),
        (r#""max_request":50,"interval":3600,"#, 72),
        (r#""max_request":0,"interval":60,"#, 60),
        ("", 120),
    ] {
        let body = format!(
            r#"{{"error":{{"status":403,"code":"RATE_LIMIT_EXCEEDED",{limits}"message":"rate limit exceeded"}}}}"#
        );
        let trouble = trouble(&reply(403, &body));
        assert!(
            matches!(trouble, Trouble::Limited { after, .. } if after == Duration::from_secs(seconds)),
            "{trouble:?}"
        );
    }
}

/// Of 100 questions and 50 switches an hour, half: so many in the first hour, those that are sent at once included.
#[test]
fn a_node_uses_about_half_of_what_robot_allows() {
    for (sharers, looks, asks) in [(1, 69, 34), (2, 34, 17), (5, 13, 7)] {
        let Pace { looks: mut look, asks: mut ask, .. } = pace(Duration::from_mins(2), sharers);
        let start = tokio::time::Instant::now();
        let count = |allowance: &mut Allowance| {
            let (mut count, mut now) = (0, start);
            while now - start < Duration::from_hours(1) {
                allowance.take(now);
                count += 1;
                now = allowance.next_at(now);
            }
            count
        };
        assert_eq!((count(&mut look), count(&mut ask)), (looks, asks), "{sharers} entries");
    }
}
