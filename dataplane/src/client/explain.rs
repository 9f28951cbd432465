//! An explanation for people.

use std::fmt::Write;

use super::status::lines;
use super::table::one_line;
use crate::admin::reports::{ExplainReport, PathReport, SideReport, VerdictReport};

/// Paths that are shown; a Service may have thousands, and JSON has them all.
const MAX_PATHS: usize = 32;

/// The facts, then the paths: what both ends say of each.
pub(super) fn render(report: &ExplainReport) -> String {
    let mut facts = vec![
        ("From", report.from.clone()),
        ("To", report.to.clone()),
        ("Port", format!("{}/{}", report.port, report.protocol)),
    ];
    facts.extend(report.notes.iter().map(|note| ("Note", note.clone())));
    if report.pending > 0 {
        let text = format!("{} writes: until they are done the kernel is as before", report.pending);
        facts.push(("Pending", text));
    }
    let mut text = lines(&facts);
    for path in report.paths.iter().take(MAX_PATHS) {
        text.push('\n');
        text += &of_path(path, &report.protocol);
    }
    if report.paths.len() > MAX_PATHS {
        let more = report.paths.len() - MAX_PATHS;
        let _ = writeln!(text, "\n{more} more backends: -o json has them all");
    }
    text
}

fn of_path(path: &PathReport, protocol: &str) -> String {
    let pod = path.pod.as_ref().map(|pod| format!(" ({pod})")).unwrap_or_default();
    let verdict = match path.verdict.as_str() {
        "undecided" => "not dropped here",
        word => word,
    };
    let head = format!("{} -> {}{pod} {protocol}: {verdict}", path.source, path.destination);
    let sides = [("egress", &path.egress), ("ingress", &path.ingress)];
    let sides: String = sides.iter().map(|(direction, side)| of_side(direction, side)).collect();
    format!("{}\n{sides}", one_line(&head))
}

fn of_side(direction: &str, side: &SideReport) -> String {
    let text = match (&side.not_judged, &side.elsewhere, &side.kernel) {
        (Some(why), _, _) => format!("not judged: {why}"),
        (None, Some(node), _) => format!("decided on {node}: ask ferrule explain there"),
        (None, None, kernel) => of_verdict(kernel.as_ref()),
    };
    let text = if side.agrees() {
        text
    } else {
        let compiled = of_verdict(side.compiled.as_ref());
        format!("DIFFERENCE: the kernel says {text}; compiled is {compiled}")
    };
    let pod = side.pod.as_ref().map(|pod| format!(" of {pod}")).unwrap_or_default();
    one_line(&format!("  {direction}{pod}: {text}")) + "\n"
}

fn of_verdict(verdict: Option<&VerdictReport>) -> String {
    let Some(VerdictReport { verdict, rule, policies }) = verdict else { return "nothing".to_owned() };
    let why = match (verdict.as_str(), rule) {
        ("open", _) => " (no policy isolates the pod)".to_owned(),
        ("denied", Some(rule)) => format!(" by {rule}: no rule of {} allows it", policies.join(", ")),
        ("not programmed", _) => " (denied: its policies are not in the kernel)".to_owned(),
        ("unknown pod", _) => " (passes: the kernel has no row for the pod)".to_owned(),
        (_, Some(rule)) => format!(" by {rule}"),
        (_, None) => String::new(),
    };
    format!("{verdict}{why}")
}

/// One line for standard error.
pub(super) fn difference(report: &ExplainReport) -> String {
    let why = match report.pending {
        0 => "nothing is pending, so it is a defect or somebody changed the maps".to_owned(),
        pending => format!("{pending} writes are pending: ask again"),
    };
    format!("error: what is compiled and what the kernel holds differ: {why}\n")
}

#[cfg(test)]
mod tests {
    use abi::Addr;
    use compile::Op;
    use compile::policy::PolicyOp;

    use super::*;
    use crate::explain::testing::cluster;
    use crate::explain::{Question, explain};

    fn question(from: &str, to: &str, port: Option<u16>) -> Question {
        Question { from: from.parse().unwrap(), to: to.parse().unwrap(), port, protocol: None }
    }

    #[test]
    fn each_end_says_what_it_says_and_why() {
        let report = explain(&cluster().sources(), &question("shop/web", "shop/far", Some(80))).unwrap();
        assert_eq!(
            render(&report),
            "\
From: pod shop/web on node-1
To:   pod shop/far on node-2
Port: 80/TCP

10.244.1.5 -> 10.244.2.7:80 (shop/far) TCP: denied
  egress of shop/web: denied by egress default of shop/web-out: no rule of shop/web-out allows it
  ingress of shop/far: decided on node-2: ask ferrule explain there
"
        );
    }

    #[test]
    fn a_service_shows_its_backend_and_one_without_says_why() {
        let report = explain(&cluster().sources(), &question("shop/web", "shop/db:pg", None)).unwrap();
        assert_eq!(
            render(&report),
            "\
From: pod shop/web on node-1
To:   Service shop/db:pg/TCP
Port: 5432/TCP

10.244.1.5 -> 10.244.1.6:5432 (shop/db) TCP: allowed
  egress of shop/web: allowed by shop/web-out egress[0]
  ingress of shop/db: allowed by shop/db-in ingress[0]
"
        );
        let report = explain(&cluster().sources(), &question("shop/web", "shop/empty:80", None)).unwrap();
        assert!(render(&report).ends_with("Note: IPv4: no endpoint: refused\n"), "{}", render(&report));
    }

    #[test]
    fn a_difference_is_loud() {
        let mut core = cluster();
        let web: Addr = std::net::IpAddr::from([10, 244, 1, 5]).into();
        core.kernel_mut().tamper(&Op::Policy(PolicyOp::DeleteIdentity(web)));
        let report = explain(&core.sources(), &question("shop/web", "10.244.1.6", Some(5432))).unwrap();
        assert!(
            render(&report).contains(
                "  ingress of shop/db: DIFFERENCE: the kernel says denied by ingress default of shop/db-in: \
                 no rule of shop/db-in allows it; compiled is allowed by shop/db-in ingress[0]\n"
            ),
            "{}",
            render(&report)
        );
        assert!(difference(&report).starts_with("error: what is compiled and what the kernel holds differ"));
    }
}
