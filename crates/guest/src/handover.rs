//! `guest hand-over`: makes another member of etcd its leader, if this one is. Done before a member ends, it spares the
//! others the second or two in which they notice that their leader is gone, and elect.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::process::{Command, Stdio};

/// For each question; of several members, those that have answered by then count.
const PATIENCE: &str = "400ms";

/// Arguments: etcd's own client, and its flags that lead to this member.
pub fn run(args: &[String]) -> Result<()> {
    let [etcdctl, flags @ ..] = args else { bail!("usage: roadstead guest hand-over ETCDCTL FLAG...") };
    let ask = |arguments: &[&str]| -> Result<Vec<Value>> {
        let mut command = Command::new(etcdctl);
        command.args(flags).arg(format!("--command-timeout={PATIENCE}")).arg(format!("--dial-timeout={PATIENCE}"));
        let said = command.args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let said = said.with_context(|| format!("running {etcdctl}"))?;
        // It fails if any member does not answer, and says what the others did.
        serde_json::from_slice(&said.stdout).with_context(|| format!("{arguments:?}: it ended with {}", said.status))
    };
    let own = ask(&["endpoint", "status", "--write-out=json"])?;
    if !own.iter().any(leads) {
        return Ok(());
    }
    let all = ask(&["endpoint", "status", "--cluster", "--write-out=json"])?;
    let heir = heir(&all).context("no other member can lead")?;
    let status = Command::new(etcdctl)
        .args(flags)
        .args(["--command-timeout=1s", "move-leader", &format!("{heir:x}")])
        .status()?;
    if status.success() { Ok(()) } else { bail!("move-leader ended with {status}") }
}

fn leads(member: &Value) -> bool {
    let status = &member["Status"];
    status["leader"].is_u64() && status["leader"] == status["header"]["member_id"]
}

/// The voter that has most of what the leader has.
fn heir(all: &[Value]) -> Option<u64> {
    let voters = all.iter().filter(|member| !leads(member) && member["Status"]["isLearner"] != true);
    let best = voters.max_by_key(|member| member["Status"]["raftAppliedIndex"].as_u64())?;
    best["Status"]["header"]["member_id"].as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn member(id: u64, applied: u64, learner: bool) -> Value {
        let mut status = json!({ "header": { "member_id": id }, "leader": u64::MAX, "raftAppliedIndex": applied });
        if learner {
            // As Go writes it: left out if it is false.
            status["isLearner"] = json!(true);
        }
        json!({ "Endpoint": "https://10.0.0.1:2379", "Status": status })
    }

    #[test]
    fn the_voter_that_has_most_becomes_the_leader() {
        let leader = member(u64::MAX, 9, false);
        assert!(leads(&leader) && !leads(&member(2, 9, false)) && !leads(&Value::Null));
        assert_eq!(heir(&[leader.clone(), member(2, 7, false), member(3, 8, false), member(4, 9, true)]), Some(3));
        assert_eq!(heir(&[leader.clone(), member(4, 9, true)]), None);
        assert_eq!(heir(&[leader]), None);
    }

    #[test]
    fn who_does_not_lead_has_nothing_to_hand_over() {
        let follower = member(2, 7, false).to_string();
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("etcdctl");
        std::fs::write(
            &script,
            format!("#!/bin/sh\ncase \"$*\" in *--cluster*|*move*) exit 1;; esac\necho '[{follower}]'\n"),
        )
        .unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let script = script.display().to_string();
        run(&[script, "--endpoints=x".into()]).unwrap();
        assert!(run(&[]).is_err());
        assert!(run(&["/nowhere".into()]).is_err());
    }
}
