//! Programs of ours that the kernel runs (eBPF), and how they get there.
//!
//! They are a few dozen instructions each, written down as such ([`code`]): no compiler for them, and no file of objects,
//! has to be there where Roadstead is built or runs.

pub mod code;
pub mod flows;
pub mod kernel;
