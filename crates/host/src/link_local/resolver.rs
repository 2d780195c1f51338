//! The VPC's resolver: the names that EC2 gives to private addresses, and back, and those of the VPC's endpoints.
//!
//! Nothing else has a name here. Any other question is answered at once that there is no such name, so that nobody waits
//! for what cannot come: the embedded default reaches nothing outside, and public names of AWS would need certificates
//! that only AWS has (programs find the region by `AWS_ENDPOINT_URL`). Not REFUSED: musl's resolver waits for its time-out
//! after that one.

use super::attend::attend;
use crate::endpoint::Names;
use anyhow::Result;
use roadstead_hostspec::Network;
use roadstead_types::Cidr;
use simple_dns::rdata::{A, OPT, PTR, RData};
use simple_dns::{CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, TYPE};
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

/// Connections at a time, of one network.
const SEATS: usize = 128;
/// For a client by TCP to ask, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Seconds for which an answer may be remembered, as EC2's.
const TTL: u32 = 60;
/// The longest datagram that anybody need take from us: DNS flag day 2020.
const DATAGRAM: u16 = 1232;

/// The names of a network.
pub(super) struct Zone {
    /// `ec2.internal`, `us-west-2.compute.internal`: VPC user guide, "DNS attributes for your VPC".
    domain: String,
    network: String,
    blocks: Vec<Cidr>,
    names: Names,
}

/// What a question gets.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Addresses(Vec<Ipv4Addr>),
    Name(String),
    /// The name exists, and has nothing of the kind.
    Nothing,
    NoSuchName,
}

impl Zone {
    /// That of a network.
    pub fn new(region: &str, network: &Network, names: Names) -> Zone {
        let domain = match region {
            "us-east-1" => "ec2.internal".to_owned(),
            other => format!("{other}.compute.internal"),
        };
        Zone { domain, network: network.id.clone(), blocks: network.cidrs.clone(), names }
    }

    /// The answer to a message; none if it is not a question at all.
    pub fn answer(&self, message: &[u8]) -> Option<Vec<u8>> {
        let query = match Packet::parse(message) {
            Ok(query) => query,
            Err(_) => return unreadable(message),
        };
        if query.has_flags(PacketFlag::RESPONSE) {
            return None;
        }
        let (opcode, edns) = (query.opcode(), query.opt().is_some());
        let asks_recursion = query.has_flags(PacketFlag::RECURSION_DESIRED);
        let mut reply = query.into_reply();
        reply.set_flags(PacketFlag::RECURSION_AVAILABLE);
        if asks_recursion {
            reply.set_flags(PacketFlag::RECURSION_DESIRED);
        }
        reply.answers.clear();
        reply.name_servers.clear();
        reply.additional_records.clear();
        *reply.opt_mut() = edns.then(|| OPT { opt_codes: Vec::new(), udp_packet_size: DATAGRAM, version: 0 });
        let (code, records) = self.look_up(opcode, &reply);
        *reply.rcode_mut() = code;
        reply.answers.extend(records);
        reply.build_bytes_vec_compressed().ok()
    }

    fn look_up(&self, opcode: OPCODE, asked: &Packet<'_>) -> (RCODE, Vec<ResourceRecord<'static>>) {
        if opcode != OPCODE::StandardQuery {
            return (RCODE::NotImplemented, Vec::new());
        }
        let [question] = asked.questions.as_slice() else { return (RCODE::FormatError, Vec::new()) };
        if !matches!(question.qclass, QCLASS::CLASS(CLASS::IN) | QCLASS::ANY) {
            return (RCODE::Refused, Vec::new());
        }
        let name = question.qname.clone().into_owned();
        let record = |data| ResourceRecord::new(name.clone(), CLASS::IN, TTL, data);
        let leads_to = |address: Ipv4Addr| record(RData::A(A { address: address.into() }));
        match self.find(&name.to_string().to_ascii_lowercase(), question.qtype) {
            Found::Addresses(all) => (RCODE::NoError, all.into_iter().map(leads_to).collect()),
            Found::Name(to) => match Name::new(&to) {
                Ok(to) => (RCODE::NoError, vec![record(RData::PTR(PTR(to.into_owned())))]),
                Err(_) => (RCODE::ServerFailure, Vec::new()),
            },
            Found::Nothing => (RCODE::NoError, Vec::new()),
            Found::NoSuchName => (RCODE::NameError, Vec::new()),
        }
    }

    fn find(&self, name: &str, kind: QTYPE) -> Found {
        let is = |wanted| matches!(kind, QTYPE::ANY) || kind == QTYPE::TYPE(wanted);
        if name == self.domain {
            return Found::Nothing;
        }
        let addresses = self.address(name).map(|address| vec![address]);
        if let Some(addresses) = addresses.or_else(|| self.names.find(&self.network, name)) {
            return if is(TYPE::A) { Found::Addresses(addresses) } else { Found::Nothing };
        }
        match self.reversed(name) {
            Some(address) if is(TYPE::PTR) => Found::Name(self.name(address)),
            Some(_) => Found::Nothing,
            None => Found::NoSuchName,
        }
    }

    fn name(&self, address: Ipv4Addr) -> String {
        let [a, b, c, d] = address.octets();
        format!("ip-{a}-{b}-{c}-{d}.{}", self.domain)
    }

    /// Of `ip-10-0-1-5.DOMAIN`.
    fn address(&self, name: &str) -> Option<Ipv4Addr> {
        let host = name.strip_suffix(&self.domain)?.strip_suffix('.')?;
        let address: Ipv4Addr = host.strip_prefix("ip-")?.replace('-', ".").parse().ok()?;
        // One spelling: no other punctuation.
        (self.name(address) == name && self.has(address)).then_some(address)
    }

    /// Of `5.1.0.10.in-addr.arpa`.
    fn reversed(&self, name: &str) -> Option<Ipv4Addr> {
        let address: Ipv4Addr = name.strip_suffix(".in-addr.arpa")?.parse().ok()?;
        let [d, c, b, a] = address.octets();
        Some(Ipv4Addr::new(a, b, c, d)).filter(|address| self.has(*address))
    }

    fn has(&self, address: Ipv4Addr) -> bool {
        self.blocks.iter().any(|block| block.contains(address))
    }
}

/// What cannot be read, but has the header of a question.
fn unreadable(message: &[u8]) -> Option<Vec<u8>> {
    let [i0, i1, flags, ..] = *message else { return None };
    const RESPONSE: u8 = 0x80;
    if message.len() < 12 || flags & RESPONSE != 0 {
        return None;
    }
    let mut reply = Packet::new_reply(u16::from_be_bytes([i0, i1]));
    *reply.rcode_mut() = RCODE::FormatError;
    reply.build_bytes_vec().ok()
}

/// Answers datagrams, one after the other: an answer takes microseconds.
pub(super) async fn serve_datagrams(socket: UdpSocket, zone: Arc<Zone>) -> Result<()> {
    let mut message = [0; 4096];
    loop {
        let (length, from) = match socket.recv_from(&mut message).await {
            // Who asked before is gone: the kernel says so here (ICMP).
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            received => received?,
        };
        if let Some(answer) = message.get(..length).and_then(|message| zone.answer(message)) {
            // Who does not get it asks again.
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// Answers streams.
pub(super) async fn serve_streams(listener: TcpListener, zone: Arc<Zone>) -> Result<()> {
    let each = |stream, _| {
        let zone = zone.clone();
        async move {
            // Whatever went wrong, the client is gone.
            let _ = converse(stream, &zone).await;
        }
    };
    attend(listener, SEATS, each).await
}

/// Messages with their length before them: RFC 1035 §4.2.2.
async fn converse(mut stream: TcpStream, zone: &Zone) -> io::Result<()> {
    loop {
        let mut message = Vec::new();
        timeout(PATIENCE, async {
            message.resize(usize::from(stream.read_u16().await?), 0);
            stream.read_exact(&mut message).await
        })
        .await??;
        let Some(answer) = zone.answer(&message) else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        let framed = [&length.to_be_bytes()[..], &answer].concat();
        timeout(PATIENCE, stream.write_all(&framed)).await??;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::Question;

    fn zone(region: &str) -> Zone {
        let cidrs = vec!["10.0.0.0/16".parse().unwrap(), "100.64.0.0/24".parse().unwrap()];
        Zone::new(region, &Network { id: "vpc-1".into(), cidrs, ..Network::default() }, Names::default())
    }

    fn question(name: &str, kind: TYPE) -> Vec<u8> {
        let mut packet = Packet::new_query(7);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let question = Question::new(Name::new(name).unwrap().into_owned(), kind.into(), CLASS::IN.into(), false);
        packet.questions.push(question);
        packet.build_bytes_vec().unwrap()
    }

    fn ask(zone: &Zone, name: &str, kind: TYPE) -> (RCODE, Vec<RData<'static>>) {
        let answer = zone.answer(&question(name, kind)).unwrap();
        let answer = Packet::parse(&answer).unwrap();
        assert_eq!((answer.id(), answer.questions.len()), (7, 1));
        (answer.rcode(), answer.answers.into_iter().map(|record| record.rdata.into_owned()).collect())
    }

    #[test]
    fn private_names_lead_to_addresses_and_back() {
        let address = |text: &str| RData::A(A { address: text.parse::<Ipv4Addr>().unwrap().into() });
        let name = |text: &'static str| RData::PTR(PTR(Name::new(text).unwrap()));
        let east = zone("us-east-1");
        assert_eq!(ask(&east, "ip-10-0-1-5.ec2.internal", TYPE::A), (RCODE::NoError, vec![address("10.0.1.5")]));
        assert_eq!(ask(&east, "IP-10-0-1-5.EC2.Internal", TYPE::A), (RCODE::NoError, vec![address("10.0.1.5")]));
        let back = (RCODE::NoError, vec![name("ip-10-0-1-5.ec2.internal")]);
        assert_eq!(ask(&east, "5.1.0.10.in-addr.arpa", TYPE::PTR), back);
        let west = zone("us-west-2");
        let there = (RCODE::NoError, vec![address("100.64.0.9")]);
        assert_eq!(ask(&west, "ip-100-64-0-9.us-west-2.compute.internal", TYPE::A), there);
        let back = (RCODE::NoError, vec![name("ip-100-64-0-9.us-west-2.compute.internal")]);
        assert_eq!(ask(&west, "9.0.64.100.in-addr.arpa", TYPE::PTR), back);
    }

    #[test]
    fn a_name_that_has_nothing_of_the_kind_exists_all_the_same() {
        let zone = zone("us-east-1");
        for (name, kind) in [
            ("ip-10-0-1-5.ec2.internal", TYPE::AAAA),
            ("ip-10-0-1-5.ec2.internal", TYPE::Unknown(65)),
            ("5.1.0.10.in-addr.arpa", TYPE::A),
            ("ec2.internal", TYPE::A),
        ] {
            assert_eq!(ask(&zone, name, kind), (RCODE::NoError, vec![]), "{name} {kind:?}");
        }
    }

    #[test]
    fn nothing_else_has_a_name() {
        let zone = zone("us-east-1");
        for name in [
            "example.com",
            "sts.us-east-1.amazonaws.com",
            "ip-192-168-0-1.ec2.internal",
            "ip-10-0-1-5.us-west-2.compute.internal",
            "ip-10-0-1-05.ec2.internal",
            "ip-10.0-1-5.ec2.internal",
            "x.ip-10-0-1-5.ec2.internal",
            "1.0.168.192.in-addr.arpa",
            "1.0.10.in-addr.arpa",
        ] {
            assert_eq!(ask(&zone, name, TYPE::A), (RCODE::NameError, vec![]), "{name}");
        }
    }

    #[test]
    fn what_is_no_question_is_told_so_or_nothing() {
        let zone = zone("us-east-1");
        let code = |message: &[u8]| zone.answer(message).map(|answer| Packet::parse(&answer).unwrap().rcode());
        let good = question("example.com", TYPE::A);
        assert_eq!(code(&good[..11]), None);
        assert_eq!(code(&good[..20]), Some(RCODE::FormatError));
        let mut response = good.clone();
        response[2] |= 0x80;
        assert_eq!(code(&response), None, "or two servers would answer each other for ever");
        let mut update = good.clone();
        update[2] |= 5 << 3;
        assert!(matches!(code(&update), Some(RCODE::NotImplemented | RCODE::FormatError)));
        let mut two = Packet::parse(&good).unwrap();
        two.questions.push(two.questions[0].clone());
        assert_eq!(code(&two.build_bytes_vec().unwrap()), Some(RCODE::FormatError));
    }

    #[test]
    fn who_speaks_edns_is_answered_so() {
        let query = question("example.com", TYPE::A);
        let mut query = Packet::parse(&query).unwrap();
        *query.opt_mut() = Some(OPT { opt_codes: vec![], udp_packet_size: 4096, version: 0 });
        let answer = zone("us-east-1").answer(&query.build_bytes_vec().unwrap()).unwrap();
        assert_eq!(Packet::parse(&answer).unwrap().opt().map(|opt| opt.udp_packet_size), Some(DATAGRAM));
    }
}
