//! Instructions, and programs made of them. Pure.
//!
//! Source: the kernel's `Documentation/bpf/standardization/instruction-set.rst` (RFC 9669).

/// An instruction: `struct bpf_insn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// What is done.
    pub code: u8,
    /// Destination in the lower half, source in the upper one.
    pub registers: u8,
    /// Of memory, or how many instructions a jump skips.
    pub offset: i16,
    /// A constant.
    pub immediate: i32,
}

/// How much is read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Size {
    /// 4 bytes.
    Word = 0x00,
    /// 2 bytes.
    Half = 0x08,
    /// 1 byte.
    Byte = 0x10,
    /// 8 bytes.
    Double = 0x18,
}

/// When a jump is taken; numbers are compared without sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum If {
    /// `==`
    Equal = 0x15,
    /// `>`
    Above = 0x25,
    /// `!=`
    Differs = 0x55,
    /// `<`
    Below = 0xa5,
    /// `<=`
    AtMost = 0xb5,
}

/// On a jump's code: it compares with a register, and not with a constant.
const WITH_REGISTER: u8 = 0x08;

/// The register that every program gets its context in, every function its first argument.
pub const FIRST: u8 = 1;
/// The register that holds the end of the program's own 512 bytes of memory.
pub const STACK: u8 = 10;

impl Instruction {
    /// Of its parts.
    pub const fn new(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
        Instruction { code, registers: from << 4 | to, offset, immediate }
    }

    /// `to = *(from + offset)`
    pub const fn load(size: Size, to: u8, from: u8, offset: i16) -> Instruction {
        Instruction::new(0x61 | size as u8, to, from, offset, 0)
    }

    /// `*(to + offset) = from`
    pub const fn store(size: Size, to: u8, offset: i16, from: u8) -> Instruction {
        Instruction::new(0x63 | size as u8, to, from, offset, 0)
    }

    /// `to = from`
    pub const fn copy(to: u8, from: u8) -> Instruction {
        Instruction::new(0xbf, to, from, 0, 0)
    }

    /// `to = value`
    pub const fn set(to: u8, value: i32) -> Instruction {
        Instruction::new(0xb7, to, 0, 0, value)
    }

    /// `to += value`
    pub const fn add(to: u8, value: i32) -> Instruction {
        Instruction::new(0x07, to, 0, 0, value)
    }

    /// `to += from`
    pub const fn add_register(to: u8, from: u8) -> Instruction {
        Instruction::new(0x0f, to, from, 0, 0)
    }

    /// `to -= from`
    pub const fn subtract(to: u8, from: u8) -> Instruction {
        Instruction::new(0x1f, to, from, 0, 0)
    }

    /// `to &= mask`
    pub const fn and(to: u8, mask: i32) -> Instruction {
        Instruction::new(0x57, to, 0, 0, mask)
    }

    /// `to |= bits`
    pub const fn or(to: u8, bits: i32) -> Instruction {
        Instruction::new(0x47, to, 0, 0, bits)
    }

    /// `to >>= bits`
    pub const fn shift_right(to: u8, bits: i32) -> Instruction {
        Instruction::new(0x77, to, 0, 0, bits)
    }

    /// Skips so many if the register compares so with the value.
    pub const fn skip(when: If, register: u8, value: i32, count: i16) -> Instruction {
        Instruction::new(when as u8, register, 0, count, value)
    }

    /// `r0 = function(r1, …)`, by its number in `linux/bpf.h`. Registers 1 to 5 are lost.
    pub const fn call(function: i32) -> Instruction {
        Instruction::new(0x85, 0, 0, 0, function)
    }

    /// Ends with r0.
    pub const fn exit() -> Instruction {
        Instruction::new(0x95, 0, 0, 0, 0)
    }
}

/// A place in a program that jumps lead forward to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// A program that is being written.
#[derive(Default)]
pub struct Writer {
    code: Vec<Instruction>,
    jumps: Vec<(usize, Label)>,
    places: Vec<Option<usize>>,
}

impl Writer {
    /// Writes instructions.
    pub fn write(&mut self, instructions: impl IntoIterator<Item = Instruction>) {
        self.code.extend(instructions);
    }

    /// A place that is not known yet.
    pub fn label(&mut self) -> Label {
        self.places.push(None);
        Label(self.places.len() - 1)
    }

    /// The place is here.
    pub fn place(&mut self, label: Label) {
        self.places[label.0] = Some(self.code.len());
    }

    /// Jumps there if the register compares so with the value.
    pub fn jump(&mut self, when: If, register: u8, value: i32, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.code.push(Instruction::skip(when, register, value, 0));
    }

    /// Jumps there if the register compares so with another.
    pub fn jump_by(&mut self, when: If, register: u8, other: u8, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.code.push(Instruction::new(when as u8 | WITH_REGISTER, register, other, 0, 0));
    }

    /// `to = value`, of 64 bits.
    pub fn set_long(&mut self, to: u8, value: u64) {
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        self.long(to, 0, i32::from_le_bytes([a, b, c, d]), i32::from_le_bytes([e, f, g, h]));
    }

    /// `to` = the map.
    pub fn set_map(&mut self, to: u8, map: i32) {
        self.long(to, 1, map, 0);
    }

    /// `to` = where the map's only value is.
    pub fn set_map_value(&mut self, to: u8, map: i32) {
        self.long(to, 2, map, 0);
    }

    fn long(&mut self, to: u8, kind: u8, low: i32, high: i32) {
        self.write([Instruction::new(0x18, to, kind, 0, low), Instruction::new(0, 0, 0, 0, high)]);
    }

    /// The program.
    ///
    /// # Panics
    /// A label has no place after all jumps to it.
    pub fn finish(self) -> Vec<Instruction> {
        let mut code = self.code;
        for (at, Label(label)) in self.jumps {
            let place = self.places[label].expect("every label is placed");
            let skipped = place.checked_sub(at + 1).expect("jumps lead forward");
            code[at].offset = i16::try_from(skipped).expect("programs are short");
        }
        code
    }
}
