//! The deterministic world: fake host, virtual clock, faults, invariants.
