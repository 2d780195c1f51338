//! Flows that go straight through, in real namespaces: a client, two routers, a server. Needs root, `ip`, `nft`, `conntrack`.

use anyhow::{Context as _, Result, ensure};
use nix::sched::{CloneFlags, setns};
use roadstead_bpf::flows::{self, Flows, LEARN_LAST};
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{self, Command};
use std::thread;
use std::time::Duration;

/// Long enough for an answer that comes at all.
const PATIENCE: Duration = Duration::from_secs(20);
/// And for one that must not come: TCP sends again after 0.2 s.
const SILENCE: Duration = Duration::from_secs(1);

/// client ── first ── second ── server, 10.77.LINK.1 left and .2 right of each link.
struct Line {
    name: String,
}

const PLACES: [&str; 4] = ["client", "first", "second", "server"];

impl Line {
    /// The routers' rules let everything through, count it, and mark what may be learned.
    fn new(name: &str) -> Result<Line> {
        let line = Line { name: format!("flows-{name}-{}", process::id()) };
        for place in PLACES {
            run("ip", &["netns", "add", &line.netns(place)])?;
        }
        for (link, ends) in PLACES.windows(2).enumerate() {
            let (left, right) = (line.netns(ends[0]), line.netns(ends[1]));
            run("ip", &["-n", &left, "link", "add", "right", "type", "veth", "peer", "left", "netns", &right])?;
            for (netns, end, number) in [(&left, "right", 1), (&right, "left", 2)] {
                run("ip", &["-n", netns, "address", "add", &format!("10.77.{link}.{number}/24"), "dev", end])?;
                run("ip", &["-n", netns, "link", "set", end, "up"])?;
            }
        }
        for (place, via) in
            [("client", "10.77.0.2"), ("first", "10.77.1.2"), ("second", "10.77.1.1"), ("server", "10.77.2.1")]
        {
            run("ip", &["-n", &line.netns(place), "route", "add", "default", "via", via])?;
        }
        for place in ["first", "second"] {
            line.inside(place, || Ok(std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")?))?;
            line.nft(
                place,
                &format!(
                    "table ip t {{
  counter passed {{ }}
  chain pre {{ type nat hook prerouting priority dstnat; }}
  chain post {{ type nat hook postrouting priority srcnat; }}
  chain forward {{ type filter hook forward priority filter; counter name passed; }}
  chain learn {{
    type filter hook postrouting priority {LEARN_LAST};
    {}
  }}
}}",
                    flows::rule()
                ),
            )?;
            line.inside(place, || {
                Ok(flows::SETTINGS
                    .iter()
                    .try_for_each(|(key, value)| std::fs::write(format!("/proc/sys/{key}"), value))?)
            })?;
        }
        Ok(line)
    }

    fn netns(&self, place: &str) -> String {
        format!("{}-{place}", self.name)
    }

    fn inside<T: Send>(&self, place: &str, f: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let netns = File::open(format!("/run/netns/{}", self.netns(place)))?;
        let inside = || {
            setns(netns, CloneFlags::CLONE_NEWNET)?;
            f()
        };
        thread::scope(|scope| scope.spawn(inside).join().expect("it did not panic"))
    }

    fn learning(&self, place: &str) -> Result<Flows> {
        self.inside(place, || {
            let flows = Flows::new()?;
            flows.join("left")?;
            flows.join("right")?;
            Ok(flows)
        })
    }

    fn nft(&self, place: &str, script: &str) -> Result<String> {
        run("ip", &["netns", "exec", &self.netns(place), "nft", script])
    }

    /// Packets that have gone the long way.
    fn passed(&self, place: &str) -> Result<u64> {
        let text = self.nft(place, "list counter ip t passed")?;
        let number = text.split("packets ").nth(1).and_then(|rest| rest.split(' ').next()).context("a counter")?;
        Ok(number.parse()?)
    }

    /// A connection to a server that says everything again.
    fn connect(&self, to: Ipv4Addr) -> Result<TcpStream> {
        Ok(self.connect_at((to, 7000), 7000)?.0)
    }

    /// The same at other ports, dialled and listened at, and who the server sees.
    fn connect_at(&self, to: (Ipv4Addr, u16), port: u16) -> Result<(TcpStream, SocketAddr)> {
        let listener = self.inside("server", || Ok(TcpListener::bind(("0.0.0.0", port))?))?;
        let stream = self.inside("client", || Ok(TcpStream::connect(to)?))?;
        let (mut served, seen_as) = listener.accept()?;
        thread::spawn(move || {
            let mut bytes = [0; 100];
            while served.read_exact(&mut bytes).is_ok() && served.write_all(&bytes).is_ok() {}
        });
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok((stream, seen_as))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        for place in PLACES {
            let _ = run("ip", &["netns", "delete", &self.netns(place)]);
        }
    }
}

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 2);

fn run(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).output().with_context(|| program.to_owned())?;
    ensure!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn talk(stream: &mut TcpStream, times: u8) -> Result<()> {
    for time in 0..times {
        stream.write_all(&[time; 100])?;
        let mut answer = [0; 100];
        stream.read_exact(&mut answer)?;
        assert_eq!(answer, [time; 100]);
    }
    Ok(())
}

#[test]
fn a_connection_goes_straight_through_between_its_beginning_and_its_end() -> Result<()> {
    let line = Line::new("straight")?;
    line.learning("first")?;
    let mut stream = line.connect(SERVER)?;
    talk(&mut stream, 100)?;
    let (first, second) = (line.passed("first")?, line.passed("second")?);
    assert!(first < 20, "{first} packets of some 200 went the long way");
    assert!(second >= 200, "who does not learn sees all: {second}");
    drop(stream);
    // The end is seen: what conntrack knows is not an open connection.
    let list = || run("ip", &["netns", "exec", &line.netns("first"), "conntrack", "-L", "-p", "tcp"]);
    let mut known = list()?;
    while known.contains("ESTABLISHED") {
        thread::yield_now();
        known = list()?;
    }
    assert!(known.contains("WAIT") || known.contains("CLOSE") || known.contains("LAST_ACK"), "{known}");
    Ok(())
}

#[test]
fn what_is_forgotten_is_asked_anew() -> Result<()> {
    let line = Line::new("forget")?;
    let flows = line.learning("first")?;
    let mut stream = line.connect(SERVER)?;
    talk(&mut stream, 10)?;
    line.nft("first", "insert rule ip t forward tcp dport 7000 drop")?;
    talk(&mut stream, 10)?;
    flows.forget()?;
    stream.set_read_timeout(Some(SILENCE))?;
    let failed = talk(&mut stream, 1).unwrap_err();
    let failed = failed.downcast::<std::io::Error>()?;
    assert!(matches!(failed.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{failed}");
    // Let through again, the packet that is sent again arrives.
    line.nft("first", "flush chain ip t forward")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = [0; 100];
    stream.read_exact(&mut answer)?;
    talk(&mut stream, 10)
}

#[test]
fn a_translated_connection_goes_straight_through() -> Result<()> {
    let line = Line::new("translated")?;
    line.learning("first")?;
    line.nft("first", "add rule ip t pre tcp dport 80 ip daddr 10.99.0.1 dnat to 10.77.2.2:7000")?;
    line.nft("first", "add rule ip t post oifname right ip daddr 10.77.2.2 tcp dport 7001 snat to 10.77.1.1:999")?;
    for (to, port, seen) in [([10, 99, 0, 1], 80, "10.77.0.1"), ([10, 77, 2, 2], 7001, "10.77.1.1:999")] {
        let before = line.passed("first")?;
        let (mut stream, seen_as) =
            line.connect_at((Ipv4Addr::from(to), port), if port == 80 { 7000 } else { port })?;
        assert!(seen_as.to_string().starts_with(seen), "{seen_as}");
        talk(&mut stream, 100)?;
        // Parts of what is sent at once are summed up apart.
        let bulk: Vec<u8> = (0..=u8::MAX).cycle().take(100 << 10).collect();
        for part in bulk.chunks(10_000) {
            stream.write_all(part)?;
            let mut answer = vec![0; part.len()];
            stream.read_exact(&mut answer)?;
            assert!(answer == part);
        }
        let passed = line.passed("first")? - before;
        assert!(passed < 20, "{passed} of {port} went the long way");
    }
    Ok(())
}

#[test]
fn what_is_translated_on_both_sides_goes_the_long_way() -> Result<()> {
    let line = Line::new("both")?;
    line.learning("first")?;
    line.nft("first", "add rule ip t pre ip daddr 10.99.0.1 dnat to 10.77.2.2")?;
    line.nft("first", "add rule ip t post oifname right masquerade")?;
    let mut stream = line.connect(Ipv4Addr::new(10, 99, 0, 1))?;
    talk(&mut stream, 100)?;
    let passed = line.passed("first")?;
    assert!(passed >= 200, "{passed}");
    Ok(())
}

#[test]
fn translated_datagrams_go_the_long_way() -> Result<()> {
    let line = Line::new("datagrams")?;
    line.learning("first")?;
    line.nft("first", "add rule ip t pre ip daddr 10.99.0.1 dnat to 10.77.2.2")?;
    let server = line.inside("server", || Ok(UdpSocket::bind("0.0.0.0:7000")?))?;
    let client = line.inside("client", || Ok(UdpSocket::bind("0.0.0.0:0")?))?;
    client.connect("10.99.0.1:7000")?;
    let mut bytes = [0; 100];
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(PATIENCE))?;
    }
    for time in 0..100 {
        client.send(&[time; 100])?;
        let (_, from) = server.recv_from(&mut bytes)?;
        server.send_to(&bytes, from)?;
        client.recv(&mut bytes)?;
        assert_eq!(bytes, [time; 100]);
    }
    let passed = line.passed("first")?;
    assert!(passed >= 200, "{passed}");
    Ok(())
}

#[test]
fn hops_are_counted() -> Result<()> {
    let line = Line::new("hops")?;
    line.learning("first")?;
    line.learning("second")?;
    let server = line.inside("server", || Ok(UdpSocket::bind("0.0.0.0:7000")?))?;
    let client = line.inside("client", || Ok(UdpSocket::bind("0.0.0.0:0")?))?;
    client.connect(SocketAddr::from((SERVER, 7000)))?;
    let mut bytes = [0; 8];
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(PATIENCE))?;
    }
    let mut say = |what: &[u8; 8], hops| -> Result<[u8; 8]> {
        client.set_ttl(hops)?;
        client.send(what)?;
        client.set_ttl(64)?;
        client.send(b"and this")?;
        let (_, from) = server.recv_from(&mut bytes)?;
        let heard = bytes;
        if &heard != b"and this" {
            server.recv_from(&mut bytes)?;
        }
        server.send_to(&heard, from)?;
        client.recv(&mut bytes)?;
        Ok(heard)
    };
    for _ in 0..5 {
        assert_eq!(&say(b"in three", 3)?, b"in three");
    }
    let before = line.passed("second")?;
    assert_eq!(&say(b"in three", 3)?, b"in three");
    assert_eq!(line.passed("second")?, before, "it is learned");
    assert_eq!(&say(b"in two  ", 2)?, b"and this", "the second router has to let it die");
    assert_eq!(&say(b"in one  ", 1)?, b"and this");
    Ok(())
}

#[test]
fn flows_are_found_by_an_interface_and_joined_by_their_ids() -> Result<()> {
    let line = Line::new("found")?;
    let ids = line.inside("first", || {
        ensure!(Flows::of("left")?.is_none(), "nothing is there yet");
        let flows = Flows::new()?;
        flows.join("left")?;
        flows.join("left")?;
        Ok(flows.ids()?)
    })?;
    line.inside("first", || {
        let found = Flows::of("left")?.context("they are there, and nobody holds them")?;
        assert_eq!(found.ids()?, ids);
        flows::join(ids, "right")?;
        found.forget()?;
        Ok(())
    })?;
    let mut stream = line.connect(SERVER)?;
    talk(&mut stream, 100)?;
    let passed = line.passed("first")?;
    assert!(passed < 20, "{passed}");
    // Others, of this version even, take their place.
    line.inside("first", || {
        let others = Flows::new()?;
        others.join("left")?;
        ensure!(Flows::of("left")?.context("others")?.ids()? == others.ids()?, "the old ones are gone");
        Ok(())
    })?;
    talk(&mut stream, 10)
}
