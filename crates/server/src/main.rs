//! The `roadstead` command: every role of the product in one program.

mod admin;
mod bootstrap;
mod clock;
mod config;
mod credentials;
mod drivers;
mod env;
mod http;
mod local;
mod metrics;
mod private_file;
mod revisions;
mod serve;
mod supervise;

use anyhow::Result;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use config::{Config, Flags};
use roadstead_host::doctor;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{fs, io};
use tracing_subscriber::EnvFilter;

/// An answer of the API is many small texts: libc's allocator took 17 % of the time of a describe, and 40 % of a long list's.
/// Without huge pages, which would double the memory of each small process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "roadstead", version, about = "Amazon EKS outside Amazon", propagate_version = true)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the region on this machine and keep it running (needs root)
    Up {
        /// Return once the API answers
        #[arg(long)]
        detach: bool,
    },
    /// Stop the region and everything it runs; its data stays (needs root)
    Down {
        /// Remove its data as well: every cluster, every key
        #[arg(long)]
        purge: bool,
    },
    /// Show the region and its clusters
    Status {
        /// Show every change until interrupted
        #[arg(long)]
        watch: bool,
    },
    /// Look into the region: its records, why they are as they are, what its planners do, logs, metrics
    Admin {
        #[command(subcommand)]
        command: admin::cli::Command,
    },
    /// Print what points aws, boto3, Terraform and kubectl at the region: eval $(roadstead env)
    Env {
        /// Write an AWS profile of that name instead, for `aws --profile NAME`
        #[arg(long, value_name = "NAME")]
        profile: Option<String>,
    },
    /// Show what is configured, and where each value comes from
    Config {
        /// For programs
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// Show the version of this program, and the upstream programs that it finds
    Version,
    /// Print what completes commands in a shell: source <(roadstead completion bash)
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Write manual pages into a folder
    Man {
        /// The folder
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Check whether this machine can run a region, and say what to do where it cannot
    Doctor,
    /// The region: API, store, planners, drivers (`up` runs it)
    #[command(hide = true)]
    Serve,
    /// The host agent: machines, networks, balancers (`up` runs it)
    #[command(hide = true)]
    Host,
    /// What runs inside a machine
    #[command(hide = true, disable_help_flag = true)]
    Guest {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// JSON
    Json,
}

fn main() -> ExitCode {
    // A container runtime's plugin: every pod waits for it, so before all else.
    if let Some(plugin) = std::env::args_os().next().and_then(|name| roadstead_guest::cni::plugin(&name)) {
        return roadstead_guest::cni::main(plugin);
    }
    let given = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&given).unwrap_or_else(|error| error.exit());
    // PID 1 of a machine: no threads, no logging of ours, its own exit code.
    if let Command::Guest { arguments } = cli.command {
        return roadstead_guest::main(arguments);
    }
    match run(cli, &given) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("roadstead: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli, given: &ArgMatches) -> Result<ExitCode> {
    let config = Config::load(&cli.flags)?;
    match cli.command {
        Command::Up { detach: true } => {
            supervise::detach(&config)?;
            env::explain(&config)?;
        }
        Command::Up { detach: false } => in_runtime(supervise::up(&config))?,
        Command::Down { purge } => supervise::down(&config, purge)?,
        Command::Status { watch } => in_runtime(admin::status(&config, watch))?,
        Command::Admin { command } => in_runtime(admin::cli::run(&config, command))?,
        Command::Env { profile: None } => print!("{}", env::exports(&config)?),
        Command::Env { profile: Some(name) } => env::write_profile(&config, &name)?,
        Command::Config { output } => print!("{}", config::show(&config, &cli.flags, given, output.is_some())?),
        Command::Version => print!("{}", version(&config)),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "roadstead", &mut io::stdout());
        }
        Command::Man { folder } => clap_mangen::generate_to(Cli::command(), folder)?,
        Command::Doctor => return Ok(doctor(&config)),
        Command::Serve => return in_runtime(serve::run(&config)),
        Command::Host => in_runtime(serve::host(&config))?,
        Command::Guest { .. } => unreachable!("handled before anything else"),
    }
    Ok(ExitCode::SUCCESS)
}

fn in_runtime<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let filter = EnvFilter::try_from_env("ROADSTEAD_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_ansi(false).init();
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    // What waits for the store to end, or for a slow disk, must not hold up the end: all that counts is durable.
    runtime.shutdown_background();
    result
}

/// What runs clusters: this program, and which sets of upstream programs there are.
fn version(config: &Config) -> String {
    let sets = fs::read_dir(&config.components).into_iter().flatten().flatten();
    let mut sets: Vec<String> = sets.filter_map(|set| set.file_name().into_string().ok()).collect();
    // The view has sets, each with a version, beside what the builder keeps there.
    sets.retain(|set| set.contains('-'));
    sets.sort();
    let own = format!("roadstead {}\n", env!("CARGO_PKG_VERSION"));
    own + &sets.into_iter().map(|set| set + "\n").collect::<String>()
}

/// Says what this machine lacks; fails if a region cannot do without.
fn doctor(config: &Config) -> ExitCode {
    let checks = doctor::examine(&config.data_dir, &config.components);
    for (name, finding) in &checks {
        println!("{name:<12} {finding}");
    }
    let lacks = checks.iter().any(|(_, finding)| matches!(finding, doctor::Finding::Bad(..)));
    if lacks { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
