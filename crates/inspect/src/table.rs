//! Tables, lists and ages, as kubectl prints them.

use roadstead_types::Millis;
use std::fmt::Write as _;

/// Between columns.
const GAP: usize = 3;
/// So many items are listed where there may be a hundred.
const LISTED: usize = 8;

/// A table whose columns are as wide as its first lines need, so that later lines stand under them.
pub struct Table {
    widths: Vec<usize>,
}

impl Table {
    /// A table for these lines.
    pub fn fit<'a>(lines: impl IntoIterator<Item = &'a [String]>) -> Table {
        let mut widths = vec![];
        for line in lines {
            widths.resize(line.len().max(widths.len()), 0);
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = cell.chars().count().max(*width);
            }
        }
        Table { widths }
    }

    /// A line, padded but for its end.
    pub fn line(&self, cells: &[String]) -> String {
        let mut line = String::new();
        for (n, cell) in cells.iter().enumerate() {
            let width = self.widths.get(n).copied().unwrap_or_default() + GAP;
            let _ = write!(line, "{cell:<width$}");
        }
        line.trim_end().to_owned()
    }
}

/// Items, a line each; so many that there is room for, unless all are wanted.
pub fn bullets(items: &[String], wide: bool, text: &mut String) {
    let shown = if wide || items.len() <= LISTED + 1 { items.len() } else { LISTED };
    for item in &items[..shown] {
        let _ = writeln!(text, "      {item}");
    }
    if shown < items.len() {
        let _ = writeln!(text, "      and {} more: -o wide", items.len() - shown);
    }
}

/// How long ago, in kubectl's two largest units.
pub fn age(now: Millis, then: Millis) -> String {
    let s = now.since(then).0 / 1000;
    let (m, h, d) = (s / 60, s / 3600, s / 86_400);
    let two = |large: String, small: u64, unit: char| if small == 0 { large } else { format!("{large}{small}{unit}") };
    match s {
        0..120 => format!("{s}s"),
        120..600 => two(format!("{m}m"), s % 60, 's'),
        600..10_800 => format!("{m}m"),
        10_800..28_800 => two(format!("{h}h"), m % 60, 'm'),
        28_800..172_800 => format!("{h}h"),
        172_800..691_200 => two(format!("{d}d"), h % 24, 'h'),
        _ => format!("{d}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_heads() {
        let lines = [vec!["NAME".to_owned(), "WHY".into()], vec!["a-longer-name".into(), String::new()]];
        let table = Table::fit(lines.iter().map(Vec::as_slice));
        assert_eq!(table.line(&lines[0]), "NAME            WHY");
        assert_eq!(table.line(&lines[1]), "a-longer-name");
        assert_eq!(table.line(&["späte".into(), "Zeile".into()]), "späte           Zeile");
    }

    #[test]
    fn ages_are_short() {
        let cases =
            [(0, "0s"), (119, "119s"), (120, "2m"), (121, "2m1s"), (3600, "60m"), (10_800, "3h"), (200_000, "2d7h")];
        for (secs, text) in cases {
            assert_eq!(age(Millis::secs(secs + 5), Millis::secs(5)), text);
        }
        assert_eq!(age(Millis(0), Millis::secs(5)), "0s", "clocks differ");
    }
}
