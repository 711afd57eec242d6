//! All caches as a table. Pure.

use jiff::Timestamp;
use kube::ResourceExt;
use onepull_api::{CacheState, ConditionType, ImageCache};
use serde::Serialize;

use crate::plugin::{
    cluster::Scope,
    output::Answer,
    table::{Column, Table},
    wanted::condition,
    words::{bar, some_age},
};

const COLUMNS: [Column; 10] = [
    Column::of("NAMESPACE"),
    Column::of("NAME"),
    Column::right("IMAGES"),
    Column::right("NODES"),
    Column::right("WARM"),
    Column::of("PROGRESS"),
    Column::of("STATE"),
    Column::right("UPSTREAM"),
    Column::right("AGE"),
    Column::of("MESSAGE").wide(),
];

/// Some caches.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Caches {
    caches: Vec<CacheRow>,
    #[serde(skip)]
    nothing: String,
    #[serde(skip)]
    now: Timestamp,
}

/// One cache.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CacheRow {
    namespace: String,
    pub(super) name: String,
    images: u32,
    pub(super) nodes: u32,
    pub(super) warm: u32,
    failed: u32,
    unavailable: u32,
    pub(super) state: CacheState,
    pub(super) upstream: Option<String>,
    created: Option<Timestamp>,
    /// What is wrong, else what is being done.
    pub(super) message: Option<String>,
}

// === impl Caches ===

impl Caches {
    /// These caches, found in a scope.
    pub(crate) fn of(caches: &[ImageCache], scope: Scope<'_>, now: Timestamp) -> Self {
        let nothing = match scope {
            Scope::All => "There are no image caches in this cluster.".to_owned(),
            Scope::Namespace(namespace) => {
                format!("There are no image caches in namespace {namespace}; -A looks in all.")
            }
        };
        Self { caches: caches.iter().map(CacheRow::of).collect(), nothing, now }
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&COLUMNS);
        for cache in &self.caches {
            table.row(vec![
                cache.namespace.clone(),
                cache.name.clone(),
                cache.images.to_string(),
                cache.nodes.to_string(),
                cache.warm.to_string(),
                cache.progress(),
                format!("{:?}", cache.state),
                cache.upstream.clone().unwrap_or_else(|| "-".to_owned()),
                some_age(cache.created, self.now),
                cache.message.clone().unwrap_or_default(),
            ]);
        }
        table
    }
}

impl Answer for Caches {
    fn text(&self, wide: bool) -> String {
        match self.caches.is_empty() {
            true => format!("{}\n", self.nothing),
            false => self.table().render(wide),
        }
    }
}

// === impl CacheRow ===

impl CacheRow {
    /// A bar, where there is a node.
    fn progress(&self) -> String {
        match self.nodes {
            0 => "-".to_owned(),
            nodes => bar(self.warm.into(), nodes.into()),
        }
    }

    pub(super) fn of(cache: &ImageCache) -> Self {
        let status = cache.status.clone().unwrap_or_default();
        let degraded = condition(cache, ConditionType::Degraded).filter(|it| it.status == "True");
        let ready = condition(cache, ConditionType::Ready);
        Self {
            namespace: cache.namespace().unwrap_or_default(),
            name: cache.name_any(),
            images: status.counts.images,
            nodes: status.counts.nodes,
            warm: status.counts.warm,
            failed: status.counts.failed,
            unavailable: status.counts.unavailable,
            state: status.state,
            upstream: status.upstream,
            created: cache.creation_timestamp().map(|time| time.0),
            message: degraded.or(ready).map(|condition| condition.message.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::testing::{cache, check, later};

    #[test]
    fn all_caches_are_a_table_with_bars() {
        let mut ready = cache("web", "docker.io/library/nginx:1.27");
        let status = ready.status.as_mut().unwrap();
        status.state = CacheState::Ready;
        (status.counts.warm, status.counts.failed, status.upstream) = (4, 0, Some("1.00x".into()));
        let new = ImageCache::new("new", ready.spec.clone());
        let caches = [cache("models", "r.example/app:v1"), ready, new];
        let answer = Caches::of(&caches, Scope::All, later(75));
        check("status-all", &(answer.text(false) + "\n" + &answer.text(true)));
    }

    #[test]
    fn where_there_are_none_it_is_said_where_was_looked() {
        let text = |scope| Caches::of(&[], scope, later(0)).text(false);
        assert_eq!(text(Scope::All), "There are no image caches in this cluster.\n");
        assert_eq!(
            text(Scope::Namespace("team")),
            "There are no image caches in namespace team; -A looks in all.\n"
        );
    }
}
