//! What goes out of a VPC, and who is reached from outside: what gateways, routes and public addresses come to.
//!
//! ```text
//! subnet ─ its route table ─┬─ internet gateway: whoever has a public address goes out as that, and is reached by it
//!                           └─ NAT gateway: all go out as its elastic address, where its own subnet's routes lead to
//!                              the internet gateway
//! ```

use crate::ec2::address::{self, Address};
use crate::ec2::internet_gateway;
use crate::ec2::nat_gateway::{NatGateway, State};
use crate::ec2::network_interface::NetworkInterface;
use crate::ec2::route_table::{self, RouteTable, Target};
use crate::ec2::subnet::Subnet;
use crate::ec2::vpc::Vpc;
use crate::settings::Settings;
use roadstead_hostspec::{Exit, Outside};
use roadstead_store::{Index, Read};
use roadstead_types::Cidr;
use std::net::Ipv4Addr;

/// A VPC's connections with the outside; none if the region has no outside, or the VPC no internet gateway.
pub(super) fn of(read: &impl Read, vpc: &Vpc) -> Outside {
    let Some(pool) = Settings::of(read).outside else { return Outside::default() };
    let Some(gateway) = internet_gateway::of_vpc(read, &vpc.id) else { return Outside::default() };
    let view = View { read, gateway: gateway.id, pool };
    let public = view.public_addresses(vpc);
    let subnets = read.list(Index::<Subnet>::by("vpc", vpc.id.as_str()));
    let mut exits: Vec<Exit> = subnets.iter().flat_map(|subnet| view.exits(&subnet.body, &public)).collect();
    exits.sort();
    Outside { exits, reached: public.into_iter().map(|(_, (private, public))| (public, private)).collect() }
}

/// By subnet, who has a public address of its own: the private one, the public one.
type Public = Vec<(String, (Ipv4Addr, Ipv4Addr))>;

struct View<'a, R> {
    read: &'a R,
    gateway: String,
    /// Addresses from before the region had its outside are none there.
    pool: Cidr,
}

impl<R: Read> View<'_, R> {
    fn public_addresses(&self, vpc: &Vpc) -> Public {
        let of_account = self.read.list(Index::<Address>::prefix(format!("{}/", vpc.account)));
        let elastic = of_account.into_iter().filter_map(|record| {
            let (association, eni) = address::association(self.read, &record.body)?;
            // A NAT gateway's is reached by nobody.
            let counts = eni.body.vpc == vpc.id && !eni.body.requester_managed;
            counts.then_some((eni.body.subnet, (association.private, record.body.public)))
        });
        let lent = self.read.list(Index::<NetworkInterface>::by("public-in-vpc", vpc.id.as_str())).into_iter();
        let lent = lent.filter_map(|eni| Some((eni.body.subnet, (eni.body.address, eni.body.public?))));
        elastic.chain(lent).filter(|(_, (_, public))| self.pool.contains(*public)).collect()
    }

    fn exits(&self, subnet: &Subnet, public: &Public) -> Vec<Exit> {
        let Some(table) = route_table::of_subnet(self.read, &subnet.vpc, &subnet.id) else { return Vec::new() };
        let leads = table.body.leads(self.read);
        let exits = leads.into_iter().flat_map(|(to, target)| match target {
            Target::InternetGateway(id) if *id == self.gateway => {
                let here = public.iter().filter(|(of, _)| *of == subnet.id);
                here.map(|(_, (from, seen_as))| Exit {
                    from: Cidr::containing(*from, 32),
                    to,
                    seen_as: *seen_as,
                    through: None,
                })
                .collect()
            }
            Target::NatGateway(id) => self.by_nat(subnet, to, id),
            Target::InternetGateway(_) | Target::Interface(_) => Vec::new(),
        });
        exits.collect()
    }

    /// A NAT gateway leads as far as the routes of its own subnet do.
    fn by_nat(&self, subnet: &Subnet, to: Cidr, id: &str) -> Vec<Exit> {
        let gateway = self.read.get(&NatGateway::key(&subnet.account, id));
        let Some(gateway) = gateway.filter(|record| State::of(record) == State::Available) else { return Vec::new() };
        let gateway = gateway.body;
        let elastic = self.read.shared(&Address::key(&gateway.account, &gateway.allocation));
        let Some(seen_as) = elastic.map(|elastic| elastic.body.public).filter(|public| self.pool.contains(*public))
        else {
            return Vec::new();
        };
        let Some(table) = route_table::of_subnet(self.read, &gateway.vpc, &gateway.subnet) else { return Vec::new() };
        let through = self.read.shared(&Subnet::key(&gateway.account, &gateway.subnet)).map(|of| of.body.cidr);
        self.to_the_internet(&table.body)
            .filter_map(|block| Some(Exit { from: subnet.cidr, to: block.meet(to)?, seen_as, through }))
            .collect()
    }

    fn to_the_internet<'t>(&self, table: &'t RouteTable) -> impl Iterator<Item = Cidr> + use<'t, R> {
        let gateway = Target::InternetGateway(self.gateway.clone());
        table.leads(self.read).into_iter().filter(move |(_, target)| **target == gateway).map(|(block, _)| block)
    }
}
