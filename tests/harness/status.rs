//! What an agent says about itself.

use serde_json::Value;
use vrrp_wire::Family;

/// The output of `vipd status --json`. Everything that tests know of its form is here.
#[derive(Clone, Debug)]
pub struct Status(pub Value);

impl Status {
    /// The state of a virtual router: `Initialize`, `Backup`, `Active` or `Fault`.
    #[must_use]
    pub fn state(&self, name: &str, family: Family) -> Option<&str> {
        self.router(name, family)?["state"].as_str()
    }

    /// Everything about a virtual router.
    #[must_use]
    pub fn router(&self, name: &str, family: Family) -> Option<&Value> {
        let family = family.to_string();
        let mut routers = self.0["virtual_routers"].as_array()?.iter();
        routers.find(|router| router["name"] == name && router["family"] == family.as_str())
    }

    /// State changes of all virtual routers.
    #[must_use]
    pub fn transitions(&self) -> Option<u64> {
        self.0["virtual_routers"].as_array()?.iter().map(|router| router["tally"]["transitions"].as_u64()).sum()
    }

    /// Frames of a virtual router that the guard has counted under `name`.
    #[must_use]
    pub fn counter(&self, router: &str, family: Family, name: &str) -> u64 {
        self.router(router, family).and_then(|router| router["counters"][name].as_u64()).unwrap_or(0)
    }

    /// What the agent has counted under `name` for a virtual router.
    #[must_use]
    pub fn tally(&self, router: &str, family: Family, name: &str) -> Option<u64> {
        self.router(router, family)?["tally"][name].as_u64()
    }

    /// How the first interface is guarded, and why not otherwise.
    #[must_use]
    pub fn attachment(&self) -> (&str, &str) {
        let interface = &self.0["interfaces"][0];
        (interface["attach"].as_str().unwrap_or_default(), interface["attach_reason"].as_str().unwrap_or_default())
    }

    /// Whether every virtual router is in one of `states`.
    pub fn all_in(&self, states: &[&str]) -> bool {
        let routers = self.0["virtual_routers"].as_array().map_or(&[][..], Vec::as_slice);
        let settled = |router: &Value| router["state"].as_str().is_some_and(|state| states.contains(&state));
        !routers.is_empty() && routers.iter().all(settled)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_families_of_one_name_are_two_virtual_routers() {
        let status = Status(json!({"node": "n1", "virtual_routers": [
            {"name": "web-a", "vrid": 51, "family": "IPv4", "state": "Active"},
            {"name": "web-a", "vrid": 51, "family": "IPv6", "state": "Backup"},
        ]}));
        assert_eq!(status.state("web-a", Family::Ipv4), Some("Active"));
        assert_eq!(status.state("web-a", Family::Ipv6), Some("Backup"));
        assert_eq!(status.state("web-b", Family::Ipv4), None);
        assert!(status.all_in(&["Active", "Backup"]));
        assert!(!status.all_in(&["Active"]));
        assert!(!Status(json!({"virtual_routers": []})).all_in(&["Active"]));
    }
}
