//! Which keys are in scope.
//!
//! # For users
//! Rules are applied in order, and **the last rule that matches decides**. Without a matching rule a key is in scope.
//!
//! | pattern | matches |
//! |---|---|
//! | `*.psd` | every file or directory with such a name, at any depth; a directory with everything below it |
//! | `drafts/2019` | the same, for the last names of a path: `drafts/2019`, `a/drafts/2019` |
//! | `/cache` | a leading `/` anchors: only `cache` at the root |
//! | `cache/` | a trailing `/` means directories only: everything below any directory `cache`, but no file `cache` |
//! | `/cache/**` | the same as `/cache/` |
//! | `**/tmp/*.jpg` | `**` stands for any number of directories |
//! | `*`, `?`, `[a-z]`, `[!a-z]`, `{jpg,png}` | any bytes of one name; one character; a class; alternatives |
//! | `\*` | a backslash takes the next character as it is |
//!
//! Letters are compared as they are (`*.JPG` is not `*.jpg`). So "only pictures" is `--exclude '*' --include '*.jpg'`,
//! and "no cache but for one directory" is `--exclude /cache/ --include /cache/keep/`.
//!
//! Files that are certainly junk (`.DS_Store`, `Thumbs.db`, `@eaDir/`, ...; [`JUNK_FILES`](super::JUNK_FILES),
//! [`JUNK_DIRECTORIES`](super::JUNK_DIRECTORIES)) are left out before any rule. An include brings junk back if it names
//! it: one component of its pattern must be on the list itself (`--include '.DS_Store'`, `--include '@eaDir/'`).
//! `--include '*.jpg'` therefore does not bring back the previews that a Synology keeps in `@eaDir`.
//! `--no-default-excludes` turns the whole list off. Names that begin with `.mediasync` are ours: never synced, by no rule.
//!
//! ## `.mediasyncignore`
//! A text file of that name at the root of a local directory holds excludes, one pattern a line, as above:
//! - blank lines and lines that begin with `#` say nothing; `\#` begins a pattern with `#`,
//! - a line that begins with `!` is an include; `\!` begins a pattern with `!`,
//! - white space at both ends is cut, unless a backslash stands before it.
//!
//! Unlike in `.gitignore`, a `/` in the middle does not anchor (write a leading one), an include reaches into
//! an excluded directory, and only the file at the root is read.
//!
//! # For developers
//! Pure: no I/O. [`Filter::verdict`] does not allocate unless a rule of the user's matches; [`Filter::prunes`] is true
//! only where no key below can be in scope, so that cutting there and not cutting give the same result.

use globset::{Candidate, Glob, GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};

use super::junk::{JUNK_AT_ROOT, is_junk_directory, is_junk_file};
use super::{Key, SkipReason};

/// How names begin that are ours: state, temporary files, the rules file. Never synced.
pub const OWN_PREFIX: &str = ".mediasync";

/// The rules file at the root of a local directory.
pub const IGNORE_FILE: &str = ".mediasyncignore";

/// What the user's rules say; built once a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterRules {
    /// Ordered rules, the last match wins.
    pub rules: Vec<Rule>,
    /// Whether the list of certain junk applies.
    pub junk: Junk,
    /// Size limits.
    pub sizes: SizeLimits,
}

/// One ordered rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Leave out what matches the glob.
    Exclude(String),
    /// Take what matches the glob, whatever came before.
    Include(String),
}

impl Rule {
    /// Whether its pattern can be used.
    ///
    /// # Errors
    /// It can't.
    pub fn check(&self) -> Result<(), BadPattern> {
        Filter::new(FilterRules { rules: vec![self.clone()], ..FilterRules::default() }).map(drop)
    }
}

/// Whether the list of certain junk applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Junk {
    /// It does.
    #[default]
    Skip,
    /// `--no-default-excludes`.
    Take,
}

/// Inclusive size limits in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SizeLimits {
    /// Smallest.
    pub min: Option<u64>,
    /// Largest.
    pub max: Option<u64>,
}

/// Whether a key is in scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    In,
    /// It is not, and why.
    Out(SkipReason),
}

/// A pattern that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pattern `{pattern}` can't be used: {why}")]
pub struct BadPattern {
    /// As the user wrote it.
    pub pattern: String,
    /// What is wrong with it.
    pub why: String,
}

/// The rules of a `.mediasyncignore`, in order; the module's documentation says what a line means.
/// Each comes with the number of its line, from 1. Patterns are checked by [`Rule::check`] and [`Filter::new`].
pub fn parse_ignore(text: &str) -> impl Iterator<Item = (usize, Rule)> {
    let lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines();
    lines.enumerate().filter_map(|(at, line)| Some((at + 1, ignore_line(line)?)))
}

fn ignore_line(line: &str) -> Option<Rule> {
    let mut line = line.trim_start();
    let kept = line.trim_end();
    // `name\ ` ends in a blank that is meant.
    let backslashes = kept.bytes().rev().take_while(|b| *b == b'\\').count();
    if backslashes % 2 == 1 && kept.len() < line.len() {
        let blank = line[kept.len()..].chars().next().map_or(0, char::len_utf8);
        line = &line[..kept.len() + blank];
    } else {
        line = kept;
    }
    match line.as_bytes().first() {
        None | Some(b'#') => None,
        Some(b'!') => Some(Rule::Include(line[1..].to_owned())),
        Some(_) => Some(Rule::Exclude(line.to_owned())),
    }
}

/// The compiled rules.
#[derive(Debug)]
pub struct Filter {
    rules: Vec<Compiled>,
    /// Two globs a rule: `2 i` is the thing itself (never matches for a directory-only rule), `2 i + 1` what is below it.
    keys: GlobSet,
    /// The same for directories: `2 i` matches also for a directory-only rule.
    dirs: GlobSet,
    junk: Junk,
    sizes: SizeLimits,
}

#[derive(Debug)]
struct Compiled {
    effect: Effect,
    /// The components of an anchored pattern, `None` for `**`; empty for a pattern that can match anywhere.
    path: Vec<Option<GlobMatcher>>,
    junk: NamesJunk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Exclude,
    Include,
}

/// Whether a component of the pattern is itself on the junk list, so that an include means junk when it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NamesJunk {
    Yes,
    No,
}

impl Default for Filter {
    fn default() -> Self {
        Self::new(FilterRules::default()).expect("no patterns, so none is bad")
    }
}

impl Filter {
    /// Compiles rules.
    ///
    /// # Errors
    /// The first pattern that can't be used.
    pub fn new(rules: FilterRules) -> Result<Self, BadPattern> {
        let FilterRules { rules, junk, sizes } = rules;
        let mut compiled = Vec::with_capacity(rules.len());
        let (mut keys, mut dirs) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for rule in rules {
            let (effect, text) = match rule {
                Rule::Exclude(text) => (Effect::Exclude, text),
                Rule::Include(text) => (Effect::Include, text),
            };
            let bad = |why: String| BadPattern { pattern: text.clone(), why };
            let pattern = Pattern::read(&text).map_err(bad)?;
            let itself = glob(&pattern.itself()).map_err(bad)?;
            let below = glob(&format!("{}/**", pattern.itself())).map_err(bad)?;
            keys.add(if pattern.directories_only { below.clone() } else { itself.clone() });
            keys.add(below.clone());
            dirs.add(itself);
            dirs.add(below);
            compiled.push(Compiled { effect, path: pattern.path().map_err(bad)?, junk: pattern.names_junk() });
        }
        let built = |set: &GlobSetBuilder| {
            set.build().map_err(|error| BadPattern { pattern: "(all of them)".to_owned(), why: error.to_string() })
        };
        Ok(Self { rules: compiled, keys: built(&keys)?, dirs: built(&dirs)?, junk, sizes })
    }

    /// Whether `key` is in scope, `size` being the larger of the two sides.
    pub fn verdict(&self, key: &Key, size: u64) -> Verdict {
        let text = key.as_str();
        let named = NamedAs::of(text, self.junk);
        if named == NamedAs::Own {
            return Verdict::Out(SkipReason::Own);
        }
        if size == 0 && text.ends_with('/') {
            return Verdict::Out(SkipReason::DirectoryMarker);
        }
        let decides = self.last_match(&self.keys, text);
        if named == NamedAs::Junk && !decides.is_some_and(Compiled::brings_junk_back) {
            return Verdict::Out(SkipReason::Junk);
        }
        if decides.is_some_and(|rule| rule.effect == Effect::Exclude) {
            return Verdict::Out(SkipReason::Excluded);
        }
        let too_small = self.sizes.min.is_some_and(|min| size < min);
        let too_large = self.sizes.max.is_some_and(|max| size > max);
        if too_small || too_large { Verdict::Out(SkipReason::Size) } else { Verdict::In }
    }

    /// Whether nothing below the directory `dir` (no trailing `/`) can be in scope.
    pub fn prunes(&self, dir: &str) -> Option<SkipReason> {
        match NamedAs::of_directory(dir, self.junk) {
            NamedAs::Own => return Some(SkipReason::Own),
            NamedAs::Junk => {
                let comes_back = self.rules.iter().any(|rule| rule.brings_junk_back() && rule.can_match_below(dir));
                return (!comes_back).then_some(SkipReason::Junk);
            }
            NamedAs::Nothing => {}
        }
        if self.rules.is_empty() {
            return None;
        }
        let mut matches = Vec::new();
        self.dirs.matches_candidate_into(&Candidate::new(dir), &mut matches);
        // A rule that matches the directory decides for everything below, unless a later one matches there.
        let covers = matches.last()? / 2;
        let later = &self.rules[covers + 1..];
        let excluded = self.rules[covers].effect == Effect::Exclude
            && !later.iter().any(|rule| rule.effect == Effect::Include && rule.can_match_below(dir));
        excluded.then_some(SkipReason::Excluded)
    }

    /// Whether `key`, a file that the scan has recognised as AppleDouble data, is left out: junk is, and no include
    /// names it.
    pub fn skips_apple_double(&self, key: &Key) -> bool {
        self.junk == Junk::Skip && !self.last_match(&self.keys, key.as_str()).is_some_and(Compiled::brings_junk_back)
    }

    fn last_match(&self, set: &GlobSet, path: &str) -> Option<&Compiled> {
        if self.rules.is_empty() {
            return None;
        }
        // An empty vector does not allocate; it grows only when something matches.
        let mut matches = Vec::new();
        set.matches_candidate_into(&Candidate::new(path), &mut matches);
        matches.last().map(|index| &self.rules[index / 2])
    }
}

impl Compiled {
    fn brings_junk_back(&self) -> bool {
        self.effect == Effect::Include && self.junk == NamesJunk::Yes
    }

    /// Whether some key below `dir` can match. May say yes wrongly, never no.
    fn can_match_below(&self, dir: &str) -> bool {
        let mut pattern = self.path.iter();
        for name in dir.split('/') {
            match pattern.next() {
                // The pattern ends above `dir`: it matches one of its parents, and everything below it.
                None | Some(None) => return true,
                Some(Some(glob)) if !glob.is_match(name) => return false,
                Some(Some(_)) => {}
            }
        }
        true
    }
}

/// What the components of a path are called like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NamedAs {
    Nothing,
    Junk,
    Own,
}

impl NamedAs {
    fn of(key: &str, junk: Junk) -> Self {
        let name_at = key.rfind('/').map_or(0, |at| at + 1);
        let (parents, name) = key.split_at(name_at);
        let above = if parents.is_empty() { Self::Nothing } else { Self::of_directory(&parents[..name_at - 1], junk) };
        if above == Self::Own || name.starts_with(OWN_PREFIX) {
            return Self::Own;
        }
        let here = junk == Junk::Skip && (is_junk_file(name) || (name_at == 0 && JUNK_AT_ROOT.contains(&name)));
        if here { Self::Junk } else { above }
    }

    fn of_directory(dir: &str, junk: Junk) -> Self {
        let mut found = Self::Nothing;
        for name in dir.split('/') {
            if name.starts_with(OWN_PREFIX) {
                return Self::Own;
            }
            if junk == Junk::Skip && found == Self::Nothing && is_junk_directory(name) {
                found = Self::Junk;
            }
        }
        found
    }
}

/// A pattern taken apart.
#[derive(Debug)]
pub(super) struct Pattern<'a> {
    /// Without the leading and trailing `/`.
    body: &'a str,
    anchored: bool,
    pub(super) directories_only: bool,
}

impl<'a> Pattern<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, String> {
        let (anchored, mut body) = match text.strip_prefix('/') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut directories_only = false;
        // `cache/**` means `cache/`. A lone `**` matches what `*` does, and globset reads `**/**` in its own way.
        while let Some(rest) = body.strip_suffix("/**").or_else(|| body.strip_suffix('/')) {
            body = rest;
            directories_only = true;
        }
        if body.is_empty() {
            return Err("it names nothing; use `*` for everything".to_owned());
        }
        if body == "**" {
            body = "*";
        }
        if body.contains('\0') {
            return Err("it holds a NUL byte".to_owned());
        }
        if body.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            return Err("empty parts, `.` and `..` never occur in a path below the root".to_owned());
        }
        Ok(Self { body, anchored, directories_only })
    }

    pub(super) fn itself(&self) -> String {
        if self.anchored { self.body.to_owned() } else { format!("**/{}", self.body) }
    }

    /// See [`Compiled::path`].
    fn path(&self) -> Result<Vec<Option<GlobMatcher>>, String> {
        // Alternatives and classes may hold a `/`, and then the parts are no components.
        let parts_are_components = !self.body.contains(['{', '[', '\\']);
        if !self.anchored || !parts_are_components {
            return Ok(Vec::new());
        }
        let part = |part| if part == "**" { Ok(None) } else { Ok(Some(glob(part)?.compile_matcher())) };
        self.body.split('/').map(part).collect()
    }

    fn names_junk(&self) -> NamesJunk {
        let listed = |part: &str| is_junk_file(part) || is_junk_directory(part) || part.starts_with("._");
        let at_root = self.anchored && JUNK_AT_ROOT.contains(&self.body);
        if at_root || self.body.split('/').any(listed) { NamesJunk::Yes } else { NamesJunk::No }
    }
}

pub(super) fn glob(text: &str) -> Result<Glob, String> {
    let built = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
    built.map_err(|error| error.kind().to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(rules: &[&str]) -> Filter {
        let rules = rules
            .iter()
            .map(|rule| match rule.strip_prefix('+') {
                Some(pattern) => Rule::Include(pattern.to_owned()),
                None => Rule::Exclude(rule.strip_prefix('-').unwrap().to_owned()),
            })
            .collect();
        Filter::new(FilterRules { rules, ..FilterRules::default() }).unwrap()
    }

    fn verdict(filter: &Filter, key: &str) -> Verdict {
        filter.verdict(&Key::new(key).unwrap(), 1)
    }

    fn is_in(filter: &Filter, key: &str) -> bool {
        verdict(filter, key) == Verdict::In
    }

    #[test]
    fn a_pattern_without_slash_matches_names_at_any_depth() {
        let f = filter(&["-*.psd", "-cache"]);
        for out in ["a.psd", "x/y/a.psd", "x.psd/inside.jpg", "cache", "x/cache", "x/cache/y/z"] {
            assert_eq!(verdict(&f, out), Verdict::Out(SkipReason::Excluded), "{out}");
        }
        for kept in ["a.psd.jpg", "x/caches/y", "a.PSD", "cache2"] {
            assert!(is_in(&f, kept), "{kept}");
        }
    }

    #[test]
    fn a_leading_slash_anchors_and_a_trailing_one_means_directories() {
        let f = filter(&["-/top", "-dir/", "-/a/*/c/", "-two/parts"]);
        for out in ["top", "top/x", "dir/x", "x/dir/y/z", "a/b/c/d", "two/parts", "x/two/parts/y"] {
            assert!(!is_in(&f, out), "{out}");
        }
        for kept in ["x/top", "dir", "x/dir", "a/b/c", "a/b/b/c/d", "x/a/b/c/d", "xtwo/parts", "two/x/parts"] {
            assert!(is_in(&f, kept), "{kept}");
        }
    }

    #[test]
    fn double_stars_classes_and_alternatives() {
        let f = filter(&["-/a/**/z.jpg", "-**/tmp/*.jpg", "-/all/**", "-x[0-9].{gif,png}", r"-\*lit"]);
        for out in ["a/z.jpg", "a/b/c/z.jpg", "tmp/1.jpg", "q/tmp/1.jpg", "all/x", "all/x/y", "d/x1.gif", "*lit"] {
            assert!(!is_in(&f, out), "{out}");
        }
        for kept in ["a/b/z.jpeg", "tmp/x/1.jpg", "all", "x10.gif", "xlit"] {
            assert!(is_in(&f, kept), "{kept}");
        }
    }

    #[test]
    fn the_last_match_wins() {
        let f = filter(&["-*", "+*.jpg", "-/private/", "+/private/logo.jpg"]);
        assert!(is_in(&f, "a/b.jpg"));
        assert!(!is_in(&f, "a/b.txt"));
        assert!(!is_in(&f, "private/x.jpg"));
        assert!(is_in(&f, "private/logo.jpg"));
    }

    #[test]
    fn junk_is_out_unless_an_include_names_it() {
        let plain = Filter::default();
        for junk in [".DS_Store", "a/THUMBS.DB", "a/@eaDir/b/c.jpg", "MANIFEST", "x.part"] {
            assert_eq!(verdict(&plain, junk), Verdict::Out(SkipReason::Junk), "{junk}");
        }
        for kept in ["a/MANIFEST", "@eaDir", "ds_store", "._x", ".htaccess"] {
            assert!(is_in(&plain, kept), "{kept}");
        }
        let asked = filter(&["+.DS_Store", "+/b/@eaDir/", "+/MANIFEST", "+*.jpg"]);
        for kept in [".DS_Store", "a/.DS_Store", "b/@eaDir/c.jpg", "MANIFEST"] {
            assert!(is_in(&asked, kept) || kept == "b/@eaDir/c.jpg", "{kept}");
        }
        assert!(is_in(&asked, "b/@eaDir/c.txt"));
        assert!(!is_in(&asked, "c/@eaDir/c.jpg"));
        assert!(!is_in(&filter(&["-*", "+*.jpg"]), "@eaDir/x.jpg"));
        let none = Filter::new(FilterRules { junk: Junk::Take, ..FilterRules::default() }).unwrap();
        assert!(is_in(&none, ".DS_Store") && is_in(&none, "@eaDir/x"));
    }

    #[test]
    fn apple_double_follows_the_junk_list() {
        let key = Key::new("a/._x.jpg").unwrap();
        assert!(Filter::default().skips_apple_double(&key));
        assert!(filter(&["+*.jpg"]).skips_apple_double(&key));
        assert!(!filter(&["+._*"]).skips_apple_double(&key));
        assert!(
            !Filter::new(FilterRules { junk: Junk::Take, ..FilterRules::default() }).unwrap().skips_apple_double(&key)
        );
    }

    #[test]
    fn our_own_names_are_never_in_scope() {
        let f = Filter::new(FilterRules {
            rules: vec![Rule::Include(".mediasync*".to_owned()), Rule::Include("*".to_owned())],
            junk: Junk::Take,
            ..FilterRules::default()
        })
        .unwrap();
        for own in [".mediasync/id", ".mediasyncignore", "a/.mediasync-0.tmp", "a/.mediasync/trash/x"] {
            assert_eq!(verdict(&f, own), Verdict::Out(SkipReason::Own), "{own}");
        }
        assert!(is_in(&f, "a.mediasync"));
        assert_eq!(f.prunes("a/.mediasync"), Some(SkipReason::Own));
    }

    #[test]
    fn sizes_and_directory_markers() {
        let sizes = SizeLimits { min: Some(2), max: Some(4) };
        let f = Filter::new(FilterRules { sizes, ..FilterRules::default() }).unwrap();
        let at = |size| f.verdict(&Key::new("a").unwrap(), size);
        assert_eq!([at(1), at(5)], [Verdict::Out(SkipReason::Size); 2]);
        assert_eq!([at(2), at(4)], [Verdict::In; 2]);
        let marker = Key::new("a/").unwrap();
        assert_eq!(Filter::default().verdict(&marker, 0), Verdict::Out(SkipReason::DirectoryMarker));
        assert_eq!(Filter::default().verdict(&marker, 1), Verdict::In);
    }

    #[test]
    fn pruning_stops_where_an_include_can_match() {
        let f = filter(&["-/cache/", "+/cache/keep/", "-node_modules", "-/x/", "+/x/*/y.jpg"]);
        assert_eq!(f.prunes("cache"), None);
        assert_eq!(f.prunes("cache/keep"), None);
        assert_eq!(f.prunes("cache/other"), Some(SkipReason::Excluded));
        assert_eq!(f.prunes("a/node_modules"), Some(SkipReason::Excluded));
        assert_eq!(f.prunes("x/a"), None);
        assert_eq!(f.prunes("x/a/b"), Some(SkipReason::Excluded));
        assert_eq!(f.prunes("a"), None);
        assert_eq!(Filter::default().prunes("a/@eaDir"), Some(SkipReason::Junk));
        assert_eq!(filter(&["+@eaDir/"]).prunes("a/@eaDir"), None);
        assert_eq!(filter(&["-*", "+*.jpg"]).prunes("a"), None);
        assert_eq!(filter(&["-*", "+*.jpg"]).prunes("@eaDir"), Some(SkipReason::Junk));
    }

    #[test]
    fn bad_patterns_are_named() {
        for (pattern, why) in [
            ("", "names nothing"),
            ("/", "names nothing"),
            ("a//b", "empty parts"),
            ("../x", "`..`"),
            ("[a", "unclosed"),
        ] {
            let rules = FilterRules { rules: vec![Rule::Exclude(pattern.to_owned())], ..FilterRules::default() };
            let bad = Filter::new(rules).unwrap_err();
            assert_eq!(bad.pattern, pattern);
            assert!(bad.why.contains(why), "{pattern}: {}", bad.why);
        }
    }

    #[test]
    fn the_ignore_file_is_read_line_by_line() {
        let text = "\u{feff}# notes\n\n  *.psd  \n!keep.psd\r\n\\#1\n\\!x\nblank\\ \n/a b/\n";
        let lines: Vec<usize> = parse_ignore(text).map(|(line, _)| line).collect();
        assert_eq!(lines, [3, 4, 5, 6, 7, 8]);
        let rules: Vec<Rule> = parse_ignore(text).map(|(_, rule)| rule).collect();
        let exclude = |text: &str| Rule::Exclude(text.to_owned());
        let expected = vec![
            exclude("*.psd"),
            Rule::Include("keep.psd".to_owned()),
            exclude("\\#1"),
            exclude("\\!x"),
            exclude("blank\\ "),
            exclude("/a b/"),
        ];
        assert_eq!(rules, expected);
        let f = Filter::new(FilterRules { rules, ..FilterRules::default() }).unwrap();
        for out in ["x.psd", "#1", "!x", "blank ", "a b/c"] {
            assert!(!is_in(&f, out), "{out}");
        }
        assert!(is_in(&f, "keep.psd"));
    }

    /// The documented meaning, slowly: the key or one of the directories above it fits.
    fn matches_by_definition(pattern: &str, key: &str) -> bool {
        let anchored = pattern.starts_with('/');
        let mut directories_only = pattern.ends_with('/');
        let mut body = pattern.trim_matches('/');
        while let Some(rest) = body.strip_suffix("/**") {
            (body, directories_only) = (rest, true);
        }
        let body = if body == "**" { "*" } else { body };
        let body = if anchored { body.to_owned() } else { format!("**/{body}") };
        let matcher = glob(&body).unwrap().compile_matcher();
        let mut above = key.match_indices('/').map(|(at, _)| &key[..at]);
        above.any(|dir| matcher.is_match(dir)) || (!directories_only && matcher.is_match(key))
    }

    proptest! {
        #[test]
        fn rules_mean_what_is_documented_and_pruning_hides_nothing(
            rules in proptest::collection::vec("[-+]/?([ab*]{1,2}/){0,2}([ab*]{1,2}|@eaDir)/?", 0..5),
            keys in proptest::collection::vec("([ab]{1,2}/|@eaDir/){0,3}[ab]{1,2}", 1..12),
        ) {
            let texts: Vec<&str> = rules.iter().map(String::as_str).collect();
            let f = filter(&texts);
            for key in &keys {
                let last = texts.iter().rev().find(|rule| matches_by_definition(&rule[1..], key));
                let junk = key.contains("@eaDir/");
                let expected = match last {
                    Some(rule) if junk => rule.starts_with('+') && rule.contains("@eaDir"),
                    None if junk => false,
                    last => last.is_none_or(|rule| rule.starts_with('+')),
                };
                prop_assert_eq!(is_in(&f, key), expected, "{:?} {}", texts, key);
                for (at, _) in key.match_indices('/') {
                    if f.prunes(&key[..at]).is_some() {
                        prop_assert!(!is_in(&f, key), "{} pruned, {} in scope, {:?}", &key[..at], key, texts);
                    }
                }
            }
        }
    }
}
