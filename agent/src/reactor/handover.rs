//! Lets other routers serve, because an operator wants it.

use std::collections::BTreeSet;

use vrrp::Instant;

use super::Reactor;
use crate::router::{
    VirtualRouter,
    handover::{Candidate, HandoverRequest, PendingHandover},
};

impl Reactor {
    /// Lets other routers serve, or no longer.
    pub(super) fn hand_over(
        &mut self,
        request: &HandoverRequest,
        now: Instant,
    ) -> Result<Vec<PendingHandover>, String> {
        let (name, to) = match request {
            HandoverRequest::Transfer { router, to } => (router, to.as_ref()),
            HandoverRequest::Drain | HandoverRequest::Undrain => {
                let is_drained = *request == HandoverRequest::Drain;
                self.about.drained = is_drained;
                let routers = self.routers.iter_mut();
                let pending = routers.filter_map(|router| router.drain(is_drained, &mut self.desk, now)).collect();
                // The priority that the supervisor would speak with is another one now.
                self.bequeath();
                return Ok(pending);
            }
        };
        let meant = self.meant(name)?;
        let (routers, desk) = (self.routers.iter_mut().enumerate(), &mut self.desk);
        let meant = routers.filter(|(place, _)| meant.contains(place)).map(|(_, router)| router);
        let pending: Vec<_> = meant.filter_map(|router| router.hand_over(to, desk, now)).collect();
        if pending.is_empty() {
            return Err(format!(
                "this node is not Active in `{name}`, or owns its addresses: there is nothing to hand over"
            ));
        }
        Ok(pending)
    }

    /// The node called `node`, to which the virtual routers called `name` may be handed over.
    pub(super) fn candidate(&self, name: &str, node: &str) -> Result<Candidate, String> {
        let meant = self.meant(name)?;
        let mut found: Option<Candidate> = None;
        for router in meant.iter().filter_map(|&place| self.routers.get(place)) {
            let Some(candidate) = router.candidate(node)? else { continue };
            if found.as_ref().is_some_and(|known| known.ifindex != candidate.ifindex) {
                return Err(format!(
                    "`{name}` moves together with virtual routers on other interfaces, and `{node}` has an address of its own on \
                     each: `vipd transfer` without --to lets the best node serve"
                ));
            }
            found = Some(match found {
                Some(known) => known.or(candidate),
                None => candidate,
            });
        }
        found.ok_or_else(|| {
            format!("`{node}` is no other node of `{name}`, or the configuration gives no address of it")
        })
    }

    /// The places of those called `name`, and of those that move together with them.
    fn meant(&self, name: &str) -> Result<BTreeSet<usize>, String> {
        let is_called = |place: &usize| self.routers.get(*place).is_some_and(|router| router.is_called(name));
        let groups = self.groups.iter().filter(|group| group.members.iter().any(is_called));
        let meant: BTreeSet<_> = groups.flat_map(|group| group.members.iter().copied()).collect();
        if !meant.is_empty() {
            return Ok(meant);
        }
        let names: BTreeSet<_> = self.routers.iter().map(VirtualRouter::config_name).collect();
        let names = Vec::from_iter(names).join(", ");
        Err(format!("there is no virtual router `{name}`; there are: {names}"))
    }
}
