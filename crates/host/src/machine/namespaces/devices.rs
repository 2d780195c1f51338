//! Which devices a node may use: a program of the kernel's at the machine's cgroup of version 2, which looks at every
//! device that somebody opens or mounts below that. The machine sees that cgroup from below and cannot take it off.
//!
//! Version 1's own list cannot do it: a container runtime inside allows a privileged container all devices, and version 1
//! lets it do so only if it may use all itself. A program decides on its own, whatever others allow.

use anyhow::{Context as _, Result};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::path::Path;

/// Devices of characters, major and minor; no minor: all of the major. null, zero, full, random, urandom, tty, ptmx, the
/// terminals of a devpts, tunnels, file systems of programs. No device of blocks: those are the host's disks.
const ALLOWED: [(i32, Option<i32>); 10] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(2)),
    (10, Some(200)),
    (10, Some(229)),
    (136, None),
];

// linux/bpf.h
const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
/// Those below may have programs of their own; a device must pass all.
const ALLOW_MULTI: u32 = 2;
/// `bpf_cgroup_dev_ctx`: what is tried and the kind of device, major, minor.
const CONTEXT: [i16; 3] = [0, 4, 8];
const TRIES_MKNOD_ONLY: i32 = 1;
const KIND_OF_CHARACTERS: i32 = 2;

/// An instruction: `struct bpf_insn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
struct Instruction {
    code: u8,
    /// Destination in the lower half, source in the upper one.
    registers: u8,
    offset: i16,
    immediate: i32,
}

impl Instruction {
    const fn new(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
        Instruction { code, registers: from << 4 | to, offset, immediate }
    }

    /// `to = *(u32 *)(r1 + offset)`
    const fn load(to: u8, offset: i16) -> Instruction {
        Instruction::new(0x61, to, 1, offset, 0)
    }

    /// `to = from`
    const fn copy(to: u8, from: u8) -> Instruction {
        Instruction::new(0xbf, to, from, 0, 0)
    }

    const fn set(to: u8, value: i32) -> Instruction {
        Instruction::new(0xb7, to, 0, 0, value)
    }

    const fn shift_right(to: u8, bits: i32) -> Instruction {
        Instruction::new(0x77, to, 0, 0, bits)
    }

    const fn and(to: u8, mask: i32) -> Instruction {
        Instruction::new(0x57, to, 0, 0, mask)
    }

    /// Skips so many if the register has the value.
    const fn skip_if(register: u8, value: i32, count: i16) -> Instruction {
        Instruction::new(0x15, register, 0, count, value)
    }

    /// Skips so many unless the register has the value.
    const fn skip_unless(register: u8, value: i32, count: i16) -> Instruction {
        Instruction::new(0x55, register, 0, count, value)
    }

    const fn exit() -> Instruction {
        Instruction::new(0x95, 0, 0, 0, 0)
    }
}

/// Lets the processes of the cgroup `folder`, and of those below it, use no other devices than [`ALLOWED`].
///
/// # Errors
/// The kernel knows no such programs (`CONFIG_CGROUP_BPF`).
pub fn limit(folder: &Path) -> Result<()> {
    let cgroup = File::open(folder).with_context(|| format!("opening {}", folder.display()))?;
    let program = load(&program()).context("loading the program that limits devices")?;
    attach(&program, cgroup.as_raw_fd()).with_context(|| format!("limiting devices in {}", folder.display()))
}

/// Allows by 1 in r0, and refuses by 0.
fn program() -> Vec<Instruction> {
    use Instruction as I;
    let [tried, major, minor] = CONTEXT;
    let allow = [I::set(0, 1), I::exit()];
    let mut program = vec![I::load(2, tried), I::load(4, major), I::load(5, minor)];
    // To make a node opens nothing, and container runtimes make all kinds.
    program.extend([I::copy(3, 2), I::shift_right(3, 16), I::skip_unless(3, TRIES_MKNOD_ONLY, 2)]);
    program.extend(allow);
    program.extend([I::and(2, 0xffff), I::skip_if(2, KIND_OF_CHARACTERS, 2), I::set(0, 0), I::exit()]);
    for (allowed, of_it) in ALLOWED {
        match of_it {
            Some(one) => program.extend([I::skip_unless(4, allowed, 3), I::skip_unless(5, one, 2)]),
            None => program.push(I::skip_unless(4, allowed, 2)),
        }
        program.extend(allow);
    }
    program.extend([I::set(0, 0), I::exit()]);
    program
}

/// The first members of `union bpf_attr` as PROG_LOAD reads it.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log: [u64; 2],
    version_and_flags: u64,
    name: [u8; 16],
    interface: u32,
    attach_to: u32,
}

/// And as PROG_ATTACH does.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    attach_to: u32,
    flags: u32,
}

fn load(program: &[Instruction]) -> Result<OwnedFd> {
    let license = c"Apache-2.0";
    let attributes = Load {
        kind: TYPE_CGROUP_DEVICE,
        count: u32::try_from(program.len())?,
        instructions: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log: [0; 2],
        version_and_flags: 0,
        name: *b"roadstead\0\0\0\0\0\0\0",
        interface: 0,
        attach_to: ATTACH_CGROUP_DEVICE,
    };
    let fd = bpf(PROG_LOAD, &attributes)?;
    // SAFETY: the kernel has just opened it for us, and nobody else knows it.
    #[expect(unsafe_code, reason = "no library loads a program without an ELF file")]
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn attach(program: &OwnedFd, cgroup: RawFd) -> Result<()> {
    let (target, program) = (u32::try_from(cgroup)?, u32::try_from(program.as_raw_fd())?);
    bpf(PROG_ATTACH, &Attach { target, program, attach_to: ATTACH_CGROUP_DEVICE, flags: ALLOW_MULTI })?;
    Ok(())
}

fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<RawFd> {
    // SAFETY: `attributes` is the beginning of a `union bpf_attr` for the command, whose length is told; what it points to
    // outlives the call.
    #[expect(unsafe_code, reason = "libc has no function for bpf(2)")]
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    match RawFd::try_from(result) {
        Ok(fd) if fd >= 0 => Ok(fd),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel does, for what little it uses.
    fn allows(tried: u32, kind: u32, major: u32, minor: u32) -> bool {
        let program = program();
        let mut registers = [0_i64; 11];
        let context = [i64::from(tried << 16 | kind), i64::from(major), i64::from(minor)];
        let mut at = 0;
        loop {
            let Instruction { code, registers: r, offset, immediate } = program[at];
            let (to, from) = (usize::from(r & 15), usize::from(r >> 4));
            let (value, skip) = (i64::from(immediate), usize::try_from(offset).unwrap());
            at += 1;
            match code {
                0x61 => registers[to] = context[skip / 4],
                0xbf => registers[to] = registers[from],
                0xb7 => registers[to] = value,
                0x77 => registers[to] >>= value,
                0x57 => registers[to] &= value,
                0x15 if registers[to] == value => at += skip,
                0x55 if registers[to] != value => at += skip,
                0x15 | 0x55 => {}
                0x95 => return registers[0] == 1,
                other => panic!("{other:#x}"),
            }
        }
    }

    #[test]
    fn only_the_devices_of_containers_may_be_used() {
        let (mknod, read, write, blocks, characters) = (1, 2, 4, 1, 2);
        for (major, minor) in [(1, 3), (1, 9), (5, 0), (5, 2), (136, 0), (136, 7), (10, 229), (10, 200)] {
            assert!(allows(read | write, characters, major, minor), "{major}:{minor}");
            assert!(!allows(read, blocks, major, minor), "{major}:{minor} of blocks");
        }
        // mem, kmsg, kvm, console.
        for (major, minor) in [(1, 1), (1, 11), (10, 232), (5, 1), (2, 3)] {
            assert!(!allows(read, characters, major, minor), "{major}:{minor}");
        }
        assert!(!allows(read, blocks, 254, 0) && !allows(mknod | write, blocks, 254, 0));
        assert!(allows(mknod, blocks, 254, 0), "made, and not opened");
    }
}
