//! The name under which the loser of a conflict is kept: `photo (conflict from live 2026-11-22T19-30-00Z).jpg`.
//!
//! The name depends on nothing but the key, the place that the content comes from and that content's own time: a run
//! that was killed and begun again finds the copy that it made.

use super::Key;

/// Bytes that a component may have on the disks of today.
const COMPONENT: usize = 255;
/// Bytes of a place's name that are used.
const LABEL: usize = 40;
/// What stands behind the last dot and is longer than this is no extension.
const EXTENSION: usize = 16;

/// The name for content of `key` that was found at `place` and was modified then. `fits` says whether a key can exist
/// where it is needed; names that are too long lose the end of their stem. `None` if nothing fits.
pub fn conflict_name(key: &Key, place: &str, modified_ns: Option<i64>, fits: impl Fn(&Key) -> bool) -> Option<Key> {
    let (dir, name) = key.as_str().rsplit_once('/').map_or(("", key.as_str()), |(dir, name)| (dir, name));
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && extension.len() <= EXTENSION => (stem, format!(".{extension}")),
        _ => (name, String::new()),
    };
    let time = modified_ns.and_then(|ns| jiff::Timestamp::from_nanosecond(i128::from(ns)).ok());
    let time = time.map_or_else(String::new, |time| time.strftime(" %Y-%m-%dT%H-%M-%SZ").to_string());
    let tail = format!(" (conflict from {}{time}){extension}", label(place));
    let mut room = COMPONENT.saturating_sub(tail.len()).min(stem.len());
    while room > 0 {
        let stem = cut(stem, room);
        let slash = if dir.is_empty() { "" } else { "/" };
        if let Some(found) = Key::new(format!("{dir}{slash}{stem}{tail}")).ok().filter(|found| fits(found)) {
            return Some(found);
        }
        room = stem.len().saturating_sub(8);
    }
    None
}

/// The same name with a number, where the plain one is taken by something else.
pub fn numbered(name: &Key, number: u32) -> Option<Key> {
    let text = name.as_str();
    let at = text.rfind(')')?;
    Key::new(format!("{} {number}{}", &text[..at], &text[at..])).ok()
}

/// What of a place's name can be a part of every file name.
fn label(place: &str) -> String {
    let plain: String = place.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    let plain = cut(plain.trim_matches(['-', '.']), LABEL).to_owned();
    if plain.is_empty() { "elsewhere".to_owned() } else { plain }
}

/// At most so many bytes of a text, in whole characters.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(key: &str, place: &str, modified_ns: Option<i64>) -> String {
        let fits = |key: &Key| key.as_str().rsplit('/').next().unwrap().len() <= 255;
        conflict_name(&Key::new(key).unwrap(), place, modified_ns, fits).unwrap().as_str().to_owned()
    }

    #[test]
    fn the_loser_s_name_says_where_and_when_it_comes_from() {
        let time = Some(1_795_375_800_999_000_000);
        assert_eq!(named("a/photo.jpg", "live", time), "a/photo (conflict from live 2026-11-22T19-30-00Z).jpg");
        assert_eq!(named("Makefile", "live", time), "Makefile (conflict from live 2026-11-22T19-30-00Z)");
        assert_eq!(named("a.d/.env", "live", None), "a.d/.env (conflict from live)");
        assert_eq!(named("v1.2 final notes here", "x", None), "v1.2 final notes here (conflict from x)");
        assert_eq!(named("a", "s3://b\u{e9}/x y/", None), "a (conflict from s3---b\u{e9}-x-y)");
        assert_eq!(named("a", "..", None), "a (conflict from elsewhere)");
    }

    #[test]
    fn long_names_lose_the_end_of_their_stem_and_nothing_else() {
        let long = format!("d/{}.jpg", "\u{e9}".repeat(124));
        let name = named(&long, "live", Some(0));
        assert!(name.ends_with("\u{e9} (conflict from live 1970-01-01T00-00-00Z).jpg"), "{name}");
        assert!(name.len() - 2 <= 255 && name.len() > 240, "{}", name.len());
        assert_eq!(conflict_name(&Key::new("a").unwrap(), "live", None, |_| false), None);
    }

    #[test]
    fn a_number_stands_inside_the_parenthesis() {
        let name = Key::new("a (conflict from live).jpg").unwrap();
        assert_eq!(numbered(&name, 2).unwrap().as_str(), "a (conflict from live 2).jpg");
    }
}
