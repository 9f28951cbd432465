//! ServiceCIDRs.

use std::sync::Arc;

use ipnet::IpNet;

use super::warnings::Warnings;
use crate::{Kind, ServiceCidr, Warning, api};

/// Converts a ServiceCIDR.
#[must_use]
pub fn from_object(object: &api::ServiceCidr) -> (ServiceCidr, Vec<Warning>) {
    let metadata = &object.metadata;
    let mut warnings = Warnings::new(Kind::ServiceCidr, metadata.object_name(Kind::ServiceCidr));
    let mut cidrs: Vec<IpNet> = Vec::new();
    for (i, text) in object.spec.cidrs.iter().enumerate() {
        match parse(text, &cidrs) {
            Ok(cidr) => cidrs.push(cidr),
            Err(why) => warnings.bad(format_args!("spec.cidrs[{i}]"), text, why),
        }
    }
    (ServiceCidr { name: Arc::clone(&metadata.name), cidrs }, warnings.into_vec())
}

fn parse(text: &str, others: &[IpNet]) -> Result<IpNet, &'static str> {
    let cidr: IpNet = text.parse().map_err(|_| "not a CIDR")?;
    if cidr.prefix_len() == 0 {
        // An unallocated address of a service range is dropped: this would drop everything.
        return Err("a whole address family");
    }
    if matches!(cidr, IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some()) {
        return Err("an IPv4 range in IPv6 form");
    }
    if others.iter().any(|other| other.addr().is_ipv4() == cidr.addr().is_ipv4()) {
        return Err("a second range of its family");
    }
    Ok(cidr.trunc())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn convert(cidrs: &[&str]) -> (Vec<String>, Vec<String>) {
        let fields = json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": cidrs}});
        let object: api::ServiceCidr = serde_json::from_value(fields).unwrap();
        let (value, warnings) = from_object(&object);
        (
            value.cidrs.iter().map(ToString::to_string).collect(),
            warnings.iter().map(|warning| warning.detail.clone()).collect(),
        )
    }

    #[test]
    fn ranges_of_both_families_are_kept_without_host_bits() {
        let (cidrs, warnings) = convert(&["10.96.7.1/16", "fd00:10:96::1/108"]);
        assert_eq!(cidrs, ["10.96.0.0/16", "fd00:10:96::/108"]);
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn ranges_that_cannot_be_meant_are_named_and_left_out() {
        for (text, why) in [
            ("ten", "not a CIDR"),
            ("10.96.0.0", "not a CIDR"),
            ("10.96.0.0/33", "not a CIDR"),
            ("0.0.0.0/0", "a whole address family"),
            ("::/0", "a whole address family"),
            ("::ffff:10.96.0.0/112", "an IPv4 range in IPv6 form"),
        ] {
            let (cidrs, warnings) = convert(&[text, "10.96.0.0/16"]);
            assert_eq!(cidrs, ["10.96.0.0/16"], "{text}");
            assert_eq!(warnings, [format!("spec.cidrs[0]: {text:?} is {why}: left out")]);
        }
    }

    #[test]
    fn the_first_range_of_a_family_counts() {
        let (cidrs, warnings) = convert(&["10.96.0.0/16", "10.97.0.0/16"]);
        assert_eq!(cidrs, ["10.96.0.0/16"]);
        assert_eq!(warnings, [r#"spec.cidrs[1]: "10.97.0.0/16" is a second range of its family: left out"#]);
    }
}
