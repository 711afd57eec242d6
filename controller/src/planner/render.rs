//! A plan as text that a person can read: for golden files, logs and whoever asks why.

use std::fmt;

use super::{Condition, Hold, Lack, NodePlan, Plan, Rollup, SeedPlan, Source, words::Bytes};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, rollup) in &self.caches {
            writeln!(f, "cache {id}")?;
            write!(f, "{rollup}")?;
        }
        for seed in &self.seeds {
            writeln!(f, "seed {seed}")?;
        }
        for (name, node) in &self.nodes {
            if !node.is_empty() {
                writeln!(f, "node {name}")?;
                write!(f, "{node}")?;
            }
        }
        for event in &self.events {
            let caches: Vec<_> = event.caches.iter().map(ToString::to_string).collect();
            writeln!(f, "event {} ({}): {}", event.what.as_str(), caches.join(", "), event.what)?;
        }
        match self.again {
            Some(time) => writeln!(f, "again at {time:.0}"),
            None => writeln!(f, "again when something changes"),
        }
    }
}

impl fmt::Display for Rollup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for image in &self.images {
            let digest = image.digest.as_ref().map_or("unresolved", |digest| digest.short());
            let (name, warm, desired) = (&image.image, image.warm, image.desired);
            writeln!(f, "  image {name} {digest}: warm on {warm} of {desired}")?;
        }
        let nodes = self.nodes;
        writeln!(
            f,
            "  nodes {}: {} warm, {} warming, {} waiting, {} failed, {} unavailable",
            nodes.selected,
            nodes.warm,
            nodes.warming,
            nodes.waiting,
            nodes.failed,
            nodes.unavailable
        )?;
        let (sent, once) = (Bytes(self.upstream_bytes), Bytes(self.image_bytes));
        writeln!(f, "  upstream {sent} of {once}")?;
        let conditions = &self.conditions;
        condition(f, "Ready", &conditions.ready)?;
        condition(f, "Progressing", &conditions.progressing)?;
        condition(f, "Degraded", &conditions.degraded)?;
        if self.released {
            writeln!(f, "  may go")?;
        }
        Ok(())
    }
}

fn condition(f: &mut fmt::Formatter<'_>, kind: &str, condition: &Condition) -> fmt::Result {
    let holds = if condition.holds { "yes" } else { "no" };
    writeln!(f, "  {kind}: {holds}, {}: {}", condition.reason, condition.message)
}

impl fmt::Display for SeedPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({}): ", self.image, self.digest.short(), self.platform)?;
        match &self.node {
            Some(node) => write!(f, "{node}, {:?}", self.stage),
            None => write!(f, "nobody, {:?}", self.stage),
        }
    }
}

impl fmt::Display for NodePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for hold in &self.holds {
            writeln!(f, "  hold {hold}")?;
        }
        for removal in &self.removals {
            writeln!(f, "  remove {} {}", removal.digest.short(), list(&removal.refs))?;
        }
        for Lack { cache, image, reason } in &self.lacks {
            writeln!(f, "  lacks {image} of {cache}: {}: {reason}", reason.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            Source::Upstream => "from the registry",
            Source::Peers => "from peers",
        };
        let (digest, refs, caches) = (self.digest.short(), list(&self.refs), list(&self.caches));
        write!(f, "{digest} {refs} {source}, generation {}, for {caches}", self.generation)
    }
}

fn list(names: &[impl fmt::Display]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
