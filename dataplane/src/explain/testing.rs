//! A small cluster on a kernel in memory, for tests.

use std::sync::Arc;

use compile::Limits;
use model::{Event, Kind, api};

use crate::kernel::fake::Fake;
use crate::sync::core::Core;

/// Two nodes, of which `node-1` is ours. Here: `shop/web`, `shop/db`, `other/web`, and `shop/agent` with the node's
/// network. There: `shop/far`. What `app=web` of `shop` may dial is `db` on 5432; who may dial `db` there is `app=web`.
const CLUSTER: &str = include_str!("testing/cluster.yaml");

/// The cluster, with everything written.
pub(crate) fn cluster() -> Core<Fake> {
    cluster_with("", Limits::default())
}

/// The same with more objects, on maps of these sizes.
pub(crate) fn cluster_with(yaml: &str, limits: Limits) -> Core<Fake> {
    let mut core = Core::new(Fake::new(limits), "node-1").unwrap();
    core.set_addrs(["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()].into());
    for kind in Kind::ALL {
        core.event(Event::Init(kind));
    }
    apply(&mut core, CLUSTER);
    apply(&mut core, yaml);
    for kind in Kind::ALL {
        core.event(Event::InitDone(kind));
    }
    for _ in 0..4 {
        let round = core.round();
        round.retired.into_iter().for_each(|ticket| core.release(ticket));
    }
    core
}

/// Tells a core of objects.
pub(crate) fn apply(core: &mut Core<Fake>, yaml: &str) {
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(yaml).unwrap();
    for document in documents.into_iter().filter(|document| !document.is_null()) {
        for object in api::decode(document).unwrap().objects {
            core.event(Event::InitApply(Arc::new(object)));
        }
    }
}
