//! Prometheus' text format, version 0.0.4 (prometheus.io, "Exposition formats").
//!
//! Written here and not by a library: nearly all of the page is derived from records when somebody asks, and libraries
//! keep registries of what is counted as it happens.

use std::fmt::Write as _;
use std::time::Duration;

/// A page of metrics.
#[derive(Default)]
pub struct Page(String);

/// How a metric behaves.
#[derive(Clone, Copy)]
pub enum Sort {
    /// Only grows, from the process's start.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
}

/// Label names and values.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Page {
    /// Begins a metric; its samples follow.
    pub fn metric(&mut self, name: &'static str, sort: Sort, help: &str) -> Metric<'_> {
        let sort = match sort {
            Sort::Counter => "counter",
            Sort::Gauge => "gauge",
            Sort::Histogram => "histogram",
        };
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {sort}");
        Metric { page: &mut self.0, name }
    }

    /// The whole page.
    pub fn text(self) -> String {
        self.0
    }
}

/// A metric that is being written.
pub struct Metric<'a> {
    page: &'a mut String,
    name: &'static str,
}

impl Metric<'_> {
    /// One value.
    pub fn sample(&mut self, labels: Labels<'_>, value: impl std::fmt::Display) {
        self.line("", labels, &value.to_string());
    }

    /// A whole histogram.
    pub fn histogram(&mut self, labels: Labels<'_>, histogram: &Histogram) {
        let mut count = 0;
        for (bound, of_bucket) in histogram.bounds.iter().map(f64::to_string).zip(&histogram.buckets) {
            count += of_bucket;
            self.line("_bucket", &[labels, &[("le", &bound)]].concat(), &count.to_string());
        }
        self.line("_bucket", &[labels, &[("le", "+Inf")]].concat(), &histogram.count.to_string());
        self.line("_sum", labels, &histogram.sum.to_string());
        self.line("_count", labels, &histogram.count.to_string());
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, value: &str) {
        let escaped = |value: &str| value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
        let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
        let _ = writeln!(self.page, "{}{suffix}{labels} {value}", self.name);
    }
}

/// Counts in buckets.
#[derive(Clone, Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    buckets: Vec<u64>,
    count: u64,
    sum: f64,
}

impl Histogram {
    /// An empty one; each bucket holds what is at most its bound and more than the one before.
    pub fn new(bounds: &'static [f64]) -> Histogram {
        Histogram { bounds, buckets: vec![0; bounds.len()], count: 0, sum: 0.0 }
    }

    /// Counts a value.
    pub fn observe(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        if let Some(bucket) = self.bounds.iter().position(|bound| value <= *bound) {
            self.buckets[bucket] += 1;
        }
    }

    /// Counts a span, in seconds.
    pub fn observe_span(&mut self, span: Duration) {
        self.observe(span.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_prometheus_reads() {
        let mut page = Page::default();
        page.metric("a_total", Sort::Counter, "Things.").sample(&[("of", "a\"b\\c\n")], 3);
        let mut histogram = Histogram::new(&[0.1, 1.0]);
        [0.05, 0.1, 0.5, 7.0].into_iter().for_each(|value| histogram.observe(value));
        page.metric("b_seconds", Sort::Histogram, "Spans.").histogram(&[("x", "y")], &histogram);
        page.metric("c", Sort::Gauge, "Now.").sample(&[], 1.5);
        let expected = r#"# HELP a_total Things.
# TYPE a_total counter
a_total{of="a\"b\\c\n"} 3
# HELP b_seconds Spans.
# TYPE b_seconds histogram
b_seconds_bucket{x="y",le="0.1"} 2
b_seconds_bucket{x="y",le="1"} 3
b_seconds_bucket{x="y",le="+Inf"} 4
b_seconds_sum{x="y"} 7.65
b_seconds_count{x="y"} 4
# HELP c Now.
# TYPE c gauge
c 1.5
"#;
        assert_eq!(page.text(), expected);
    }
}
