//! Inputs by chance, from good ones.

/// Chance from a seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Chance(pub u64);

/// What parsers stumble over.
const WORDS: &[&[u8]] = &[
    b"%",
    b"%00",
    b"%ff",
    b"+",
    b"&",
    b"=",
    b"&&",
    b".",
    b"..",
    b"//",
    b"?",
    b"#",
    b";",
    b",",
    b"\"",
    b"\\",
    b"'",
    b"<",
    b">",
    b"]]>",
    b"&#0;",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"null",
    b"true",
    b"{}",
    b"[]",
    b"0",
    b"-1",
    b"1e999",
    b"-0.0",
    b"NaN",
    b"9223372036854775808",
    b"18446744073709551616",
    b"4294967296",
    b"0x10",
    b"\r\n",
    b"\n",
    b"\t",
    b"\0",
    b"\\ud800",
    b"\\u0000",
    b"\xc3\xa9",
    b"\xff",
    b"\xf0\x9f\x9a\xa2",
    b"\xef\xbf\xbf",
    b"\xe2\x80\xa8",
    b".1",
    b".0",
    b".member.1",
    b".entry.1.key",
    b"Filter.1.Value.1=",
    b"MaxResults=",
    b"NextToken=",
    b"*",
    b"arn:aws:iam::111122223333:role/",
    b"1969-12-31T23:59:59Z",
];

impl Chance {
    /// A number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 .. n; 0 of nothing.
    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.number() % (n.max(1) as u64)).unwrap_or_default()
    }

    /// One of the seeds, changed in a few places.
    pub fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut input, seeds);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let some = self.range(input.len());
        match self.below(8) {
            0 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
            1 => drop(input.drain(some)),
            2 => {
                let word = WORDS[self.below(WORDS.len())];
                drop(input.splice(some, word.iter().copied()));
            }
            3 => {
                let word = WORDS[self.below(WORDS.len())];
                drop(input.splice(at..at, word.iter().copied()));
            }
            4 => {
                // So deep, or so long, that a limit must hold.
                let word = WORDS[self.below(WORDS.len())].repeat(1 << self.below(12));
                drop(input.splice(at..at, word));
            }
            5 => {
                let copied = input[some].to_vec();
                drop(input.splice(at..at, copied));
            }
            6 => {
                let other = &seeds[self.below(seeds.len())];
                let part = other[self.range(other.len())].to_vec();
                drop(input.splice(some, part));
            }
            _ => input.truncate(at),
        }
    }

    /// A range of so many, mostly a short one.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let from = self.below(length + 1);
        let most = if self.below(4) == 0 { length } else { 16 };
        from..length.min(from + self.below(most))
    }
}
