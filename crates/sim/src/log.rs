use crate::ledger::{Changed, Ledger};
use roadstead_cloud::autoscaling::Group;
use roadstead_cloud::eks::cluster::Cluster;
use roadstead_kernel::region::Region;
use roadstead_store::{AnyKey, Index, Key, Read, View};
use roadstead_types::Millis;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// How many lines are kept of a world whose whole story nobody will read.
const LINES: usize = 60;

/// What happened, in words.
pub struct Log {
    start: Option<Millis>,
    lines: VecDeque<(Millis, String)>,
    /// In a transcript: why each plan last ended as it did.
    plans: Option<BTreeMap<(AnyKey, &'static str), String>>,
    /// In a transcript: what stands for an id.
    names: BTreeMap<String, String>,
    /// How many ids of each sort have got a name.
    numbers: BTreeMap<String, usize>,
}

impl Log {
    /// Keeps the last lines.
    pub(crate) fn last() -> Log {
        Log { start: None, lines: VecDeque::new(), plans: None, names: BTreeMap::new(), numbers: BTreeMap::new() }
    }

    /// Keeps everything, plans and their whys too, with names that don't hang on how ids are made.
    pub(crate) fn transcript() -> Log {
        Log { plans: Some(BTreeMap::new()), ..Log::last() }
    }

    /// Forgets what was said, and counts time from now.
    pub(crate) fn begin(&mut self, now: Millis) {
        self.start = Some(now);
        self.lines.clear();
    }

    pub(crate) fn say(&mut self, now: Millis, text: String) {
        let text = self.named(text);
        self.lines.push_back((now, text));
        if self.plans.is_none() && self.lines.len() > LINES {
            self.lines.pop_front();
        }
    }

    /// Something happened to an instance.
    pub(crate) fn happened(&mut self, now: Millis, view: &View, instance: &str, what: &str) {
        let groups = view.list(Index::<Group>::all());
        let group = groups.into_iter().find(|group| group.body.instances.values().any(|id| id == instance));
        let group = group.map(|group| format!(" in {}", group.body.spec.name)).unwrap_or_default();
        self.say(now, format!("host: {what}{group}"));
    }

    /// A batch is durable: clusters whose state has changed are told of.
    pub(crate) fn batch(&mut self, now: Millis, before: &View, after: &View, changes: &[Changed]) {
        for change in changes {
            let Some(key) = change.key.typed::<Cluster>() else { continue };
            let (was, is) = (before.get(&key), after.get(&key));
            if let (None, Some(cluster)) = (&was, &is) {
                self.names.insert(cluster.body.spec.id.clone(), cluster.body.spec.name.clone());
            }
            let state = |record: Option<roadstead_store::Record<Cluster>>| {
                record.map_or("-".to_owned(), |record| format!("{:?}", record.body.status.state).to_uppercase())
            };
            let (was, is) = (state(was), state(is));
            if was != is {
                self.say(now, format!("cluster {}: {was} → {is}", short(&change.key)));
            }
        }
    }

    /// The plans that ended otherwise than before.
    pub(crate) fn plans(&mut self, now: Millis, region: &Region, view: &View, ledger: &Ledger) {
        let Some(mut last) = self.plans.take() else { return };
        self.learn_names(view, ledger);
        let mut news: BTreeMap<(&'static str, String), Vec<AnyKey>> = BTreeMap::new();
        for key in ledger.keys() {
            for plan in region.explain(key).into_iter().filter(|plan| plan.planned.is_some()) {
                let why = plan.why.to_string();
                if last.insert((key.clone(), plan.planner), why.clone()).as_ref() != Some(&why) {
                    news.entry((plan.planner, why)).or_default().push(key.clone());
                }
            }
        }
        last.retain(|(key, _), _| ledger.get(key).is_some());
        self.plans = Some(last);
        for ((planner, why), keys) in news {
            self.say(now, format!("{planner} {}: {why}", subject(&keys)));
        }
    }

    /// Ids differ with every change of what makes them; a transcript calls them by number.
    fn learn_names(&mut self, view: &View, ledger: &Ledger) {
        for key in ledger.keys() {
            let id = key.name().rsplit('/').next().unwrap_or_default();
            if !self.names.contains_key(id) && is_id(id) {
                let name = self.name_of(key, id, view);
                self.names.insert(id.to_owned(), name);
            }
        }
    }

    fn name_of(&mut self, key: &AnyKey, id: &str, view: &View) -> String {
        use roadstead_cloud::ec2::instance::Instance;
        let instance = key.typed::<Instance>().and_then(|key: Key<Instance>| view.get(&key));
        let sort = match instance {
            Some(record) => record.body.spec.image.hostname,
            None => id.rsplit_once('-').map(|(prefix, _)| prefix.to_owned()).unwrap_or_default(),
        };
        let number = self.numbers.entry(sort.clone()).or_default();
        *number += 1;
        format!("{sort}#{number}")
    }

    fn named(&self, text: String) -> String {
        let known = |text: String, (id, name): (&String, &String)| {
            if text.contains(id.as_str()) { text.replace(id.as_str(), name) } else { text }
        };
        self.names.iter().fold(text, known)
    }
}

/// `vol-0123456789abcdef0`.
fn is_id(text: &str) -> bool {
    let digits = text.rsplit_once('-').map(|(_, digits)| digits).unwrap_or_default();
    digits.len() == 17 && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A key without what is the same in all of them.
fn short(key: &AnyKey) -> &str {
    key.name().split_once('/').map_or(key.name(), |(_, name)| name)
}

fn subject(keys: &[AnyKey]) -> String {
    match keys {
        [key] => short(key).to_owned(),
        keys => format!("({})", keys.len()),
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = None;
        for (at, text) in &self.lines {
            let since = at.since(self.start.unwrap_or(crate::setup::START));
            if text.starts_with('>') {
                writeln!(f, "\n{text}")?;
                last = None;
            } else if last == Some(at) {
                writeln!(f, "{:>10}  {text}", "")?;
            } else {
                writeln!(f, "{:>10}  {text}", since.to_string())?;
                last = Some(at);
            }
        }
        Ok(())
    }
}
