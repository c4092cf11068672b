//! Files, their mistakes and the example.

use super::*;
use crate::model::Rule;
use crate::plan::Limit;

fn parse(text: &str) -> Result<Config, String> {
    let told = |found: Vec<Mistake>| found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    Config::parse(text, Path::new("/project/mediasync.toml")).map_err(told)
}

#[test]
fn a_full_file_is_read() {
    let config = parse(
        r#"
[state]
dir = "state"

[remote.live]
dsn = "env:DEFAULT_STORAGE_DSN"
access = "confirm"
acl = "public-read"

[remote.backup]
url = "s3://bucket/prefix"
endpoint = "https://minio.example.com"
region = "eu-central-1"
addressing = "path"
access_key = "AKIA"
secret_key = "env:BACKUP_SECRET"

[[job]]
name = "media"
source = "/data/media"
destination = "live:"
mode = "copy"
delete = true
include = ["*.jpg"]
exclude = ["*.tmp", "cache/"]
no_default_excludes = true
max_delete = "10%"
max_overwrite = 7
min_size = 1
max_size = "1GiB"
concurrency = 8
file_mode = "0640"
symlinks = "follow"
dir_mode = "0750"
owner = "www-data"
reserve = "2GB"
bwlimit = "2MiB"
overwrite = true
compare = "download"
trash = "7d"
"#,
    )
    .unwrap();
    assert_eq!(config.state_dir, Some(PathBuf::from("/project/state")));
    assert_eq!(config.secrets, Inline::None);
    assert_eq!(config.remotes["live"].access, Access::Confirm);
    assert_eq!(config.remotes["live"].acl.as_deref(), Some("public-read"));
    assert_eq!(config.remotes["backup"].access, Access::Write);
    let RemoteAt::Url(url) = &config.remotes["backup"].at else { panic!("not a URL") };
    assert_eq!(url.addressing, Addressing::Path);
    let job = config.job("media").unwrap();
    assert_eq!((job.mode, job.line), (Mode::CopyAndDelete, 18));
    let expected = Options {
        filter: FilterRules {
            rules: vec![Rule::Include("*.jpg".into()), Rule::Exclude("*.tmp".into()), Rule::Exclude("cache/".into())],
            junk: Junk::Take,
            sizes: SizeLimits { min: Some(1), max: Some(1 << 30) },
        },
        max_delete: Budget::ThisRun(Limit::Percent(10.0)),
        max_overwrite: Budget::ThisRun(Limit::Keys(7)),
        concurrency: 8,
        bwlimit: Some(2 << 20),
        on_conflict: OnConflict::SourceWins,
        compare: Compare::Download,
        trash: Keep::Seconds(7 * 24 * 3600),
        files: Files {
            file_mode: Some(0o640),
            dir_mode: Some(0o750),
            owner: Some((Some("www-data".into()), None)),
            reserve: Some(2_000_000_000),
            symlinks: Symlinks::Follow,
        },
    };
    assert_eq!(job.options, expected);
}

#[test]
fn all_mistakes_are_told_at_once_with_line_key_and_way_out() {
    let told = parse(
        r#"
[sate]
dir = "x"
[remote.live]
dsn = 5
acess = "confirm"
[remote.two]
dsn = "env:A"
url = "s3://b"
[remote.x]
url = "s3://b"
access_key = "AKIA"
addressing = "sideways"
[[job]]
source = "/data/media"
destination = "live:"
mode = "mirror"
delete = false
watch = true
[[job]]
name = "b"
source = ""
mode = "two-way"
concurrency = 0
bwlimit = 5
max_delete = ["a"]
exclude = "*.tmp"
[[job]]
name = "b"
source = "a"
destination = "b"
mode = "cpoy"
min_size = "2MiB"
max_size = "1MiB"
[http]
listen = "x"
"#,
    )
    .unwrap_err();
    let expected = r#"line 2: sate: unknown key; did you mean "state"?
line 5: remote.live.dsn: expected text in quotes, found a number
line 6: remote.live.acess: unknown key; did you mean "access"?
line 8: remote.two: has both dsn and url; keep one of them
line 10: remote.x: a remote's name has letters, digits, - and _ only, and at least two of them
line 12: remote.x.access_key: needs secret_key beside it
line 13: remote.x.addressing: "sideways" is not one of: auto, path, virtual
line 14: job[1].name: is missing; write name = "media"
line 18: job[1].delete: a mirror always deletes; to keep files use mode = "copy"
line 19: job[1].watch: comes with the daemon, which this version does not have
line 20: job.b.source: is empty; write source = "/data/media"
line 20: job.b.destination: is missing; write destination = "live:"
line 24: job.b.concurrency: "0" is not a number from 1 to 512
line 25: job.b.bwlimit: "5" has no unit; write 5KiB, 5MiB or 5GiB
line 26: job.b.max_delete: expected a number like 100 or a share like "10%", found a list
line 27: job.b.exclude: expected a list of texts like ["*.tmp"], found text
line 28: job.b.name: the job of line 20 has this name too
line 28: job.b.min_size: is larger than max_size: nothing would be in scope
line 32: job.b.mode: "cpoy" is not one of: copy, mirror, two-way
line 35: http: comes with the daemon, which this version does not have"#;
    assert_eq!(told, expected);
}

#[test]
fn who_wins_a_conflict_goes_with_the_mode() {
    let job = |mode: &str, more: &str| {
        parse(&format!("[[job]]\nname = \"a\"\nsource = \"x\"\ndestination = \"y\"\nmode = \"{mode}\"\n{more}\n"))
    };
    let policies = [
        ("report", OnConflict::Report),
        ("source", OnConflict::SourceWins),
        ("destination", OnConflict::DestWins),
        ("newer", OnConflict::Newer),
        ("keep-both", OnConflict::KeepBoth),
    ];
    for (word, policy) in policies {
        let more = format!("on_conflict = \"{word}\"");
        let two_way = job("two-way", &more).unwrap();
        assert_eq!((two_way.jobs[0].mode, two_way.jobs[0].options.on_conflict), (Mode::TwoWay, policy));
        let both = matches!(policy, OnConflict::Report | OnConflict::SourceWins);
        assert_eq!(job("copy", &more).is_ok(), both, "{word}");
        assert_eq!(job("mirror", &more).is_ok(), policy == OnConflict::SourceWins, "{word}");
    }
    assert!(job("copy", "on_conflict = \"newer\"").unwrap_err().contains("mode = \"two-way\""));
    assert!(job("copy", "on_conflict = \"report\"\noverwrite = true").unwrap_err().contains("write on_conflict alone"));
    assert!(job("copy", "on_conflict = \"latest\"").unwrap_err().contains("is not one of: report, newer, source"));
    assert!(job("two-way", "delete = false").unwrap_err().contains("always deletes"));
    assert_eq!(job("two-way", "delete = true").unwrap().jobs[0].options.on_conflict, OnConflict::Report);
    assert_eq!(job("two-way", "overwrite = true").unwrap().jobs[0].options.on_conflict, OnConflict::SourceWins);
}

#[test]
fn two_jobs_of_one_name_are_refused() {
    let job = "[[job]]\nname = \"a\"\nsource = \"x\"\ndestination = \"y\"\nmode = \"copy\"\n";
    let told = parse(&format!("{job}{job}")).unwrap_err();
    assert_eq!(told, "line 6: job.a.name: the job of line 1 has this name too");
}

#[test]
fn syntax_mistakes_have_lines_and_never_show_the_line_itself() {
    let told = parse("[remote.live]\nsecret_key = hunter2 \"\naccess_key =\n").unwrap_err();
    assert!(told.lines().count() >= 2, "{told}");
    assert!(told.starts_with("line 2: "), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn secrets_in_the_file_are_noticed_and_never_shown() {
    for text in [
        "[remote.live]\ndsn = \"s3://AKIA:hunter2@bucket.s3.amazonaws.com\"\n",
        "[remote.live]\nurl = \"s3://b\"\naccess_key = \"AKIA\"\nsecret_key = \"hunter2\"\n",
        "[remote.live]\nurl = \"az://acct/media\"\naccount_key = \"hunter2\"\n",
        "[remote.live]\nurl = \"az://acct/media\"\nsas_token = \"sv=1&sig=hunter2\"\n",
        "[[job]]\nname = \"a\"\nsource = \"x\"\ndestination = \"s3://AKIA:hun/ter2@b.s3.amazonaws.com\"\nmode = \"copy\"\n",
    ] {
        let config = parse(text).unwrap();
        assert_eq!(config.secrets, Inline::Secrets, "{text}");
        assert!(!format!("{config:?}").contains("ter2"), "{config:?}");
    }
}

#[test]
fn a_secret_of_the_wrong_type_or_place_stays_out_of_the_mistake() {
    let told = parse("[remote.live]\ndsn = [\"s3://AKIA:hunter2@b.host\"]\nsecret_key = \"hunter2\"\n").unwrap_err();
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = parse("").unwrap();
    assert!(config.jobs.is_empty() && config.remotes.is_empty() && config.state_dir.is_none());
}

#[test]
fn a_key_with_a_line_break_does_not_forge_a_line() {
    let told = parse("\"a\\nline 9: b\" = 1\n").unwrap_err();
    assert_eq!(told.lines().count(), 1, "{told}");
}

/// The example with every commented key made active. Prose lines begin with `# `, keys with `#key` or `#[table]`.
fn example(active: impl Fn(&str) -> bool) -> String {
    let line = |line: &'static str| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') && active(key) => key,
        _ => line,
    };
    include_str!("../../config.example.toml").lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_as_it_stands_is_one_job_with_the_defaults() {
    let config = parse(&example(|_| false)).unwrap();
    assert!(config.remotes.is_empty());
    let [job] = &config.jobs[..] else { panic!("{:?}", config.jobs) };
    assert_eq!((job.source.reveal(), job.destination.reveal()), ("examples/media", "examples/backup"));
    assert_eq!((job.mode, &job.options), (Mode::Copy, &Options::default()));
}

#[test]
fn every_default_that_the_example_states_is_the_default() {
    let without_default = [
        "exclude",
        "include",
        "max_delete",
        "max_overwrite",
        "min_size",
        "max_size",
        "bwlimit",
        "file_mode",
        "dir_mode",
        "owner",
        "reserve",
    ];
    let shown = example(|key| {
        let name = key.split(' ').next().unwrap_or(key);
        job::KEYS.known.contains(&name) && !without_default.contains(&name)
    });
    let job = parse(&shown).unwrap().jobs.remove(0);
    assert_eq!((job.mode, job.options), (Mode::Copy, Options::default()));
    let mut remote =
        example(|key| key.starts_with("[remote.live]") || key.starts_with("dsn ") || key.starts_with("access "));
    remote.push('\n');
    assert_eq!(parse(&remote).unwrap().remotes["live"].access, ACCESS);
}

#[test]
fn the_example_names_every_key_and_its_commented_keys_are_right() {
    // A profile and keys exclude one another, and so do a key and a signature.
    let config = parse(&example(|key| !key.starts_with("profile") && !key.starts_with("sas_token"))).unwrap();
    assert_eq!(config.remotes.len(), 4);
    let no_keys = |key: &str| !["access_key", "secret_key", "account_key"].iter().any(|no| key.starts_with(no));
    parse(&example(no_keys)).unwrap();
    let text = include_str!("../../config.example.toml");
    for key in job::KEYS.known.iter().chain(remote::KEYS.known).chain(STATE.known) {
        let named = text.lines().any(|line| line.trim_start_matches('#').starts_with(&format!("{key} = ")));
        assert!(named, "{key} is missing in config.example.toml");
    }
}

#[test]
fn a_remote_that_nobody_defined_is_told_with_the_other_mistakes() {
    let told = parse(
        r#"
[remote.live]
dsn = 5

[remote.backup]
url = "s3://b"

[[job]]
name = "one"
source = "liev:photos"
destination = "live:"
mode = "copi"

[[job]]
name = "two"
source = "/data/a:b"
destination = "elsewhere:x"
mode = "copy"

[[job]]
name = "three"
source = "./c:d"
destination = "KEY:SECRET@bucket/x"
mode = "copy"
"#,
    )
    .unwrap_err();
    let expected = "line 3: remote.live.dsn: expected text in quotes, found a number
line 10: job.one.source: no remote is called \"liev\"; did you mean \"live:\"?
line 12: job.one.mode: \"copi\" is not one of: copy, mirror, two-way
line 17: job.two.destination: no remote is called \"elsewhere\"; known are live, backup";
    assert_eq!(told, expected);
}
