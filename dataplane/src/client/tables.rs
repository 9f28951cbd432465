//! Reports as tables.

use super::table::{Table, or_dash};
use crate::admin::reports::{EndpointReport, MapReport, ServiceReport};

/// One line a frontend; a Service port's counts stand on its first.
pub(super) fn services(reports: &[ServiceReport]) -> String {
    let mut table = Table::new([
        "NAMESPACE",
        "NAME",
        "PORT",
        "KIND",
        "FRONTEND",
        "BACKENDS",
        "LOCAL",
        "CONNECTIONS",
        "REFUSED",
        "DROPPED",
        "NOTE",
    ]);
    for r in reports {
        let local = if r.flags.is_empty() { "-".to_owned() } else { r.local_backends.to_string() };
        for (i, f) in r.frontends.iter().enumerate() {
            let first = |text: String| if i == 0 { text } else { String::new() };
            table.row([
                r.namespace.clone(),
                r.name.clone(),
                port(&r.port, &r.protocol),
                f.kind.clone(),
                f.address.clone(),
                first(r.cluster_backends.to_string()),
                first(local.clone()),
                first(r.connections.to_string()),
                first(r.refused.to_string()),
                first(r.dropped.to_string()),
                if f.held { r.flags.join(" ") } else { "held by an older Service".to_owned() },
            ]);
        }
    }
    table.render()
}

/// One line a backend.
pub(super) fn endpoints(reports: &[EndpointReport]) -> String {
    let mut table = Table::new([
        "NAMESPACE",
        "SERVICE",
        "PORT",
        "BACKEND",
        "STATE",
        "CHOSEN",
        "NODE",
        "ZONE",
        "CONNECTIONS",
    ]);
    for r in reports {
        let chosen = match (r.in_cluster_set, r.in_local_set) {
            (true, true) => "cluster,local",
            (true, false) => "cluster",
            (false, true) => "local",
            (false, false) => "-",
        };
        let node = r.node.as_deref().unwrap_or("-");
        table.row([
            r.namespace.clone(),
            r.service.clone(),
            port(&r.port, &r.protocol),
            r.address.clone(),
            r.state.clone(),
            chosen.to_owned(),
            if r.local { format!("{node} (here)") } else { node.to_owned() },
            r.zone.as_deref().unwrap_or("-").to_owned(),
            r.connections.to_string(),
        ]);
    }
    table.render()
}

/// One line a map.
pub(super) fn maps(reports: &[MapReport]) -> String {
    let mut table = Table::new(["NAME", "TYPE", "KEY", "VALUE", "USED", "MAX", "FILL", "PIN"]);
    let count = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    for r in reports {
        table.row([
            r.name.clone(),
            r.r#type.clone(),
            r.key_bytes.to_string(),
            r.value_bytes.to_string(),
            count(r.used),
            count(r.max),
            fill(r.used, r.max),
            r.pin.clone(),
        ]);
    }
    table.render()
}

fn port(name: &str, protocol: &str) -> String {
    format!("{}/{protocol}", or_dash(name))
}

/// Per cent with one digit, rounded up: a map that is in use is not shown as empty.
fn fill(used: Option<u64>, max: Option<u64>) -> String {
    match (used, max) {
        (Some(used), Some(max)) if max > 0 => {
            let per_mille = used.saturating_mul(1_000).div_ceil(max);
            format!("{}.{}%", per_mille / 10, per_mille % 10)
        }
        (_, _) => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fake_loop::FakeLoop;

    #[test]
    fn a_service_shows_its_counts_once_and_every_frontend() {
        let text = services(&FakeLoop::new().services[..1]);
        assert_eq!(
            text,
            "\
NAMESPACE   NAME  PORT      KIND       FRONTEND           BACKENDS  LOCAL  CONNECTIONS  REFUSED  DROPPED  NOTE
production  web   http/TCP  ClusterIP  10.96.0.1:80/TCP   2         0      12           3        0        internal-local
production  web   http/TCP  NodePort   node-v4:30080/TCP                                                  held by an older Service
"
        );
    }

    #[test]
    fn a_backend_shows_where_it_is_and_who_may_choose_it() {
        let text = endpoints(&FakeLoop::new().endpoints);
        assert_eq!(
            text,
            "\
NAMESPACE   SERVICE  PORT      BACKEND          STATE  CHOSEN   NODE           ZONE  CONNECTIONS
production  web      http/TCP  10.244.1.5:8080  live   cluster  node-1 (here)  -     6
production  web      http/TCP  10.244.2.7:8080  live   cluster  node-2         -     6
"
        );
    }

    #[test]
    fn a_map_in_use_is_not_shown_as_empty() {
        assert_eq!(fill(Some(0), Some(65_536)), "0.0%");
        assert_eq!(fill(Some(1), Some(65_536)), "0.1%");
        assert_eq!(fill(Some(2), Some(400)), "0.5%");
        assert_eq!(fill(Some(400), Some(400)), "100.0%");
        assert_eq!(fill(None, Some(400)), "-");
        assert_eq!(fill(Some(1), Some(0)), "-");
    }
}
