//! `guest node network`: a node's network from the moment at which the cluster wants it there.
//!
//! A kubelet looks for pods a second after it has started, not before (`WaitForAPIServerSyncPeriod` of kubelet's
//! `config/apiserver.go`), so a CNI that comes as a DaemonSet's pod makes every node wait. The pod is there much earlier: it
//! is made and bound as soon as the node is registered. Here its daemon is started at that moment from what the machine
//! has of it, with the pod's own settings, and serves until the pod's container takes its place (ADR 18).
//!
//! Only a pod that this machine's own program is the image of is taken for that. If there is none, another one, or another
//! CNI, nothing is done, and the node is ready when whoever brings its network has brought it.

mod pod;
mod watch;

use super::kubelet::wait_to_be_told;
use super::{now, say, token};
use crate::ask::imds::Imds;
use crate::aws_node;
use anyhow::Result;
use pod::{Settings, settings, uid};
use roadstead_hostspec::SystemImage;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, thread};
use watch::{Change, Watch};

/// Where the runtime finds its networks.
const NETWORKS: &str = "/etc/cni/net.d";
/// How long a pod is waited for: much longer than a cluster takes that is well.
const PATIENCE: Duration = Duration::from_secs(120);
/// From a question that the API did not answer to the next one.
const SOON: Duration = Duration::from_millis(100);

/// Returns once there is nothing to do; if it serves, only its end is the end of that.
pub fn run() -> Result<()> {
    let (instance, node_config) = wait_to_be_told()?;
    let cluster = &node_config.cluster;
    let (imds, watch) = (Imds::new(None)?, Watch::new(cluster, &instance.hostname)?);
    let image = SystemImage::VpcCni.reference(&instance.region, env!("CARGO_PKG_VERSION"));
    let mut ahead = Ahead { image, began: Instant::now(), pod: None };
    let mut said = String::new();
    loop {
        let followed = imds.credentials().and_then(|credentials| {
            let token = token::bearer(&credentials, &cluster.name, &instance.region, now()?);
            watch.follow(&token, |change| ahead.learn(change))
        });
        let went_on = followed.unwrap_or_else(|why| {
            let why = format!("waiting for the cluster's API: {why:#}");
            if why != said {
                say(&why);
                said = why;
            }
            ahead.learn(&Change::None)
        });
        if let ControlFlow::Break(why) = went_on {
            say(why);
            return Ok(());
        }
        thread::sleep(SOON);
    }
}

/// What was learnt and done so far.
struct Ahead {
    /// The image that this machine's program is.
    image: String,
    began: Instant,
    /// The uid of the pod that is stood in for.
    pod: Option<String>,
}

impl Ahead {
    /// Does what is due. It breaks, and says why, if nothing is left to be done.
    fn learn(&mut self, change: &Change) -> ControlFlow<&'static str> {
        if let Some(pod) = &self.pod {
            let is_gone = match change {
                Change::All(pods) => pods.iter().all(|other| uid(other) != pod),
                Change::Gone(other) => uid(other) == pod,
                Change::Put(_) | Change::None => false,
            };
            return if is_gone { ControlFlow::Break("the pod of aws-node is gone") } else { ControlFlow::Continue(()) };
        }
        let pods = match change {
            Change::All(pods) => pods.as_slice(),
            Change::Put(pod) => std::slice::from_ref(pod),
            Change::Gone(_) | Change::None => &[],
        };
        if let Some((pod, settings)) = pods.iter().find_map(|pod| Some((pod, settings(pod, &self.image)?))) {
            return match settings {
                Settings::Ours(environment) => {
                    self.pod = Some(uid(pod).to_owned());
                    thread::spawn(move || {
                        let served = aws_node::ahead(&environment);
                        let why = served.err().map_or_else(|| "it serves already".to_owned(), |why| format!("{why:#}"));
                        say(&format!("the network is left to the pod of aws-node: {why}"));
                        std::process::exit(0);
                    });
                    ControlFlow::Continue(())
                }
                Settings::Others(why) => ControlFlow::Break(why),
            };
        }
        if has_network(Path::new(NETWORKS)) {
            return ControlFlow::Break("the node has a network already");
        }
        match self.began.elapsed() < PATIENCE {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break("no pod of aws-node has come: the network is left to whoever brings it"),
        }
    }
}

/// Whether the runtime has a network's configuration.
fn has_network(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|entries| {
        let endings = entries.flatten().filter_map(|entry| entry.path().extension().map(ToOwned::to_owned));
        endings.into_iter().any(|ending| ["conf", "conflist", "json"].iter().any(|known| ending == *known))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn ahead() -> Ahead {
        Ahead { image: "registry/cni:v1".into(), began: Instant::now(), pod: None }
    }

    fn pod(uid: &str) -> Value {
        json!({"metadata": {"uid": uid}})
    }

    #[test]
    fn it_ends_when_the_pod_that_it_stands_in_for_is_gone() {
        let mut ahead = Ahead { pod: Some("1".into()), ..ahead() };
        for goes_on in
            [Change::All(vec![pod("2"), pod("1")]), Change::Gone(pod("2")), Change::Put(pod("3")), Change::None]
        {
            assert!(ahead.learn(&goes_on).is_continue());
        }
        assert!(ahead.learn(&Change::Gone(pod("1"))).is_break());
        assert!(ahead.learn(&Change::All(vec![pod("2")])).is_break(), "it went while nobody listened");
    }

    #[test]
    fn it_does_not_wait_for_ever() {
        let mut ahead = ahead();
        assert!(ahead.learn(&Change::All(vec![pod("1")])).is_continue(), "another pod");
        ahead.began = Instant::now().checked_sub(2 * PATIENCE).unwrap();
        assert!(ahead.learn(&Change::None).is_break());
    }

    #[test]
    fn a_configuration_of_a_network_is_known_by_its_ending() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!has_network(&folder.path().join("none")));
        fs::write(folder.path().join("10-aws.next"), "").unwrap();
        assert!(!has_network(folder.path()));
        fs::write(folder.path().join("05-cilium.conflist"), "").unwrap();
        assert!(has_network(folder.path()));
    }
}
