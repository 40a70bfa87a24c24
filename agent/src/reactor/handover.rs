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
                return Ok(routers.filter_map(|router| router.drain(is_drained, &mut self.desk, now)).collect());
            }
        };
        self.check_name(name)?;
        let named = self.routers.iter_mut().filter(|router| router.config_name() == name);
        let pending: Vec<_> = named.filter_map(|router| router.hand_over(to, &mut self.desk, now)).collect();
        if pending.is_empty() {
            return Err(format!(
                "this node is not Active in `{name}`, or owns its addresses: there is nothing to hand over"
            ));
        }
        Ok(pending)
    }

    /// The node called `node`, to which the virtual routers called `name` may be handed over.
    pub(super) fn candidate(&self, name: &str, node: &str) -> Result<Candidate, String> {
        self.check_name(name)?;
        let named = self.routers.iter().filter(|router| router.config_name() == name);
        let mut found: Option<Candidate> = None;
        for router in named {
            let Some(candidate) = router.candidate(node)? else { continue };
            found = Some(match found {
                Some(known) => known.or(candidate),
                None => candidate,
            });
        }
        found.ok_or_else(|| {
            format!("`{node}` is no other node of `{name}`, or the configuration gives no address of it")
        })
    }

    fn check_name(&self, name: &str) -> Result<(), String> {
        if self.routers.iter().any(|router| router.config_name() == name) {
            return Ok(());
        }
        let names: BTreeSet<_> = self.routers.iter().map(VirtualRouter::config_name).collect();
        let names = Vec::from_iter(names).join(", ");
        Err(format!("there is no virtual router `{name}`; there are: {names}"))
    }
}
