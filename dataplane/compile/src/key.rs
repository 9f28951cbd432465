//! What a service id numbers, and digests of names.

use std::fmt;

use abi::Digest;
use model::{AddressFamily, ServicePortName};
use sha2::{Digest as _, Sha256};

/// One port of one Service in one family: its endpoints are one list of backends, so it has one service id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceKey {
    /// The Service port.
    pub port: ServicePortName,
    /// The family of its frontends and backends.
    pub family: AddressFamily,
}

impl ServiceKey {
    /// The digest of its canonical text, `namespace/name:port/PROTOCOL/v4`.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest(&self.to_string())
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.family {
            AddressFamily::V4 => "v4",
            AddressFamily::V6 => "v6",
        };
        write!(f, "{}/{family}", self.port)
    }
}

/// The first 16 bytes of the SHA-256 of a text: names are chosen by users, so two must not be made to collide.
pub(crate) fn digest(text: &str) -> Digest {
    let full = Sha256::digest(text.as_bytes());
    let mut digest = Digest::default();
    digest.copy_from_slice(&full[..16]);
    digest
}
