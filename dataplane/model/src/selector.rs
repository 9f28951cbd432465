//! Label selectors.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Labels of a pod or namespace.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// A label selector: all requirements hold. Without any it matches everything.
///
/// Requirements are a set, and `matchLabels` are requirements of one value, so selectors that say the same are mostly
/// equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector {
    /// The requirements.
    pub requirements: BTreeSet<Requirement>,
}

/// One requirement of a selector.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Requirement {
    /// The label is there and has one of the values.
    In(Arc<str>, BTreeSet<Arc<str>>),
    /// The label has none of the values, or is not there.
    NotIn(Arc<str>, BTreeSet<Arc<str>>),
    /// The label is there.
    Exists(Arc<str>),
    /// The label is not there.
    DoesNotExist(Arc<str>),
}

impl Requirement {
    /// Whether labels meet it.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Self::Exists(key) => labels.contains_key(key),
            Self::DoesNotExist(key) => !labels.contains_key(key),
        }
    }
}

impl Selector {
    /// Whether labels meet every requirement.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(labels))
    }
}

/// In the notation of `kubectl --selector`; `*` for the selector of everything.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.requirements.is_empty() {
            return f.write_str("*");
        }
        for (i, requirement) in self.requirements.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |values: &BTreeSet<Arc<str>>| values.iter().map(|v| &**v).collect::<Vec<_>>().join(",");
        match self {
            Self::In(key, values) if values.len() == 1 => write!(f, "{key}={}", list(values)),
            Self::In(key, values) => write!(f, "{key} in ({})", list(values)),
            Self::NotIn(key, values) if values.len() == 1 => write!(f, "{key}!={}", list(values)),
            Self::NotIn(key, values) => write!(f, "{key} notin ({})", list(values)),
            Self::Exists(key) => f.write_str(key),
            Self::DoesNotExist(key) => write!(f, "!{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| (Arc::from(*key), Arc::from(*value))).collect()
    }

    fn values(values: &[&str]) -> BTreeSet<Arc<str>> {
        values.iter().map(|v| Arc::from(*v)).collect()
    }

    #[test]
    fn every_operator_matches_what_the_api_says() {
        let app = || Arc::from("app");
        let (web, db, none) = (labels(&[("app", "web")]), labels(&[("app", "db")]), labels(&[("tier", "x")]));
        for (requirement, text, want) in [
            (Requirement::In(app(), values(&["web"])), "app=web", [true, false, false]),
            (Requirement::In(app(), values(&["web", "db"])), "app in (db,web)", [true, true, false]),
            (Requirement::NotIn(app(), values(&["web"])), "app!=web", [false, true, true]),
            (Requirement::NotIn(app(), values(&["web", "db"])), "app notin (db,web)", [false, false, true]),
            (Requirement::Exists(app()), "app", [true, true, false]),
            (Requirement::DoesNotExist(app()), "!app", [false, false, true]),
        ] {
            assert_eq!(requirement.to_string(), text);
            assert_eq!([&web, &db, &none].map(|labels| requirement.matches(labels)), want, "{text}");
        }
    }

    #[test]
    fn all_requirements_hold_and_none_is_everything() {
        let both = Selector {
            requirements: BTreeSet::from([
                Requirement::In("app".into(), values(&["web"])),
                Requirement::Exists("tier".into()),
            ]),
        };
        assert_eq!(both.to_string(), "app=web,tier");
        assert!(both.matches(&labels(&[("app", "web"), ("tier", "")])));
        assert!(!both.matches(&labels(&[("app", "web")])));
        assert_eq!(Selector::default().to_string(), "*");
        assert!(Selector::default().matches(&labels(&[])));
    }
}
