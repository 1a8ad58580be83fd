//! Globs against a matcher that is too simple to be wrong, and the tag convention against tags made to fit and to miss it.

#[expect(unreachable_pub, reason = "shared with other tests")]
#[path = "hostile/repository.rs"]
mod repository;

use ecr_warden_core::evaluate::evaluate;
use ecr_warden_core::glob::Glob;
use ecr_warden_core::policy::{Policy, Resolved};
use ecr_warden_core::repository::{Push, Repository};
use repository::fine as repository;

fn words(letters: &[char], longest: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut last = 0;
    for _ in 0..longest {
        let end = all.len();
        for n in last..end {
            for letter in letters {
                let word = format!("{}{letter}", all[n]);
                all.push(word);
            }
        }
        last = end;
    }
    all
}

/// Part by part: `**` stands for any number of parts, in a part `*` stands for any text and `?` for one character.
fn matches(glob: &[&str], name: &[&str]) -> bool {
    match (glob, name) {
        ([], []) => true,
        (["**"], _) => !name.is_empty(),
        (["**", rest @ ..], _) => (0..=name.len()).any(|n| matches(rest, &name[n..])),
        ([part, glob @ ..], [text, name @ ..]) => {
            within(part.as_bytes(), text.as_bytes()) && matches(glob, name)
        }
        _ => false,
    }
}

fn within(part: &[u8], text: &[u8]) -> bool {
    match (part, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|n| within(rest, &text[n..])),
        ([b'?', part @ ..], [_, text @ ..]) => within(part, text),
        ([a, part @ ..], [b, text @ ..]) => a == b && within(part, text),
        _ => false,
    }
}

#[test]
fn a_glob_matches_what_its_parts_match() {
    let names: Vec<String> = words(&['a', 'b', '/'], 6)
        .into_iter()
        .filter(|name| name.split('/').all(|part| !part.is_empty()))
        .collect();
    let mut read = 0;
    for text in words(&['a', 'b', '/', '*', '?'], 6) {
        let parts: Vec<&str> = text.split('/').collect();
        let Ok(glob) = Glob::try_from(text.clone()) else {
            let within = |part: &&str| *part != "**" && part.contains("**");
            assert!(text.is_empty() || parts.iter().any(within), "{text}");
            continue;
        };
        read += 1;
        for name in &names {
            let of_name: Vec<&str> = name.split('/').collect();
            assert_eq!(
                glob.matches(name),
                matches(&parts, &of_name),
                "{text} {name}"
            );
        }
    }
    assert!(read > 10_000, "{read}");
}

/// Numbers that look like chance.
fn next(state: &mut usize) -> usize {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

fn digits(state: &mut usize, letters: &[u8], length: usize) -> String {
    (0..length)
        .map(|_| char::from(letters[next(state) % letters.len()]))
        .collect()
}

fn conforms(policy: &Resolved, repository: &mut Repository, tag: &str) -> bool {
    repository.pushed = Some(Push {
        tag: Some(tag.to_owned()),
        digest: None,
        refused: false,
    });
    evaluate(policy, repository).is_empty()
}

#[test]
fn the_default_convention_takes_version_and_commit_and_no_near_miss() {
    let policy = Policy::parse("version: 1\nmode: enforce\nrules: { nonconforming-image-tag: {} }");
    let mut repository = repository();
    let policy = policy
        .unwrap()
        .for_repository(&repository.id, &repository.tags)
        .unwrap();
    let mut fits = |tag: &str| conforms(&policy, &mut repository, tag);
    let chance = &mut 1;
    for _ in 0..2000 {
        let number = |chance: &mut usize| {
            let length = 1 + next(chance) % 4;
            digits(chance, b"0123456789", length)
        };
        let (x, y, z) = (number(chance), number(chance), number(chance));
        let length = 7 + next(chance) % 34;
        let sha = digits(chance, b"0123456789abcdef", length);
        let right = format!("{x}.{y}.{z}-{sha}");
        for tag in [right.clone(), format!("v{right}")] {
            assert!(fits(&tag), "{tag}");
        }
        let (short, long) = (&sha[..6], "0".repeat(41));
        for tag in [
            format!("V{right}"),
            format!("vv{right}"),
            format!("v-{right}"),
            format!("v.{y}.{z}-{sha}"),
            format!("v{x}.{y}-{sha}"),
            format!("v{x}.{y}.{z}.{x}-{sha}"),
            format!("v{x}.{y}.{z}"),
            format!("v{x}.{y}.{z}_{sha}"),
            format!("v{x}.{y}.{z}-{short}"),
            format!("v{x}.{y}.{z}-{long}"),
            format!("v{x}.{y}.{z}-{short}A"),
            format!("v{x}.{y}.{z}-{short}g"),
            format!("v{x}.{y}.{z}-rc1-{sha}"),
            format!("v{right}-dirty"),
            format!("v{right}\n"),
            format!("\nv{right}"),
            format!("v{x}\u{661}.{y}.{z}-{sha}"),
            format!(" {right}"),
        ] {
            assert!(!fits(&tag), "{tag:?}");
        }
    }
}
