//! How much a registry is asked at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::task::JoinSet;

use crate::{
    server::{Server, answer},
    support::{nobody, resolver},
};

#[tokio::test]
async fn a_registry_is_asked_four_things_at_once() {
    let (now, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let counted = (now, most.clone());
    let server = Server::start(move |_| {
        let (now, most) = counted.clone();
        async move {
            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            // All that would come at once has come: what is asked here is the order of events.
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
            now.fetch_sub(1, SeqCst);
            answer(404, &[], "")
        }
    });
    let server = server.await;
    let resolver = Arc::new(resolver(&[&server.host()]));
    let mut asking = JoinSet::new();
    for at in 0..20 {
        let resolver = resolver.clone();
        let name = format!("{}/team/app:{at}", server.host()).parse().unwrap();
        asking.spawn(async move { resolver.resolve(&name, &nobody()).await.is_err() });
    }
    let all = tokio::time::timeout(Duration::from_secs(30), asking.join_all()).await.unwrap();
    assert_eq!((all.len(), server.asked().len()), (20, 20));
    assert_eq!(most.load(SeqCst), 4);
}
