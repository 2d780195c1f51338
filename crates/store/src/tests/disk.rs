//! A disk that keeps only what was synced, and of the rest whatever chance decides: as real ones do.

use crate::journal::Storage;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

/// The unit in which a disk tears a write.
pub const SECTOR: usize = 512;

/// Chance from a seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 .. n
    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// The disk under a journal. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// What survives everything.
    durable: Vec<u8>,
    /// What a running process reads.
    current: Vec<u8>,
    /// What was done since the last sync, in order.
    unsynced: Vec<Step>,
    /// The power fails at the operation after so many more.
    fuel: Option<usize>,
    off: bool,
    syncs_fail: bool,
    chance: Chance,
}

#[derive(Clone, Debug)]
enum Step {
    Write { at: usize, data: Vec<u8> },
    Replace(Vec<u8>),
}

impl Disk {
    pub fn new(seed: u64) -> Disk {
        let state = State {
            durable: vec![],
            current: vec![],
            unsynced: vec![],
            fuel: None,
            off: false,
            syncs_fail: false,
            chance: Chance(seed),
        };
        Disk(Arc::new(Mutex::new(state)))
    }

    /// The power will fail after so many operations.
    pub fn fail_after(&self, operations: usize) {
        self.state().fuel = Some(operations);
    }

    /// From now on syncs return errors, and of what they should have made durable chance decides what is. No later sync
    /// tries that again, and a process reads it nonetheless: as with Linux.
    pub fn fail_syncs(&self) {
        self.state().syncs_fail = true;
    }

    /// The process starts again on a disk that works, and the power never went.
    pub fn restart(&self) {
        self.state().syncs_fail = false;
    }

    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// The power fails, if it didn't yet, and comes back: of what was not synced, chance decides what is there.
    pub fn power_cycle(&self) {
        let mut state = self.state();
        state.survive_by_chance();
        state.current = state.durable.clone();
        (state.fuel, state.off, state.syncs_fail) = (None, false, false);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Also a read counts: the power may fail while a journal is opened.
    fn operate(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        match state.fuel {
            Some(0) => state.off = true,
            Some(fuel) => state.fuel = Some(fuel - 1),
            None => {}
        }
        if state.off { Err(io::Error::other("the power is off")) } else { Ok(state) }
    }
}

impl State {
    /// Of what was not synced, some reaches the disk.
    fn survive_by_chance(&mut self) {
        let mut unsynced = std::mem::take(&mut self.unsynced);
        let surviving_one_in = 1 + self.chance.below(4);
        while !unsynced.is_empty() {
            let any = self.chance.below(unsynced.len());
            let step = unsynced.swap_remove(any);
            if self.chance.one_in(surviving_one_in) {
                self.survive(step);
            }
        }
    }

    /// The step, whole or torn, reached the disk.
    fn survive(&mut self, step: Step) {
        match step {
            Step::Replace(bytes) => self.durable = bytes,
            Step::Write { at, data } => {
                let torn = self.chance.one_in(3);
                for (index, sector) in data.chunks(SECTOR).enumerate() {
                    if !torn || self.chance.one_in(2) {
                        put(&mut self.durable, at + index * SECTOR, sector);
                    }
                }
            }
        }
    }
}

/// Writes into a file, which grows if need be.
fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    file.resize(file.len().max(at + bytes.len()), 0);
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

impl Storage for Disk {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.operate()?.current.clone())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.operate()?;
        let at = usize::try_from(at).unwrap();
        put(&mut state.current, at, bytes);
        state.unsynced.push(Step::Write { at, data: bytes.to_vec() });
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.operate()?;
        if state.syncs_fail {
            state.survive_by_chance();
            return Err(io::Error::other("the disk failed to sync"));
        }
        for step in std::mem::take(&mut state.unsynced) {
            match step {
                Step::Replace(bytes) => state.durable = bytes,
                Step::Write { at, data } => put(&mut state.durable, at, &data),
            }
        }
        Ok(())
    }

    /// The power may fail before anything is done, or when the folder is not synced yet.
    fn replace(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let bytes = parts.concat();
        let mut state = self.operate()?;
        state.current.clone_from(&bytes);
        state.unsynced = vec![Step::Replace(bytes)];
        drop(state);
        self.sync()
    }
}
