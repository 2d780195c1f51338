//! The component cache: `store/KEY/PROGRAM`, one folder per set of inputs, and views of it, `SET-VERSION/PROGRAM`, hard
//! links that machines mount. A program appears in either place whole or not at all, by rename.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What an unfinished folder of the store ends in.
const UNFINISHED: &str = ".building";

/// The cache of this user on this machine.
pub struct Cache {
    root: PathBuf,
}

/// Held while somebody builds; given back when it is dropped or its process ends.
pub struct Lock(#[expect(dead_code, reason = "held for its drop")] File);

/// A program's place in the store.
pub struct Entry {
    folder: PathBuf,
    program: String,
}

/// What stands in an [`Entry`]'s place.
#[derive(Debug, PartialEq, Eq)]
pub enum State {
    /// The program, as it was built.
    Ready,
    /// Nothing.
    Missing,
    /// Something else: what, for people.
    Damaged(String),
}

impl Cache {
    /// The cache at `$ROADSTEAD_CACHE`, or `roadstead` in the user's cache folder.
    ///
    /// # Errors
    /// Neither `ROADSTEAD_CACHE` nor `XDG_CACHE_HOME` nor `HOME` is set, or the folder can't be made.
    pub fn of_user() -> Result<Self> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let user = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
        let cache = set("ROADSTEAD_CACHE").or_else(|| Some(user()?.join("roadstead")));
        Self::at(
            &cache.context("no place for the component cache: set ROADSTEAD_CACHE to a folder")?.join("components"),
        )
    }

    /// The cache in that folder.
    ///
    /// # Errors
    /// The folder can't be made.
    pub fn at(root: &Path) -> Result<Self> {
        fs::create_dir_all(root.join("store")).with_context(|| format!("making {}", root.display()))?;
        Ok(Self { root: root.to_owned() })
    }

    /// The folder that holds the views: what the host mounts into machines.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Keeps other builders out; `waiting` is called once if somebody else holds the lock. What a builder that was
    /// killed left behind is removed.
    ///
    /// # Errors
    /// The lock file can't be used.
    pub fn lock(&self, waiting: impl FnOnce()) -> Result<Lock> {
        let file = File::options().create(true).append(true).open(self.root.join("lock"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock()?;
            }
            Err(TryLockError::Error(error)) => return Err(error).context("locking the component cache"),
        }
        for entry in fs::read_dir(self.root.join("store"))? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with(UNFINISHED) {
                fs::remove_dir_all(path)?;
            }
        }
        Ok(Lock(file))
    }

    /// The place of `program` built from inputs with that key.
    pub fn entry(&self, key: &str, program: &str) -> Entry {
        Entry { folder: self.root.join("store").join(key), program: program.to_owned() }
    }

    /// Makes the entry's program appear in a view.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn show(&self, entry: &Entry, view: &str) -> Result<()> {
        let folder = self.root.join(view);
        fs::create_dir_all(&folder)?;
        let (from, to) = (entry.path(), folder.join(&entry.program));
        if is_same_file(&from, &to)? {
            return Ok(()); // renaming a link over its twin would do nothing and leave the new name behind
        }
        let new = folder.join(format!(".{}.new", entry.program));
        unless_missing(fs::remove_file(&new))?;
        fs::hard_link(&from, &new).with_context(|| format!("linking {} to {}", from.display(), new.display()))?;
        fs::rename(&new, &to)?;
        Ok(())
    }

    /// Whether the view shows the entry's program.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn shows(&self, entry: &Entry, view: &str) -> Result<bool> {
        Ok(is_same_file(&entry.path(), &self.root.join(view).join(&entry.program))?)
    }
}

impl Entry {
    /// The program.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.program)
    }

    fn checksum_path(&self) -> PathBuf {
        self.folder.join(format!("{}.sha256", self.program))
    }

    /// Looks, and compares checksums.
    ///
    /// # Errors
    /// A file is there and can't be read.
    pub fn state(&self) -> Result<State> {
        let file = match File::open(self.path()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(State::Missing),
            file => file.with_context(|| format!("opening {}", self.path().display()))?,
        };
        let Ok(recorded) = fs::read_to_string(self.checksum_path()) else {
            return Ok(State::Damaged("its checksum is missing".to_owned()));
        };
        if recorded == checksum_line(file, &self.program)? {
            Ok(State::Ready)
        } else {
            Ok(State::Damaged("its checksum is not the one recorded when it was built".to_owned()))
        }
    }

    /// Has `build` write the program to the path that it is given, and puts it into its place, with its checksum in the
    /// form that `sha256sum --check` reads.
    ///
    /// # Errors
    /// Those of `build`, and of the file system. What stood there before, stays then.
    pub fn fill(&self, build: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let new = Self { folder: self.folder.with_extension(&UNFINISHED[1..]), program: self.program.clone() };
        fs::create_dir_all(&new.folder)?;
        build(&new.path())?;
        let program = File::open(new.path()).context("the program that was built")?;
        program.set_permissions(Permissions::from_mode(0o555))?;
        program.sync_all()?;
        let mut checksum = File::create(new.checksum_path())?;
        checksum.write_all(checksum_line(program, &self.program)?.as_bytes())?;
        checksum.sync_all()?;
        unless_missing(fs::remove_dir_all(&self.folder))?;
        fs::rename(&new.folder, &self.folder)?;
        Ok(())
    }
}

/// The key of inputs: different inputs, different key.
pub fn key<'a>(inputs: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for input in inputs {
        hash.update((input.len() as u64).to_be_bytes());
        hash.update(input);
    }
    hex(&hash.finalize())[..32].to_owned()
}

fn checksum_line(file: impl Read, name: &str) -> io::Result<String> {
    Ok(format!("{}  {name}\n", checksum(file)?))
}

/// A file's SHA-256, in hex.
///
/// # Errors
/// Reading it fails.
pub fn checksum(mut file: impl Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_same_file(a: &Path, b: &Path) -> io::Result<bool> {
    let identity = |path| match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        metadata => metadata.map(|m| Some((m.dev(), m.ino()))),
    };
    Ok(identity(a)?.is_some_and(|a| Some(a) == identity(b).ok().flatten()))
}

fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}
