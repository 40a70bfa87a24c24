//! For which virtual routers this node is Active: asked of the election thread whenever something has happened, and now and then,
//! since the journal may have lost what happened.

use std::time::Duration;

use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};
use vrrp_wire::Family;

use crate::{
    mailbox::{Mail, Mailbox},
    observe::{RouterStatus, Snapshot, journal::Journal},
};

/// How often the election thread is asked while nothing happens.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How long it may take to answer. One that hangs serves nothing: its supervisor hands over.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is known of this node's virtual routers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Roles(Vec<Role>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Role {
    name: String,
    group: Option<String>,
    family: String,
    is_active: bool,
}

impl Roles {
    fn of(routers: &[RouterStatus]) -> Self {
        let role = |router: &RouterStatus| Role {
            name: router.name.clone(),
            group: router.group.clone(),
            family: router.family.clone(),
            is_active: router.state == "Active",
        };
        Self(routers.iter().map(role).collect())
    }

    /// Whether this node is Active for all virtual routers of this name, or of the group of this name: for those of `family`,
    /// and where there are none for those of the other.
    pub(super) fn is_active(&self, name: &str, family: Family) -> bool {
        let is_meant = |role: &&Role| role.name == name || role.group.as_deref() == Some(name);
        let family = family.to_string();
        let meant: Vec<_> = self.0.iter().filter(is_meant).collect();
        let has_family = meant.iter().any(|role| role.family == family);
        let mut meant = meant.into_iter().filter(|role| role.family == family || !has_family).peekable();
        meant.peek().is_some() && meant.all(|role| role.is_active)
    }
}

/// Keeps `roles` as they are, for ever.
pub(super) async fn keep(mailbox: Mailbox, journal: Journal, roles: watch::Sender<Roles>) {
    let mut cursor = journal.read_from(journal.end());
    loop {
        let known = ask(&mailbox).await.map(|snapshot| Roles::of(&snapshot.virtual_routers)).unwrap_or_default();
        roles.send_if_modified(|roles| {
            let differs = *roles != known;
            *roles = known;
            differs
        });
        // It is no matter what has happened, or whether some of it was lost.
        let _ = timeout(ASK_EVERY, cursor.wait()).await;
        cursor = journal.read_from(journal.end());
    }
}

async fn ask(mailbox: &Mailbox) -> Option<Snapshot> {
    let (asker, answer) = oneshot::channel();
    let ask = async {
        mailbox.send(Mail::Status(asker)).await;
        answer.await
    };
    timeout(PATIENCE, ask).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(routers: &[(&str, Option<&str>, &str, bool)]) -> Roles {
        let role = |&(name, group, family, is_active): &(&str, Option<&str>, &str, bool)| Role {
            name: name.to_owned(),
            group: group.map(str::to_owned),
            family: family.to_owned(),
            is_active,
        };
        Roles(routers.iter().map(role).collect())
    }

    #[test]
    fn an_address_follows_those_of_its_family() {
        let apart = roles(&[("web", None, "IPv4", true), ("web", None, "IPv6", false)]);
        assert!(apart.is_active("web", Family::Ipv4));
        assert!(!apart.is_active("web", Family::Ipv6));
        let other_only = roles(&[("web", None, "IPv4", true)]);
        assert!(other_only.is_active("web", Family::Ipv6), "there is nothing else to follow");
        assert!(!other_only.is_active("mail", Family::Ipv4));
        assert!(!Roles::default().is_active("web", Family::Ipv4));
    }

    #[test]
    fn a_group_is_active_when_all_of_it_is() {
        for (second, expected) in [(true, true), (false, false)] {
            let roles = roles(&[
                ("web-a", Some("web"), "IPv4", true),
                ("web-b", Some("web"), "IPv4", second),
                ("web-b", Some("web"), "IPv6", false),
            ]);
            assert_eq!(roles.is_active("web", Family::Ipv4), expected);
            assert!(!roles.is_active("web", Family::Ipv6));
        }
    }
}
