//! The folder of ordinary Kubernetes YAML that stands for the API server.

mod objects;
mod policies;
mod services;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use serde_json::Value;

pub use objects::{Condition, Object, bound_pod, deployment, namespace, node, pod};
pub use policies::{PolicySpec, Rule, Selector};
pub use services::{Endpoint, ServicePort, ServiceSpec, endpoint_slices, external_name, service};

/// Writes manifests. A reader sees a file's old content or its new one, never a part: files are renamed into place.
#[derive(Clone, Debug)]
pub struct Manifests {
    dir: PathBuf,
    /// Beside the folder, on the same file system, where no reader looks.
    staging: PathBuf,
    written: Arc<AtomicU64>,
}

impl Manifests {
    pub(crate) fn new(lab_dir: &Path) -> Result<Self> {
        let dir = lab_dir.join("manifests");
        let staging = lab_dir.join("staging");
        for path in [&dir, &staging] {
            fs::create_dir(path).with_context(|| format!("creating {}", path.display()))?;
        }
        Ok(Self { dir, staging, written: Arc::default() })
    }

    /// The folder, as `--manifests` wants it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes an object into a file of its own; makes it or replaces it.
    ///
    /// # Errors
    ///
    /// The file could not be written.
    pub fn apply(&self, object: &Object) -> Result<()> {
        self.write(&object.file_name(), &object.to_yaml()?)
    }

    /// Removes an object's file.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn delete(&self, object: &Object) -> Result<()> {
        self.remove(&object.file_name())
    }

    /// Writes any text as a file of the folder.
    ///
    /// # Errors
    ///
    /// The file could not be written.
    pub fn write(&self, file: &str, text: &str) -> Result<()> {
        let staged = self.staging.join(self.written.fetch_add(1, Ordering::Relaxed).to_string());
        let target = self.dir.join(file);
        fs::write(&staged, text)
            .and_then(|()| fs::rename(&staged, &target))
            .with_context(|| format!("writing {}", target.display()))
    }

    /// Removes a file of the folder.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn remove(&self, file: &str) -> Result<()> {
        let path = self.dir.join(file);
        fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))
    }
}

/// Text of a value as YAML.
fn yaml(value: &impl serde::Serialize) -> Result<String> {
    serde_saphyr::to_string(value).context("writing YAML")
}

/// A JSON object without the fields that are null.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
    }
}
