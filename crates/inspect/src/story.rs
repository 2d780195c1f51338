//! All there is to say of one record, and where what ails it comes from.

use crate::row::Row;
use crate::table::{age, bullets};
use roadstead_kernel::planner::{Explanation, PlanEvent, Touched};
use roadstead_store::{AnyKey, Read as _, View};
use roadstead_types::Millis;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

/// So many healthy records of one kind, and all they own, are one line.
const FOLDED: usize = 3;

/// A record, what is around it, and its plans.
#[derive(Debug, Serialize, Deserialize)]
pub struct Story {
    /// What it belongs to, nearest first.
    pub owners: Vec<Row>,
    /// The record and what belongs to it.
    pub tree: Node,
    /// Its planners' last plans.
    pub plans: Vec<Plan>,
}

/// A record and what belongs to it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Node {
    /// The record.
    pub row: Row,
    /// What belongs to it, the ailing first.
    pub owned: Vec<Node>,
}

/// A planner's last plan of a record.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plan {
    planner: String,
    /// When; None if not yet.
    planned: Option<Millis>,
    why: String,
    /// The last plan that changed something.
    wrote: Option<Arc<PlanEvent>>,
    /// About to run.
    due: bool,
    /// When it runs again if nothing changes.
    wakes: Option<Millis>,
    /// What wakes it.
    reads: Vec<String>,
    /// How it fails.
    trouble: Option<String>,
    /// How often in a row it failed.
    failures: u32,
}

impl From<Explanation> for Plan {
    fn from(e: Explanation) -> Plan {
        Plan {
            planner: e.planner.to_owned(),
            planned: e.planned,
            why: e.why.to_string(),
            wrote: e.wrote,
            due: e.due,
            wakes: e.wakes,
            reads: e.reads.iter().map(ToString::to_string).collect(),
            trouble: e.trouble,
            failures: e.failures,
        }
    }
}

/// What the plans of the records around one say.
pub type Whys = BTreeMap<AnyKey, Vec<Result<String, String>>>;

/// The record, what is above it and what is below it: those that a [`Story`] shows.
pub fn around(view: &View, key: &AnyKey) -> Vec<AnyKey> {
    let mut found: Vec<AnyKey> = std::iter::successors(view.owner(key), |owner| view.owner(owner)).cloned().collect();
    let mut seen = BTreeSet::from([key.clone()]);
    let mut below = vec![key.clone()];
    while let Some(key) = below.pop() {
        below.extend(view.owned_by(&key).into_iter().filter(|owned| seen.insert(owned.clone())));
    }
    found.extend(seen);
    found
}

impl Story {
    /// Puts it together; None if there is no such record.
    pub fn of(view: &View, key: &AnyKey, plans: Vec<Explanation>, whys: &Whys) -> Option<Story> {
        let above = std::iter::successors(view.owner(key), |owner| view.owner(owner));
        let owners = above.filter_map(|key| row(view, key, whys)).collect();
        let tree = Node::of(view, key, whys)?;
        Some(Story { owners, tree, plans: plans.into_iter().map(Plan::from).collect() })
    }

    /// For people.
    pub fn text(&self, now: Millis, wide: bool) -> String {
        let mut text = self.head(now);
        if !self.owners.is_empty() {
            text.push_str("\nBelongs to\n");
            for row in &self.owners {
                let _ = writeln!(text, "  {}", glimpse(row, now));
            }
        }
        if !self.tree.owned.is_empty() {
            text.push_str("\nOwns\n");
            branches(&self.tree.owned, "  ", now, wide, &mut text);
        }
        text.push_str(if self.plans.is_empty() { "\nNo planner plans records of this kind.\n" } else { "\nPlans\n" });
        for plan in &self.plans {
            plan.tell(now, wide, &mut text);
        }
        text
    }

    fn head(&self, now: Millis) -> String {
        let row = &self.tree.row;
        let mut text = format!("{}\n", row.key);
        let mut line = |name: &str, what: &str| {
            let _ = writeln!(text, "  {name:<7} {what}");
        };
        if let Some(state) = &row.glance.state {
            line("state", state);
        }
        if let Some(why) = &row.glance.why {
            line("why", why);
        }
        let cause = self.tree.cause();
        if let Some(leaf) = cause.last().filter(|_| cause.len() > 1) {
            line("cause", &glimpse(&leaf.row, now));
        }
        if let Some(next) = cause.last().and_then(|leaf| leaf.next_step(cause.len())) {
            line("next", &next);
        }
        line("age", &format!("{}, generation {}", age(now, row.created), row.generation));
        text
    }
}

impl Node {
    fn of(view: &View, key: &AnyKey, whys: &Whys) -> Option<Node> {
        let row = row(view, key, whys)?;
        let mut owned: Vec<Node> = view.owned_by(key).iter().filter_map(|key| Node::of(view, key, whys)).collect();
        owned.sort_by_key(|node| !node.ails());
        Some(Node { row, owned })
    }

    /// Whether it or anything that belongs to it is not as it should be.
    fn ails(&self) -> bool {
        self.row.glance.ails || self.owned.iter().any(Node::ails)
    }

    /// From this record down to one that ails and owns nothing that does: by way of what its first issue is about, if
    /// that is among them.
    fn cause(&self) -> Vec<&Node> {
        let mut ailing = self.owned.iter().filter(|node| node.ails());
        let about = self.row.glance.about.as_deref().and_then(|name| self.path(name));
        let below = about.unwrap_or_else(|| ailing.next().map(Node::cause).unwrap_or_default());
        if below.is_empty() && !self.row.glance.ails {
            return vec![];
        }
        [vec![self], below].concat()
    }

    /// The way down to an ailing record of this name, and on to its own cause.
    fn path(&self, name: &str) -> Option<Vec<&Node>> {
        self.owned.iter().filter(|node| node.ails()).find_map(|node| match node.row.key.name() == name {
            true => Some(node.cause()),
            false => Some([vec![node], node.path(name)?].concat()),
        })
    }

    /// What to do about it, if it is the end of so many causes.
    fn next_step(&self, causes: usize) -> Option<String> {
        let (key, state) = (&self.row.key, self.row.glance.state.as_deref());
        let unseen = self.owned.iter().any(|node| node.row.glance.state.is_none());
        Some(match key.kind() {
            "host/machine" if state == Some("Waiting") => {
                "`cargo xtask components` builds what is missing; `roadstead doctor` checks this machine".to_owned()
            }
            "ec2/instance" if unseen => {
                "is the host agent alive? its log: DATA_DIR/log/host.log; roadstead_host_session in `roadstead admin metrics`".to_owned()
            }
            "host/machine" | "ec2/instance" => format!("roadstead admin logs --machine {}", key.name()),
            _ if causes > 1 => format!("roadstead admin explain {key}"),
            _ => return None,
        })
    }
}

impl Plan {
    fn tell(&self, now: Millis, wide: bool, text: &mut String) {
        let when = self.planned.map_or("not planned yet".to_owned(), |at| format!("{} ago", age(now, at)));
        let _ = match &self.trouble {
            Some(trouble) => writeln!(text, "  {} FAILS, {} times in a row: {trouble}", self.planner, self.failures),
            None => writeln!(text, "  {}, {when}: {}", self.planner, self.why),
        };
        if let Some(wrote) = &self.wrote {
            let mut items: Vec<String> = wrote.writes.iter().map(Touched::to_string).collect();
            if wrote.more > 0 {
                items.push(format!("{} more", wrote.more));
            }
            let _ = writeln!(text, "    wrote {} ago, because: {}", age(now, wrote.time), wrote.why);
            bullets(&items, wide, text);
        }
        let time = match (self.due, self.wakes) {
            (true, _) => "at once".to_owned(),
            (_, Some(at)) => format!("in {}, or when one of these changes:", age(at, now)),
            (_, None) => "when one of these changes:".to_owned(),
        };
        let _ = writeln!(text, "    again {time}");
        bullets(&self.reads, wide, text);
    }
}

fn row(view: &View, key: &AnyKey, whys: &Whys) -> Option<Row> {
    let mut row = Row::of(view, key)?;
    row.explain_by(whys.get(key).map_or(&[], Vec::as_slice));
    Some(row)
}

/// A record in one line.
fn glimpse(row: &Row, now: Millis) -> String {
    let words = [row.glance.state.clone(), Some(age(now, row.created)), row.glance.why.clone()];
    let words: Vec<String> = words.into_iter().flatten().collect();
    format!("{}  {}", row.key, words.join("  "))
}

fn branches(nodes: &[Node], indent: &str, now: Millis, wide: bool, text: &mut String) {
    let mut healthy: BTreeMap<&str, Vec<&Node>> = BTreeMap::new();
    for node in nodes.iter().filter(|node| !node.ails()) {
        healthy.entry(node.row.key.kind()).or_default().push(node);
    }
    healthy.retain(|_, nodes| !wide && nodes.len() > FOLDED);
    for node in nodes {
        let kind = node.row.key.kind();
        if node.ails() || !healthy.contains_key(kind) {
            let sign = if node.row.glance.ails { "! " } else { "" };
            let _ = writeln!(text, "{indent}{sign}{}", glimpse(&node.row, now));
            branches(&node.owned, &format!("{indent}  "), now, wide, text);
        }
    }
    for (kind, nodes) in healthy {
        let _ = writeln!(text, "{indent}{} more of {kind}, and all that they own, are well", nodes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Glance;
    use crate::world;

    fn whys() -> Whys {
        let group = "autoscaling/group/000000000000/g".parse().unwrap();
        let machine = "ec2/instance/i-2".parse().unwrap();
        BTreeMap::from([
            (group, vec![Ok("0 of 2 instances ready".to_owned())]),
            (machine, vec![Err("plan fabric/machine panicked: no".to_owned())]),
        ])
    }

    fn story(key: &str) -> Story {
        let (view, key) = (world::small(), key.parse().unwrap());
        Story::of(&view, &key, vec![], &whys()).unwrap()
    }

    #[test]
    fn the_cause_is_the_deepest_record_that_ails() {
        let text = story("eks/cluster/111122223333/prod").text(Millis::secs(60), false);
        let line =
            |name: &str| text.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_default().to_owned();
        assert_eq!(line("why").trim(), "why     etcd-1: waits for component etcd-3.6.16");
        assert!(line("cause").ends_with("host/machine/i-1  Waiting  59s  component etcd-3.6.16"), "{text}");
        assert!(line("next").contains("cargo xtask components"), "{text}");
        assert!(
            text.contains("  autoscaling/group/000000000000/g  59s  0 of 2 instances ready\n    ! ec2/instance/i-1")
        );
        assert!(text.contains("! ec2/instance/i-2  Ready  59s  plan fabric/machine panicked: no"), "{text}");
        assert!(text.contains("5 more of keys/spec, and all that they own, are well"), "{text}");
        let wide = story("eks/cluster/111122223333/prod").text(Millis::secs(60), true);
        assert!(wide.contains("keys/spec/key-3") && !wide.contains("are well"), "{wide}");
    }

    #[test]
    fn the_next_step_is_the_log_of_a_machine_that_runs() {
        let mut story = story("ec2/instance/i-1");
        story.tree.owned[0].row.glance.state = Some("Failed".into());
        assert!(story.text(Millis(0), false).contains("  next    roadstead admin logs --machine i-1\n"));
        story.tree.owned[0].row.glance = Glance::default();
        let unseen = story.text(Millis(0), false);
        assert!(unseen.contains("next    is the host agent alive?"), "{unseen}");
    }

    #[test]
    fn a_record_shows_what_it_belongs_to() {
        let text = story("ec2/instance/i-1").text(Millis::secs(60), false);
        let above = text.split("Belongs to\n").nth(1).unwrap_or_default();
        let keys: Vec<&str> = above.lines().take(2).map(|line| line.split_whitespace().next().unwrap()).collect();
        assert_eq!(keys, ["autoscaling/group/000000000000/g", "eks/cluster/111122223333/prod"]);
        assert_eq!(around(&world::small(), &"ec2/instance/i-1".parse().unwrap()).len(), 4);
    }

    #[test]
    fn a_plan_tells_what_it_wrote_and_what_wakes_it() {
        let plan = Plan {
            planner: "eks/cluster".into(),
            planned: Some(Millis::secs(50)),
            why: "Creating".into(),
            wrote: None,
            due: false,
            wakes: Some(Millis::secs(90)),
            reads: (0..20).map(|n| format!("key {n}")).collect(),
            trouble: None,
            failures: 0,
        };
        let mut text = String::new();
        plan.tell(Millis::secs(60), false, &mut text);
        assert!(
            text.starts_with("  eks/cluster, 10s ago: Creating\n    again in 30s, or when one of these changes:\n")
        );
        assert!(text.ends_with("      key 7\n      and 12 more: -o wide\n"), "{text}");
        let failing = Plan { trouble: Some("panicked: no".into()), failures: 4, ..plan };
        let mut text = String::new();
        failing.tell(Millis::secs(60), true, &mut text);
        assert!(text.starts_with("  eks/cluster FAILS, 4 times in a row: panicked: no\n"), "{text}");
    }
}
