//! What in an object could not be honoured.

use std::fmt;

use crate::ObjectKey;

/// Something in one object that could not be honoured; everything else of it is in force.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// The object.
    pub object: ObjectKey,
    /// Class of the warning: the label of its metric.
    pub kind: WarningKind,
    /// The field and its value, or the other object: what a person needs to find the mistake.
    pub detail: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.detail)
    }
}

/// Class of a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WarningKind {
    /// A field does not parse, or holds a value that the API would refuse.
    BadField,
    /// A Service that should have a ClusterIP has none.
    NoClusterIp,
    /// Two Services claim one frontend; the older one has it.
    FrontendConflict,
    /// A map is full: the object keeps its old state, or has none.
    MapFull,
    /// A value that this version does not know; treated as absent.
    UnknownValue,
    /// A field that this version does not honour yet.
    NotSupported,
}

impl WarningKind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::BadField,
        Self::NoClusterIp,
        Self::FrontendConflict,
        Self::MapFull,
        Self::UnknownValue,
        Self::NotSupported,
    ];

    /// The metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadField => "bad_field",
            Self::NoClusterIp => "no_cluster_ip",
            Self::FrontendConflict => "frontend_conflict",
            Self::MapFull => "map_full",
            Self::UnknownValue => "unknown_value",
            Self::NotSupported => "not_supported",
        }
    }
}
