//! The plugin `kubernetes`.

use hickory_proto::rr::Name;

use super::directive::{Directive, Word};
use super::error::{CorefileError, CorefileErrorKind};
use super::warning::{CorefileWarningKind, Warnings};
use super::zone;
use crate::config::{ClusterConfig, Fallthrough, PodsMode};

const OPTIONS: &str = "pods, ttl, fallthrough, noendpoints, endpoint_pod_names, namespaces, ignore empty_service, \
                       or an option of CoreDNS that is skipped";
/// The largest TTL that CoreDNS accepts.
const MAX_TTL_SECS: u32 = 3600;

/// Reads the plugin in a block of these zones.
pub(super) fn read(
    directive: &Directive,
    block_zones: &[Name],
    warnings: &mut Warnings,
) -> Result<ClusterConfig, CorefileError> {
    let zones = match directive.args.as_slice() {
        [] => block_zones.to_vec(),
        words => zone::zones_of_words(words)?,
    };
    let (reverse_zones, zones): (Vec<_>, Vec<_>) = zones.into_iter().partition(zone::is_reverse);
    if zones.is_empty() {
        return Err(directive.name.error(CorefileErrorKind::NoServiceZone));
    }
    let mut cluster = ClusterConfig { zones, reverse_zones, ..ClusterConfig::default() };
    let mut namespace_labels: Option<&Word> = None;
    for option in directive.options() {
        if &*option.name.text == "namespace_labels" {
            namespace_labels = Some(&option.name);
        }
        read_option(option, &mut cluster, warnings)?;
    }
    match namespace_labels.filter(|_| cluster.namespaces.is_some()) {
        Some(word) => Err(word.error(CorefileErrorKind::NamespacesAndLabels)),
        None => Ok(cluster),
    }
}

fn read_option(
    option: &Directive,
    cluster: &mut ClusterConfig,
    warnings: &mut Warnings,
) -> Result<(), CorefileError> {
    option.no_block()?;
    match &*option.name.text {
        "pods" => cluster.pods = pods_mode(option)?,
        "ttl" => cluster.ttl_secs = ttl(option)?,
        "fallthrough" => {
            cluster.fallthrough = match option.args.as_slice() {
                [] => Fallthrough::All,
                words => Fallthrough::Zones(zone::zones_of_words(words)?),
            };
        }
        "noendpoints" => {
            option.no_args()?;
            cluster.has_endpoints = false;
        }
        "endpoint_pod_names" => {
            option.no_args()?;
            cluster.uses_pod_names = true;
        }
        "namespaces" => {
            let names = option.some_args("names of namespaces")?;
            let served = cluster.namespaces.get_or_insert_default();
            served.extend(names.iter().map(|name| name.text.as_ref().into()));
        }
        "ignore" => {
            let what = option.one_arg("empty_service")?;
            if &*what.text != "empty_service" {
                return Err(what.bad_value("empty_service"));
            }
            cluster.ignores_empty_services = true;
        }
        "labels" | "namespace_labels" => {
            option.first_arg("a selector of labels")?;
            warnings.add(&option.name, CorefileWarningKind::OptionNotYet);
        }
        "multicluster" => {
            zone::zones_of_words(option.some_args("zones")?)?;
            warnings.add(&option.name, CorefileWarningKind::OptionNotYet);
        }
        "endpoint"
        | "tls"
        | "kubeconfig"
        | "startup_timeout"
        | "apiserver_qps"
        | "apiserver_burst"
        | "apiserver_max_inflight" => {
            option.first_arg("a value")?;
            warnings.add(&option.name, CorefileWarningKind::DaemonsOwn);
        }
        _ => return Err(option.unknown_option(OPTIONS)),
    }
    Ok(())
}

fn pods_mode(option: &Directive) -> Result<PodsMode, CorefileError> {
    const EXPECTED: &str = "disabled, insecure or verified";
    let mode = option.one_arg(EXPECTED)?;
    match &*mode.text {
        "disabled" => Ok(PodsMode::Disabled),
        "insecure" => Ok(PodsMode::Insecure),
        "verified" => Ok(PodsMode::Verified),
        _ => Err(mode.bad_value(EXPECTED)),
    }
}

fn ttl(option: &Directive) -> Result<u32, CorefileError> {
    const EXPECTED: &str = "seconds from 0 to 3600";
    let ttl = option.one_arg(EXPECTED)?;
    ttl.text.parse().ok().filter(|secs| *secs <= MAX_TTL_SECS).ok_or_else(|| ttl.bad_value(EXPECTED))
}
