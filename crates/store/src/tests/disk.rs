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
    /// What has the journal's name for a running process, once something has.
    file: Option<Content>,
    /// What has it on the disk until the folder is synced, if that is something else.
    before: Option<Option<Content>>,
    /// What will have it next.
    prepared: Option<Content>,
    /// The power fails at the operation after so many more.
    fuel: Option<usize>,
    off: bool,
    syncs_fail: bool,
    chance: Chance,
}

/// A file.
#[derive(Debug, Default)]
struct Content {
    /// What survives everything.
    durable: Vec<u8>,
    /// What a running process reads.
    current: Vec<u8>,
    /// What was written since the last sync, in order.
    unsynced: Vec<Write>,
}

#[derive(Debug)]
struct Write {
    at: usize,
    data: Vec<u8>,
}

impl Disk {
    pub fn new(seed: u64) -> Disk {
        let chance = Chance(seed);
        let state =
            State { file: None, before: None, prepared: None, fuel: None, off: false, syncs_fail: false, chance };
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

    /// What stopped was the process alone: it starts again on a disk that works, and the power never went.
    pub fn restart(&self) {
        let mut state = self.state();
        (state.fuel, state.off, state.syncs_fail) = (None, false, false);
    }

    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// The power fails, if it didn't yet, and comes back: of what was not synced, chance decides what is there.
    pub fn power_cycle(&self) {
        let mut state = self.state();
        let State { file, before, chance, .. } = &mut *state;
        if let Some(before) = before.take().filter(|_| chance.one_in(2)) {
            *file = before;
        }
        if let Some(file) = file {
            file.survive_by_chance(chance);
            file.current.clone_from(&file.durable);
        }
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
    fn sync(&mut self) -> io::Result<()> {
        let State { file, syncs_fail, chance, .. } = self;
        let file = file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        if *syncs_fail {
            file.survive_by_chance(chance);
            return Err(failed());
        }
        for Write { at, data } in std::mem::take(&mut file.unsynced) {
            put(&mut file.durable, at, &data);
        }
        Ok(())
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        if self.syncs_fail {
            return Err(failed());
        }
        self.before = None;
        Ok(())
    }
}

impl Content {
    fn write(&mut self, at: usize, data: &[u8]) {
        put(&mut self.current, at, data);
        self.unsynced.push(Write { at, data: data.to_vec() });
    }

    /// Of what was not synced, some reaches the disk.
    fn survive_by_chance(&mut self, chance: &mut Chance) {
        let surviving_one_in = 1 + chance.below(4);
        while !self.unsynced.is_empty() {
            let any = chance.below(self.unsynced.len());
            let write = self.unsynced.swap_remove(any);
            if chance.one_in(surviving_one_in) {
                self.survive(&write, chance);
            }
        }
    }

    /// The write, whole or torn, reached the disk.
    fn survive(&mut self, write: &Write, chance: &mut Chance) {
        let torn = chance.one_in(3);
        for (index, sector) in write.data.chunks(SECTOR).enumerate() {
            if !torn || chance.one_in(2) {
                put(&mut self.durable, write.at + index * SECTOR, sector);
            }
        }
    }
}

fn failed() -> io::Error {
    io::Error::other("the disk failed to sync")
}

/// Writes into a file, which grows if need be.
fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    file.resize(file.len().max(at + bytes.len()), 0);
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

impl Storage for Disk {
    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.operate()?.file.as_ref().map(|file| file.current.clone()))
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.operate()?;
        let file = state.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        file.write(usize::try_from(at).unwrap(), bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.operate()?.sync()
    }

    fn settle(&mut self) -> io::Result<()> {
        self.operate()?.sync_folder()
    }

    fn prepare(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let bytes = parts.concat();
        let new = Content { durable: bytes.clone(), current: bytes, unsynced: vec![] };
        self.operate()?.prepared = Some(new);
        Ok(())
    }

    /// The power may fail before anything is done, or when the folder is not synced yet.
    fn replace(&mut self) -> io::Result<()> {
        let mut state = self.operate()?;
        let new = state.prepared.take().ok_or(io::ErrorKind::NotFound)?;
        let old = state.file.replace(new);
        state.before.get_or_insert(old);
        drop(state);
        self.settle()
    }
}
