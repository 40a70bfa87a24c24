//! Whether an interface is up and has carrier; looked at whenever the kernel says that something has changed.

use std::fmt;

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream::BoxStream};
use rtnetlink::{
    Handle, MulticastGroup, new_connection, new_multicast_connection,
    packet_core::{NetlinkMessage, NetlinkPayload},
    packet_route::{
        RouteNetlinkMessage,
        link::{LinkAttribute, LinkFlags, LinkMessage},
    },
};
use tokio::task::JoinSet;

/// Watches one interface.
#[derive(Debug)]
pub(super) struct Watcher {
    name: String,
    line: Option<Line>,
}

/// Connections to the kernel, which end with this: one to ask by and one for news, which could pass for an answer.
struct Line {
    handle: Handle,
    news: BoxStream<'static, NetlinkMessage<RouteNetlinkMessage>>,
    _drivers: JoinSet<()>,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

impl Watcher {
    pub(super) const fn new(name: String) -> Self {
        Self { name, line: None }
    }

    pub(super) async fn look(&mut self) -> Result<String, String> {
        let line = match &mut self.line {
            Some(line) => line,
            none => none.insert(open().map_err(|error| format!("netlink cannot be used: {error}"))?),
        };
        // What was said before this look is no news after it.
        while let Some(Some(_)) = line.news.next().now_or_never() {}
        let mut links = line.handle.link().get().match_name(self.name.clone()).execute();
        match links.try_next().await {
            Ok(Some(found)) if found.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp) => Ok("up".to_owned()),
            Ok(Some(found)) if found.header.flags.contains(LinkFlags::Up) => Err("without carrier".to_owned()),
            Ok(Some(_)) => Err("down".to_owned()),
            Ok(None) | Err(rtnetlink::Error::NetlinkError(_)) => Err("there is no such interface".to_owned()),
            Err(error) => {
                self.line = None;
                Err(format!("netlink does not answer: {error}"))
            }
        }
    }

    /// Returns when something may have changed.
    pub(super) async fn disturbed(&mut self) {
        let name = &self.name;
        if let Some(line) = &mut self.line {
            while let Some(message) = line.news.next().await {
                if concerns(&message, name) {
                    return;
                }
            }
            self.line = None;
        }
        std::future::pending::<()>().await;
    }
}

fn open() -> std::io::Result<Line> {
    let (asking, handle, _) = new_connection()?;
    let (hearing, _, news) = new_multicast_connection(&[MulticastGroup::Link])?;
    let mut drivers = JoinSet::new();
    drivers.spawn(asking);
    drivers.spawn(hearing);
    Ok(Line { handle, news: news.map(|(message, _)| message).boxed(), _drivers: drivers })
}

/// Whether `message` is about the interface, or says that others were lost.
fn concerns(message: &NetlinkMessage<RouteNetlinkMessage>, name: &str) -> bool {
    let NetlinkPayload::InnerMessage(message) = &message.payload else { return true };
    if let RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link) = message {
        return is_named(link, name);
    }
    false
}

fn is_named(link: &LinkMessage, name: &str) -> bool {
    link.attributes.iter().any(|attribute| matches!(attribute, LinkAttribute::IfName(own) if own == name))
}
