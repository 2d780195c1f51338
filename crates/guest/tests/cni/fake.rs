//! EC2 and the metadata service, as far as a node's daemon asks them: one instance in one subnet, whose interfaces appear
//! in the node's namespace. They check every signature.

use crate::world::{ip, shell};
use roadstead_types::Millis;
use roadstead_wire::sigv4::{Expectation, Request, verify};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::SystemTime;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// What EC2 knows.
pub struct Fake {
    node: String,
    router: String,
    pub state: Mutex<State>,
}

pub struct State {
    pub enis: BTreeMap<String, Eni>,
    /// Interfaces, addresses of each.
    pub limits: (u32, u32),
    /// Addresses left in the subnet.
    pub free: u32,
    /// How many calls came, by action.
    pub calls: BTreeMap<String, u32>,
    next: u8,
}

#[derive(Clone)]
pub struct Eni {
    pub device: Option<u32>,
    mac: String,
    own: Ipv4Addr,
    pub secondary: Vec<Ipv4Addr>,
    pub prefixes: Vec<Ipv4Addr>,
}

pub const PRIMARY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 10);
pub const PRIMARY_MAC: &str = "02:00:00:00:00:0a";

type Form = BTreeMap<String, String>;
type Reply = Result<String, (&'static str, &'static str)>;

impl Fake {
    pub fn new(node: &str, router: &str, limits: (u32, u32), free: u32) -> Arc<Fake> {
        let (secondary, prefixes) = (Vec::new(), Vec::new());
        let eni = Eni { device: Some(0), mac: PRIMARY_MAC.into(), own: PRIMARY, secondary, prefixes };
        let enis = BTreeMap::from([("eni-0".to_owned(), eni)]);
        let state = State { enis, limits, free, calls: BTreeMap::new(), next: 0 };
        Arc::new(Fake { node: node.to_owned(), router: router.to_owned(), state: Mutex::new(state) })
    }

    pub fn serve(self: &Arc<Fake>, listener: TcpListener) {
        let fake = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let fake = fake.clone();
                thread::spawn(move || fake.respond(stream));
            }
        });
    }

    fn respond(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut first, mut headers) = (String::new(), Vec::new());
        reader.read_line(&mut first).unwrap();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim().split_once(": ") else { break };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let header = |name: &str| headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
        let mut body = vec![0; header("content-length").unwrap_or("0").parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let (status, text) = match (method, path) {
            ("PUT", "/latest/api/token") => (200, "session".to_owned()),
            ("GET", "/peer") => (200, stream.peer_addr().unwrap().ip().to_string()),
            ("GET", path) if header("x-aws-ec2-metadata-token") == Some("session") => self.metadata(path),
            ("POST", "/") => {
                let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
                let request = Request { method, path, query: "", headers: pairs, body: &body };
                let expect = Expectation::new("us-east-1", &["ec2"]);
                let verified = verify(&request, now(), &expect, |id| (id == "ASIATEST").then_some(SECRET)).unwrap();
                assert_eq!(verified.security_token.as_deref(), Some("t0ken"));
                self.ec2(&form(&body))
            }
            _ => (401, String::new()),
        };
        let length = text.len();
        let _ = write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{text}");
    }

    fn metadata(&self, path: &str) -> (u16, String) {
        let mac = format!("network/interfaces/macs/{PRIMARY_MAC}");
        let text = match path.trim_start_matches("/latest/meta-data/") {
            "instance-id" => "i-1".to_owned(),
            "instance-type" => "m5.large".to_owned(),
            "mac" => PRIMARY_MAC.to_owned(),
            "local-ipv4" => PRIMARY.to_string(),
            "iam/security-credentials/" => "node".to_owned(),
            "iam/security-credentials/node" => format!(
                r#"{{"Code": "Success", "AccessKeyId": "ASIATEST", "SecretAccessKey": "{SECRET}", "Token": "t0ken",
                    "Expiration": "2100-01-01T00:00:00Z"}}"#
            ),
            other if other == format!("{mac}/vpc-ipv4-cidr-blocks") => "10.0.0.0/16".to_owned(),
            other if other == format!("{mac}/subnet-id") => "subnet-1".to_owned(),
            other if other == format!("{mac}/security-group-ids") => "sg-1\nsg-2".to_owned(),
            _ => return (404, String::new()),
        };
        (200, text)
    }

    fn ec2(&self, form: &Form) -> (u16, String) {
        let action = &form["Action"];
        *self.state.lock().unwrap().calls.entry(action.clone()).or_default() += 1;
        match self.act(action, form) {
            Ok(inner) => (200, format!("<{action}Response><requestId>r</requestId>{inner}</{action}Response>")),
            Err((code, message)) => (
                400,
                format!(
                    "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors></Response>"
                ),
            ),
        }
    }

    fn act(&self, action: &str, form: &Form) -> Reply {
        let id = form.get("NetworkInterfaceId").cloned().unwrap_or_default();
        let done = || Ok("<return>true</return>".to_owned());
        match action {
            "DescribeInstanceTypes" => {
                let (enis, addresses) = self.state.lock().unwrap().limits;
                Ok(format!(
                    "<instanceTypeSet><item><networkInfo><maximumNetworkInterfaces>{enis}</maximumNetworkInterfaces>\
                     <ipv4AddressesPerInterface>{addresses}</ipv4AddressesPerInterface></networkInfo></item></instanceTypeSet>"
                ))
            }
            "DescribeSubnets" => Ok("<subnetSet><item><cidrBlock>10.0.0.0/20</cidrBlock></item></subnetSet>".into()),
            "DescribeNetworkInterfaces" => Ok(self.describe(form)),
            "CreateNetworkInterface" => {
                assert_eq!((form["SubnetId"].as_str(), form["SecurityGroupId.2"].as_str()), ("subnet-1", "sg-2"));
                let mut state = self.state.lock().unwrap();
                let id = format!("eni-{}", state.enis.len());
                let own = state.address()?;
                let mac = format!("02:00:00:00:00:{:02x}", own.octets()[3]);
                let eni = Eni { device: None, mac, own, secondary: Vec::new(), prefixes: Vec::new() };
                state.enis.insert(id.clone(), eni);
                drop(state);
                self.assign(&id, form)?;
                Ok(format!("<networkInterface><networkInterfaceId>{id}</networkInterfaceId></networkInterface>"))
            }
            "AttachNetworkInterface" => {
                let device: u32 = form["DeviceIndex"].parse().unwrap();
                self.plug(&id, device);
                Ok(format!("<attachmentId>attach-{id}</attachmentId>"))
            }
            "ModifyNetworkInterfaceAttribute" => done(),
            "AssignPrivateIpAddresses" => self.assign(&id, form),
            "UnassignPrivateIpAddresses" => {
                let gone: Vec<Ipv4Addr> = numbered(form, "PrivateIpAddress").iter().map(|text| ip(text)).collect();
                let mut state = self.state.lock().unwrap();
                state.enis.get_mut(&id).unwrap().secondary.retain(|address| !gone.contains(address));
                done()
            }
            "DetachNetworkInterface" => {
                let id = form["AttachmentId"].trim_start_matches("attach-").to_owned();
                let device = self.state.lock().unwrap().enis.get_mut(&id).unwrap().device.take();
                shell(&format!("ip -n {} link delete r{}", self.router, device.unwrap()));
                done()
            }
            "DeleteNetworkInterface" => {
                self.state.lock().unwrap().enis.remove(&id);
                done()
            }
            other => panic!("{other} is not expected"),
        }
    }

    fn describe(&self, form: &Form) -> String {
        let state = self.state.lock().unwrap();
        let wanted = form.get("NetworkInterfaceId.1");
        let instance = form.get("Filter.1.Name").is_some_and(|name| name == "attachment.instance-id");
        let shown = |(id, eni): &(&String, &Eni)| match wanted {
            Some(wanted) => id == &wanted,
            None => eni.device.is_some() == instance,
        };
        let items = state.enis.iter().filter(shown).map(|(id, eni)| {
            let attachment = eni.device.map(|device| {
                format!("<attachment><attachmentId>attach-{id}</attachmentId><deviceIndex>{device}</deviceIndex></attachment>")
            });
            let addresses = std::iter::once(&eni.own).chain(&eni.secondary);
            let addresses: String =
                addresses.map(|a| format!("<item><privateIpAddress>{a}</privateIpAddress></item>")).collect();
            let prefixes: String =
                eni.prefixes.iter().map(|p| format!("<item><ipv4Prefix>{p}/28</ipv4Prefix></item>")).collect();
            format!(
                "<item><networkInterfaceId>{id}</networkInterfaceId><subnetId>subnet-1</subnetId>\
                 <macAddress>{}</macAddress><privateIpAddress>{}</privateIpAddress>{}\
                 <privateIpAddressesSet>{addresses}</privateIpAddressesSet><ipv4PrefixSet>{prefixes}</ipv4PrefixSet></item>",
                eni.mac,
                eni.own,
                attachment.unwrap_or_default()
            )
        });
        format!("<networkInterfaceSet>{}</networkInterfaceSet>", items.collect::<String>())
    }

    fn assign(&self, id: &str, form: &Form) -> Reply {
        let count = |name: &str| form.get(name).map_or(0, |text| text.parse().unwrap());
        let mut state = self.state.lock().unwrap();
        let (mut addresses, mut prefixes) = (String::new(), String::new());
        for _ in 0..count("SecondaryPrivateIpAddressCount") {
            let address = state.address()?;
            let eni = state.enis.get_mut(id).unwrap();
            eni.secondary.push(address);
            self.lead(eni.device, &format!("{address}/32"));
            addresses += &format!("<item><privateIpAddress>{address}</privateIpAddress></item>");
        }
        for _ in 0..count("Ipv4PrefixCount") {
            state.next += 1;
            let prefix = Ipv4Addr::new(10, 0, 4, state.next * 16);
            let eni = state.enis.get_mut(id).unwrap();
            eni.prefixes.push(prefix);
            self.lead(eni.device, &format!("{prefix}/28"));
            prefixes += &format!("<item><ipv4Prefix>{prefix}/28</ipv4Prefix></item>");
        }
        Ok(format!(
            "<assignedPrivateIpAddressesSet>{addresses}</assignedPrivateIpAddressesSet>\
             <assignedIpv4PrefixSet>{prefixes}</assignedIpv4PrefixSet>"
        ))
    }

    /// The interface appears in the instance, up and without an address, and the router leads there.
    fn plug(&self, id: &str, device: u32) {
        let eni = {
            let mut state = self.state.lock().unwrap();
            let eni = state.enis.get_mut(id).unwrap();
            eni.device = Some(device);
            eni.clone()
        };
        let Fake { node, router, .. } = self;
        let mac = &eni.mac;
        shell(&format!("ip -n {router} link add r{device} type veth peer name eth{device} address {mac} netns {node}"));
        shell(&format!("ip -n {node} link set eth{device} up"));
        crate::world::router_port(router, device);
        let owned = std::iter::once(&eni.own).chain(&eni.secondary);
        owned.for_each(|address| self.lead(Some(device), &format!("{address}/32")));
        eni.prefixes.iter().for_each(|prefix| self.lead(Some(device), &format!("{prefix}/28")));
    }

    fn lead(&self, device: Option<u32>, block: &str) {
        if let Some(device) = device {
            shell(&format!("ip -n {} route replace {block} dev r{device}", self.router));
        }
    }
}

impl State {
    fn address(&mut self) -> Result<Ipv4Addr, (&'static str, &'static str)> {
        if self.free == 0 {
            let message = "The specified subnet does not have enough free addresses to satisfy the request.";
            return Err(("InsufficientFreeAddressesInSubnet", message));
        }
        self.free -= 1;
        self.next += 1;
        Ok(Ipv4Addr::new(10, 0, 1, self.next))
    }
}

fn form(body: &[u8]) -> Form {
    let text = String::from_utf8(body.to_vec()).unwrap();
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(n, v)| (decoded(n), decoded(v))).collect()
}

fn numbered<'f>(form: &'f Form, name: &str) -> Vec<&'f String> {
    (1..).map_while(|n| form.get(&format!("{name}.{n}"))).collect()
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Millis(u64::try_from(since.as_millis()).unwrap())
}
