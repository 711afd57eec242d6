//! A simulation as a text table.

use super::SimReport;

/// The table and what one needs to read it.
pub fn render(report: &SimReport) -> String {
    let (setup, model, onepull) = (&report.setup, &report.model, &report.onepull);
    let bound = model.bound_seconds;
    let row = |name: &str, last: f64, egress: f64| {
        format!("{name:<22}  {last:>9.2}  {:>8.2}  {egress:>7.2}x\n", last / bound)
    };
    let pullers = f64::from(setup.pullers());
    let mut text = heading(report);
    text.push_str("arm                     last node  / bound   egress\n");
    text.push_str(&row("bound (formula)", bound, 1.0));
    text.push_str(&row("onepull (simulated)", onepull.last_seconds, onepull.egress_images));
    text.push_str(&row("a chain (formula)", model.chain_seconds, 1.0));
    text.push_str(&row("doubling (formula)", model.doubling_seconds, 1.0));
    text.push_str(&row("direct (formula)", model.direct_seconds, pullers));
    text.push('\n');
    text.push_str(&details(report));
    text
}

fn heading(report: &SimReport) -> String {
    let setup = &report.setup;
    format!(
        "{} nodes in {} zones, {:?}, image {} in {} layers, links {}, registry {}, pieces of {}, seed {}\n\n",
        setup.nodes,
        setup.zones,
        setup.pattern,
        setup.image_size,
        setup.layers,
        setup.nic,
        setup.registry,
        setup.piece,
        setup.seed,
    )
}

/// What happened beside the times.
fn details(report: &SimReport) -> String {
    let onepull = &report.onepull;
    let entered: Vec<_> = onepull.entered_images.iter().map(|x| format!("{x:.2}x")).collect();
    let mut text = format!(
        "first node {:.2} s, median {:.2} s; longest way from a lead: {} nodes\n\
         into each zone from outside (other zones and the registry): {}; from zone to zone: {:.2}x\n\
         claims: {:.2} a node and layer, each looked at {:.1} members; {:.2} messages of progress a \
         node and second\n\
         leads named: {}, promotions among them: {}, second leads: {}\n",
        onepull.first_seconds,
        onepull.median_seconds,
        onepull.deepest,
        entered.join(", "),
        onepull.crossed_images,
        onepull.claims_per_layer,
        onepull.looked_at_per_claim,
        onepull.reports_per_second,
        onepull.leads,
        onepull.promotions,
        onepull.second_leads,
    );
    if let Some(node) = onepull.killed {
        text.push_str(&format!("killed: node {node}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{simulate, testing::config};

    #[test]
    fn the_table_shows_the_simulation_beside_the_formulas() {
        let report = simulate(&config(8), "onepull-loadtest sim".into(), String::new()).unwrap();
        let table = render(&report);
        for row in
            ["bound (formula)", "onepull (simulated)", "doubling (formula)", "direct (formula)"]
        {
            assert!(table.lines().any(|line| line.starts_with(row)), "{table}");
        }
        assert!(
            table.contains("into each zone from outside (other zones and the registry): 1.00x")
        );
    }
}
