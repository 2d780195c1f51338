//! The two programs that stand at an interface of a namespace that learns flows. Pure.

use super::{HOLDS, LEARN};
use crate::code::{FIRST, If, Instruction as I, Label, STACK, Size, Writer};

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
pub(super) mod key {
    pub const SIZE: i16 = 20;
    pub const LINK: i16 = 0;
    pub const FROM: i16 = 4;
    pub const TO: i16 = 8;
    pub const PORTS: i16 = 12;
    pub const PROTOCOL: i16 = 16;
}

/// What is known of it: the interface that it leaves by, under which generation and when that was learned (ns since the
/// machine's start), the frame's addresses; whether it is translated, and what addresses and ports it leaves with.
pub(super) mod value {
    pub const SIZE: i16 = 48;
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
pub(super) mod half {
    pub const KEY_SIZE: i16 = 8;
    pub const SIZE: i16 = 24;
    pub const GENERATION: i16 = super::key::SIZE;
}

/// Where programs build a flow's key (or a half) as a packet is, one as it was, a value, and a half's key.
const AS_IS: i16 = -24;
const AS_WAS: i16 = AS_IS - 24;
const VALUE: i16 = AS_WAS - value::SIZE;
const HALF_KEY: i16 = VALUE - half::KEY_SIZE;

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

// Registers that both programs keep over calls.
const CONTEXT: u8 = 6;
/// What a map had.
const KNOWN: u8 = 7;
const DATA: u8 = 8;

/// Looks whether a packet is of a flow that is known, and hands it on.
pub(super) fn arriving([flows, _, generation]: [i32; 3]) -> Vec<I> {
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
    program.set_long(1, HOLDS.as_secs() * 1_000_000_000);
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
pub(super) fn leaving([flows, halves, generation]: [i32; 3]) -> Vec<I> {
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
