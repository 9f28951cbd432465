//! What policies say. Written by user space only.

use abi::{
    Addr, CidrKey, Identity, PolicyId, PolicyKey, PolicyRevision, PolicyValue, PortClassKey, PortClassValue,
};
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie};
use aya_ebpf::macros::btf_map;

#[btf_map]
static IDENTITIES: HashMap<Addr, Identity, 262_144> = HashMap::new();

#[btf_map]
static IDENTITY_CIDRS: LpmTrie<[u8; 16], Identity, 16_384> = LpmTrie::new();

#[btf_map]
static POLICY: HashMap<PolicyKey, PolicyValue, 262_144> = HashMap::new();

#[btf_map]
static PORT_CLASSES: LpmTrie<[u8; 8], PortClassValue, 131_072> = LpmTrie::new();

#[btf_map]
static POLICY_REVISION: Array<PolicyRevision, 8_192> = Array::new();

/// The identity of a peer. A miss is asked again: while other keys are written, a present key can look absent.
#[inline(always)] // once a verdict
pub(crate) fn identity(peer: &Addr) -> Identity {
    // SAFETY: values are copied at once; user space replaces entries, never changes them in place.
    let by_addr = unsafe { IDENTITIES.get(peer).or_else(|| IDENTITIES.get(peer)) };
    let found = by_addr.or_else(|| {
        let key = CidrKey::lookup(*peer);
        IDENTITY_CIDRS.get(&Key::new(key.prefix_len(), key.addr().octets()))
    });
    found.copied().unwrap_or(Identity::WORLD)
}

/// The row of a policy id for a peer.
#[inline(always)] // once a verdict
pub(crate) fn row(policy: PolicyId, identity: Identity) -> Option<PolicyValue> {
    row_once(&PolicyKey::new(policy, identity))
        .or_else(|| row_once(&PolicyKey::new(policy, identity)))
        .or_else(|| row_once(&PolicyKey::any(policy)))
        .or_else(|| row_once(&PolicyKey::any(policy)))
}

#[inline(always)] // as `row`
fn row_once(key: &PolicyKey) -> Option<PolicyValue> {
    // SAFETY: as in `identity`.
    unsafe { POLICY.get(key) }.copied()
}

/// What a port class says of a port.
#[inline(always)] // once a verdict
pub(crate) fn port_class(key: PortClassKey) -> Option<PortClassValue> {
    PORT_CLASSES.get(&Key::new(key.prefix_len(), key.data())).copied()
}

/// The revision of what a policy id means. To be read before the rows that it stands for.
#[inline(always)] // one look-up
pub(crate) fn revision(policy: PolicyId) -> PolicyRevision {
    // SAFETY: array elements never go away; an aligned word is read in one load.
    POLICY_REVISION
        .get_ptr(policy.0)
        .map_or(PolicyRevision::CLOSED, |word| unsafe { core::ptr::read_volatile(word) })
}
