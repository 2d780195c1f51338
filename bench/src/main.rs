//! Benchmarks that print ratios: ours and what it is compared with run side by side, on one machine, in one go.
//! `cargo xtask bench` builds what they need and starts them. They know the product only as a program.

mod api;
mod balancer;
mod calls;
mod chaos;
mod cluster;
mod cni;
mod floor;
mod http;
mod machines;
mod network;
mod node;
mod nodes;
mod objects;
mod ours;
mod pods;
mod process;
mod region;
mod report;
mod running;
mod space;
mod traffic;
mod wait;
mod wear;

use clap::Parser;
use std::process::ExitCode;

/// Started by `cargo xtask bench`, which knows where everything stands.
#[derive(Parser)]
enum Benchmark {
    /// Requests per second against a bare server, moto, and any endpoint
    Api(calls::Args),
    /// The bare server of that
    #[command(hide = true)]
    Floor(calls::floor::Args),
    /// CreateCluster to ACTIVE against the same programs started bare
    Cluster(cluster::Args),
    /// Clusters made and deleted one after another, then several at once
    Wear(wear::Args),
    /// The kernel's balancer against direct routing and HAProxy
    Balancer(balancer::Args),
    /// Our CNI plugin against upstream's
    Cni(cni::Args),
    /// CreateNodegroup to Node Ready against the same kubelet started bare
    Nodes(nodes::Args),
    /// Pods on a warm node against the same kubelet started bare
    Pods(pods::Args),
    /// Pod to pod against a bare veth pair
    Network(network::Args),
    /// Faults against a cluster under load
    Chaos(chaos::Args),
}

fn main() -> ExitCode {
    let result = match Benchmark::parse() {
        Benchmark::Api(args) => calls::run(&args),
        Benchmark::Floor(args) => calls::floor::run(&args),
        Benchmark::Cluster(args) => cluster::run(&args),
        Benchmark::Wear(args) => wear::run(&args),
        Benchmark::Balancer(args) => balancer::run(&args),
        Benchmark::Cni(args) => cni::run(&args),
        Benchmark::Nodes(args) => nodes::run(&args),
        Benchmark::Pods(args) => pods::run(&args),
        Benchmark::Network(args) => network::run(&args),
        Benchmark::Chaos(args) => chaos::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
