//! One section of a file as the AWS tools have them, found and replaced; everything else stays byte for byte.
//!
//! A section begins with its `[name]` and ends where the next one begins. Blank lines and comments right before the next one
//! belong to that. Keys that are indented belong to the key before them.

/// What a section is to hold: keys in their order, each with its value; a value may have lines of its own, indented.
pub(super) type Keys<'a> = Vec<(&'a str, String)>;

/// What is in the file already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// No such section.
    Nothing,
    /// One with these very keys and values.
    Same,
    /// One with others.
    Other,
    /// Several: no tool could say which one counts.
    Several,
}

/// Where a line begins and what it says, without its end.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').map(move |line| {
        let begin = at;
        at += line.len();
        (begin, line.trim_end_matches(['\n', '\r']))
    })
}

/// The name in `[name]`. A header is not indented; blanks inside the brackets are the tools' to ignore.
fn header(line: &str) -> Option<&str> {
    let inner = line.strip_prefix('[')?;
    inner.split_once(']').map(|(name, _)| name.trim())
}

/// Whether two headers are one: `[profile  "x"]` is what some tools write for `[profile x]`.
fn is_named(header: &str, name: &str) -> bool {
    let plain = |text: &str| text.replace(['"', '\''], "").split_whitespace().collect::<Vec<_>>().join(" ");
    plain(header) == plain(name)
}

/// The bytes of all sections of a name.
fn sections(text: &str, name: &str) -> Vec<(usize, usize)> {
    let headers: Vec<(usize, &str)> = lines(text).filter_map(|(at, line)| Some((at, header(line)?))).collect();
    let mut found = Vec::new();
    for (index, (begin, own)) in headers.iter().enumerate() {
        if !is_named(own, name) {
            continue;
        }
        let end = headers.get(index + 1).map_or(text.len(), |(next, _)| *next);
        let is_empty = |line: &str| line.trim().is_empty() || line.starts_with(['#', ';']);
        let last = lines(&text[*begin..end]).filter(|(_, line)| !is_empty(line)).last();
        let last = last.map_or(0, |(at, _)| at);
        let line = text[begin + last..end].find('\n').map_or(end - begin - last, |at| at + 1);
        found.push((*begin, begin + last + line));
    }
    found
}

/// The keys of a section, with what is indented below them.
fn keys(section: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for (_, line) in lines(section).skip(1) {
        if line.trim().is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let (true, Some((_, value))) = (line.starts_with([' ', '\t']), found.last_mut()) {
            value.push('\n');
            value.push_str(&plain(line));
        } else {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            found.push((key.trim().to_lowercase(), value.trim().to_owned()));
        }
    }
    found.sort();
    found
}

/// An indented line, however it is spaced.
fn plain(line: &str) -> String {
    line.split_once('=')
        .map_or_else(|| line.trim().to_owned(), |(key, value)| format!("{} = {}", key.trim(), value.trim()))
}

/// How a section of this name stands to what it is to hold.
pub(super) fn look(text: &str, name: &str, wanted: &Keys<'_>) -> Found {
    let all = sections(text, name);
    let [(begin, end)] = all[..] else {
        return if all.is_empty() { Found::Nothing } else { Found::Several };
    };
    let wanted = write(name, wanted);
    if keys(&text[begin..end]) == keys(&wanted) { Found::Same } else { Found::Other }
}

/// The file with that section in the place of the one of its name, or at its end.
pub(super) fn with(text: &str, name: &str, wanted: &Keys<'_>) -> String {
    let section = write(name, wanted);
    match sections(text, name).first() {
        Some((begin, end)) => format!("{}{section}{}", &text[..*begin], &text[*end..]),
        None if text.is_empty() => section,
        None if text.ends_with('\n') => format!("{text}\n{section}"),
        None => format!("{text}\n\n{section}"),
    }
}

fn write(name: &str, keys: &Keys<'_>) -> String {
    let mut text = format!("[{name}]\n");
    for (key, value) in keys {
        text.push_str(key);
        text.push_str(if value.starts_with('\n') { " =" } else { " = " });
        text.push_str(value);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# mine\n[default]\nregion=eu-west-1\n\n# of the site\n[profile site]\r\nregion = a\r\ns3 =\r\n  x = 1\r\n\n; next\n[profile other]\nregion=b";

    fn wanted() -> Keys<'static> {
        vec![("region", "a".to_owned()), ("s3", "\n    x = 1".to_owned())]
    }

    #[test]
    fn a_section_is_found_and_compared_by_what_it_says() {
        assert_eq!(look(TEXT, "profile site", &wanted()), Found::Same);
        assert_eq!(look(TEXT, "profile site", &vec![("region", "a".to_owned())]), Found::Other);
        assert_eq!(look(TEXT, "profile other", &vec![("region", "b".to_owned())]), Found::Same);
        assert_eq!(look(TEXT, "site", &wanted()), Found::Nothing);
        assert_eq!(look("[a]\n[b]\n[a]\n", "a", &Vec::new()), Found::Several);
        assert_eq!(look("[profile \"site\"]\n", "profile site", &Vec::new()), Found::Same);
        assert_eq!(look("x = [a]\n [a]\n#[a]\n", "a", &Vec::new()), Found::Nothing, "no headers");
    }

    #[test]
    fn everything_else_stays_byte_for_byte() {
        let new = vec![("region", "new".to_owned())];
        let (before, after) = TEXT.split_once("[profile site]").unwrap();
        let after = &after[after.find("\n; next").unwrap()..];
        assert_eq!(with(TEXT, "profile site", &new), format!("{before}[profile site]\nregion = new\n{after}"));
        assert_eq!(with(TEXT, "new", &new), format!("{TEXT}\n\n[new]\nregion = new\n"));
        assert_eq!(with("", "new", &new), "[new]\nregion = new\n");
        assert_eq!(with("[a]\n", "new", &new), "[a]\n\n[new]\nregion = new\n");
        let last = with(TEXT, "profile other", &new);
        assert!(
            last.starts_with(&TEXT[..TEXT.find("[profile other]").unwrap()])
                && last.ends_with("[profile other]\nregion = new\n")
        );
    }
}
