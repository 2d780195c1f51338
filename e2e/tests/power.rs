//! The power fails at any instant of what is under way: a create, a delete. The next start carries on from there.

use e2e::{Region, say, until};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Other instants in each run; a failing one is printed with its log and can be asked for.
const SEED: &str = "ROADSTEAD_E2E_SEED";
/// What a create takes, and a little more: some cuts come when all is done.
const CREATE: Duration = Duration::from_secs(9);
/// What a delete takes.
const DELETE: Duration = Duration::from_secs(5);
/// How often the power fails during each.
const CUTS: u32 = 2;

#[test]
fn what_was_under_way_when_the_power_failed_goes_on() {
    let mut instants = Instants::new();
    let region = Region::for_clusters();
    region.ask_for_cluster("dark", "", &[]);
    for _ in 0..CUTS {
        cut(&region, "creating", instants.within(CREATE));
    }
    region.await_active("dark");
    let cluster = region.cluster("dark");
    let began = Instant::now();
    until("kubectl is served", Duration::from_secs(60), || {
        cluster.kubectl(&["create", "configmap", "kept", "--from-literal=a=b"]).ok().then_some(())
    });
    say(&format!("{:6.1} s  from ACTIVE to kubectl", began.elapsed().as_secs_f64()));
    // A cut while something is being written loses nothing that was acknowledged.
    cut(&region, "at rest", instants.within(Duration::from_secs(1)));
    region.await_active("dark");
    until("what was kept is read", Duration::from_secs(60), || {
        cluster.kubectl(&["get", "configmap", "kept"]).ok().then_some(())
    });
    region.aws(&["eks", "delete-cluster", "--name", "dark"]);
    for _ in 0..CUTS {
        cut(&region, "deleting", instants.within(DELETE));
    }
    region.client().run("aws", &["eks", "wait", "cluster-deleted", "--name", "dark"]).text();
    region.down();
    region.assert_stopped();
}

fn cut(region: &Region, during: &str, after: Duration) {
    sleep(after); // chance, not a wait for anything
    region.power_off();
    let began = Instant::now();
    region.up();
    let (after, back) = (after.as_secs_f64(), began.elapsed().as_secs_f64());
    say(&format!("{back:6.1} s  until the API was back after the power failed {after:.2} s later, {during}"));
}

/// Instants by chance, the same for the same seed.
struct Instants(u64);

impl Instants {
    fn new() -> Instants {
        let given = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| std::process::id().into());
        say(&format!("instants by {SEED}={seed}"));
        Instants(seed)
    }

    /// SplitMix64.
    fn within(&mut self, limit: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let mixed = mixed ^ (mixed >> 31);
        limit.mul_f64((mixed >> 11) as f64 / (1u64 << 53) as f64)
    }
}
