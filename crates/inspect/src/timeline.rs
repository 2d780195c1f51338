//! Where the time of a create went: what each part of a cluster said that it waited for, and from when to when.

use roadstead_kernel::planner::PlanEvent;
use roadstead_types::Millis;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Who plans clusters, and how what it says of one begins that is made, or was the last of its name.
const PLANNER: &str = "eks/cluster";
const DONE: &str = "Active";
const GOES: &str = "delet";

/// Sizes of the drawing, pixels.
const LABEL: u64 = 230;
const WIDTH: u64 = 1000;
const ROW: u64 = 22;

/// A create, from the cluster's first plan until it was active (or until now).
#[derive(Debug, PartialEq, Eq)]
pub struct Timeline {
    cluster: String,
    length: Millis,
    done: bool,
    /// In the order in which they begin.
    tracks: Vec<Track>,
}

/// One part.
#[derive(Debug, PartialEq, Eq)]
struct Track {
    name: String,
    spans: Vec<Span>,
}

/// For how long it said the same; times since the beginning.
#[derive(Debug, PartialEq, Eq)]
struct Span {
    from: Millis,
    to: Millis,
    why: String,
}

impl Timeline {
    /// From what planners did for the cluster and what belongs to it, oldest first. `names` has the places of machines
    /// (`api-1`) by instance id.
    ///
    /// # Errors
    /// The beginning is not among the events: they are kept in memory, so many of them, since the region's last start.
    pub fn of(cluster: &str, events: &[PlanEvent], names: &BTreeMap<String, String>) -> Result<Timeline, String> {
        let of_cluster = |event: &&PlanEvent| event.planner == PLANNER;
        // Another cluster may have had this name.
        let goes = |event: &PlanEvent| event.planner == PLANNER && event.why.starts_with(GOES);
        let events = &events[events.iter().rposition(goes).map_or(0, |last| last + 1)..];
        let first = events.iter().find(of_cluster).filter(|event| !event.why.starts_with(DONE));
        let began = first.ok_or_else(|| {
            format!(
                "the beginning of {cluster} is forgotten: events begin with the region's last start, and are bounded"
            )
        })?;
        let ended = events.iter().filter(of_cluster).find(|event| event.why.starts_with(DONE));
        let end = ended.or(events.last()).map_or(began.time, |event| event.time);
        let mut tracks: Vec<Track> = vec![];
        for event in events.iter().filter(|event| event.time >= began.time && event.time <= end) {
            let track = name(event, names);
            let at = tracks.iter().position(|known| known.name == track).unwrap_or_else(|| {
                tracks.push(Track { name: track, spans: vec![] });
                tracks.len() - 1
            });
            tracks[at].say(event.time - began.time, &event.why);
        }
        let length = end - began.time;
        tracks.iter_mut().for_each(|track| track.end(length));
        Ok(Timeline { cluster: cluster.to_owned(), length, done: ended.is_some(), tracks })
    }

    /// For people: each part with what it waited for, when that began and how long it took, seconds.
    pub fn text(&self) -> String {
        let until = if self.done { "until it was active" } else { "so far" };
        let mut text = format!("{}: {} from its first plan {until}\n", self.cluster, self.length);
        for track in &self.tracks {
            let _ = writeln!(text, "\n{}", track.name);
            for span in &track.spans {
                let took = format!("+{}", span.to - span.from);
                let _ = writeln!(text, "  {:>8}  {took:>8}  {}", span.from.to_string(), span.why);
            }
        }
        text
    }

    /// A drawing: a row per part, a bar per thing that it waited for, with its words where they fit, else when pointed at.
    pub fn svg(&self) -> String {
        let height = (self.tracks.len() as u64 + 2) * ROW;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{height}\" viewBox=\"0 0 {0} {height}\" \
             font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
            LABEL + WIDTH + 20
        );
        let _ = writeln!(
            svg,
            "<text x=\"8\" y=\"15\" font-weight=\"bold\">{}: {}</text>",
            escaped(&self.cluster),
            self.length
        );
        for (n, track) in (1..).zip(&self.tracks) {
            let top = n * ROW;
            let _ = writeln!(svg, "<text x=\"8\" y=\"{}\">{}</text>", top + 15, escaped(&track.name));
            track.spans.iter().for_each(|span| self.draw(span, top, &mut svg));
        }
        svg + "</svg>\n"
    }

    fn draw(&self, span: &Span, top: u64, svg: &mut String) {
        let x = |at: Millis| LABEL + at.0 * WIDTH / self.length.0.max(1);
        let (from, why) = (x(span.from), escaped(&span.why));
        let width = (x(span.to) - from).max(1);
        let hue = why.bytes().fold(7_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into())) % 360;
        let fits = usize::try_from(width / 6).unwrap_or(usize::MAX);
        let label: String = if fits > 8 { span.why.chars().take(fits).collect() } else { String::new() };
        let _ = writeln!(
            svg,
            "<g><title>{why}, {}</title><rect x=\"{from}\" y=\"{}\" width=\"{width}\" height=\"{}\" rx=\"2\" \
             fill=\"hsl({hue},55%,80%)\"/><text x=\"{}\" y=\"{}\">{}</text></g>",
            span.to - span.from,
            top + 2,
            ROW - 4,
            from + 3,
            top + 15,
            escaped(&label)
        );
    }
}

impl Track {
    fn say(&mut self, at: Millis, why: &str) {
        if let Some(last) = self.spans.last_mut() {
            if last.why == why {
                return;
            }
            last.to = at;
        }
        self.spans.push(Span { from: at, to: at, why: why.to_owned() });
    }

    fn end(&mut self, at: Millis) {
        if let Some(last) = self.spans.last_mut() {
            last.to = at;
        }
        // What was over within the same millisecond tells nothing.
        self.spans.retain(|span| span.to > span.from);
    }
}

fn name(event: &PlanEvent, names: &BTreeMap<String, String>) -> String {
    let last = event.key.name().rsplit('/').next().unwrap_or_default();
    let name = names.get(last).map_or(last, String::as_str);
    format!("{} {name}", event.planner)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(time: u64, planner: &str, key: &str, why: &str) -> PlanEvent {
        let (planner, why, key) = (planner.to_owned(), why.to_owned(), key.parse().unwrap());
        let time = Millis(time);
        PlanEvent { seq: 0, time, planner, key, owners: vec![], why, failed: false, writes: vec![], more: 0 }
    }

    fn create() -> Vec<PlanEvent> {
        let (cluster, machine) = ("eks/cluster/1/a", "ec2/instance/i-1");
        vec![
            event(10, "eks/cluster", cluster, "Active"),
            event(20, "eks/cluster", cluster, "deleted"),
            event(1000, "eks/cluster", cluster, "Creating: its keys are being made"),
            event(1400, "fabric/machine", machine, "etcd is <starting>"),
            event(1500, "eks/cluster", cluster, "Creating: its keys are being made"),
            event(3000, "fabric/machine", machine, "running"),
            event(3500, "eks/cluster", cluster, "Active"),
            event(9000, "fabric/machine", machine, "etcd is starting"),
        ]
    }

    #[test]
    fn each_part_says_what_it_waited_for_until_the_cluster_was_active() {
        let names = BTreeMap::from([("i-1".to_owned(), "etcd-1".to_owned())]);
        let timeline = Timeline::of("a", &create(), &names).unwrap();
        let expected = "a: 2.500s from its first plan until it was active\n\neks/cluster a\n    \
                        0.000s   +2.500s  Creating: its keys are being made\n\nfabric/machine etcd-1\n    \
                        0.400s   +1.600s  etcd is <starting>\n    2.000s   +0.500s  running\n";
        assert_eq!(timeline.text(), expected);
        let svg = timeline.svg();
        assert!(svg.contains("etcd is &lt;starting&gt;, 1.600s") && svg.ends_with("</svg>\n"), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 1 + 3);
    }

    #[test]
    fn a_beginning_that_is_forgotten_is_not_made_up() {
        let events = &create()[6..];
        assert!(Timeline::of("a", events, &BTreeMap::new()).unwrap_err().contains("is forgotten"));
    }
}
