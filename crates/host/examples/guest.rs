//! The program that the machines of the tests run: `roadstead` without anything but `guest`.

use std::process::ExitCode;

fn main() -> ExitCode {
    // `guest enter`, `guest init ...`: as the product is called.
    roadstead_guest::main(std::env::args_os().skip(2))
}
