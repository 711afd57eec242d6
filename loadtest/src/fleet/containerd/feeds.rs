//! Who is feeding whom in the middle of a storm, and so who leads and who is a parent.

use std::time::Duration;

use tokio::time::sleep;

use super::{ContainerdFleet, FleetError};

/// Long enough that a stream which flows shows, short beside the storm.
const WATCHED: Duration = Duration::from_millis(250);

/// A node that takes less than this part of what the lead takes from the registry does not lead:
/// manifests and the HEADs of tags come from there too.
const LEADS: u64 = 8;

/// Bytes that moved during a short while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feeds {
    /// From the registry to each node.
    pub taken: Vec<u64>,
    /// From each node to other nodes.
    pub given: Vec<u64>,
}

// === impl Feeds ===

impl Feeds {
    /// The node that takes most from the registry.
    pub fn lead(&self) -> usize {
        most(self.taken.iter().copied().enumerate()).unwrap_or_default()
    }

    /// Of the nodes that lead in nothing the one that gives most: a follower with followers of its
    /// own. With several leads and no such node it is any other than the first lead.
    pub fn follower(&self) -> usize {
        let lead = self.lead();
        let others = || self.given.iter().copied().enumerate().filter(|(node, _)| *node != lead);
        let most_taken = self.taken.get(lead).copied().unwrap_or_default();
        let leads = |node: usize| self.taken.get(node).is_some_and(|t| t * LEADS > most_taken);
        most(others().filter(|(node, _)| !leads(*node))).or_else(|| most(others())).unwrap_or(lead)
    }
}

/// The first of those with the most.
fn most(nodes: impl Iterator<Item = (usize, u64)>) -> Option<usize> {
    let best = nodes.reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map(|(node, _)| node)
}

// === impl ContainerdFleet ===

impl ContainerdFleet {
    /// Watches for a moment who is feeding whom. What the registry sends must be counted already;
    /// see [`ContainerdFleet::count_registry_bytes`].
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub async fn feeds(&self) -> Result<Feeds, FleetError> {
        let before = self.fed_so_far()?;
        sleep(WATCHED).await;
        let after = self.fed_so_far()?;
        let moved = |after: Vec<u64>, before: &[u64]| {
            after.iter().zip(before).map(|(after, before)| after - before).collect()
        };
        Ok(Feeds {
            taken: moved(after.taken, &before.taken),
            given: moved(after.given, &before.given),
        })
    }

    /// What a node sends to others leaves by its link; beside that, requests and acknowledgements
    /// are little.
    fn fed_so_far(&self) -> Result<Feeds, FleetError> {
        let traffic = self.lab.traffic(self.nodes.iter().map(|node| &node.host));
        let traffic = traffic.map_err(FleetError::setup("see who feeds whom"))?;
        let given = traffic.into_iter().map(|traffic| traffic.tx).collect();
        Ok(Feeds { taken: self.registry_bytes()?, given })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lead_takes_from_the_registry_and_the_follower_is_a_parent() {
        let feeds = Feeds { taken: vec![3, 1000, 0, 0], given: vec![10, 900, 800, 0] };
        assert_eq!((feeds.lead(), feeds.follower()), (1, 2));
    }

    #[test]
    fn a_node_that_leads_in_another_layer_is_no_follower() {
        let feeds = Feeds { taken: vec![600, 500, 0], given: vec![0, 900, 1] };
        assert_eq!((feeds.lead(), feeds.follower()), (0, 2));
    }

    #[test]
    fn where_all_lead_another_than_the_first_is_taken() {
        let feeds = Feeds { taken: vec![600, 500], given: vec![9, 9] };
        assert_eq!((feeds.lead(), feeds.follower()), (0, 1));
        assert_eq!((Feeds::default().lead(), Feeds::default().follower()), (0, 0));
    }
}
