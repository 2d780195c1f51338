//! What a program needs to run: its libraries, and how much of its file.

use anyhow::{Context as _, Result, ensure};
use object::LittleEndian;
use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Headers stand at the beginning, within so many bytes.
const HEAD: u64 = 64 << 10;

type Header = FileHeader64<LittleEndian>;

/// The libraries that a program is linked with, those that they are linked with, and the loader: where this host has
/// them. None if it is linked statically.
///
/// # Errors
/// It is no program of this machine, or lacks a library.
pub fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let Some(loader) = loader(program)? else { return Ok(Vec::new()) };
    // The loader itself says what it would load, and runs nothing of the program.
    let mut command = Command::new(&loader);
    let output = command.arg("--list").arg(program).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("running {}", loader.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && !said.contains("not found"), "{} lacks a library: {said}", program.display());
    let mut libraries: Vec<_> = said.lines().filter_map(library).map(PathBuf::from).collect();
    libraries.push(loader);
    libraries.sort_unstable();
    libraries.dedup();
    Ok(libraries)
}

/// The path in `libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x…)` or `/lib64/ld-linux-x86-64.so.2 (0x…)`; the kernel's
/// own library has none.
fn library(line: &str) -> Option<&str> {
    let line = line.trim();
    let path = line.split_once(" => ").map_or(line, |(_, path)| path);
    path.split(' ').next().filter(|path| path.starts_with('/'))
}

fn loader(program: &Path) -> Result<Option<PathBuf>> {
    let bytes = head(program)?;
    let found = || -> object::read::Result<Option<PathBuf>> {
        let header = Header::parse(&*bytes)?;
        let endian = header.endian()?;
        for segment in header.program_headers(endian, &*bytes)? {
            if let Some(path) = segment.interpreter(endian, &*bytes)? {
                return Ok(Some(PathBuf::from(std::ffi::OsStr::from_bytes(path))));
            }
        }
        Ok(None)
    };
    found().with_context(|| format!("reading {}", program.display()))
}

/// The part of a program's file that is loaded: its beginning without what names the sections, and how many bytes it
/// goes on. All that is left out is for linkers and debuggers.
///
/// # Errors
/// It is no program of this machine.
pub fn loaded(program: &Path) -> Result<(Vec<u8>, u64)> {
    let bytes = head(program)?;
    let end = || -> object::read::Result<u64> {
        let header = Header::parse(&*bytes)?;
        let endian = header.endian()?;
        let segments = header.program_headers(endian, &*bytes)?.iter();
        let loaded = segments.filter(|segment| segment.p_type(endian) == PT_LOAD);
        Ok(loaded.map(|segment| segment.p_offset(endian) + segment.p_filesz(endian)).max().unwrap_or(0))
    };
    let end = end().with_context(|| format!("reading {}", program.display()))?;
    let mut header = bytes[..size_of::<Header>()].to_vec();
    // e_shoff; e_shentsize stays, e_shnum, e_shstrndx.
    header[0x28..0x30].fill(0);
    header[0x3c..0x40].fill(0);
    Ok((header, end))
}

fn head(program: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let opened = File::open(program).and_then(|file| file.take(HEAD).read_to_end(&mut bytes));
    opened.with_context(|| format!("reading {}", program.display()))?;
    Ok(bytes)
}
