use roadstead_hostspec::{MachinePhase, MachineStatus, ProcessState, ProcessStatus};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// Which machines of this host run, and which of their processes are ready: for those who must know at once. A handle:
/// copies share everything.
#[derive(Clone, Default)]
pub struct Roster(Arc<watch::Sender<BTreeMap<String, Presence>>>);

/// What is known of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Presence {
    Runs(Vec<ProcessStatus>),
    /// Why it does not run, or not for much longer.
    Away(String),
}

impl Roster {
    /// Why a process serves nobody now, for people. `None` if nothing here speaks against it: it is ready, or of a
    /// machine that this host does not have or has not looked at yet.
    pub fn absence(&self, machine: &str, process: &str) -> Option<String> {
        match self.0.borrow().get(machine)? {
            Presence::Away(why) => Some(format!("machine {machine}: {why}")),
            Presence::Runs(processes) => {
                let status = processes.iter().find(|status| status.name == process)?;
                let last = status.last_exit.as_ref().map(|exit| format!(", last exit: {exit}")).unwrap_or_default();
                let state = format!("{:?}", status.state).to_lowercase();
                (status.state != ProcessState::Ready).then(|| format!("{process} in {machine} is {state}{last}"))
            }
        }
    }

    /// Whether a process is known to be ready.
    pub fn is_ready(&self, machine: &str, process: &str) -> bool {
        let known = |processes: &[ProcessStatus]| {
            processes.iter().any(|status| status.name == process && status.state == ProcessState::Ready)
        };
        matches!(self.0.borrow().get(machine), Some(Presence::Runs(processes)) if known(processes))
    }

    /// Told at every change.
    pub fn changes(&self) -> watch::Receiver<impl Sized + use<>> {
        self.0.subscribe()
    }

    /// What is seen of a machine.
    pub(super) fn see(&self, machine: &str, status: &MachineStatus) {
        let presence = match &status.phase {
            MachinePhase::Running => Presence::Runs(status.processes.clone()),
            MachinePhase::Waiting { for_what } => Presence::Away(format!("it waits for {for_what}")),
            MachinePhase::Failed { why } | MachinePhase::Remains { why } => Presence::Away(why.clone()),
        };
        self.set(machine, presence);
    }

    /// The machine is about to be stopped: nobody is to be sent there any more.
    pub(super) fn stops(&self, machine: &str) {
        self.set(machine, Presence::Away("it is being stopped".to_owned()));
    }

    /// Nothing of the machine is left.
    pub(super) fn forget(&self, machine: &str) {
        self.0.send_if_modified(|all| all.remove(machine).is_some());
    }

    fn set(&self, machine: &str, presence: Presence) {
        self.0.send_if_modified(|all| all.insert(machine.to_owned(), presence.clone()) != Some(presence));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roadstead_types::Millis;

    fn status(phase: MachinePhase, state: ProcessState) -> MachineStatus {
        let (restarts, since, last_exit) = (1, Millis(0), Some("signal 9".to_owned()));
        let process = ProcessStatus { name: "api".into(), state, restarts, since, last_exit };
        MachineStatus { phase, since: Millis(0), processes: vec![process], console: None }
    }

    #[test]
    fn only_who_is_known_not_to_serve_is_absent() {
        let roster = Roster::default();
        let mut changes = roster.changes();
        assert_eq!(roster.absence("i-1", "api"), None, "nobody looked yet");
        for (state, absence) in [
            (ProcessState::Ready, None),
            (ProcessState::Unready, Some("api in i-1 is unready, last exit: signal 9")),
            (ProcessState::Backoff, Some("api in i-1 is backoff, last exit: signal 9")),
            (ProcessState::Starting, Some("api in i-1 is starting, last exit: signal 9")),
        ] {
            roster.see("i-1", &status(MachinePhase::Running, state));
            assert_eq!(roster.absence("i-1", "api").as_deref(), absence);
            assert_eq!(roster.is_ready("i-1", "api"), absence.is_none());
            assert!(changes.has_changed().unwrap());
            changes.mark_unchanged();
            roster.see("i-1", &status(MachinePhase::Running, state));
            assert!(!changes.has_changed().unwrap(), "it is no news");
        }
        assert_eq!(roster.absence("i-1", "another"), None);
        assert_eq!(roster.absence("i-2", "api"), None);
        assert!(!roster.is_ready("i-1", "another") && !roster.is_ready("i-2", "api"), "nobody said so");
        roster.see("i-1", &status(MachinePhase::Failed { why: "PID 1 ended".into() }, ProcessState::Ready));
        assert_eq!(roster.absence("i-1", "api").as_deref(), Some("machine i-1: PID 1 ended"));
        roster.see("i-1", &status(MachinePhase::Running, ProcessState::Ready));
        roster.stops("i-1");
        assert_eq!(roster.absence("i-1", "api").as_deref(), Some("machine i-1: it is being stopped"));
        roster.forget("i-1");
        assert_eq!(roster.absence("i-1", "api"), None);
    }
}
