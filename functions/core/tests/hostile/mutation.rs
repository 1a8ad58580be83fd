//! Inputs made from good ones by chance, the same ones each time.

use serde_json::{Map, Value, json};

/// Numbers that look like chance (SplitMix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `end`; 0 where there is nothing less.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    pub(crate) fn of<'c, T: ?Sized>(&mut self, choices: &[&'c T]) -> &'c T {
        choices[self.below(choices.len())]
    }
}

/// What markup, shells, terminals, spreadsheets, parsers and people stumble over.
const PIECES: [&str; 36] = [
    "<!channel>",
    "<https://x|y>",
    "@here",
    "](",
    "```",
    "&lt;",
    "<script>",
    "\"",
    "'",
    "\\",
    "{{ 7 }}",
    "{% raw %}",
    "=1+1",
    "＝1",
    "\u{0}",
    "\u{1b}[31m",
    "\r\n",
    "\u{2028}",
    "\u{202e}",
    "\u{200b}",
    "\u{feff}",
    "\u{fffd}",
    "\u{1f512}",
    "e\u{301}\u{301}\u{301}",
    "ﷺ",
    "*",
    "**",
    "?",
    ":",
    "---\n",
    "- ",
    "&a *a",
    "!!x ",
    "null",
    "1e999",
    "-0",
];

const NUMBERS: [&str; 8] = [
    "0",
    "-1",
    "255",
    "65536",
    "9223372036854775808",
    "18446744073709551616",
    "1e308",
    "123456789012345678901234567890",
];

/// One to four changes.
pub(crate) fn mutated(chance: &mut Chance, seeds: &[Vec<u8>]) -> Vec<u8> {
    let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    let seed = chance.of(&seeds);
    // Half of all JSON stays JSON, so that what is behind the parser is reached.
    let mut bytes = match serde_json::from_slice::<Value>(seed) {
        Ok(mut document) if chance.below(2) == 0 => {
            for _ in 0..=chance.below(3) {
                change_value(chance, &mut document);
            }
            return document.to_string().into_bytes();
        }
        _ => seed.to_vec(),
    };
    for _ in 0..=chance.below(4) {
        change_bytes(chance, &mut bytes, chance_seed(&seeds));
    }
    bytes
}

fn chance_seed<'s>(seeds: &[&'s [u8]]) -> &'s [u8] {
    seeds.first().copied().unwrap_or_default()
}

fn change_bytes(chance: &mut Chance, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = chance.below(bytes.len() + 1);
    let end = (at + 1 + chance.below(40)).min(bytes.len());
    match chance.below(9) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << chance.below(8);
            }
        }
        1 => bytes.truncate(at),
        2 => {
            let part = bytes[at.min(end)..end].repeat(1 + chance.below(20));
            bytes.splice(at..at, part);
        }
        3 => {
            bytes.drain(at.min(end)..end);
        }
        4 => {
            let depth = chance.of(&[&3, &40, &130, &3000]);
            let (open, close) =
                chance.of(&[&("[", "]"), &("{\"a\":", "}"), &("- ", ""), &("(", ")")]);
            let nested = open.repeat(*depth) + &close.repeat(*depth);
            bytes.splice(at..at, nested.into_bytes());
        }
        5 => {
            let number = chance.of(&NUMBERS);
            bytes.splice(at.min(end)..end, number.bytes());
        }
        6 => {
            let part = &other[chance.below(other.len())..];
            let part = part[..part.len().min(200)].to_vec();
            bytes.splice(at..at, part);
        }
        _ => {
            let piece = chance.of(&PIECES);
            bytes.splice(at..at, piece.bytes());
        }
    }
}

fn change_value(chance: &mut Chance, value: &mut Value) {
    // Down to a place by chance.
    let deeper = chance.below(4) != 0;
    match value {
        Value::Array(items) if deeper && !items.is_empty() => {
            let n = chance.below(items.len());
            if chance.below(5) == 0 {
                let again = items[n].clone();
                items.extend(vec![again; 1 + chance.below(5)]);
            } else {
                change_value(chance, &mut items[n]);
            }
        }
        Value::Object(fields) if deeper && !fields.is_empty() => {
            let n = chance.below(fields.len());
            let key = fields.keys().nth(n).cloned().unwrap_or_default();
            if chance.below(6) == 0 {
                let taken = fields.remove(&key).unwrap_or_default();
                fields.insert(key + chance.of(&PIECES), taken);
            } else if let Some(field) = fields.get_mut(&key) {
                change_value(chance, field);
            }
        }
        Value::String(text) if chance.below(3) != 0 => {
            let at = chance.below(text.len() + 1);
            let at = (at..=text.len()).find(|at| text.is_char_boundary(*at));
            let times = *chance.of(&[&1, &1, &1, &50, &3000]);
            text.insert_str(at.unwrap_or(0), &chance.of(&PIECES).repeat(times));
        }
        other => *other = odd(chance),
    }
}

fn odd(chance: &mut Chance) -> Value {
    match chance.below(8) {
        0 => Value::Null,
        1 => json!(chance.below(2) == 0),
        2 => serde_json::from_str(chance.of(&NUMBERS)).unwrap_or_default(),
        3 => json!([]),
        4 => Value::Object(Map::new()),
        5 => json!({ "a": [chance.of(&PIECES)] }),
        6 => json!(chance.of(&PIECES)),
        _ => json!("*"),
    }
}
