//! The two text formats of a scrape.

use std::fmt;

use axum::http::{HeaderMap, header};
use prometheus_client::encoding::{prometheus_text, text as openmetrics};
use prometheus_client::registry::Registry;

/// The media type of OpenMetrics.
const OPENMETRICS: &str = "application/openmetrics-text";

/// How a scrape is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Prometheus' text format 0.0.4, which kube-proxy speaks: for everybody who does not ask for another.
    Classic,
    /// OpenMetrics 1.0.0: for who accepts it, Prometheus among them.
    OpenMetrics,
}

impl Format {
    /// What the request's `Accept` headers allow.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let mut ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        if ranges.any(|ranges| ranges.contains(OPENMETRICS)) { Self::OpenMetrics } else { Self::Classic }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Classic => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Appends a registry's metrics.
    pub(super) fn encode(self, text: &mut String, registry: &Registry) -> fmt::Result {
        match self {
            Self::Classic => prometheus_text::encode(text, registry),
            Self::OpenMetrics => openmetrics::encode_registry(text, registry),
        }
    }
}

/// Appends the mark that nothing is cut off: OpenMetrics asks for it, and to the classic format it is a comment.
pub(super) fn end(text: &mut String) -> fmt::Result {
    openmetrics::encode_eof(text)
}
