//! Machines of profile Node.

use super::*;
use roadstead_hostspec::Profile;

const MEMORY: u64 = 512 << 20;

fn node(id: &str, vcpus: u32, processes: Vec<Process>) -> Machine {
    let hostname = "ip-10-0-1-5.ec2.internal".to_owned();
    Machine { hostname, profile: Profile::Node { vcpus }, memory_bytes: MEMORY, ..machine(id, processes) }
}

fn settings() -> Vec<String> {
    let names = ["kernel/panic", "kernel/panic_on_oops", "vm/overcommit_memory", "kernel/keys/root_maxkeys"];
    names.map(|name| fs::read_to_string(Path::new("/proc/sys").join(name)).unwrap()).to_vec()
}

#[test]
fn a_node_sees_hardware_of_its_own_size_and_changes_no_setting_of_the_host() {
    let w = World::new();
    let before = settings();
    let script = "\
        echo memory $(grep MemTotal /proc/meminfo)
        echo cpuinfo $(grep -c ^processor /proc/cpuinfo) online $(cat /sys/devices/system/cpu/online)
        echo list $(cat /sys/devices/system/node/node0/cpulist) core $(ls /sys/devices/system/node/node0/cpu*/topology/core_id | wc -l)
        echo nproc $(nproc)
        for i in kernel/panic kernel/panic_on_oops vm/overcommit_memory kernel/keys/root_maxkeys
          do echo setting $(cat /proc/sys/$i) >> /tmp/settings; echo 77 > /proc/sys/$i; [ $(cat /proc/sys/$i) = 77 ] || echo $i stays; done
        echo settings $(cat /tmp/settings)
        (echo 1 > /proc/sys/vm/drop_caches) 2>/dev/null && echo the kernel is open
        (echo 1 > /proc/sys/net/ipv4/ip_forward) && echo network $(cat /proc/sys/net/ipv4/ip_forward)
        echo hosts $(grep -c 127.0.1.1 /etc/hosts) $(grep search /etc/resolv.conf)
        echo end; exec sleep 1000";
    w.put(1, &node("i-1", 1, vec![shell("a", script)]));
    w.await_line("i-1", "a", "end");
    let log = w.read_log("i-1", "a");
    let cpu = w.await_line("i-1", "a", "list ").replace(" core 1", "");
    assert_eq!(w.await_line("i-1", "a", "memory "), format!("MemTotal: {} kB", MEMORY >> 10));
    assert_eq!(w.await_line("i-1", "a", "cpuinfo "), format!("1 online {cpu}"));
    assert_eq!(w.await_line("i-1", "a", "nproc "), "1");
    assert_eq!(w.await_line("i-1", "a", "settings "), "setting 10 setting 1 setting 1 setting 1000000");
    assert_eq!(w.await_line("i-1", "a", "network "), "1");
    assert_eq!(w.await_line("i-1", "a", "hosts "), "0 search ec2.internal");
    assert!(!log.contains("stays") && !log.contains("is open"), "{log}");
    assert_eq!(settings(), before, "they are the host's");
}

#[test]
fn a_node_may_do_what_containers_need_and_nothing_that_reaches_past_namespaces() {
    let w = World::new();
    w.put_disk("vol-1");
    let script = "\
        echo shared $(grep -cE '^[0-9]+ [0-9]+ [^ ]+ [^ ]+ (/|/var/lib) .* shared:' /proc/self/mountinfo)
        mkdir -p /var/lib/o/l /var/lib/o/u /var/lib/o/w /var/lib/o/m
        mount -t overlay -o lowerdir=/var/lib/o/l,upperdir=/var/lib/o/u,workdir=/var/lib/o/w overlay /var/lib/o/m && echo overlay
        mkdir -p /run/ns && touch /run/ns/x && unshare -n mount --bind /proc/self/ns/net /run/ns/x && echo netns
        for c in memory cpu cpuset pids; do d=/sys/fs/cgroup/$c; [ -d $d ] || d=/sys/fs/cgroup; mkdir -p $d/pod || echo no $c; done
        [ -f /sys/fs/cgroup/cgroup.subtree_control ] && echo +memory > /sys/fs/cgroup/cgroup.subtree_control
        echo pod
        mkdir /opt/cni/bin/x /etc/cni/net.d/x && echo cni
        mknod /dev/disk b $(mountpoint -d /usr | tr : ' ') && echo node made
        head -c 1 /dev/disk >/dev/null 2>&1 && echo no limit of devices; head -c 1 /dev/zero >/dev/null && echo device
        echo caps $(grep -E 'CapEff|NoNewPrivs' /proc/self/status)
        echo end; exec sleep 1000";
    let mut m = node("i-1", 1, vec![shell("a", script)]);
    m.disks = vec![MachineDisk { disk: "vol-1".into(), path: "/var/lib".into() }];
    w.put(1, &m);
    w.await_line("i-1", "a", "end");
    assert_eq!(w.await_line("i-1", "a", "shared "), "2");
    for can in ["overlay", "netns", "pod", "cni", "node made", "device"] {
        w.await_line("i-1", "a", can);
    }
    assert!(!w.read_log("i-1", "a").contains("no "), "{}", w.read_log("i-1", "a"));
    let caps = w.await_line("i-1", "a", "caps CapEff: ");
    let (caps, privileges) = caps.split_once(' ').unwrap();
    let has = |bit: u32| u64::from_str_radix(caps, 16).unwrap() & 1 << bit != 0;
    // capability.h: CAP_NET_ADMIN, CAP_SYS_CHROOT, CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_MKNOD.
    assert!([12, 18, 19, 21, 27].into_iter().all(has), "{caps}");
    // CAP_DAC_READ_SEARCH, CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_BOOT, CAP_SYS_TIME, CAP_MAC_ADMIN, CAP_SYSLOG.
    assert!(![2, 16, 17, 22, 25, 33, 34].into_iter().any(has), "{caps}");
    assert_eq!(privileges, "NoNewPrivs: 0");
    w.remove("i-1");
    assert!(w.config.state_dir.join("disks/vol-1/o/l").exists(), "what was on the disk stays");
}

#[test]
fn a_node_of_eks_waits_for_what_is_in_its_images() {
    let w = World::new();
    let mut m = node("i-1", 1, vec![shell("a", "exec sleep 1000")]);
    let ami = r#"{"kubernetes":"kubernetes-1.36.3","containerd":"containerd-2.3.7","runc":"runc-1.5.2","region":"x"}"#;
    m.files = vec![File { path: "/etc/roadstead/ami.json".into(), mode: 0o644, content: Content::Text(ami.into()) }];
    w.put(1, &m);
    let waits =
        |s: &MachineStatus| matches!(&s.phase, MachinePhase::Waiting { for_what } if for_what.ends_with("/pause"));
    w.await_status("i-1", waits);
}

#[test]
fn a_node_with_frozen_pods_ends_at_once_also_when_the_agent_was_killed() {
    let mut w = World::new();
    let script = "\
        d=/sys/fs/cgroup; [ -d $d/freezer ] && d=$d/freezer; mkdir -p $d/kubepods/pod
        sleep 1000 & echo $! > $d/kubepods/pod/cgroup.procs
        echo FROZEN > $d/kubepods/pod/freezer.state || echo 1 > $d/kubepods/pod/cgroup.freeze
        echo frozen; exec sleep 1000";
    let m = node("i-1", 1, vec![shell("a", script)]);
    w.put(1, &m);
    w.await_line("i-1", "a", "frozen");
    w.kill_agent();
    w.start_agent();
    w.put(1, &m);
    assert_eq!(w.await_running("i-1").processes[0].restarts, 0, "it was found by its mark, in its own cgroup");
    let began = Instant::now();
    w.remove("i-1");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(w.left(), Vec::<String>::new());
}

#[test]
fn a_node_larger_than_the_host_says_so_and_others_get_different_processors() {
    let w = World::new();
    w.put(1, &node("i-large", 4096, vec![shell("a", "exec sleep 1000")]));
    let failed =
        |s: &MachineStatus| matches!(&s.phase, MachinePhase::Failed { why } if why.contains("4096 processors"));
    w.await_status("i-large", failed);
    w.remove("i-large");
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap();
    if roadstead_guest::hardware::parse_cpus(&online).unwrap().len() < 2 {
        return;
    }
    let script = "echo cpu $(cat /sys/devices/system/cpu/online); exec sleep 1000";
    let cpus = ["i-1", "i-2"].map(|id| {
        w.put(1, &node(id, 1, vec![shell("a", script)]));
        w.await_line(id, "a", "cpu ")
    });
    // Other regions' nodes may come and go meanwhile; then either is a good choice.
    println!("{cpus:?}");
    assert!(cpus.iter().all(|cpu| cpu.parse::<u32>().is_ok()));
}

#[test]
fn ports_are_plugged_in_and_taken_out_of_a_machine_that_runs_on() {
    let mut w = World::new();
    let port = |n: u32| MachinePort { port: format!("eni-{n}"), name: format!("eth{n}") };
    let plugged = |w: &World| w.network.plugged.lock().unwrap().get("i-1").cloned().unwrap_or_default();
    let await_plugged = |w: &World, wanted: &[&str]| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while plugged(w) != wanted {
            assert!(Instant::now() < deadline, "{:?}, not {wanted:?}", plugged(w));
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    w.network.ports.send_modify(|ports| ports.extend(["eni-0".to_owned()]));
    let one = Machine { ports: vec![port(0)], ..node("i-1", 1, vec![shell("a", "exec sleep 1000")]) };
    let two = Machine { ports: vec![port(0), port(1)], ..one.clone() };
    w.put(1, &one);
    w.await_running("i-1");
    let before = w.pids("i-1");
    w.put(2, &two);
    w.await_said(|said| said.values().any(|(generation, _)| *generation == 2).then_some(()));
    assert_eq!(plugged(&w), ["eni-0"], "the other one is not there yet");
    w.network.ports.send_modify(|ports| ports.extend(["eni-1".to_owned()]));
    await_plugged(&w, &["eni-0", "eni-1"]);
    w.kill_agent();
    w.start_agent();
    w.put(3, &one);
    await_plugged(&w, &["eni-0"]);
    w.put(4, &two);
    await_plugged(&w, &["eni-0", "eni-1"]);
    assert_eq!(w.pids("i-1"), before, "it ran on");
    // A life that begins later has what was plugged in last.
    w.network.plugged.lock().unwrap().clear();
    kill(before[0]);
    await_plugged(&w, &["eni-0", "eni-1"]);
}
