//! One file: its objects, or why it is broken.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use model::ObjectKey;
use model::api::{self, DecodeError, Object};
use serde_json::Value;
use serde_saphyr::Spanned;
use serde_saphyr::options::NonFiniteFloatPolicy;

/// Largest file that is read.
const MAX_BYTES: u64 = 256 << 20;

/// Tells versions of a file apart: device, inode, size, times of change of content and of inode (seconds, nanoseconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    dev: u64,
    ino: u64,
    len_bytes: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl Stamp {
    fn of(m: &Metadata) -> Self {
        Self {
            dev: m.dev(),
            ino: m.ino(),
            len_bytes: m.size(),
            mtime: (m.mtime(), m.mtime_nsec()),
            ctime: (m.ctime(), m.ctime_nsec()),
        }
    }
}

/// What a file holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    /// Objects by key; of one that is there twice the first.
    pub(super) objects: BTreeMap<ObjectKey, Arc<Object>>,
    /// Keys that are there more than once.
    pub(super) twice: BTreeSet<ObjectKey>,
    /// Objects of kinds that are not used, by `apiVersion/Kind`.
    pub(super) passed_over: BTreeMap<String, u64>,
}

/// Why a file's content is not known. One line each.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    /// A symbolic link without a target.
    #[error("a link that leads nowhere")]
    Dangling,
    /// A directory, FIFO, socket or device.
    #[error("not a regular file")]
    NotRegular,
    /// The file cannot be read for now.
    #[error("cannot be read: {0}")]
    Io(#[source] io::Error),
    /// More than we hold in memory.
    #[error("larger than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    /// Not text.
    #[error("line {line}: not UTF-8")]
    NotUtf8 {
        /// Where the text ends.
        line: usize,
    },
    /// Not YAML.
    #[error("{}", one_line(.0))]
    Yaml(#[source] Box<serde_saphyr::Error>),
    /// Not JSON.
    #[error("{0}")]
    Json(#[source] serde_json::Error),
    /// A document that is no Kubernetes object, or an object with a field of a wrong type.
    #[error("document at line {line}: {source}")]
    Object {
        /// Where the document begins.
        line: u64,
        /// What is wrong with it.
        source: Box<DecodeError>,
    },
}

/// The stamp of a regular file (links are followed).
pub(super) fn stamp(path: &Path) -> Result<Stamp, FileError> {
    let metadata = std::fs::metadata(path).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound { FileError::Dangling } else { FileError::Io(error) }
    })?;
    if metadata.is_file() { Ok(Stamp::of(&metadata)) } else { Err(FileError::NotRegular) }
}

/// One version of a file.
#[derive(Debug)]
pub(super) struct Version {
    /// Which version: none if not its content is to blame, so that the next look may go better.
    pub(super) stamp: Option<Stamp>,
    /// What it holds.
    pub(super) content: Result<Content, FileError>,
}

/// Reads and decodes a file.
pub(super) fn read(path: &Path) -> Version {
    match open(path) {
        Err(error) => Version { stamp: None, content: Err(error) },
        Ok((stamp, file)) => {
            let content = decode(path, file);
            let is_unread = matches!(content, Err(FileError::Io(_)));
            Version { stamp: (!is_unread).then_some(stamp), content }
        }
    }
}

fn open(path: &Path) -> Result<(Stamp, File), FileError> {
    // Opening a device may do something, so look first; and a FIFO that took the file's place since would block an
    // ordinary open.
    stamp(path)?;
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(FileError::Io)?;
    let metadata = file.metadata().map_err(FileError::Io)?;
    if metadata.is_file() { Ok((Stamp::of(&metadata), file)) } else { Err(FileError::NotRegular) }
}

fn decode(path: &Path, file: File) -> Result<Content, FileError> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(FileError::Io)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(FileError::TooLarge);
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let before = bytes.iter().take(error.valid_up_to());
        FileError::NotUtf8 { line: 1 + before.filter(|byte| **byte == b'\n').count() }
    })?;
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    if is_json { decode_json(text) } else { decode_yaml(text) }
}

fn decode_yaml(text: &str) -> Result<Content, FileError> {
    let documents: Documents = serde_saphyr::from_str_multiple_with_options(text, yaml_options())
        .map_err(|error| FileError::Yaml(Box::new(error)))?;
    match documents.error {
        None => Ok(documents.content),
        Some(error) => Err(error),
    }
}

/// JSON is nearly YAML, but not quite: tabs, long keys, escapes beyond the basic plane.
fn decode_json(text: &str) -> Result<Content, FileError> {
    let mut content = Content::default();
    let mut documents = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    loop {
        let rest = text.get(documents.byte_offset()..).unwrap_or_default();
        let blank = rest.len() - rest.trim_start().len();
        let before = text.bytes().take(documents.byte_offset() + blank);
        let line = 1 + before.filter(|byte| *byte == b'\n').count() as u64;
        match documents.next() {
            None => return Ok(content),
            Some(document) => content.add(document.map_err(FileError::Json)?, line)?,
        }
    }
}

fn yaml_options() -> serde_saphyr::Options {
    // What is written out in a file is in memory already, so the counts of a large folder are no danger: the limits that
    // stay are those on nesting and on what aliases expand to.
    let mut budget = serde_saphyr::Budget::default();
    budget.max_events = usize::MAX;
    budget.max_nodes = usize::MAX;
    budget.max_documents = usize::MAX;
    budget.max_total_scalar_bytes = usize::MAX;
    let mut options = serde_saphyr::Options::default();
    options.budget = Some(budget);
    options.emit_comments = false;
    options.with_snippet = false;
    // JSON has no such numbers; one in an object that we pass over is not our business.
    options.non_finite_float_policy = NonFiniteFloatPolicy::AsString;
    options
}

/// Takes the documents of a file one by one, so that their untyped form is never in memory as a whole.
#[derive(Default)]
struct Documents {
    content: Content,
    error: Option<FileError>,
}

impl Extend<Spanned<Value>> for Documents {
    fn extend<T: IntoIterator<Item = Spanned<Value>>>(&mut self, documents: T) {
        for document in documents {
            if self.error.is_none() {
                self.error = self.content.add(document.value, document.defined.line()).err();
            }
        }
    }
}

impl Content {
    fn add(&mut self, document: Value, line: u64) -> Result<(), FileError> {
        let decoded =
            api::decode(document).map_err(|source| FileError::Object { line, source: Box::new(source) })?;
        for ((api_version, kind), count) in decoded.passed_over {
            *self.passed_over.entry(format!("{api_version}/{kind}")).or_default() += count;
        }
        for object in decoded.objects {
            match self.objects.entry(object.key()) {
                Entry::Vacant(entry) => drop(entry.insert(Arc::new(object))),
                Entry::Occupied(entry) => drop(self.twice.insert(entry.key().clone())),
            }
        }
        Ok(())
    }
}

fn one_line(error: &serde_saphyr::Error) -> String {
    let text = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml_error(text: &str) -> String {
        decode_yaml(text).unwrap_err().to_string()
    }

    /// Where a document that follows this one begins: line 5.
    const NODE: &str = "apiVersion: v1\nkind: Node\nmetadata: {name: node}\n---\n";

    #[test]
    fn an_error_of_an_object_names_its_line_name_and_field() {
        let service = "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: eighty}]}\n";
        let error = yaml_error(&format!("{NODE}{service}"));
        assert!(error.starts_with("document at line 5: Service default/x: spec.ports[0].port: "), "{error}");
        assert!(error.contains("eighty"), "{error}");
        let error = yaml_error(&format!("{NODE}just: words\n"));
        assert_eq!(error, "document at line 5: not a Kubernetes object: kind is missing");
    }

    #[test]
    fn an_error_of_the_text_is_one_line_that_names_its_line() {
        for (text, line) in [
            ("a: [1,\n", 5),
            ("a: 1\nb: 2\na: 3\n", 7),
            ("a: &x [1]\nb: *y\n", 6),
            ("a: \"open\n\nb: 1\n", 5),
        ] {
            let error = yaml_error(&format!("{NODE}{text}"));
            assert!(error.contains(&format!("line {line}")) && !error.contains('\n'), "{text}: {error}");
        }
        let error = decode_json("{\n\"a\": }").unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
        let error = decode_json("{\"apiVersion\": \"v1\", \"kind\": \"Pods\"}\n\n{\"a\": 1}")
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("document at line 3: not a Kubernetes object"), "{error}");
    }

    #[test]
    fn documents_that_grow_without_end_are_refused() {
        let mut laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for i in 1..12 {
            let refs = vec![format!("*a{}", i - 1); 10].join(",");
            laughs.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
        }
        for text in [laughs, "[".repeat(100_000), "a: {".repeat(100_000)] {
            let error = yaml_error(&text);
            assert!(!error.contains('\n'), "{error}");
        }
        assert!(decode_json(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn empty_documents_hold_nothing_and_unused_ones_may_hold_what_json_cannot() {
        for text in ["", "\n", "# only a comment\n", "---\n---\n# nothing\n...\n", "null\n", "\u{feff}---\n"]
        {
            let content = decode_yaml(text).unwrap();
            assert!(content.objects.is_empty() && content.passed_over.is_empty(), "{text:?}");
        }
        assert!(decode_json(" \n").unwrap().objects.is_empty());
        let content =
            decode_yaml("apiVersion: v1\nkind: ConfigMap\ndata: {not: .nan, far: -.inf}\n").unwrap();
        assert_eq!(content.passed_over["v1/ConfigMap"], 1);
    }

    #[test]
    fn json_is_read_as_json() {
        let long = "k".repeat(2_000);
        let text = format!(
            "{{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Node\",\n\t\"metadata\": {{\"name\": \"n\", \"annotations\": {{\"{long}\": \"\\ud83d\\ude00\"}}}}\n}}\n"
        );
        assert_eq!(decode_json(&text).unwrap().objects.len(), 1);
    }
}
