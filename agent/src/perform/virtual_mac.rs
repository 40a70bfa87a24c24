//! The interface that has the Virtual Router MAC Address: a macvlan on the interface of the adverts, there for as long as
//! this node is Active. RFC 9568 §7.3, §8.1.2, §8.2.2.
//!
//! It goes when the term ends, and with it the virtual addresses, the entry in the NIC's filter, and the kernel's readiness
//! to take frames for that MAC address.

use anyhow::{Context, anyhow, ensure};
use futures_util::TryStreamExt;
use nix::errno::Errno;
use rtnetlink::{
    Error, Handle, LinkMacVlan, LinkUnspec,
    packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage, MacVlanMode},
};
use tracing::warn;
use vrrp::{Family, MacAddr, Vrid};

use super::sysctl::Setting;

/// Which Virtual Router MAC Address an interface is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualMac {
    /// Of which family the virtual router is.
    pub family: Family,
    /// Its VRID.
    pub vrid: Vrid,
}

impl VirtualMac {
    /// The address itself.
    #[must_use]
    pub fn mac(self) -> MacAddr {
        self.vrid.mac(self.family)
    }

    /// The name of its interface on the interface with index `parent`: 15 bytes hold it up to an index of 9,999,999.
    fn name(self, parent: u32) -> String {
        format!("vr{}.{}.{parent}", self.family.number(), self.vrid)
    }

    /// That of the interface `name` on the interface with index `parent`; `None` where it is not called so.
    fn named(name: &str, parent: u32) -> Option<Self> {
        let (family, vrid) = name.strip_prefix("vr")?.strip_suffix(&format!(".{parent}"))?.split_once('.')?;
        let found = Self { family: Family::from_number(family.parse().ok()?)?, vrid: Vrid::new(vrid.parse().ok()?)? };
        (found.name(parent) == name).then_some(found)
    }

    /// Makes the interface, unless it is there already, and sets it up. Returns its index.
    pub async fn hold(self, handle: &Handle, parent: u32) -> anyhow::Result<u32> {
        let name = self.name(parent);
        let index = match self.find(handle, parent).await? {
            Some(index) => index,
            None => self.make(handle, &name, parent).await?,
        };
        self.set_up(handle, &name, index).await.with_context(|| format!("failed to set up interface `{name}`"))?;
        Ok(index)
    }

    async fn make(self, handle: &Handle, name: &str, parent: u32) -> anyhow::Result<u32> {
        let make = LinkMacVlan::new(name, parent, MacVlanMode::Private).address(self.mac().0.to_vec()).build();
        let hint = || format!("failed to make interface `{name}`, a macvlan with {}", self.mac());
        handle.link().add(make).execute().await.with_context(hint)?;
        self.find(handle, parent).await?.ok_or_else(|| anyhow!("interface `{name}` went away"))
    }

    async fn set_up(self, handle: &Handle, name: &str, index: u32) -> anyhow::Result<()> {
        // It answers for what is on it alone, and takes packets whose way back leads through its parent.
        Setting::ARP_IGNORE.write(name, 1)?;
        let is_strict = Setting::RP_FILTER.read("all")? != 0;
        Setting::RP_FILTER.write(name, if is_strict { 2 } else { 0 })?;
        // A kernel without IPv6 has no settings for it, and no IPv6 virtual router.
        match self.family {
            Family::Ipv4 => _ = Setting::DISABLE_IPV6.write(name, 1),
            Family::Ipv6 => {
                // No address may be made of the Virtual Router MAC Address: RFC 9568 §7.4.
                Setting::ADDR_GEN_MODE.write(name, 1)?;
                Setting::ACCEPT_RA.write(name, 0)?;
                // The Router flag of what it answers: RFC 9568 §6.4.3. Packets are forwarded only where all interfaces do.
                Setting::FORWARDING_IPV6.write(name, 1)?;
            }
        }
        let up = LinkUnspec::new_with_index(index).up().build();
        handle.link().set(up).execute().await?;
        Ok(())
    }

    /// The index of the interface, if it is there. One of its name that is something else is an error.
    pub async fn find(self, handle: &Handle, parent: u32) -> anyhow::Result<Option<u32>> {
        let name = self.name(parent);
        let Some(link) = find(handle, &name).await? else { return Ok(None) };
        ensure!(
            is_ours(&link, parent),
            "interface `{name}` is no macvlan of vipd's, which needs that name: rename or remove it"
        );
        Ok(Some(link.header.index))
    }

    /// Removes the interface. That it is not there is no error.
    pub async fn release(self, handle: &Handle, parent: u32) -> anyhow::Result<()> {
        let Some(index) = self.find(handle, parent).await? else { return Ok(()) };
        let hint = || format!("failed to remove interface `{}`", self.name(parent));
        remove(handle, index).await.with_context(hint)
    }
}

/// Removes the interfaces that an earlier run has left on the interface `parent`, but for those that are `held`.
pub async fn sweep(handle: &Handle, parent: u32, held: &[VirtualMac]) -> anyhow::Result<()> {
    let links: Vec<_> = handle.link().get().execute().try_collect().await.context("failed to read the interfaces")?;
    for link in links.iter().filter(|link| is_ours(link, parent)) {
        let name = name(link).unwrap_or_default();
        if held.iter().any(|mac| mac.name(parent) == name) {
            continue;
        }
        warn!(interface = name, "removing an interface that an earlier run has left");
        remove(handle, link.header.index).await.with_context(|| format!("failed to remove interface `{name}`"))?;
    }
    Ok(())
}

/// Whether it is a macvlan on `parent` with the name and the MAC address of one virtual router. Other programs have names much
/// like it: `vrrp.51` is keepalived's.
fn is_ours(link: &LinkMessage, parent: u32) -> bool {
    let Some(mac) = name(link).and_then(|name| VirtualMac::named(name, parent)) else { return false };
    let is_macvlan = |it: &LinkAttribute| matches!(it, LinkAttribute::LinkInfo(infos) if infos.contains(&LinkInfo::Kind(InfoKind::MacVlan)));
    link.attributes.contains(&LinkAttribute::Link(parent))
        && link.attributes.contains(&LinkAttribute::Address(mac.mac().0.to_vec()))
        && link.attributes.iter().any(is_macvlan)
}

fn name(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|it| if let LinkAttribute::IfName(name) = it { Some(name.as_str()) } else { None })
}

/// The interface of this name, if there is one.
async fn find(handle: &Handle, name: &str) -> anyhow::Result<Option<LinkMessage>> {
    match handle.link().get().match_name(name.to_owned()).execute().try_next().await {
        Ok(link) => Ok(link),
        Err(Error::NetlinkError(error)) if Errno::from_raw(error.raw_code().saturating_abs()) == Errno::ENODEV => {
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("failed to look for interface `{name}`")),
    }
}

async fn remove(handle: &Handle, index: u32) -> Result<(), Error> {
    match handle.link().del(index).execute().await {
        Err(Error::NetlinkError(error)) if Errno::from_raw(error.raw_code().saturating_abs()) == Errno::ENODEV => {
            Ok(())
        }
        other => other,
    }
}
