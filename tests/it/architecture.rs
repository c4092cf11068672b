//! What ARCHITECTURE.md says about the source as a whole, held by reading the source: who may import whom, where things
//! may occur, and that the documents name only what exists.
//!
//! Works on texts: lines that are comments and the tests at the end of a file do not count.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory, Parser};
use mediasync::cli::args::Cli;
use mediasync::config::Config;
use mediasync::model::{JUNK_AT_ROOT, JUNK_DIRECTORIES, JUNK_FILES};

/// The parts of the crate that one part may use besides itself. `cli` may use all.
const EDGES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("secret", &[]),
    ("transport", &[]),
    ("reach", &["transport"]),
    ("plan", &["model"]),
    ("replica", &["model", "secret", "transport"]),
    ("hash", &["model", "replica"]),
    ("dsn", &["replica", "secret"]),
    ("location", &["dsn", "replica", "secret"]),
    ("schedule", &[]),
    ("config", &["dsn", "location", "model", "plan", "replica", "schedule", "secret"]),
    ("manifest", &["model", "replica"]),
    ("plan_store", &["manifest", "model"]),
    ("examine", STAGES),
    ("survey", STAGES),
    ("pair_up", STAGES),
    ("execute", STAGES),
    ("recover", STAGES),
    ("apply", STAGES),
    ("lanes", STAGES),
    ("lease", STAGES),
    ("report", STAGES),
    ("resolve", STAGES),
    ("meet", STAGES),
    ("sync", STAGES),
    ("verify", STAGES),
    (
        "daemon",
        &[
            "config",
            "lanes",
            "location",
            "manifest",
            "model",
            "plan",
            "replica",
            "report",
            "schedule",
            "secret",
            "sync",
            "transport",
        ],
    ),
];

/// What the stages of a cycle may use: one another, and everything below them, but neither what users type nor SDKs.
const STAGES: &[&str] = &[
    "apply",
    "examine",
    "execute",
    "hash",
    "lanes",
    "lease",
    "manifest",
    "meet",
    "model",
    "pair_up",
    "plan",
    "plan_store",
    "recover",
    "replica",
    "report",
    "resolve",
    "survey",
    "sync",
];

/// Lines of a file before its tests.
const LONGEST: usize = 450;
/// Files that were longer when the limit came; they may only shrink.
const LONGER: &[(&str, usize)] = &[];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All Rust files below a directory, relative to the root, with `/` between components.
fn rust_files(below: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo: Vec<PathBuf> = vec![root().join(below)];
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/"));
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no files below {below}");
    found
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path == "src/cli/fixtures.rs"
}

/// The text before the tests of a file, with the lines as they are.
fn before_tests(text: &str) -> &str {
    let begins = ["mod tests {", "pub(super) mod tests {"].map(|line| format!("\n#[cfg(test)]\n{line}"));
    begins.iter().find_map(|begin| text.find(begin)).map_or(text, |at| &text[..at])
}

/// The code of a file of the crate: no comments, no tests.
fn code(path: &str) -> String {
    let text = read(path);
    before_tests(&text)
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .fold(String::new(), |all, line| all + line + "\n")
}

/// The files of the crate without test files, with their code.
fn sources() -> Vec<(String, String)> {
    rust_files("src").into_iter().filter(|path| !is_test(path)).map(|path| (path.clone(), code(&path))).collect()
}

/// The part of the crate that a file belongs to: `src/plan/join/mod.rs` is of `plan`.
fn part(path: &str) -> &str {
    let path = path.strip_prefix("src/").unwrap();
    path.split('/').next().unwrap().trim_end_matches(".rs")
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Where a name stands as a whole word and is used as a path or macro (`name::`, `name!`).
fn uses(text: &str, name: &str, then: &str) -> bool {
    let whole = |at: usize| !text[..at].ends_with(is_word);
    text.match_indices(&format!("{name}{then}")).any(|(at, _)| whole(at))
}

#[test]
fn every_part_imports_only_what_it_may() {
    let parts: BTreeSet<&str> = EDGES.iter().map(|(part, _)| *part).collect();
    for (path, text) in sources() {
        let own = part(&path);
        if matches!(own, "main" | "lib" | "cli") {
            continue;
        }
        let allowed = EDGES.iter().find(|(part, _)| *part == own).map(|(_, allowed)| *allowed);
        let allowed = allowed.unwrap_or_else(|| panic!("{path}: say in EDGES what `{own}` may import"));
        for (at, _) in text.match_indices("crate::") {
            let rest = &text[at + "crate::".len()..];
            let names: Vec<&str> = match rest.strip_prefix('{') {
                Some(group) => group.split('}').next().unwrap().split([',', '\n']).map(str::trim).collect(),
                None => vec![rest],
            };
            for name in names.into_iter().map(|name| name.split(|c| !is_word(c)).next().unwrap()) {
                let fine = name.is_empty() || name == own || allowed.contains(&name);
                assert!(fine, "{path} imports crate::{name}; `{own}` may use {allowed:?}");
                assert!(name.is_empty() || parts.contains(name), "{path}: {name} is no part of EDGES");
            }
        }
    }
}

#[test]
fn foreign_types_stop_where_they_belong() {
    let only_in = |what: &str, then: &str, places: &[&str]| {
        for (path, text) in sources() {
            let found = match what.strip_suffix('_') {
                // A group of crates; in a text it is only a name.
                Some(_) => text.match_indices(what).any(|(at, _)| {
                    let rest = text[at..].trim_start_matches(is_word);
                    !text[..at].ends_with(|c| is_word(c) || c == '"') && rest.starts_with(then)
                }),
                None => uses(&text, what, then),
            };
            assert!(!found || places.iter().any(|place| path.starts_with(place)), "{path} uses {what}{then}");
        }
    };
    only_in("aws_", "::", &["src/replica/s3/"]);
    only_in("azure_", "::", &["src/replica/azure/"]);
    only_in(
        "hyper",
        "::",
        &["src/replica/azure/", "src/transport.rs", "src/reach/", "src/daemon/http/", "src/daemon/hooks/"],
    );
    only_in("plotters", "::", &["src/daemon/http/page/chart.rs"]);
    only_in("maud", "::", &["src/daemon/http/page/"]);
    only_in("rusqlite", "::", &["src/manifest/"]);
    only_in("clap", "::", &["src/cli/"]);
    only_in("anyhow", "::", &["src/cli/", "src/main.rs"]);
    only_in("indicatif", "::", &["src/cli/"]);
    only_in("tracing_subscriber", "::", &["src/cli/"]);
    only_in("rustix", "::", &["src/replica/local/", "src/manifest/", "src/daemon/", "src/lease/clock.rs"]);
    only_in("notify", "::", &["src/replica/local/watch/"]);
    for (path, text) in sources() {
        let told = |other| format!("{path} knows {other}: replicas know one another only through the trait");
        assert!(!path.starts_with("src/replica/local/") || !text.contains("s3::"), "{}", told("s3"));
        assert!(!path.starts_with("src/replica/s3/") || !text.contains("local::"), "{}", told("local"));
        let azure = path.starts_with("src/replica/azure/");
        assert!(!azure || !["s3::", "local::"].iter().any(|other| text.contains(other)), "{}", told("another"));
    }
}

#[test]
fn decisions_know_no_disk_no_clock_no_task_and_no_log() {
    const FORBIDDEN: [&str; 10] = [
        "std::fs",
        "std::net",
        "std::env",
        "std::time",
        "std::thread",
        "tokio::",
        "futures_util::",
        "tracing::",
        "async fn",
        ".await",
    ];
    for (path, text) in sources().iter().filter(|(path, _)| matches!(part(path), "model" | "plan")) {
        for word in FORBIDDEN {
            assert!(!text.contains(word), "{path} uses {word}");
        }
    }
}

#[test]
fn one_file_prints_and_one_folder_reads_the_environment() {
    for (path, text) in sources() {
        let prints = ["print", "println", "eprint", "eprintln", "dbg"].iter().any(|name| uses(&text, name, "!("));
        let streams = ["stdout()", "stderr()"].iter().any(|name| uses(&text, name, ""));
        let looks = path == "src/cli/stderr.rs" && !prints;
        assert!(!(prints || streams) || path == "src/cli/output.rs" || looks, "{path} prints");
        let variables = ["env::var(", "env::var_os(", "env::vars("].iter().any(|name| text.contains(name));
        assert!(!variables || path.starts_with("src/cli/"), "{path} reads the environment");
    }
}

#[test]
fn files_say_what_they_are_for_and_stay_short() {
    for path in [rust_files("src"), rust_files("tests")].concat() {
        let text = read(&path);
        assert!(text.starts_with("//! "), "{path} does not begin with what it is for");
        let most = LONGER.iter().find(|(name, _)| *name == path).map_or(LONGEST, |(_, most)| *most);
        let lines = before_tests(&text).lines().count();
        assert!(
            is_test(&path) || path.starts_with("tests/") || lines <= most,
            "{path} has {lines} lines before its tests"
        );
    }
}

#[test]
fn every_integration_test_is_part_of_the_program() {
    let main = read("tests/it/main.rs");
    for entry in fs::read_dir(root().join("tests/it")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        let named = main.lines().any(|line| line.trim_end_matches(';').ends_with(&format!("mod {module}")));
        assert!(name == "main.rs" || named, "tests/it/{name} is not named in main.rs");
    }
}

/// The documents for people.
const DOCUMENTS: [&str; 25] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/README.md",
    "docs/backup.md",
    "docs/config.md",
    "docs/daemon-http.md",
    "docs/daemon.md",
    "docs/doctor.md",
    "docs/exit-codes.md",
    "docs/filters.md",
    "docs/first-push.md",
    "docs/headers.md",
    "docs/json.md",
    "docs/look.md",
    "docs/moving.md",
    "docs/permissions.md",
    "docs/projects.md",
    "docs/providers.md",
    "docs/servers.md",
    "docs/service.md",
    "docs/setup.md",
    "docs/symlinks.md",
    "docs/verify.md",
];

/// Texts between backticks on one line; fenced blocks are left out.
fn quoted(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found
}

/// Command lines in fenced blocks: `$ mediasync ...` and lines that begin with the name.
fn command_lines(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            let line = line.trim_start_matches("$ ");
            found.extend(
                line.strip_prefix("mediasync ")
                    .map(|_| line.split(" #").next().and_then(|line| line.split(" |").next()).unwrap()),
            );
        }
    }
    found
}

#[test]
fn documented_command_lines_can_be_typed() {
    let mut seen = 0;
    for path in DOCUMENTS {
        let text = read(path);
        for line in command_lines(&text) {
            let words = line.split_whitespace().map(|word| word.trim_matches('\''));
            let parsed = Cli::try_parse_from(words);
            assert!(parsed.is_ok(), "{path}: {line}\n{}", parsed.err().unwrap());
            seen += 1;
        }
    }
    assert!(seen > 5, "the README has examples");
}

/// The fenced blocks of a language, each with the line that it begins after.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut fence: Option<&'t str> = None;
    for (number, line) in text.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), fence) {
            (Some(_), Some(_)) => fence = None,
            (Some(begun), None) => {
                fence = Some(begun);
                found.extend((begun == language).then(|| (number + 1, String::new())));
            }
            (None, Some(begun)) if begun == language => {
                found.last_mut().expect("a block began").1.extend([line, "\n"]);
            }
            (None, _) => {}
        }
    }
    found
}

#[test]
fn documented_configurations_have_no_mistakes() {
    let mut jobs = 0;
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let path = Path::new("docs").join(entry.unwrap().file_name());
        let is_document = path.extension().is_some_and(|extension| extension == "md");
        assert!(!is_document || DOCUMENTS.iter().any(|known| path == Path::new(known)), "{path:?} is not checked");
    }
    for path in DOCUMENTS {
        for (line, text) in blocks(&read(path), "toml") {
            let config = Config::parse(&text, Path::new("/etc/mediasync/config.toml"));
            jobs += config.unwrap_or_else(|mistakes| panic!("{path}, after line {line}: {mistakes:?}")).jobs.len();
        }
    }
    assert!(jobs >= 2, "the README has examples");
    // Its examples are comments.
    let example = read("config.example.toml");
    let parsed = Config::parse(&example, Path::new("/etc/mediasync/config.toml"));
    assert_eq!(parsed.unwrap().jobs.len(), 1);
}

#[test]
fn documented_commands_and_flags_exist() {
    let command = Cli::command();
    let commands: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
    let below = command.get_subcommands().flat_map(Command::get_subcommands);
    let all = command.get_subcommands().chain(below).chain([&command]).flat_map(Command::get_arguments);
    let flags: BTreeSet<String> = all.filter_map(|arg| arg.get_long()).map(|long| format!("--{long}")).collect();
    // Flags of other programs that the documents name.
    let others = "--help --release --lib --test --all-targets --ignored --check --no-deps --doc";
    // Those that docs/moving.md translates.
    let moved_from = "--backup-dir --checksum --copy-links --dryrun --endpoint-url --exact-timestamps --fast-list --filter --links \
                      --profile --size-only --transfers";
    let others: Vec<&str> = others.split_whitespace().chain(moved_from.split_whitespace()).collect();
    for path in DOCUMENTS {
        let text = read(path);
        for quote in quoted(&text).into_iter().filter(|quote| !quote.starts_with("cargo ")) {
            let words: Vec<&str> = quote.split_whitespace().collect();
            if let ["mediasync", name, ..] = words[..]
                && name.starts_with(|c: char| c.is_ascii_lowercase())
            {
                assert!(commands.contains(&name), "{path} names the command {name}");
            }
            for word in words.iter().filter(|word| word.starts_with("--") && word.len() > 2) {
                let flag = word.split('=').next().unwrap().trim_end_matches(['.', ',']);
                assert!(flags.contains(flag) || others.contains(&flag), "{path} names the flag {flag}");
            }
        }
    }
}

#[test]
fn the_architecture_names_what_exists() {
    let text = read("ARCHITECTURE.md");
    let all: String = [rust_files("src"), rust_files("tests")].concat().iter().map(|path| read(path)).collect();
    let mut tests = 0;
    for quote in quoted(&text) {
        // Names of tests are sentences.
        if quote.matches('_').count() >= 3 && quote.chars().all(|c| is_word(c) && !c.is_ascii_uppercase()) {
            assert!(all.contains(&format!("fn {quote}(")), "ARCHITECTURE.md names the test {quote}");
            tests += 1;
        }
        let is_path = quote.starts_with("src/") || quote.starts_with("tests/") || quote.starts_with("docs/");
        assert!(!is_path || root().join(quote).exists(), "ARCHITECTURE.md names {quote}");
    }
    assert!(tests > 30, "invariants come with the tests that check them");
}

#[test]
fn every_dependency_has_its_reason_in_the_architecture() {
    let manifest = read("Cargo.toml");
    let text = read("ARCHITECTURE.md");
    let mut inside = false;
    let mut seen = 0;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = matches!(line, "[dependencies]" | "[dev-dependencies]");
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| inside) {
            assert!(text.contains(&format!("`{name}`")), "ARCHITECTURE.md gives no reason for {name}");
            seen += 1;
        }
    }
    assert!(seen > 20);
}

#[test]
fn the_whole_list_of_junk_is_documented() {
    let text = read("docs/filters.md");
    let rows = JUNK_FILES.iter().chain(JUNK_DIRECTORIES).map(|(_, _, row)| *row).chain(JUNK_AT_ROOT.iter().copied());
    for row in rows {
        let shown = format!("`{}`", row.escape_debug());
        assert!(text.contains(&shown), "docs/filters.md does not list {shown}");
    }
}
