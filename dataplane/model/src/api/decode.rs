//! One document of YAML or JSON → objects.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Object;
use crate::{Kind, ObjectKey, ObjectName};

/// What a document holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Objects of the kinds that we use, in the order of the document.
    pub objects: Vec<Object>,
    /// How many objects of other kinds there are, by apiVersion and kind. A kind's name in another group or version
    /// than ours is another kind.
    pub passed_over: BTreeMap<(String, String), u64>,
}

/// Why a document could not be decoded. Each is one line that names the object, as far as it has a name, and the field.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Without this field nothing is a Kubernetes object.
    #[error("not a Kubernetes object: {field} is missing")]
    Missing {
        /// Path of the field.
        field: String,
    },
    /// An object of ours without a name.
    #[error("not a Kubernetes object: {field} of a {kind} is missing")]
    Unnamed {
        /// Kind of the object.
        kind: Kind,
        /// Path of the field.
        field: String,
    },
    /// What makes a document an object has another type.
    #[error("not a Kubernetes object: {field} is {found}, not {expected}")]
    NotKubernetes {
        /// Path of the field, or `the document`.
        field: String,
        /// Type of the value.
        found: &'static str,
        /// Type that the field has.
        expected: &'static str,
    },
    /// A name that the API would refuse.
    #[error("{kind}: {field} {name:?} is not a name (lower-case letters, digits, '-' and '.', 253 at most)")]
    Name {
        /// Kind of the object.
        kind: Kind,
        /// Path of the field.
        field: String,
        /// Its value, shortened.
        name: String,
    },
    /// A field of an object has another type.
    #[error("{object}: {field}: {reason}")]
    Field {
        /// The object.
        object: ObjectKey,
        /// Path of the field in the object.
        field: String,
        /// What was found and what the field takes.
        reason: serde_json::Error,
    },
}

/// Decodes a document: one object, a `List`, or a list of one kind such as `ServiceList`, whose items need not repeat
/// kind and apiVersion. An empty document (`null`) holds nothing.
///
/// # Errors
///
/// The first thing in the document that is no object, or is an object of ours with a field of a wrong type. An object
/// of another kind needs an apiVersion and a kind only (a Kustomization has no name).
pub fn decode(document: Value) -> Result<Decoded, DecodeError> {
    let mut decoded = Decoded::default();
    if document.is_null() {
        return Ok(decoded);
    }
    // Lists may hold lists. A stack of our own, because the depth is the document's.
    let mut pending = vec![Item { value: document, path: String::new(), of_list: None }];
    while let Some(item) = pending.pop() {
        item.decode(&mut decoded, &mut pending)?;
    }
    Ok(decoded)
}

/// A document, or an item of a list.
struct Item {
    value: Value,
    /// Path of the item in the document, with a dot at its end, or empty.
    path: String,
    /// apiVersion and kind that a typed list gives to its items.
    of_list: Option<(String, String)>,
}

impl Item {
    fn decode(self, decoded: &mut Decoded, pending: &mut Vec<Self>) -> Result<(), DecodeError> {
        let path = self.path;
        let found = type_of(&self.value);
        let Value::Object(mut object) = self.value else {
            let field = path.strip_suffix('.').unwrap_or("the document").to_owned();
            return Err(DecodeError::NotKubernetes { field, found, expected: "a mapping" });
        };
        let (list_version, list_kind) = self.of_list.unzip();
        let api_version = text(&object, "apiVersion", &path)?.map(str::to_owned).or(list_version);
        let kind = text(&object, "kind", &path)?.map(str::to_owned).or(list_kind);
        let (Some(api_version), Some(kind)) = (&api_version, &kind) else {
            let field = if kind.is_none() { "kind" } else { "apiVersion" };
            return Err(DecodeError::Missing { field: format!("{path}{field}") });
        };
        if let Some(items) = list_items(&mut object, kind, &path)? {
            let of_list = match kind.strip_suffix("List") {
                Some("") | None => None,
                Some(item_kind) => Some((api_version.clone(), item_kind.to_owned())),
            };
            pending.extend(items.into_iter().enumerate().rev().map(|(index, value)| Self {
                value,
                path: format!("{path}items[{index}]."),
                of_list: of_list.clone(),
            }));
            return Ok(());
        }
        match kind_of(api_version, kind) {
            Some(kind) => {
                let name = object_name(&object, kind, &path)?;
                decoded.objects.push(decode_kind(ObjectKey { kind, name }, object)?);
            }
            None => {
                *decoded.passed_over.entry((api_version.clone(), kind.clone())).or_default() += 1;
            }
        }
        Ok(())
    }
}

/// The items if the object is a list: by convention its kind ends in `List` and it has `items`. A `List` without items
/// is an empty one.
fn list_items(
    object: &mut Map<String, Value>,
    kind: &str,
    path: &str,
) -> Result<Option<Vec<Value>>, DecodeError> {
    if !kind.ends_with("List") {
        return Ok(None);
    }
    match object.get_mut("items") {
        Some(Value::Array(items)) => Ok(Some(std::mem::take(items))),
        Some(Value::Null) => Ok(Some(Vec::new())),
        Some(other) if kind == "List" => Err(DecodeError::NotKubernetes {
            field: format!("{path}items"),
            found: type_of(other),
            expected: "a sequence",
        }),
        Some(_) | None => Ok((kind == "List").then(Vec::new)),
    }
}

fn kind_of(api_version: &str, kind: &str) -> Option<Kind> {
    match (api_version, kind) {
        ("v1", "Service") => Some(Kind::Service),
        ("discovery.k8s.io/v1", "EndpointSlice") => Some(Kind::EndpointSlice),
        ("v1", "Pod") => Some(Kind::Pod),
        ("v1", "Namespace") => Some(Kind::Namespace),
        ("v1", "Node") => Some(Kind::Node),
        ("networking.k8s.io/v1", "ServiceCIDR") => Some(Kind::ServiceCidr),
        ("networking.k8s.io/v1", "NetworkPolicy") => Some(Kind::NetworkPolicy),
        _ => None,
    }
}

/// The text of a field; absent, null and empty are one.
fn text<'a>(object: &'a Map<String, Value>, field: &str, path: &str) -> Result<Option<&'a str>, DecodeError> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(DecodeError::NotKubernetes {
            field: format!("{path}{field}"),
            found: type_of(other),
            expected: "a string",
        }),
    }
}

fn object_name(object: &Map<String, Value>, kind: Kind, path: &str) -> Result<ObjectName, DecodeError> {
    let path = format!("{path}metadata.");
    let empty = Map::new();
    let metadata = match object.get("metadata") {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(metadata)) => metadata,
        Some(other) => {
            return Err(DecodeError::NotKubernetes {
                field: path.trim_end_matches('.').to_owned(),
                found: type_of(other),
                expected: "a mapping",
            });
        }
    };
    let Some(name) = text(metadata, "name", &path)? else {
        return Err(DecodeError::Unnamed { kind, field: format!("{path}name") });
    };
    let namespace = text(metadata, "namespace", &path)?.filter(|_| kind.is_namespaced());
    for (field, value) in [("name", Some(name)), ("namespace", namespace)] {
        if let Some(value) = value.filter(|value| !is_name(value)) {
            let name = value.chars().take(SHOWN_CHARS).collect();
            return Err(DecodeError::Name { kind, field: format!("{path}{field}"), name });
        }
    }
    let default = if kind.is_namespaced() { "default" } else { "" };
    Ok(ObjectName::new(namespace.unwrap_or(default), name))
}

/// How much of a bad name is shown.
const SHOWN_CHARS: usize = 64;

/// Whether the API takes it for the name of one of our kinds: a DNS subdomain (RFC 1123), as the API checks it.
fn is_name(name: &str) -> bool {
    const MAX_LEN_BYTES: usize = 253;
    name.len() <= MAX_LEN_BYTES
        && name.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        })
}

fn decode_kind(key: ObjectKey, object: Map<String, Value>) -> Result<Object, DecodeError> {
    let kind = key.kind;
    let value = Value::Object(object);
    Ok(match kind {
        Kind::Service => Object::Service(typed(key, value)?),
        Kind::EndpointSlice => Object::EndpointSlice(typed(key, value)?),
        Kind::Pod => Object::Pod(typed(key, value)?),
        Kind::Namespace => Object::Namespace(typed(key, value)?),
        Kind::Node => Object::Node(typed(key, value)?),
        Kind::ServiceCidr => Object::ServiceCidr(typed(key, value)?),
        Kind::NetworkPolicy => Object::NetworkPolicy(typed(key, value)?),
    })
}

fn typed<T: DeserializeOwned>(object: ObjectKey, value: Value) -> Result<Box<T>, DecodeError> {
    serde_path_to_error::deserialize(value).map(Box::new).map_err(|error| DecodeError::Field {
        object,
        // A label's name is part of the path, and it may hold anything.
        field: error.path().to_string().escape_debug().to_string(),
        reason: error.into_inner(),
    })
}

const fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a sequence",
        Value::Object(_) => "a mapping",
    }
}

#[cfg(test)]
mod tests;
