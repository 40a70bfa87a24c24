//! Bytes on the control socket: as a client's request, and as the agent's answer.

use std::{collections::BTreeMap, io};

use anyhow::anyhow;
use serde_json::{Value, json};
use tokio::{
    runtime::Builder,
    sync::{mpsc, watch},
    task::yield_now,
};
use vipd::{
    check::board::Board,
    hetzner,
    link::Resyncs,
    mailbox::{Inbox, Mail, mailbox},
    observe::{
        ConfigurationStatus, ContributionStatus, Distribution, EffectStatus, Explanation, FenceStatus, GroupStatus,
        History, InterfaceStatus, LatenessStatus, PeerStatus, RouterStatus, Snapshot, Tally,
        control::{Answer, Service, converse, read_answer},
        journal::journal,
        metrics,
        notify::Boards,
        overview::Overview,
        stream::{Line, Streams},
        text::{Extent, Paper},
    },
    operator::{Order, Ordered},
};

/// Longest request.
const REQUEST_MAX: usize = 4096;

/// Takes `data` for either.
///
/// # Panics
///
/// Where a request is not answered as it should be, or an answer is not understood as it was meant.
pub fn run(data: &[u8]) {
    ask(data);
    if let Ok(answer) = read_answer(data) {
        check_answer(&answer);
    }
}

/// A request has one line for an answer: what was asked for, else an error. What is no text has none.
fn ask(request: &[u8]) {
    let limited = request.get(..REQUEST_MAX).unwrap_or(request);
    let line = limited.split_inclusive(|&byte| byte == b'\n').next().unwrap_or_default();
    let mut answer = vec![];
    let outcome = serve(request, &mut answer);
    let Ok(line) = str::from_utf8(line) else {
        assert!(outcome.is_err() && answer.is_empty(), "{outcome:?}");
        return;
    };
    assert!(outcome.is_ok(), "{outcome:?} to {line:?}");
    assert_eq!(answer.iter().position(|&byte| byte == b'\n'), Some(answer.len() - 1), "not one line: {answer:?}");
    // serde reads the second form as well.
    let forms = [json!({ "command": "status" }), json!(["status"])];
    let asked = serde_json::from_str::<Value>(line).is_ok_and(|value| forms.contains(&value));
    if let Ok(Line::Journal { next, .. }) = serde_json::from_slice(&answer) {
        assert!(line.contains("events") || line.contains('\\'), "{line:?} does not ask for events");
        assert_eq!(next, 1, "no event has happened");
        return;
    }
    match read_answer(&answer[..]) {
        Ok(Answer::Status(status)) => {
            assert!(asked, "{line:?} is no request");
            assert_eq!(*status, snapshot(), "another status than the agent's");
        }
        Ok(Answer::Explanations(told)) => {
            assert!(line.contains("explain") || line.contains('\\'), "{line:?} asks for no explanation");
            assert_eq!(told, explanations());
        }
        Ok(Answer::Done(_)) => {
            let orders = ["transfer", "drain", "reload", "plan"];
            assert!(orders.iter().any(|order| line.contains(order)) || line.contains('\\'), "{line:?} is no order");
        }
        Ok(Answer::Error(error)) => {
            // The white space of JSON, which is less than that of Rust.
            let asked = line.trim_matches([' ', '\t', '\r', '\n']);
            assert_ne!(asked, r#"{"command":"status"}"#, "{error}");
        }
        Err(error) => panic!("{error:#}"),
    }
}

fn serve(request: &[u8], answer: &mut Vec<u8>) -> io::Result<()> {
    let (mailbox, mut inbox) = mailbox()?;
    let (orders, mut ordered) = mpsc::channel(1);
    let (_reporter, journal, _intake) = journal("test", "n1", None);
    let (_loaded, configuration) = watch::channel(snapshot().configuration);
    let overview = Overview {
        mailbox,
        journal,
        boards: Boards::default(),
        hetzner: hetzner::Boards::default(),
        checks: Board::default(),
        configuration,
        resyncs: Resyncs::default(),
        metrics: metrics::Board::default(),
    };
    let drained = "/nonexistent/drained".into();
    let service = Service { overview, orders, drained, streams: Streams::default() };
    let runtime = Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(async {
        tokio::select! {
            outcome = converse(request, &mut *answer, &service) => match outcome {
                // What follows is no answer, and nothing happens here.
                Ok(Some(stream)) => stream.run(&[][..], &mut *answer).await.map_err(io::Error::other),
                outcome => outcome.map(drop).map_err(io::Error::other),
            },
            never = elections(&mut inbox) => never,
            never = operator(&mut ordered) => never,
        }
    })
}

/// What the election thread does for a client.
async fn elections(inbox: &mut Inbox) -> ! {
    loop {
        let is_awaited = match inbox.take() {
            Some(Mail::Status(asker)) => asker.send(snapshot()).is_ok(),
            Some(Mail::Explain { asker, .. }) => asker.send(explanations()).is_ok(),
            Some(Mail::HandOver { asker, .. }) => asker.send(Ok(Vec::new())).is_ok(),
            Some(other) => panic!("clients have nothing to do with {other:?}"),
            None => true,
        };
        assert!(is_awaited, "nobody waits for an answer");
        yield_now().await;
    }
}

/// What the operator does for a client.
async fn operator(ordered: &mut mpsc::Receiver<Ordered>) -> ! {
    loop {
        if let Some(Ordered { order, done }) = ordered.recv().await {
            let outcome = if order == Order::Restart { Err(anyhow!("no")) } else { Ok(vec!["done".to_owned()]) };
            assert!(done.send(outcome).is_ok(), "nobody waits for an order");
        }
    }
}

fn explanations() -> Vec<Explanation> {
    let because = vec!["\u{1f}".to_owned()];
    vec![Explanation { router: "web".to_owned(), state: "Active".to_owned(), because, until: vec![] }]
}

fn router() -> RouterStatus {
    RouterStatus {
        name: "web\n\"a\"".to_owned(),
        vrid: 51,
        family: "IPv4".to_owned(),
        interface: "vsw0".to_owned(),
        group: Some("\u{7}".to_owned()),
        state: "Backup".to_owned(),
        reason: None,
        since_ms: u64::MAX,
        version: 3,
        priority: 150,
        configured_priority: 200,
        nodes: 2,
        peers: vec![PeerStatus {
            node: "\u{7}".to_owned(),
            configured_priority: 200,
            last_priority: Some(0),
            heard_ms: Some(1),
            adverts: 1,
            refused_for: Some("ttl".to_owned()),
        }],
        checks: vec![ContributionStatus {
            check: "gw".to_owned(),
            state: "failing".to_owned(),
            effect: EffectStatus::Points { points: -60, best: 0 },
        }],
        own_address: Some([10, 77, 0, 1].into()),
        last_advert_from: None,
        last_advert_priority: Some(0),
        last_advert_ms: Some(1),
        timer_ms: None,
        advertisement_interval_ms: 1_000,
        addresses: vec!["10.77.0.100/24".to_owned()],
        takeover_confirmed_ms: None,
        fence: FenceStatus::Ready { closings: 1 },
        tally: Tally::default(),
        history: History::default(),
        judged_by: "kernel".to_owned(),
        counters: BTreeMap::from([("dropped".to_owned(), 3)]),
    }
}

fn snapshot() -> Snapshot {
    let interface = InterfaceStatus {
        name: "vsw0".to_owned(),
        up: true,
        attach: "native".to_owned(),
        attach_reason: None,
        heard: true,
        not_configured: 0,
    };
    let group = GroupStatus {
        name: "\u{7}".to_owned(),
        is_listed: true,
        state: "Backup".to_owned(),
        since_ms: 0,
        members: vec!["web/IPv4".to_owned()],
    };
    Snapshot {
        version: "1".to_owned(),
        cluster: "ingress".to_owned(),
        node: "n1".to_owned(),
        pid: 1,
        supervisor: Some(2),
        drained: false,
        send_lateness: LatenessStatus {
            adverts: 2,
            p50_us: 1,
            p99_us: 2,
            max_us: u64::MAX,
            distribution: Distribution::of_lateness(),
        },
        clock_synchronised: true,
        configuration: ConfigurationStatus::default(),
        netlink_resyncs: 0,
        guard: "enforce".to_owned(),
        authentication: None,
        notifications: Vec::new(),
        events_lost: 0,
        alarms: vec![],
        interfaces: vec![interface],
        checks: vec![],
        hetzner: vec![],
        virtual_routers: vec![router()],
        groups: vec![group],
    }
}

/// An answer can be shown, and said again it is the same.
fn check_answer(answer: &Answer) {
    if let Answer::Status(snapshot) = answer {
        let page = snapshot.page(Extent::All);
        assert!(page.text(Paper { width: None, has_colours: true }).contains("VIRTUAL ROUTER"));
        assert!(!page.text(Paper { width: Some(20), has_colours: false }).is_empty());
    }
    let again = serde_json::to_vec(answer).map(|line| read_answer(&line[..]));
    assert!(matches!(&again, Ok(Ok(again)) if again == answer), "{again:?} was {answer:?}");
}
