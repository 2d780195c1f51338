//! The contract between a region and a host: what a host must look like, and what it says it saw. Types only.
//!
//! The region never calls the host to *do* something. It tells it a set of small **items** (networks, ports, security
//! groups, disks, machines, balancers, endpoints, credentials, reviewers), each with a generation; the host makes Linux look like them, keeps it
//! so while the region is away, and streams a [`Status`] for each item whenever what it sees changes.
//!
//! ```text
//! region ──Session{epoch, items}, Change{put, remove}──▶ host      (one stream; JSON frames, see `frame`)
//! region ◀──Saw{key, generation, status}────────────── host
//! region ──Dial{network, address, port}──▶ host ──Dialled + a connected socket (SCM_RIGHTS)──▶ region
//! ```

mod balancer;
mod border;
mod endpoint;
mod identity;
mod image;
mod machine;
mod metadata;
mod network;
mod quorum;
mod security_group;
mod session;

pub use balancer::{
    Balancer, BalancerStatus, HealthCheck, HealthProtocol, Listener, PublicAddress, Server, Target, TargetHealth,
};
pub use border::{Border, Entry};
pub use endpoint::{Endpoint, EndpointStatus};
pub use identity::{Credential, Mapping, Principal, Reviewer, ReviewerStatus, RoleSession};
pub use image::SystemImage;
pub use machine::{
    Console, Content, Disk, DiskStatus, File, Liveness, Machine, MachineDisk, MachinePhase, MachinePort, MachineStatus,
    Probe, Process, ProcessState, ProcessStatus, Profile,
};
pub use metadata::{Metadata, RoleCredentials, link_local};
pub use network::{Detour, Exit, Network, NetworkStatus, Outside, Port, PortStatus};
pub use quorum::{Quorum, QuorumMember};
pub use security_group::{Peer, Permission, SecurityGroup, Traffic};
pub use session::{FromHost, Item, ItemKey, ItemKind, MAX_FRAME, Status, ToHost, Versioned};
