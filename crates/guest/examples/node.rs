//! The program that a node's containers run in the tests: `roadstead` without anything but its plugins and `guest`.

use roadstead_guest::cni;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    match args.next().and_then(|name| cni::plugin(&name)) {
        Some(plugin) => cni::main(plugin),
        None => roadstead_guest::main(args.skip(1)),
    }
}
