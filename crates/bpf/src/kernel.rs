//! bpf(2): programs, maps, and where programs are attached.

use crate::code::Instruction;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

// linux/bpf.h, `enum bpf_cmd`
const MAP_CREATE: libc::c_int = 0;
const MAP_LOOKUP: libc::c_int = 1;
const MAP_UPDATE: libc::c_int = 2;
const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_DETACH: libc::c_int = 9;
const PROG_BY_ID: libc::c_int = 13;
const MAP_BY_ID: libc::c_int = 14;
const INFO: libc::c_int = 15;
const PROG_QUERY: libc::c_int = 16;

/// All of ours are under this; none of the functions that they call asks for another.
const LICENSE: &CStr = c"Apache-2.0";
/// More programs than one place may have (`BPF_MPROG_MAX`).
const MOST: u32 = 64;

/// What a program is called: at most 15 letters, digits, `_` and `.`.
pub type Name = [u8; 16];

/// The kinds of programs that we have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Looks at packets of an interface.
    Packets,
    /// Looks at devices that processes of a cgroup use.
    Devices,
}

/// Where a program is attached.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// What comes in by the interface with this index, in the calling thread's network namespace.
    Arriving(u32),
    /// What leaves by it.
    Leaving(u32),
    /// The cgroup, of version 2, whose folder this is. Those below it may have programs of their own: a device must pass
    /// all.
    Cgroup(BorrowedFd<'a>),
}

/// A map's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum MapKind {
    /// Values by number.
    Array = 2,
    /// Values by key; those that nobody asked for go when there is no room.
    RecentHash = 9,
}

/// Attributes of a command: the beginning of a `union bpf_attr`, zero where nothing was said.
struct Attributes([u8; 72]);

impl Attributes {
    fn new() -> Attributes {
        Attributes([0; 72])
    }

    fn word(mut self, at: usize, value: u32) -> Attributes {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn long(mut self, at: usize, value: u64) -> Attributes {
        self.0[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn fd(self, at: usize, fd: BorrowedFd<'_>) -> Attributes {
        self.word(at, fd.as_raw_fd().cast_unsigned())
    }

    fn address<T>(self, at: usize, of: *const T) -> Attributes {
        self.long(at, of.expose_provenance() as u64)
    }

    fn of_word(&self, at: usize) -> u32 {
        word(&self.0, at)
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Hands a program to the kernel, which proves that it ends and reads nothing foreign.
///
/// # Errors
/// The kernel's: it finds the program wrong, has not all that it uses, or the caller may not (`CAP_BPF`).
pub fn load(kind: Kind, name: Name, program: &[Instruction]) -> io::Result<OwnedFd> {
    let (kind, attach_to) = match kind {
        Kind::Packets => (3, 0),
        Kind::Devices => (15, 6),
    };
    let count = u32::try_from(program.len()).map_err(io::Error::other)?;
    let mut attributes = Attributes::new()
        .word(0, kind)
        .word(4, count)
        .address(8, program.as_ptr())
        .address(16, LICENSE.as_ptr())
        .word(68, attach_to);
    attributes.0[48..64].copy_from_slice(&name);
    bpf(PROG_LOAD, &mut attributes).map(into_fd)
}

/// Makes a map; sizes in bytes.
///
/// # Errors
/// The kernel's.
pub fn map(kind: MapKind, key: i16, value: i16, count: u32) -> io::Result<OwnedFd> {
    let [key, value] = [key, value].map(|size| size.unsigned_abs().into());
    let mut attributes = Attributes::new().word(0, kind as u32).word(4, key).word(8, value).word(12, count);
    bpf(MAP_CREATE, &mut attributes).map(into_fd)
}

/// The first value of an array of words.
///
/// # Errors
/// The kernel's.
pub fn first(array: impl AsFd) -> io::Result<u32> {
    let (key, mut value) = (0_u32, 0_u32);
    let attributes = Attributes::new().fd(0, array.as_fd()).address(8, &raw const key);
    bpf(MAP_LOOKUP, &mut attributes.address(16, &raw mut value))?;
    Ok(value)
}

/// Sets the first value of an array of words.
///
/// # Errors
/// The kernel's.
pub fn set_first(array: impl AsFd, value: u32) -> io::Result<()> {
    let key = 0_u32;
    let attributes = Attributes::new().fd(0, array.as_fd()).address(8, &raw const key);
    bpf(MAP_UPDATE, &mut attributes.address(16, &raw const value)).map(drop)
}

impl Place<'_> {
    fn attributes(self) -> (Attributes, u32) {
        match self {
            Place::Arriving(link) => (Attributes::new().word(0, link), 46),
            Place::Leaving(link) => (Attributes::new().word(0, link), 47),
            Place::Cgroup(folder) => (Attributes::new().fd(0, folder), 6),
        }
    }

    /// Attaches a program after those that are there, until the place is gone. One that is there stays where it is.
    ///
    /// # Errors
    /// The kernel's.
    pub fn attach(self, program: impl AsFd) -> io::Result<()> {
        /// Several may be there (`BPF_F_ALLOW_MULTI`); interfaces' ask for no leave.
        const SEVERAL: u32 = 2;
        let (attributes, kind) = self.attributes();
        let flags = if matches!(self, Place::Cgroup(_)) { SEVERAL } else { 0 };
        match bpf(PROG_ATTACH, &mut attributes.fd(4, program.as_fd()).word(8, kind).word(12, flags)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other.map(drop),
        }
    }

    /// Takes a program off.
    ///
    /// # Errors
    /// The kernel's.
    pub fn detach(self, program: impl AsFd) -> io::Result<()> {
        let (attributes, kind) = self.attributes();
        bpf(PROG_DETACH, &mut attributes.fd(4, program.as_fd()).word(8, kind)).map(drop)
    }

    /// The programs that are there, by id.
    ///
    /// # Errors
    /// The kernel's.
    pub fn programs(self) -> io::Result<Vec<u32>> {
        let mut ids = [0_u32; MOST as usize];
        let (attributes, kind) = self.attributes();
        let mut attributes = attributes.word(4, kind).address(16, ids.as_mut_ptr()).word(24, MOST);
        bpf(PROG_QUERY, &mut attributes)?;
        Ok(ids[..MOST.min(attributes.of_word(24)) as usize].to_vec())
    }
}

/// What the kernel says of a program.
pub struct About {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: Name,
    /// The ids of the maps that it uses.
    pub maps: Vec<u32>,
}

/// Asks what a program is.
///
/// # Errors
/// The kernel's.
pub fn about(program: impl AsFd) -> io::Result<About> {
    /// Of `struct bpf_prog_info`, as far as its name.
    const LENGTH: u32 = 80;
    let mut maps = [0_u32; MOST as usize];
    let mut info = [0_u8; LENGTH as usize];
    info[52..56].copy_from_slice(&(MOST).to_ne_bytes());
    info[56..64].copy_from_slice(&(maps.as_mut_ptr().expose_provenance() as u64).to_ne_bytes());
    let attributes = Attributes::new().fd(0, program.as_fd()).word(4, LENGTH);
    bpf(INFO, &mut attributes.address(8, info.as_mut_ptr()))?;
    let mut name = Name::default();
    name.copy_from_slice(&info[64..80]);
    Ok(About { id: word(&info, 4), name, maps: maps[..MOST.min(word(&info, 52)) as usize].to_vec() })
}

/// The program with this id.
///
/// # Errors
/// It is gone, or the caller may not (`CAP_SYS_ADMIN`).
pub fn program(id: u32) -> io::Result<OwnedFd> {
    bpf(PROG_BY_ID, &mut Attributes::new().word(0, id)).map(into_fd)
}

/// The map with this id, and its kind.
///
/// # Errors
/// As for [`program`].
pub fn map_by_id(id: u32) -> io::Result<(OwnedFd, MapKind)> {
    /// Of `struct bpf_map_info`, as far as its sizes.
    const LENGTH: u32 = 16;
    let map = bpf(MAP_BY_ID, &mut Attributes::new().word(0, id)).map(into_fd)?;
    let mut info = [0_u8; LENGTH as usize];
    let attributes = Attributes::new().fd(0, map.as_fd()).word(4, LENGTH);
    bpf(INFO, &mut attributes.address(8, info.as_mut_ptr()))?;
    let kind = if word(&info, 0) == MapKind::Array as u32 { MapKind::Array } else { MapKind::RecentHash };
    Ok((map, kind))
}

fn bpf(command: libc::c_int, attributes: &mut Attributes) -> io::Result<i32> {
    let Attributes(bytes) = attributes;
    // SAFETY: the attributes are as the command reads them, their length is told, and all that they point to outlives the
    // call and has the length that the command takes for granted.
    #[expect(unsafe_code, reason = "libc has no function for bpf(2)")]
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, bytes.as_mut_ptr(), bytes.len()) };
    match i32::try_from(result) {
        Ok(result) if result >= 0 => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

fn into_fd(fd: i32) -> OwnedFd {
    // SAFETY: the kernel has just opened it for us, and nobody else knows it.
    #[expect(unsafe_code, reason = "the number that bpf(2) answers with")]
    unsafe {
        OwnedFd::from_raw_fd(fd)
    }
}
