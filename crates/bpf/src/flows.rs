//! Flows that are known to pass a network namespace go straight through it.
//!
//! A namespace between others (a node between its pods, a network's router between its machines) asks of each packet where it
//! goes, whether it may, and as whom. Of a connection that both sides have spoken in, the answer is the same for every
//! packet until something changes. So it is learned as a packet leaves, and the next one that comes is handed to the far
//! end of the wire that it would leave by, without routing, rules or connection tracking, and without waiting in a queue:
//!
//! ```text
//! wire ─▶ arriving: known? ──no──▶ stamped ─▶ routes, rules ─▶ leaving: marked, and the stamp still good? learned ─▶ wire
//!                     └────yes───▶ one hop less to live, translated ──────────────────────────────────▶ wire's far end
//! ```
//!
//! As a packet leaves, only its translated addresses are seen. What they were is told by the other direction: what leaves
//! there is for the one who dialled, from the address that was dialled. So packets are marked with the number of their
//! connection and their direction, and a flow is learned once a packet of each has left.
//!
//! What rules say stays true:
//! - Rules decide which flows may be learned at all: those that [`rule`] marks, of connections that connection tracking calls
//!   established both ways. Of those that are translated, only TCP's whose one side stays as it is.
//! - Whoever changes routes, rules or connections then says [`Flows::forget`]: nothing learned before holds from that moment, nor
//!   does what is learned from a packet that came before it (the stamp).
//! - What was learned holds for [`HOLDS`]; then a packet goes the long way, and connection tracking sees that the
//!   connection lives.
//! - A connection's beginning and end (SYN, FIN, RST), fragments, options and packets with no hop left go the long way,
//!   always. Connection tracking must be told so ([`SETTINGS`]).
//!
//! Programs and flows belong to the interfaces that they are attached to, and are gone with them; no process keeps them, and
//! one that starts anew finds them there.

mod program;

use crate::code::Instruction as I;
use crate::kernel::{self, Kind, MapKind, Name, Place};
use nix::net::if_::if_nametoindex;
use program::{arriving, half, key, leaving, value};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

/// What the priority of a packet is set to whose flow may be learned, and by it whether it goes as the connection was
/// dialled or back. Its mark is the connection's number then.
const LEARN: [u32; 2] = [0x7ea5_0001, 0x7ea5_0002];

/// Packets of a connection, both ways, after which it is learned: most are over by then, and to learn one costs as much as
/// to let some packets pass.
const EARLY: u32 = 8;

/// Settings of the namespace's connection tracking, below `/proc/sys`: it does not see every byte, and counts packets.
pub const SETTINGS: [(&str, &str); 2] =
    [("net/netfilter/nf_conntrack_tcp_be_liberal", "1"), ("net/netfilter/nf_conntrack_acct", "1")];

/// The rule of nftables that marks what may be learned. Its place is after all that translates, with the priority
/// [`LEARN_LAST`], since it takes the packet's mark for its own. On the loopback that would come back.
pub fn rule() -> String {
    let [dialled, back] = LEARN.map(|priority| format!("{:x}:{:x}", priority >> 16, priority & 0xffff));
    let way = format!("ct direction map {{ original : {dialled}, reply : {back} }}");
    format!("oif != \"lo\" ct state established ct packets > {EARLY} meta mark set ct id meta priority set {way}")
}

/// In the hook `postrouting`: after `srcnat`.
pub const LEARN_LAST: i32 = 300;

/// How long what was learned holds. Well below what connection tracking forgets a silent connection after: 30 s (UDP).
pub const HOLDS: Duration = Duration::from_secs(10);
/// Flows that a namespace knows at most; those that were silent for longest go first. A kilobyte is ten of them.
const MOST: u32 = 8192;

/// What the names of our programs begin with.
const PREFIX: &[u8] = b"flow_";

/// The flows of a network namespace.
#[derive(Debug)]
pub struct Flows {
    arriving: OwnedFd,
    leaving: OwnedFd,
    generation: OwnedFd,
}

impl Flows {
    /// For a namespace that learns none yet.
    ///
    /// # Errors
    /// The kernel's: it is older than Linux 6.6, or the caller may not (`CAP_BPF`, `CAP_NET_ADMIN`).
    pub fn new() -> io::Result<Flows> {
        let flows = kernel::map(MapKind::RecentHash, key::SIZE, value::SIZE, MOST)?;
        let halves = kernel::map(MapKind::RecentHash, half::KEY_SIZE, half::SIZE, MOST)?;
        let generation = kernel::map(MapKind::Array, 4, 4, 1)?;
        let maps = [&flows, &halves, &generation].map(|map| map.as_raw_fd());
        let [arriving, leaving] = names();
        Ok(Flows {
            arriving: kernel::load(Kind::Packets, arriving, &self::arriving(maps))?,
            leaving: kernel::load(Kind::Packets, leaving, &self::leaving(maps))?,
            generation,
        })
    }

    /// Those that an interface of the calling thread's namespace takes part in, if they are of this version.
    ///
    /// # Errors
    /// The kernel's, or there is no such interface.
    pub fn of(link: &str) -> io::Result<Option<Flows>> {
        let index = if_nametoindex(link)?;
        let [arriving, leaving] = names();
        let found = (find(Place::Arriving(index), arriving)?, find(Place::Leaving(index), leaving)?);
        let (Some(arriving), Some(leaving)) = found else { return Ok(None) };
        for map in kernel::about(&arriving)?.maps {
            if let (generation, MapKind::Array) = kernel::map_by_id(map)? {
                return Ok(Some(Flows { arriving, leaving, generation }));
            }
        }
        Ok(None)
    }

    /// By what another process of this version that may attach programs joins interfaces ([`join`]).
    ///
    /// # Errors
    /// The kernel's.
    pub fn ids(&self) -> io::Result<[u32; 2]> {
        Ok([kernel::about(&self.arriving)?.id, kernel::about(&self.leaving)?.id])
    }

    /// Lets an interface, of the calling thread's namespace, take part. It must be an end of a pair whose other end is in
    /// another namespace. Flows of another version that it took part in are given up.
    ///
    /// # Errors
    /// The kernel's, or there is no such interface.
    pub fn join(&self, link: &str) -> io::Result<()> {
        attach(link, &self.arriving, &self.leaving)
    }

    /// Nothing that was learned up to now holds any longer: routes or rules have changed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn forget(&self) -> io::Result<()> {
        kernel::set_first(&self.generation, kernel::first(&self.generation)?.wrapping_add(1))
    }
}

/// Lets an interface take part in flows, by their ids.
///
/// # Errors
/// As for [`Flows::join`], and they are gone.
pub fn join(ids: [u32; 2], link: &str) -> io::Result<()> {
    attach(link, &kernel::program(ids[0])?, &kernel::program(ids[1])?)
}

/// What arrives is first known when it can be learned.
fn attach(link: &str, arriving: &OwnedFd, leaving: &OwnedFd) -> io::Result<()> {
    let index = if_nametoindex(link)?;
    for (place, program) in [(Place::Leaving(index), leaving), (Place::Arriving(index), arriving)] {
        let id = kernel::about(program)?.id;
        for other in place.programs()?.into_iter().filter(|other| *other != id) {
            let other = kernel::program(other)?;
            if kernel::about(&other)?.name.starts_with(PREFIX) {
                place.detach(&other)?;
            }
        }
        place.attach(program)?;
    }
    Ok(())
}

fn find(place: Place<'_>, name: Name) -> io::Result<Option<OwnedFd>> {
    for id in place.programs()? {
        let program = kernel::program(id)?;
        if kernel::about(&program)?.name == name {
            return Ok(Some(program));
        }
    }
    Ok(None)
}

/// What our programs are called: of another content, otherwise.
fn names() -> [Name; 2] {
    let (mut hash, code) = (0xcbf2_9ce4_u32, [arriving([0; 3]), leaving([0; 3])].concat());
    for I { code, registers, offset, immediate } in code {
        let parts = [i64::from(code), i64::from(registers), i64::from(offset), i64::from(immediate)];
        for byte in parts.into_iter().flat_map(i64::to_le_bytes) {
            // FNV-1a
            hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    }
    ["i", "o"].map(|way| {
        let mut name = Name::default();
        let text = [PREFIX, format!("{way}{hash:08x}").as_bytes()].concat();
        name[..text.len()].copy_from_slice(&text);
        name
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_such_as_the_kernel_takes() {
        let names = names();
        assert_ne!(names[0], names[1]);
        for name in names {
            assert!(name.starts_with(PREFIX));
            let text = name.split(|byte| *byte == 0).next().unwrap();
            assert!(text.len() < name.len() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_'));
        }
    }
}
