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

use crate::code::{FIRST, If, Instruction as I, Label, STACK, Size, Writer};
use crate::kernel::{self, Kind, MapKind, Name, Place};
use nix::net::if_::if_nametoindex;
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

/// `struct __sk_buff`, as far as we look.
mod packet {
    pub const FOR_WHOM: i16 = 4;
    pub const MARK: i16 = 8;
    pub const PRIORITY: i16 = 32;
    pub const CAME_BY: i16 = 36;
    pub const LINK: i16 = 40;
    /// A number that nothing but us uses, and that stays with a packet on its way through a namespace.
    pub const STAMP: i16 = 44;
    pub const DATA: i16 = 76;
    pub const END: i16 = 80;
}

/// A frame with an IPv4 packet without options, as far as we look.
mod frame {
    pub const MACS: [i16; 3] = [0, 4, 8];
    pub const KIND: i16 = 12;
    pub const VERSION: i16 = 14;
    pub const FRAGMENT: i16 = 20;
    pub const HOPS: i16 = 22;
    pub const PROTOCOL: i16 = 23;
    pub const CHECKSUM: i16 = 24;
    pub const FROM: i16 = 26;
    pub const TO: i16 = 30;
    pub const PORTS: i16 = 34;
    pub const TCP_FLAGS: i16 = 47;
    pub const TCP_CHECKSUM: i16 = 50;
    /// What must be there to read all that; shorter ones of UDP go the long way.
    pub const LENGTH: i32 = 48;
}

/// What a flow is known by, five words: the interface that it comes by, addresses, ports, protocol.
mod key {
    pub const SIZE: u32 = 20;
    pub const LINK: i16 = 0;
    pub const FROM: i16 = 4;
    pub const TO: i16 = 8;
    pub const PORTS: i16 = 12;
    pub const PROTOCOL: i16 = 16;
}

/// What is known of it: the interface that it leaves by, under which generation and when that was learned (ns since the
/// machine's start), the frame's addresses; whether it is translated, and what addresses and ports it leaves with.
mod value {
    pub const SIZE: u32 = 48;
    pub const LINK: i16 = 0;
    pub const GENERATION: i16 = 4;
    pub const LEARNED: i16 = 8;
    pub const MACS: [i16; 3] = [16, 20, 24];
    pub const TRANSLATED: i16 = 28;
    pub const FROM: i16 = 32;
    pub const TO: i16 = 36;
    pub const PORTS: i16 = 40;
    pub const REST: i16 = 44;
}

/// How packets of one direction of a connection leave. Known by the connection's number and the direction; first comes what
/// stands in a flow's key, with the interface that they come by.
mod half {
    pub const KEY_SIZE: u32 = 8;
    pub const SIZE: u32 = 24;
    pub const GENERATION: i16 = super::key::SIZE as i16;
}

/// Where programs build a flow's key (or a half) as a packet is, one as it was, a value, and a half's key.
const AS_IS: i16 = -24;
const AS_WAS: i16 = AS_IS - 24;
const VALUE: i16 = AS_WAS - value::SIZE as i16;
const HALF_KEY: i16 = VALUE - half::KEY_SIZE as i16;

// linux/bpf.h, `enum bpf_func_id`
const LOOKUP: i32 = 1;
const UPDATE: i32 = 2;
const REPLACE_IN_SUM: i32 = 10;
const REPLACE_IN_TRANSPORT_SUM: i32 = 11;
const REDIRECT_PEER: i32 = 155;
/// The time of the last tick of the clock: a few ms old, and cheap.
const COARSE_TIME: i32 = 160;

/// Of [`REPLACE_IN_TRANSPORT_SUM`]: 4 bytes, and 4 bytes of the pseudo header.
const FOUR: i32 = 4;
const FOUR_OF_PSEUDO: i32 = 0x10 | FOUR;

/// The packet goes on as if there were no program (`TCX_NEXT`).
const GO_ON: i32 = -1;

const ETHERTYPE_IPV4: u16 = 0x0800;
const VERSION_4_NO_OPTIONS: i32 = 0x45;
/// More fragments, or not the first.
const FRAGMENT: u16 = 0x3fff;
const TCP: i32 = 6;
const UDP: i32 = 17;
/// FIN, SYN, RST.
const BEGINNING_OR_END: i32 = 0x07;

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

// Registers that both programs keep over calls.
const CONTEXT: u8 = 6;
/// What a map had.
const KNOWN: u8 = 7;
const DATA: u8 = 8;

/// Looks whether a packet is of a flow that is known, and hands it on.
fn arriving([flows, _, generation]: [i32; 3]) -> Vec<I> {
    let mut program = Writer::default();
    let (go_on, unknown, same) = (program.label(), program.label(), program.label());
    program.write([I::copy(CONTEXT, FIRST), I::load(Size::Word, 1, CONTEXT, packet::FOR_WHOM)]);
    // Not for this interface's own address.
    program.jump(If::Differs, 1, 0, go_on);
    read_flow(&mut program, packet::LINK, go_on);
    program.write([I::load(Size::Byte, 1, DATA, frame::HOPS)]);
    program.jump(If::AtMost, 1, 1, go_on);

    look_up(&mut program, flows, AS_IS, unknown);
    program.set_map_value(1, generation);
    program.write([I::load(Size::Word, 1, 1, 0), I::load(Size::Word, 2, KNOWN, value::GENERATION)]);
    program.jump_by(If::Differs, 1, 2, unknown);
    program.write([I::call(COARSE_TIME), I::load(Size::Double, 1, KNOWN, value::LEARNED), I::subtract(0, 1)]);
    program.set_long(1, HOLDS.as_nanos() as u64);
    program.jump_by(If::Above, 0, 1, unknown);

    program.write([I::load(Size::Word, 1, KNOWN, value::TRANSLATED)]);
    program.jump(If::Equal, 1, 0, same);
    translate(&mut program, go_on);
    program.place(same);
    program.write([
        I::load(Size::Byte, 1, DATA, frame::HOPS),
        I::add(1, -1),
        I::store(Size::Byte, DATA, frame::HOPS, 1),
    ]);
    // The sum grows by what the number of hops, its word's upper byte, shrinks by, and a carry goes round (RFC 1624).
    let one_hop = i32::from(0x0100_u16.to_be());
    program.write([
        I::load(Size::Half, 1, DATA, frame::CHECKSUM),
        I::add(1, one_hop),
        I::copy(2, 1),
        I::shift_right(2, 16),
        I::add_register(1, 2),
        I::store(Size::Half, DATA, frame::CHECKSUM, 1),
    ]);
    for (from, to) in value::MACS.into_iter().zip(frame::MACS) {
        program.write([I::load(Size::Word, 1, KNOWN, from), I::store(Size::Word, DATA, to, 1)]);
    }
    program.write([I::load(Size::Word, 1, KNOWN, value::LINK), I::set(2, 0), I::call(REDIRECT_PEER), I::exit()]);

    program.place(unknown);
    read_stamp(&mut program, generation);
    program.write([I::store(Size::Word, CONTEXT, packet::STAMP, 2)]);
    program.place(go_on);
    program.write([I::set(0, GO_ON), I::exit()]);
    program.finish()
}

/// Gives a packet of TCP the addresses and ports that it leaves with. Sums first: they are told what goes and what comes.
fn translate(program: &mut Writer, go_on: Label) {
    let parts = [
        (frame::FROM, key::FROM, value::FROM, FOUR_OF_PSEUDO),
        (frame::TO, key::TO, value::TO, FOUR_OF_PSEUDO),
        (frame::PORTS, key::PORTS, value::PORTS, FOUR),
    ];
    let words = |known, is| [I::load(Size::Word, 3, STACK, AS_IS + is), I::load(Size::Word, 4, KNOWN, known)];
    for (_, is, known, how) in parts {
        program.write([I::copy(1, CONTEXT), I::set(2, frame::TCP_CHECKSUM.into())]);
        program.write(words(known, is));
        program.write([I::set(5, how), I::call(REPLACE_IN_TRANSPORT_SUM)]);
    }
    for (_, is, known, _) in &parts[..2] {
        program.write([I::copy(1, CONTEXT), I::set(2, frame::CHECKSUM.into())]);
        program.write(words(*known, *is));
        program.write([I::set(5, FOUR), I::call(REPLACE_IN_SUM)]);
    }
    // The packet may stand somewhere else now.
    find_frame(program, go_on);
    for (at, _, known, _) in parts {
        program.write([I::load(Size::Word, 1, KNOWN, known), I::store(Size::Word, DATA, at, 1)]);
    }
}

/// Learns the flow of a packet that rules have marked.
fn leaving([flows, halves, generation]: [i32; 3]) -> Vec<I> {
    let mut program = Writer::default();
    let (go_on, marked) = (program.label(), program.label());
    program.write([I::copy(CONTEXT, FIRST), I::load(Size::Word, 1, CONTEXT, packet::PRIORITY)]);
    // The direction: of the packet, and the other.
    program.write([I::set(2, 1)]);
    program.jump(If::Equal, 1, LEARN[0].cast_signed(), marked);
    program.write([I::set(2, 2)]);
    program.jump(If::Differs, 1, LEARN[1].cast_signed(), go_on);
    program.place(marked);
    program.write([I::store(Size::Word, STACK, HALF_KEY + 4, 2), I::set(1, 0)]);
    program.write([I::store(Size::Word, CONTEXT, packet::PRIORITY, 1)]);
    program.write([I::load(Size::Word, 1, CONTEXT, packet::MARK), I::store(Size::Word, STACK, HALF_KEY, 1)]);

    read_stamp(&mut program, generation);
    program.write([I::load(Size::Word, 3, CONTEXT, packet::STAMP)]);
    program.jump_by(If::Differs, 2, 3, go_on);
    program.write([
        I::store(Size::Word, STACK, VALUE + value::GENERATION, 1),
        I::store(Size::Word, STACK, AS_IS + half::GENERATION, 1),
    ]);
    read_flow(&mut program, packet::CAME_BY, go_on);
    update(&mut program, halves, HALF_KEY, AS_IS);
    program.write([
        I::load(Size::Word, 2, STACK, HALF_KEY + 4),
        I::set(1, 3),
        I::subtract(1, 2),
        I::store(Size::Word, STACK, HALF_KEY + 4, 1),
    ]);
    look_up(&mut program, halves, HALF_KEY, go_on);
    for (known, at) in [(half::GENERATION, AS_IS + half::GENERATION), (key::PROTOCOL, AS_IS + key::PROTOCOL)] {
        program.write([I::load(Size::Word, 1, KNOWN, known), I::load(Size::Word, 2, STACK, at)]);
        program.jump_by(If::Differs, 1, 2, go_on);
    }
    read_as_was(&mut program);
    compare(&mut program, go_on);

    for (is, at) in [(key::FROM, value::FROM), (key::TO, value::TO), (key::PORTS, value::PORTS)] {
        program.write([I::load(Size::Word, 1, STACK, AS_IS + is), I::store(Size::Word, STACK, VALUE + at, 1)]);
    }
    program.write([I::load(Size::Word, 1, CONTEXT, packet::LINK), I::store(Size::Word, STACK, VALUE + value::LINK, 1)]);
    for (from, to) in frame::MACS.into_iter().zip(value::MACS) {
        program.write([I::load(Size::Word, 1, DATA, from), I::store(Size::Word, STACK, VALUE + to, 1)]);
    }
    program.write([I::set(1, 0), I::store(Size::Word, STACK, VALUE + value::REST, 1)]);
    program.write([I::call(COARSE_TIME), I::store(Size::Double, STACK, VALUE + value::LEARNED, 0)]);
    update(&mut program, flows, AS_WAS, VALUE);
    program.place(go_on);
    program.write([I::set(0, GO_ON), I::exit()]);
    program.finish()
}

/// Writes down at [`AS_WAS`] what the packet was when it came: as what leaves the other way, turned round.
fn read_as_was(program: &mut Writer) {
    let copies = [(key::FROM, key::TO), (key::TO, key::FROM), (key::PROTOCOL, key::PROTOCOL)];
    for (known, was) in copies {
        program.write([I::load(Size::Word, 1, KNOWN, known), I::store(Size::Word, STACK, AS_WAS + was, 1)]);
    }
    for (known, was) in [(key::PORTS, key::PORTS + 2), (key::PORTS + 2, key::PORTS)] {
        program.write([I::load(Size::Half, 1, KNOWN, known), I::store(Size::Half, STACK, AS_WAS + was, 1)]);
    }
    let link = [I::load(Size::Word, 1, STACK, AS_IS + key::LINK), I::store(Size::Word, STACK, AS_WAS + key::LINK, 1)];
    program.write(link);
}

/// Writes into the value whether the packet is translated. One of UDP, or on both sides, is not learned: where a datagram
/// goes may change with no word from who sends, and with neither side left nothing shows that two packets are of
/// one connection, should two have one number.
fn compare(program: &mut Writer, go_on: Label) {
    let (from_differs, to_differs, done) = (program.label(), program.label(), program.label());
    let pair = |size, at| [I::load(size, 1, STACK, AS_IS + at), I::load(size, 2, STACK, AS_WAS + at)];
    let sides = [(key::FROM, key::PORTS), (key::TO, key::PORTS + 2)];
    // The sender is the same?
    program.write(pair(Size::Word, sides[0].0));
    program.jump_by(If::Differs, 1, 2, from_differs);
    program.write(pair(Size::Half, sides[0].1));
    program.jump_by(If::Differs, 1, 2, from_differs);
    program.write(pair(Size::Word, sides[1].0));
    program.jump_by(If::Differs, 1, 2, to_differs);
    program.write(pair(Size::Half, sides[1].1));
    program.jump_by(If::Differs, 1, 2, to_differs);
    program.write([I::set(3, 0)]);
    program.jump(If::Equal, 3, 0, done);
    program.place(from_differs);
    program.write(pair(Size::Word, sides[1].0));
    program.jump_by(If::Differs, 1, 2, go_on);
    program.write(pair(Size::Half, sides[1].1));
    program.jump_by(If::Differs, 1, 2, go_on);
    program.place(to_differs);
    program.write([I::load(Size::Word, 1, STACK, AS_IS + key::PROTOCOL), I::set(3, 1)]);
    program.jump(If::Differs, 1, TCP, go_on);
    program.place(done);
    program.write([I::store(Size::Word, STACK, VALUE + value::TRANSLATED, 3)]);
}

/// Finds out whose flow a packet is of, and writes that down at [`AS_IS`]; the interface is in this member. Leads to `go_on`
/// what is of none, and begins or ends one.
fn read_flow(program: &mut Writer, link: i16, go_on: Label) {
    let key = |at: i16| AS_IS + at;
    find_frame(program, go_on);
    program.write([I::load(Size::Half, 1, DATA, frame::KIND)]);
    program.jump(If::Differs, 1, ETHERTYPE_IPV4.to_be().into(), go_on);
    program.write([I::load(Size::Byte, 1, DATA, frame::VERSION)]);
    program.jump(If::Differs, 1, VERSION_4_NO_OPTIONS, go_on);
    program.write([I::load(Size::Half, 1, DATA, frame::FRAGMENT), I::and(1, FRAGMENT.to_be().into())]);
    program.jump(If::Differs, 1, 0, go_on);
    let known = program.label();
    program.write([I::load(Size::Byte, 1, DATA, frame::PROTOCOL), I::store(Size::Word, STACK, key(key::PROTOCOL), 1)]);
    program.jump(If::Equal, 1, UDP, known);
    program.jump(If::Differs, 1, TCP, go_on);
    program.write([I::load(Size::Byte, 1, DATA, frame::TCP_FLAGS), I::and(1, BEGINNING_OR_END)]);
    program.jump(If::Differs, 1, 0, go_on);
    program.place(known);
    program.write([I::load(Size::Word, 1, CONTEXT, link), I::store(Size::Word, STACK, key(key::LINK), 1)]);
    for (from, to) in [(frame::FROM, key::FROM), (frame::TO, key::TO), (frame::PORTS, key::PORTS)] {
        program.write([I::load(Size::Word, 1, DATA, from), I::store(Size::Word, STACK, key(to), 1)]);
    }
}

/// Where the frame is in [`DATA`]. Leads to `go_on` one that is too short.
fn find_frame(program: &mut Writer, go_on: Label) {
    program.write([
        I::load(Size::Word, DATA, CONTEXT, packet::DATA),
        I::load(Size::Word, 3, CONTEXT, packet::END),
        I::copy(2, DATA),
        I::add(2, frame::LENGTH),
    ]);
    program.jump_by(If::Above, 2, 3, go_on);
}

/// What the map has for the key, in [`KNOWN`].
fn look_up(program: &mut Writer, map: i32, key: i16, missing: Label) {
    program.set_map(1, map);
    program.write([I::copy(2, STACK), I::add(2, key.into()), I::call(LOOKUP)]);
    program.jump(If::Equal, 0, 0, missing);
    program.write([I::copy(KNOWN, 0)]);
}

fn update(program: &mut Writer, map: i32, key: i16, value: i16) {
    program.set_map(1, map);
    program.write([I::copy(2, STACK), I::add(2, key.into()), I::copy(3, STACK), I::add(3, value.into())]);
    program.write([I::set(4, 0), I::call(UPDATE)]);
}

/// The generation in register 1, and in register 2 what packets that came under it are stamped with: never 0, which those
/// have that nobody stamped.
fn read_stamp(program: &mut Writer, generation: i32) {
    program.set_map_value(1, generation);
    program.write([I::load(Size::Word, 1, 1, 0), I::copy(2, 1), I::and(2, 0x7fff), I::or(2, 0x8000)]);
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
