//! Files outside every module: a `.rs` file that no `mod` declaration leads to is never compiled, and its tests never run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Compares the files of every package with those that its crate roots lead to.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let mut orphans = Vec::new();
    for package in packages(root)? {
        let files = rust_files(&package);
        let mut reached = BTreeSet::new();
        for file in files.iter().filter(|file| is_crate_root(&package, file)) {
            reach(file, true, &mut reached);
        }
        orphans.extend(files.into_iter().filter(|file| !reached.contains(file)));
    }
    if orphans.is_empty() {
        return Ok(());
    }
    let names: Vec<String> =
        orphans.iter().map(|o| o.strip_prefix(root).unwrap_or(o).display().to_string()).collect();
    Err(format!("in no module: {}", names.join(", ")))
}

/// The `.rs` files below a folder that belong to its own package.
pub(crate) fn rust_files(dir: &Path) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for path in entries(&dir) {
            if path.is_dir() {
                if !is_foreign(&path) {
                    dirs.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.insert(path);
            }
        }
    }
    files
}

/// Every folder with a manifest that names a package.
fn packages(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        let manifest = dir.join("Cargo.toml");
        if manifest.is_file() {
            let text = fs::read_to_string(&manifest).map_err(|e| format!("{}: {e}", manifest.display()))?;
            if text.lines().any(|line| line.trim() == "[package]") {
                found.push(dir.clone());
            }
        }
        dirs.extend(entries(&dir).into_iter().filter(|path| path.is_dir() && !is_generated(path)));
    }
    Ok(found)
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path()).collect()
}

/// Built, or hidden as `.git` is.
fn is_generated(dir: &Path) -> bool {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    name == "target" || name.starts_with('.')
}

fn is_foreign(dir: &Path) -> bool {
    is_generated(dir) || dir.join("Cargo.toml").is_file()
}

/// Where cargo finds crate roots by itself; no manifest here names others.
fn is_crate_root(package: &Path, file: &Path) -> bool {
    let Ok(inside) = file.strip_prefix(package) else { return false };
    let parts: Vec<String> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["build.rs"] | ["src", "main.rs" | "lib.rs"] => true,
        ["tests" | "benches" | "examples", file] | ["src", "bin", file] => file.ends_with(".rs"),
        ["tests" | "benches" | "examples", _, "main.rs"] | ["src", "bin", _, "main.rs"] => true,
        _ => false,
    }
}

/// Adds a file and all that its declarations lead to.
fn reach(file: &Path, is_root: bool, reached: &mut BTreeSet<PathBuf>) {
    if !reached.insert(file.to_owned()) {
        return;
    }
    let Ok(text) = fs::read_to_string(file) else { return };
    let dir = file.parent().unwrap_or(file);
    let owns_its_dir = is_root || file.file_name().is_some_and(|name| name == "mod.rs");
    let below = if owns_its_dir { dir.to_owned() } else { file.with_extension("") };
    for module in modules(&text) {
        let candidates = match module {
            Module::Named(name) => vec![below.join(format!("{name}.rs")), below.join(name).join("mod.rs")],
            Module::At(path) => vec![dir.join(path)],
        };
        candidates.iter().filter(|path| path.is_file()).for_each(|path| reach(path, false, reached));
    }
}

/// A declared module: found by its name, or where its `path` attribute says.
#[derive(Debug, PartialEq, Eq)]
enum Module<'a> {
    Named(&'a str),
    At(&'a str),
}

/// The modules that a file declares without a body, one declaration or attribute a line as rustfmt writes them.
fn modules(text: &str) -> Vec<Module<'_>> {
    let mut modules = Vec::new();
    let mut path = None;
    for line in text.lines().map(str::trim) {
        if let Some(attribute) = line.strip_prefix("#[path = \"") {
            path = attribute.strip_suffix("\"]");
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let name = match words.as_slice() {
            ["mod", name] => name.strip_suffix(';'),
            // `pub(in a::b) mod`, which has a space, is not written here.
            [visibility, "mod", name] if visibility.starts_with("pub") => name.strip_suffix(';'),
            _ => None,
        };
        if let Some(name) = name {
            modules.push(path.take().map_or(Module::Named(name), Module::At));
        }
    }
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_declared_with_any_visibility_but_not_in_a_comment_or_with_a_body() {
        let text = "mod a;\n    pub(crate) mod b;\npub mod c;\n// mod d;\nmod e {\nuse mod_f;\n";
        assert_eq!(modules(text), [Module::Named("a"), Module::Named("b"), Module::Named("c")]);
    }

    #[test]
    fn a_path_attribute_says_where_the_next_module_is() {
        let text = "#[path = \"../x/a.rs\"]\n#[cfg(test)]\nmod a;\nmod b;\n";
        assert_eq!(modules(text), [Module::At("../x/a.rs"), Module::Named("b")]);
    }

    #[test]
    fn crate_roots_are_where_cargo_looks_for_them() {
        let is_root = |file: &str| is_crate_root(Path::new("/p"), &Path::new("/p").join(file));
        assert!(is_root("src/main.rs") && is_root("tests/laws.rs") && is_root("tests/topic/main.rs"));
        assert!(!is_root("src/other.rs") && !is_root("tests/topic/case.rs") && !is_root("src/a/main.rs"));
    }

    #[test]
    fn a_file_that_no_declaration_leads_to_is_an_orphan_even_if_its_name_is_declared_elsewhere() {
        let root = std::env::temp_dir().join(format!("xtask-orphans-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("Cargo.toml", "[package]\n");
        write("src/lib.rs", "mod a;\nmod b;\n");
        write("src/a.rs", "mod tests;\n");
        write("src/a/tests.rs", "");
        write("src/b.rs", "");
        assert_eq!(check(&root), Ok(()));
        write("src/b/tests.rs", "");
        let found = check(&root);
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(found, Err("in no module: src/b/tests.rs".to_owned()));
    }
}
