//! What the planners of a record would do, shown as what would change.

use crate::diff::{Difference, diff};
use crate::row::unsealed;
use crate::table::{age, bullets};
use roadstead_kernel::planner::{Next, Rehearsal, Touched};
use roadstead_types::Millis;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// What a planner would do with a record now.
#[derive(Debug, Serialize, Deserialize)]
pub struct Rehearsed {
    planner: String,
    /// How it would end, or its panic.
    end: Result<String, String>,
    /// It would plan again after this span.
    wait: Option<Millis>,
    /// What it would write.
    writes: Vec<Write>,
}

/// What would become of a record.
#[derive(Debug, Serialize, Deserialize)]
struct Write {
    touched: Touched,
    /// Without what is sealed.
    changes: Vec<Difference>,
}

impl From<&Rehearsal> for Rehearsed {
    fn from(r: &Rehearsal) -> Rehearsed {
        let value = |line: Option<String>| line.map(|line| unsealed(&line)).unwrap_or_default();
        let writes = r.writes.iter().map(|effect| {
            let (before, after) = (value(effect.before()), value(effect.after()));
            // What is gone needs no list of all that it was.
            let changes = if effect.removed() { vec![] } else { diff(&before, &after) };
            Write { touched: effect.into(), changes }
        });
        Rehearsed {
            planner: r.planner.to_owned(),
            end: r.next.as_ref().map(|next| next.why().to_string()).map_err(Clone::clone),
            wait: r.next.as_ref().ok().and_then(Next::wait),
            writes: writes.collect(),
        }
    }
}

impl Rehearsed {
    /// For people.
    pub fn text(&self, wide: bool) -> String {
        let mut text = match &self.end {
            Ok(why) => format!("{}: {why}\n", self.planner),
            Err(panic) => format!("{} would panic: {panic}\n", self.planner),
        };
        if let Some(wait) = self.wait {
            let _ = writeln!(text, "  would plan again after {}", age(wait, Millis(0)));
        }
        if self.writes.is_empty() {
            text.push_str("  would change nothing\n");
        }
        for write in &self.writes {
            let _ = writeln!(text, "  {}", write.touched);
            let changes: Vec<String> = write.changes.iter().map(Difference::to_string).collect();
            bullets(&changes, wide, &mut text);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roadstead_kernel::planner::How;

    #[test]
    fn a_rehearsal_shows_each_record_and_what_would_change_in_it() {
        let rehearsed = Rehearsed {
            planner: "p".into(),
            end: Ok("because".into()),
            wait: Some(Millis::mins(5)),
            writes: vec![Write {
                touched: Touched { how: How::Changed, key: "a/b/c".parse().unwrap() },
                changes: vec![Difference { path: "body.n".into(), before: Some(1.into()), after: Some(2.into()) }],
            }],
        };
        let expected = "p: because\n  would plan again after 5m\n  ~ a/b/c\n      body.n: 1 → 2\n";
        assert_eq!(rehearsed.text(false), expected);
    }
}
