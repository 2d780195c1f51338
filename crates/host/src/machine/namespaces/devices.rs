//! Which devices a node may use: a program of the kernel's at the machine's cgroup of version 2, which looks at every
//! device that somebody opens or mounts below that. The machine sees that cgroup from below and cannot take it off.
//!
//! Version 1's own list cannot do it: a container runtime inside allows a privileged container all devices, and version 1
//! lets it do so only if it may use all itself. A program decides on its own, whatever others allow.

use anyhow::{Context as _, Result};
use roadstead_bpf::code::{FIRST, If, Instruction, Size};
use roadstead_bpf::kernel::{self, Kind, Place};
use std::fs::File;
use std::os::fd::AsFd as _;
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

/// `bpf_cgroup_dev_ctx`: what is tried and the kind of device, major, minor.
const CONTEXT: [i16; 3] = [0, 4, 8];
const TRIES_MKNOD_ONLY: i32 = 1;
const KIND_OF_CHARACTERS: i32 = 2;

/// Lets the processes of the cgroup `folder`, and of those below it, use no other devices than [`ALLOWED`].
///
/// # Errors
/// The kernel knows no such programs (`CONFIG_CGROUP_BPF`).
pub fn limit(folder: &Path) -> Result<()> {
    let cgroup = File::open(folder).with_context(|| format!("opening {}", folder.display()))?;
    let program = kernel::load(Kind::Devices, *b"roadstead\0\0\0\0\0\0\0", &program())
        .context("loading the program that limits devices")?;
    let place = Place::Cgroup(cgroup.as_fd());
    place.attach(program).with_context(|| format!("limiting devices in {}", folder.display()))
}

/// Allows by 1 in r0, and refuses by 0.
fn program() -> Vec<Instruction> {
    use Instruction as I;
    let load = |to, member| I::load(Size::Word, to, FIRST, member);
    let [tried, major, minor] = CONTEXT;
    let allow = [I::set(0, 1), I::exit()];
    let mut program = vec![load(2, tried), load(4, major), load(5, minor)];
    // To make a node opens nothing, and container runtimes make all kinds.
    program.extend([I::copy(3, 2), I::shift_right(3, 16), I::skip(If::Differs, 3, TRIES_MKNOD_ONLY, 2)]);
    program.extend(allow);
    program.extend([I::and(2, 0xffff), I::skip(If::Equal, 2, KIND_OF_CHARACTERS, 2), I::set(0, 0), I::exit()]);
    for (allowed, of_it) in ALLOWED {
        match of_it {
            Some(one) => program.extend([I::skip(If::Differs, 4, allowed, 3), I::skip(If::Differs, 5, one, 2)]),
            None => program.push(I::skip(If::Differs, 4, allowed, 2)),
        }
        program.extend(allow);
    }
    program.extend([I::set(0, 0), I::exit()]);
    program
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
