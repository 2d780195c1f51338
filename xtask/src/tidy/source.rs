//! The files of the repository, and what tidy can tell of them by reading.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// All files that git keeps or would keep.
pub struct Source {
    root: PathBuf,
    /// In the order of their names.
    pub files: Vec<File>,
}

/// A file.
pub struct File {
    /// From the repository's root, with slashes.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Whether it may be run.
    pub executable: bool,
}

impl Source {
    /// Reads what git lists, new files included, ignored ones not.
    ///
    /// # Errors
    /// This is no git checkout, or a file can't be read.
    pub fn load(root: &Path) -> Result<Self> {
        let mut git = Command::new("git");
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
        let output = git.output().context("starting git")?;
        ensure!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim());
        let names = String::from_utf8(output.stdout)?;
        let mut names: Vec<_> = names.split_terminator('\0').filter(|name| root.join(name).is_file()).collect();
        names.sort_unstable();
        names.dedup();
        let files = names.into_iter().map(|name| File::load(root, name)).collect::<Result<_>>()?;
        Ok(Self::new(root, files))
    }

    /// These files, named from the absolute folder `root` on.
    pub fn new(root: &Path, files: Vec<File>) -> Self {
        Self { root: root.to_owned(), files }
    }

    /// The repository's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The files under an absolute folder.
    pub fn under(&self, folder: &Path) -> impl Iterator<Item = &File> {
        let folder = folder.strip_prefix(&self.root).unwrap_or(folder).to_owned();
        self.files.iter().filter(move |file| Path::new(&file.name).starts_with(&folder))
    }
}

impl File {
    fn load(root: &Path, name: &str) -> Result<Self> {
        let path = root.join(name);
        let bytes = fs::read(&path).with_context(|| format!("reading {name}"))?;
        Ok(Self { name: name.to_owned(), executable: fs::metadata(path)?.permissions().mode() & 0o111 != 0, bytes })
    }

    /// Its text; empty if it is none.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// How many lines.
    pub fn lines(&self) -> usize {
        self.text().lines().count()
    }

    /// Whether it is code in Rust.
    pub fn is_rust(&self) -> bool {
        self.name.ends_with(".rs")
    }

    /// Whether its file is named as one of tests is.
    pub fn is_test(&self) -> bool {
        self.name.ends_with("/tests.rs") || self.name.contains("/tests/")
    }

    /// Its lines of code with their numbers: no line that is only a comment.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.text().lines().enumerate().map(|(index, line)| (index + 1, line));
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The modules of crate `root` that its code names, `root::module` or `use root::{module, ..}`, with their lines.
    pub fn paths_into(&self, root: &str) -> Vec<(usize, String)> {
        if !self.is_rust() {
            return Vec::new();
        }
        let code: Vec<_> = self.code().collect();
        let mut found = Vec::new();
        for (index, (line, text)) in code.iter().enumerate() {
            for rest in after_each(text, &format!("{root}::")) {
                let modules = match rest.strip_prefix('{') {
                    None => vec![identifier(rest)],
                    Some(rest) => {
                        braced(&[&[rest], &code[index + 1..].iter().map(|(_, t)| *t).collect::<Vec<_>>()[..]].concat())
                    }
                };
                found.extend(modules.into_iter().map(|module| (*line, module)));
            }
        }
        found
    }
}

/// What follows each whole-word occurrence of `word`.
fn after_each<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let whole = |at: usize| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
    text.match_indices(word).filter(|(at, _)| whole(*at)).map(|(at, _)| &text[at + word.len()..]).collect()
}

fn identifier(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The first names of the items of a use list, up to its closing brace.
fn braced(lines: &[&str]) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut depth = 0;
    for c in lines.iter().flat_map(|line| line.chars()) {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => items.push(String::new()),
            c => items.last_mut().expect("never empty").push(c),
        }
    }
    items.iter().map(|item| identifier(item)).filter(|item| !item.is_empty()).collect()
}
