//! Names on the way to the child: their labels, byte by byte, absolute.
//!
//! The library's own form goes through the rules of internationalised names and comes back lower-cased or not at all:
//! `my_zone.example`, a valid zone, is refused.

use hickory_proto::rr::Name;
use serde::de;

type Labels = Vec<Vec<u8>>;

fn from_labels<E: de::Error>(labels: &Labels) -> Result<Name, E> {
    Name::from_labels(labels.iter().map(Vec::as_slice)).map_err(E::custom)
}

/// One name, for `#[serde(with)]`.
pub(crate) mod one {
    use hickory_proto::rr::Name;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(name: &Name, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(name)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        super::from_labels(&super::Labels::deserialize(deserializer)?)
    }
}

/// Names, for `#[serde(with)]`.
pub(crate) mod many {
    use hickory_proto::rr::Name;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(names: &[Name], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(names.iter().map(|name| name.iter().collect::<Vec<_>>()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Name>, D::Error> {
        Vec::<super::Labels>::deserialize(deserializer)?.iter().map(super::from_labels).collect()
    }
}
