//! `ipBlock`s, as stored policies hold them: newer validation refuses what older took (KEP-4858).

use std::borrow::Cow;

use ipnet::IpNet;

use super::{NO_PEER, Reader};
use crate::{IpBlock, WarningKind, api};

impl Reader {
    /// A block without host bits; `None`, with a warning, if it matches nothing or a hole of it cannot be read.
    pub(super) fn block(&mut self, path: &str, block: &api::IpBlock) -> Option<IpBlock> {
        let cidr = self.cidr(&format!("{path}.cidr"), &block.cidr)?;
        let mut holes = Vec::new();
        for (i, text) in block.except.iter().enumerate() {
            let path = format!("{path}.except[{i}]");
            let hole = self.cidr(&path, text)?;
            if hole.contains(&cidr) {
                let detail = format!("{path}: {hole} leaves nothing of {cidr}: {NO_PEER}");
                self.warnings.add(WarningKind::BadField, detail);
                return None;
            }
            if cidr.contains(&hole) {
                holes.push(hole);
            } else {
                let detail = format!("{path}: {hole} is not in {cidr}: it excepts nothing");
                self.warnings.add(WarningKind::BadField, detail);
            }
        }
        holes.sort_unstable();
        holes.dedup();
        let all = holes.clone();
        holes.retain(|hole| !all.iter().any(|other| other != hole && other.contains(hole)));
        Some(IpBlock { cidr, except: holes })
    }

    fn cidr(&mut self, path: &str, text: &str) -> Option<IpNet> {
        let plain = without_leading_zeros(text);
        let net = match plain.parse::<IpNet>() {
            Ok(IpNet::V6(v6)) if v6.addr().to_ipv4_mapped().is_some() => {
                self.bad(path, "an IPv4 prefix in IPv6 form", NO_PEER);
                return None;
            }
            Ok(net) => net,
            Err(_) => {
                self.warnings.bad(path, text, "not a prefix");
                return None;
            }
        };
        let cut = net.trunc();
        if plain != text || cut != net {
            let detail = format!("{path}: {text:?} is read as {cut}");
            self.warnings.add(WarningKind::BadField, detail);
        }
        Some(cut)
    }
}

/// Leading zeros are decimal, as the API server has always read them: `010.0.0.0/08` is `10.0.0.0/8`.
fn without_leading_zeros(text: &str) -> Cow<'_, str> {
    let Some((addr, len)) = text.split_once('/') else { return text.into() };
    let trim = |number: &str| match number.trim_start_matches('0') {
        "" if !number.is_empty() => "0".to_owned(),
        rest => rest.to_owned(),
    };
    let addr = match addr.contains(':') {
        true => addr.to_owned(),
        false => addr.split('.').map(trim).collect::<Vec<_>>().join("."),
    };
    format!("{addr}/{}", trim(len)).into()
}
