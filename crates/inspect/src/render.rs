//! How answers look to people.

use crate::row::Row;
use crate::table::{Table, age};
use roadstead_kernel::planner::PlanEvent;
use roadstead_types::Millis;
use std::fmt::Write as _;
use std::iter;
use time::OffsetDateTime;
use time::macros::format_description;

/// Under the time of an event.
const INDENT: &str = "              ";

/// Records as a table; `wide` with more columns.
pub fn rows(rows: &[Row], now: Millis, wide: bool) -> String {
    let lines = iter::once(head(wide)).chain(rows.iter().map(|row| cells(row, now, wide)));
    table(&lines.collect::<Vec<_>>())
}

/// Kinds and how many records of each there are, as a table.
pub fn kinds(kinds: &[(String, usize)]) -> String {
    let head = vec!["KIND".to_owned(), "RECORDS".to_owned()];
    let lines = kinds.iter().map(|(kind, count)| vec![kind.clone(), count.to_string()]);
    table(&iter::once(head).chain(lines).collect::<Vec<_>>())
}

/// Lines of cells as kubectl has them, the first of them the head.
pub fn table(lines: &[Vec<String>]) -> String {
    // The last column needs no room.
    let table = Table::fit(lines.iter().map(|cells| &cells[..cells.len() - 1]));
    lines.iter().map(|cells| table.line(cells) + "\n").collect()
}

/// A table that grows by a line whenever something changes.
pub struct Watched {
    table: Option<Table>,
    wide: bool,
}

impl Watched {
    /// A table without lines.
    pub fn new(wide: bool) -> Watched {
        Watched { table: None, wide }
    }

    /// The next line, and before the first one the head.
    pub fn add(&mut self, row: &Row, now: Millis) -> String {
        let (head, cells) = (head(self.wide), cells(row, now, self.wide));
        let mut text = String::new();
        let table = self.table.get_or_insert_with(|| {
            // Later names are as long, later states may be longer.
            let roomy = [row.key.name().to_owned(), "NotReady".to_owned(), "59m59s".to_owned()];
            let table = Table::fit([&head, &cells[..cells.len() - 1], &roomy]);
            let _ = writeln!(text, "{}", table.line(&head));
            table
        });
        let _ = writeln!(text, "{}", table.line(&cells));
        text
    }
}

fn head(wide: bool) -> Vec<String> {
    let heads: &[&str] = match wide {
        true => &["NAME", "STATE", "AGE", "GENERATION", "OWNER", "WHY"],
        false => &["NAME", "STATE", "AGE", "WHY"],
    };
    heads.iter().map(|head| (*head).to_owned()).collect()
}

fn cells(row: &Row, now: Millis, wide: bool) -> Vec<String> {
    let glance = row.glance.clone();
    let mut cells = vec![row.key.name().to_owned(), glance.state.unwrap_or_default(), age(now, row.created)];
    if wide {
        cells.push(row.generation.to_string());
        cells.push(row.owner.as_ref().map(ToString::to_string).unwrap_or_default());
    }
    cells.push(glance.why.unwrap_or_default());
    cells
}

/// An event: a line, and one for each record that it changed; without `wide` the planned one goes without saying.
pub fn event(event: &PlanEvent, wide: bool) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(event.time.0) * 1_000_000);
    let clock = format_description!("[hour]:[minute]:[second].[subsecond digits:3]");
    let time = time.ok().and_then(|time| time.format(clock).ok()).unwrap_or_else(|| event.time.to_string());
    let fails = if event.failed { " FAILS" } else { "" };
    let mut text = format!("{time}  {}{fails}  {}: {}\n", event.planner, event.key, event.why);
    for write in event.writes.iter().filter(|write| wide || write.key != event.key) {
        let _ = writeln!(text, "{INDENT}{write}");
    }
    if event.more > 0 {
        let _ = writeln!(text, "{INDENT}and {} more", event.more);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world;
    use roadstead_kernel::planner::{How, Touched};

    fn machines() -> Vec<Row> {
        let view = world::small();
        view.keys("host/machine", "").iter().filter_map(|key| Row::of(&view, key)).collect()
    }

    #[test]
    fn records_are_a_table_as_kubectl_has_it() {
        let text = rows(&machines(), Millis::secs(61), false);
        let expected =
            "NAME   STATE     AGE   WHY\ni-1    Waiting   60s   component etcd-3.6.16\ni-2    Running   60s\n";
        assert_eq!(text, expected);
        let wide = rows(&machines(), Millis::secs(61), true);
        assert!(wide.contains("GENERATION   OWNER") && wide.contains("1            ec2/instance/i-1"), "{wide}");
        assert_eq!(kinds(&[("a/b".to_owned(), 12)]), "KIND   RECORDS\na/b    12\n");
    }

    #[test]
    fn what_is_watched_keeps_its_columns() {
        let (mut watched, machines) = (Watched::new(false), machines());
        let first = watched.add(&machines[0], Millis::secs(2));
        assert_eq!(first, "NAME   STATE      AGE      WHY\ni-1    Waiting    1s       component etcd-3.6.16\n");
        assert_eq!(watched.add(&machines[1], Millis::mins(9)), "i-2    Running    8m59s\n");
    }

    #[test]
    fn an_event_is_a_line_and_one_for_each_record_that_it_changed() {
        let write = |how, key: &str| Touched { how, key: key.parse().unwrap() };
        let happened = PlanEvent {
            seq: 1,
            time: Millis::secs(3661),
            planner: "p".into(),
            key: "a/b/c".parse().unwrap(),
            owners: vec![],
            why: "because".into(),
            failed: false,
            writes: vec![write(How::Changed, "a/b/c"), write(How::Created, "a/b/d")],
            more: 2,
        };
        let indent = " ".repeat(14);
        let head = "01:01:01.000  p  a/b/c: because\n";
        assert_eq!(event(&happened, false), format!("{head}{indent}+ a/b/d\n{indent}and 2 more\n"));
        let failed = PlanEvent { failed: true, writes: vec![], more: 0, ..happened.clone() };
        assert!(event(&failed, false).contains("p FAILS  a/b/c"));
        assert!(event(&happened, true).contains("~ a/b/c"));
    }
}
