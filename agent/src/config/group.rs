//! Virtual routers that move together.

/// How a virtual router belongs to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The group: the name of a `[[group]]`, or that of the entry whose two halves it consists of.
    pub group: String,
    /// Whether the file has a `[[group]]` for it.
    pub is_listed: bool,
    /// Whether it decides between nodes of equal priority: one member of each group does, the same on all nodes.
    pub breaks_ties: bool,
}
