//! What a region counts of itself, by its metrics.

use crate::region::Region;
use anyhow::Result;

/// Counted since it started, or since some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Batches made durable.
    pub commits: f64,
    /// The time that took, seconds.
    pub appending: f64,
    /// Requests answered.
    pub requests: f64,
    /// Plans run.
    pub plans: f64,
    /// The time they took, seconds.
    pub planning: f64,
    /// Records that there are.
    pub records: f64,
}

impl Counts {
    /// Asks the region.
    ///
    /// # Errors
    /// It does not answer.
    pub fn of(region: &Region<'_>) -> Result<Counts> {
        Ok(Counts::read(&region.run(&["admin", "metrics"])?))
    }

    fn read(page: &str) -> Counts {
        let sum = |name: &str| {
            let lines = page.lines().filter_map(|line| line.strip_prefix(name));
            // A longer name, or a comment, is another metric.
            let own = lines.filter(|rest| rest.starts_with([' ', '{']));
            own.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        Counts {
            commits: sum("roadstead_store_append_seconds_count"),
            appending: sum("roadstead_store_append_seconds_sum"),
            requests: sum("roadstead_requests_total"),
            plans: sum("roadstead_plans_total"),
            planning: sum("roadstead_plan_seconds_total"),
            records: sum("roadstead_store_records"),
        }
    }

    /// What was counted after `before`; records are those that there are.
    pub fn since(&self, before: &Counts) -> Counts {
        Counts {
            commits: self.commits - before.commits,
            appending: self.appending - before.appending,
            requests: self.requests - before.requests,
            plans: self.plans - before.plans,
            planning: self.planning - before.planning,
            records: self.records,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_the_sum_of_its_samples() {
        let page = "# HELP roadstead_plans_total Plans run.\n\
                    roadstead_plans_total{planner=\"a\"} 3\nroadstead_plans_total{planner=\"b\"} 4\n\
                    roadstead_store_append_seconds_count 2\nroadstead_store_append_seconds_sum 0.5\n\
                    roadstead_store_records{kind=\"x\"} 9\nroadstead_store_records_more 100\n";
        let counts = Counts::read(page);
        assert_eq!((counts.plans, counts.commits, counts.appending, counts.records), (7.0, 2.0, 0.5, 9.0));
        let before = Counts { plans: 5.0, records: 1.0, ..Counts::default() };
        assert_eq!((counts.since(&before).plans, counts.since(&before).records), (2.0, 9.0));
    }
}
