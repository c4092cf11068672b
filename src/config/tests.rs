//! Files, their mistakes and the example.

use std::time::Duration;

use super::*;
use crate::model::{Rule, Style, StyleRule};
use crate::plan::Limit;
use crate::replica::throttle::Hours;
use crate::schedule::Schedule;

fn parse(text: &str) -> Result<Config, String> {
    let told = |found: Vec<Mistake>| found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    Config::parse(text, Path::new("/project/mediasync.toml")).map_err(told)
}

fn svg_rule() -> StyleRule {
    let content_type = Some("image/svg+xml".to_owned());
    let metadata = [("author".to_owned(), "me".to_owned())].into();
    StyleRule { glob: "*.svg".to_owned(), style: Style { content_type, metadata, ..Style::default() } }
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
[[job.header]]
match = "*.svg"
content_type = "image/svg+xml"
metadata = { Author = "me" }
"#,
    )
    .unwrap();
    assert_eq!(config.state_dir, Some(PathBuf::from("/project/state")));
    assert_eq!(config.secrets, Inline::None);
    assert_eq!(config.remotes["live"].access, Access::Confirm);
    assert_eq!(config.remotes["live"].acl, Some(AclRule::Canned("public-read".to_owned())));
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
        bwlimit: Some(Timetable::always(Some(2 << 20))),
        timezone: None,
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
        headers: vec![svg_rule()],
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
wach = true
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
line 19: job[1].wach: unknown key; did you mean "watch"?
line 20: job.b.source: is empty; write source = "/data/media"
line 20: job.b.destination: is missing; write destination = "live:"
line 24: job.b.concurrency: "0" is not a number from 1 to 512
line 25: job.b.bwlimit: "5" has no unit; write 5KiB, 5MiB or 5GiB
line 26: job.b.max_delete: expected a number like 100 or a share like "10%", found a list
line 27: job.b.exclude: expected a list of texts like ["*.tmp"], found text
line 28: job.b.name: the job of line 20 has this name too
line 28: job.b.min_size: is larger than max_size: nothing would be in scope
line 32: job.b.mode: "cpoy" is not one of: copy, mirror, two-way
line 36: http.listen: "x" is no address with a port; write "127.0.0.1:9797" or "[::1]:9797""#;
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

fn job(more: &str) -> Result<Job, String> {
    let text = format!("[[job]]\nname = \"a\"\nsource = \"x\"\ndestination = \"s3://b\"\nmode = \"copy\"\n{more}\n");
    parse(&text).map(|mut config| config.jobs.remove(0))
}

fn times(hours: u64, minutes: u64) -> Duration {
    Duration::from_secs(hours * 3600 + minutes * 60)
}

#[test]
fn what_the_daemon_reads_is_read() {
    let config = parse(
        r#"
[daemon]
transfers = 8
bwlimit = ["08:00-18:00 2MiB", "22:00-06:00 off", "5MB"]
timezone = "Europe/Zurich"
shutdown_deadline = "45s"

[http]
listen = "[::1]:9797"

[notify]
webhook = "https://hooks.example.com/T/hunter2"
ping = "env:PING_URL"
command = ["/usr/local/bin/tell", "--all"]
on = ["halt", "failure", "halt"]

[[job]]
name = "media"
source = "/data/media"
destination = "s3://b"
mode = "copy"
watch = true
cron = "0  3 * * *"
max_age = "26h"
full_scan_interval = "30m"
full_listing_interval = "2d"
lease = true
bwlimit = ["12:00-13:00 off", "1MiB"]

[[job]]
name = "other"
source = "/data/other"
destination = "s3://other"
mode = "copy"
every = "15m"
timezone = "America/New_York"
"#,
    )
    .unwrap();
    let zone = |name: &str| crate::schedule::zone(name).unwrap();
    let hours = |from: u16, until: u16, rate| Hours { from: from * 60, until: until * 60, rate };
    let expected = Daemon {
        transfers: 8,
        bwlimit: Some(Timetable::new(vec![hours(8, 18, Some(2 << 20)), hours(22, 6, None)], Some(5_000_000))),
        timezone: Some(zone("Europe/Zurich")),
        shutdown_deadline: Duration::from_secs(45),
    };
    assert_eq!(config.daemon, expected);
    assert_eq!(config.http.unwrap().listen.to_string(), "[::1]:9797");
    let notify = config.notify.as_ref().unwrap();
    assert_eq!(notify.webhook.as_ref().unwrap().reveal(), "https://hooks.example.com/T/hunter2");
    assert_eq!(notify.ping.as_ref().unwrap().reveal(), "env:PING_URL");
    assert_eq!(notify.command.as_deref(), Some(&["/usr/local/bin/tell".to_owned(), "--all".to_owned()][..]));
    assert_eq!(notify.on, [NotifyOn::Halt, NotifyOn::Failure]);
    assert_eq!(config.secrets, Inline::Secrets);
    assert!(!format!("{config:?}").contains("hunter2"));
    let expected = JobDaemon {
        watch: true,
        schedule: Some(Schedule::cron("0 3 * * *", zone("Europe/Zurich")).unwrap()),
        max_age: Some(times(26, 0)),
        full_scan_interval: times(0, 30),
        full_listing_interval: times(48, 0),
        lease: true,
    };
    assert_eq!(config.jobs[0].daemon, expected);
    assert_eq!(config.jobs[0].options.timezone, Some(zone("Europe/Zurich")));
    let table = Timetable::new(vec![hours(12, 13, None)], Some(1 << 20));
    assert_eq!(config.jobs[0].options.bwlimit, Some(table));
    let other = &config.jobs[1];
    assert_eq!(other.daemon.schedule, Some(Schedule::Every(times(0, 15))));
    assert_eq!(other.options.timezone, Some(zone("America/New_York")));
}

#[test]
fn without_a_word_the_daemon_leaves_a_job_alone_and_listens_to_nobody() {
    let config = parse("").unwrap();
    assert_eq!((config.daemon, config.http, config.notify), (Daemon::default(), None, None));
    let job = job("").unwrap();
    assert_eq!(job.daemon, JobDaemon::default());
    assert_eq!((job.daemon.watch, job.daemon.lease, job.daemon.max_age), (false, false, None));
    let notify = parse("[notify]\ncommand = [\"tell\"]\n").unwrap();
    assert_eq!(notify.secrets, Inline::None);
    assert_eq!(notify.notify.unwrap().on, [NotifyOn::Failure, NotifyOn::Halt, NotifyOn::Recovery]);
}

#[test]
fn a_job_is_stale_half_a_period_after_it_should_have_run() {
    for (keys, expected) in [
        ("every = \"5m\"", times(0, 15)),
        ("every = \"1h\"", times(1, 30)),
        ("watch = true", times(1, 30)),
        ("watch = true\nevery = \"5m\"", times(0, 15)),
        ("watch = true\nfull_scan_interval = \"10h\"\ncron = \"0 0 1 * *\"", times(15, 0)),
        ("cron = \"0 3 * * *\"", times(36, 0)),
        ("cron = \"0 3 * * 0\"", times(7 * 24 + 12, 0)),
        // From Friday 18:59 to Monday 08:00.
        ("cron = \"* 8-18 * * 1-5\"", times(61 + 12, 1)),
        ("cron = \"0 3 * * 0\"\nmax_age = \"10d\"", times(240, 0)),
        ("max_age = \"1d\"", times(24, 0)),
    ] {
        assert_eq!(job(keys).unwrap().daemon.max_age, Some(expected), "{keys}");
    }
}

#[test]
fn variables_of_a_remote_are_refused_with_what_to_write_instead() {
    for (table, key) in
        [("[remote.live.env]\nAWS_PROFILE = \"x\"", "env"), ("environment = [\"A=hunter2\"]", "environment")]
    {
        let text = format!("[remote.live]\ndsn = \"env:LIVE\"\n{table}\n");
        let mistakes = Config::parse(&text, Path::new("/c.toml")).unwrap_err();
        let told = mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(
            told.starts_with(&format!("line 3: remote.live.{key}: a remote has no variables of its own; ")),
            "{told}"
        );
        assert!(
            told.contains("secret_key = \"credential:NAME\"") && told.contains("[\"env\", \"NAME=VALUE\""),
            "{told}"
        );
        assert!(!told.contains("hunter2") && mistakes.len() == 1, "{told}");
    }
}

#[test]
fn mistakes_about_the_daemon_have_lines_keys_and_ways_out() {
    for (text, expected) in [
        ("[daemon]\ntransfer = 8", "line 2: daemon.transfer: unknown key; did you mean \"transfers\"?"),
        ("[daemon]\ntransfers = 0", "line 2: daemon.transfers: \"0\" is not a number from 1 to 512"),
        (
            "[daemon]\nshutdown_deadline = \"0s\"",
            "line 2: daemon.shutdown_deadline: \"0s\" is no time at all; write it like 30s, 15m, 12h or 2d",
        ),
        (
            "[daemon]\ntimezone = \"Mars/Base\"",
            "line 2: daemon.timezone: \"Mars/Base\" is no time zone that this machine knows; write one like Europe/Zurich or UTC",
        ),
        (
            "[daemon]\nbwlimit = [\"off\", \"2MiB\"]",
            "line 2: daemon.bwlimit: \"off\" has no times, and only the last entry may have none; write it like 08:00-18:00 2MiB",
        ),
        (
            "[daemon]\nbwlimit = [2]",
            "line 2: daemon.bwlimit: expected a rate like \"2MiB\", or a list like [\"08:00-18:00 2MiB\", \"off\"], found a list",
        ),
        ("[http]", "line 1: http.listen: is missing; write listen = \"127.0.0.1:9797\""),
        (
            "[http]\nlisten = \"0.0.0.0:9797\"",
            "line 2: http.listen: \"0.0.0.0:9797\" is no loopback address: the pages name files, and nobody is asked for a password; write \"127.0.0.1:9797\", and put a proxy that asks for one before it",
        ),
        (
            "[notify]\non = [\"halt\"]",
            "line 1: notify: tells nobody: write webhook, ping or command, or remove the table",
        ),
        ("[notify]\ncommand = []", "line 2: notify.command: names no program: write [\"PROGRAM\", \"ARGUMENT\"]"),
        (
            "[notify]\nping = \"https://a.b\"\non = [\"success\"]",
            "line 3: notify.on: \"success\" is not one of: failure, halt, recovery",
        ),
        (
            "[notify]\nping = \"https://a.b\"\non = []",
            "line 3: notify.on: is empty; name some of: failure, halt, recovery",
        ),
        (
            "[notify]\nwebhook = \"ftp://hunter2\"",
            "line 2: notify.webhook: is no URL; write it like \"https://example.com/path\", \"env:NAME\" for one in a variable, or \"credential:NAME\" for a credential of the service",
        ),
    ] {
        assert_eq!(parse(text).unwrap_err(), expected, "{text}");
    }
    for (keys, expected) in [
        ("every = \"15\"", "line 6: job.a.every: \"15\" is not a time; write it like 30s, 15m, 12h or 2d"),
        ("every = 15", "line 6: job.a.every: \"15\" is not a time; write it like 30s, 15m, 12h or 2d"),
        ("every = \"1h\"\ncron = \"0 3 * * *\"", "line 1: job.a.cron: goes without every; keep one of them"),
        (
            "cron = \"0 25 * * *\"",
            "line 6: job.a.cron: \"0 25 * * *\" is no cron line: value must be in range 0..=23; found 25; write it like \"0 3 * * *\", for 03:00 each day",
        ),
        (
            "full_scan_interval = \"1h\"",
            "line 1: job.a.full_scan_interval: goes with watch = true: without it each run looks at all",
        ),
        ("lease = \"yes\"", "line 6: job.a.lease: expected true or false, found text"),
        ("watch = 1", "line 6: job.a.watch: expected true or false, found a number"),
    ] {
        assert_eq!(job(keys).unwrap_err(), expected, "{keys}");
    }
}

#[test]
fn only_a_directory_can_be_watched() {
    let watched = |source: &str, destination: &str, mode: &str| {
        let text = format!(
            "[remote.live]\ndsn = \"env:DSN\"\n[[job]]\nname = \"a\"\nsource = {source:?}\ndestination = {destination:?}\nmode = {mode:?}\nwatch = true\n"
        );
        parse(&text).map(|config| assert!(config.jobs[0].daemon.watch))
    };
    for (source, destination, mode) in [
        ("/data", "s3://b", "copy"),
        ("file:///data", "s3://b", "mirror"),
        ("./s3://x", "s3://b", "copy"),
        ("s3://b", "/data", "two-way"),
        ("/data", "s3://b", "two-way"),
        // A remote or a variable can hold a directory: that is seen when it runs.
        ("live:", "/data", "copy"),
        ("env:DSN", "s3://b", "copy"),
    ] {
        assert_eq!(watched(source, destination, mode), Ok(()), "{source} {destination} {mode}");
    }
    let told = watched("s3://b", "/data", "mirror").unwrap_err();
    let expected =
        "line 8: job.a.watch: needs a directory to watch, and the source is a bucket; write every = \"15m\" instead";
    assert_eq!(told, expected);
    assert!(watched("s3://b", "az://c/d", "two-way").unwrap_err().contains("both sides are buckets"));
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
    let shown = example(|key| {
        let name = key.split(' ').next().unwrap_or(key);
        // Those two go with watch = true.
        let known = job::KEYS.known.iter().find(|key| key.name == name && !name.starts_with("full_"));
        known.is_some_and(|key| !matches!(key.otherwise, Otherwise::Unset(_)))
    });
    let job = parse(&shown).unwrap().jobs.remove(0);
    assert_eq!((job.mode, job.options, job.daemon), (Mode::Copy, Options::default(), JobDaemon::default()));
    let mut remote =
        example(|key| key.starts_with("[remote.live]") || key.starts_with("dsn ") || key.starts_with("access "));
    remote.push('\n');
    assert_eq!(parse(&remote).unwrap().remotes["live"].access, ACCESS);
}

#[test]
fn the_example_names_every_key_and_its_commented_keys_are_right() {
    // A profile and keys exclude one another, and so do a key and a signature, and both kinds of schedules.
    let without = |keys: &[&str]| {
        let keys = keys.to_vec();
        parse(&example(move |line| !keys.iter().any(|key| line.starts_with(&format!("{key} "))))).unwrap()
    };
    let config = without(&["profile", "sas_token", "cron"]);
    assert_eq!(config.remotes.len(), 4);
    assert_eq!(config.daemon.shutdown_deadline, SHUTDOWN_DEADLINE);
    assert_eq!(config.daemon.transfers, TRANSFERS);
    let job = &config.jobs[0].daemon;
    assert_eq!((job.full_scan_interval, job.full_listing_interval), (FULL_SCAN_INTERVAL, FULL_LISTING_INTERVAL));
    assert_eq!(config.notify.unwrap().on.len(), 3);
    without(&["access_key", "secret_key", "account_key", "every"]);
    let text = include_str!("../../config.example.toml");
    let mut todo = vec![&TOP];
    let mut keys = Vec::new();
    while let Some(table) = todo.pop() {
        for key in table.known {
            match key.takes {
                Takes::Table(inner) | Takes::Named(inner) | Takes::Tables(inner) => todo.push(inner),
                _ => keys.push(key.name),
            }
        }
    }
    assert!(keys.len() > 50);
    for key in keys {
        let named = text.lines().any(|line| line.trim_start_matches('#').starts_with(&format!("{key} = ")));
        assert!(named, "{key} is missing in config.example.toml");
    }
}

#[test]
fn a_word_that_places_begin_with_is_no_name_of_a_remote() {
    for name in ["az", "credential", "dsn-file", "env", "file", "http", "https", "s3"] {
        let told = parse(&format!("[remote.{name}]\ndsn = \"env:DSN\"\n")).unwrap_err();
        assert!(told.contains(&format!("remote.{name}: {name:?} is a word that places begin with")), "{told}");
        assert!(told.contains("choose another name") && !told.contains("two of them"), "{told}");
    }
    assert!(parse("[remote.az1]\ndsn = \"env:DSN\"\n").is_ok());
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

/// All tables of the file that have keys: a header, what else they need, and their keys.
fn tables() -> [(&'static str, &'static Keys); 6] {
    [
        ("[state]", &STATE),
        ("[daemon]", &daemon::DAEMON),
        ("[http]", &daemon::HTTP),
        ("[notify]", &daemon::NOTIFY),
        ("[remote.live]\nurl = \"s3://b\"", &remote::KEYS),
        ("[[job]]\nname = \"a\"\nsource = \"/x\"\ndestination = \"/y\"\nmode = \"copy\"", &job::KEYS),
    ]
}

#[test]
fn the_words_that_are_told_are_those_that_are_taken() {
    let mut seen = 0;
    for (header, keys) in tables() {
        for key in keys.known {
            let (words, wrong) = match key.takes {
                Takes::Word(words) => (words, "\"?\""),
                Takes::Words(words) => (words, "[\"?\"]"),
                _ => continue,
            };
            let header = header.replace("\nmode = \"copy\"", if key.name == "mode" { "" } else { "\nmode = \"copy\"" });
            let told = parse(&format!("{header}\n{} = {wrong}\n", key.name)).unwrap_err();
            let expected = format!("\"?\" is not one of: {}", words.join(", "));
            assert!(told.lines().any(|line| line.ends_with(&expected)), "{}: {told}", key.name);
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen}");
}

#[test]
fn the_defaults_that_are_told_are_those_that_hold() {
    let mut seen = 0;
    for (header, keys) in tables() {
        let needed = ["[http]\nlisten = \"127.0.0.1:1\"", "[notify]\nping = \"env:PING\""];
        let header = needed.into_iter().find(|with| with.starts_with(header)).unwrap_or(header);
        let without = parse(&format!("{header}\n")).unwrap();
        for key in keys.known {
            let Otherwise::Value(value) = key.otherwise else { continue };
            // Two intervals go with watching.
            let watch = if key.name.starts_with("full_") { "watch = true\n" } else { "" };
            let without =
                if watch.is_empty() { without.clone() } else { parse(&format!("{header}\n{watch}")).unwrap() };
            assert_eq!(parse(&format!("{header}\n{watch}{} = {value}\n", key.name)).unwrap(), without, "{}", key.name);
            seen += 1;
        }
    }
    assert!(seen >= 12, "{seen}");
}

#[test]
fn what_is_told_of_a_file_holds_no_secret() {
    let text = "[notify]\nwebhook = \"https://hooks.example.com/hunter2\"\ncommand = [\"tell\", \"hunter2\"]\n\n\
        [remote.live]\ndsn = \"s3://AKIA:hun/ter2@bucket.s3.amazonaws.com\"\n\n\
        [remote.told]\ndsn_command = [\"sh\", \"-c\", \"echo hunter2\"]\n\n\
        [remote.keys]\nurl = \"s3://b\"\naccess_key = \"env:KEY\"\nsecret_key = \"hunter2\"\n\n\
        [[job]]\nname = \"a\"\nsource = \"az://acct:hunter2@blob.core.windows.net/media\"\ndestination = \"/y\"\n";
    let told = told::tell(text).unwrap();
    assert!(!format!("{told:?}").contains("ter2"), "{told:?}");
    let section = |path: &str| told.iter().find(|section| section.path == path).unwrap();
    assert_eq!(section("remote.live").text("dsn"), Some("s3://***@bucket.s3.amazonaws.com"));
    assert_eq!(section("remote.keys").text("access_key"), Some("env:KEY"));
    assert_eq!(section("job.a").text("source"), Some("az://***@blob.core.windows.net/media"));
    let given = section("remote.keys").value("secret_key").unwrap().given.clone().unwrap();
    assert_eq!((given.line, given.column), (14, 14));
}

#[test]
fn mistakes_about_header_rules_have_lines_keys_and_ways_out() {
    let job = "[[job]]\nname = \"a\"\nsource = \"/a\"\ndestination = \"/b\"\nmode = \"copy\"\n[[job.header]]\n";
    for (text, expected) in [
        (
            "cache_control = \"x\"",
            "line 6: job.a.header[1].match: is missing; write match = \"*.jpg\", or \"*\" for all",
        ),
        ("match = \"*\"", "line 6: job.a.header[1]: says nothing about what it matches; add cache_control"),
        ("match = \"a//b\"\nacl = \"private\"", "line 7: job.a.header[1].match: the pattern `a//b` can't be used"),
        ("match = \"*\"\ncache-control = \"x\"", "cache-control: unknown key; did you mean \"cache_control\"?"),
        ("glob = \"*\"", "glob: unknown key; write match = \"*.jpg\""),
        ("match = \"*\"\ncontent_type = \"svg\"", "content_type: is no type; write one like \"image/svg+xml\""),
        ("match = \"*\"\ncache_control = \"\"", "line 8: job.a.header[1].cache_control: is empty; leave the key out"),
        ("match = \"*\"\ncache_control = \"a\\nb\"", "cache_control: holds a control character"),
        ("match = \"*\"\ncontent_disposition = \"na\u{ef}ve\"", "not ASCII; write them percent-encoded"),
        ("match = \"*\"\nmetadata = { Blake3 = \"x\" }", "line 8: job.a.header[1].metadata.Blake3: is reserved"),
        (
            "match = \"*\"\nmetadata = { mtime = \"x\" }",
            "metadata.mtime: is reserved for what is recorded of the content",
        ),
        ("match = \"*\"\nmetadata = { \"a b\" = \"x\" }", "a name of metadata has letters, digits, - and _ only"),
        ("match = \"*\"\nmetadata = { a = \"x\", A = \"y\" }", "is there twice: capitals do not count"),
        ("match = \"*\"\nmetadata = { a = 5 }", "expected a table of texts like { author = \"me\" }"),
        ("match = \"*\"\nstorage_class = \"GLACIER\"", "can't be read before it is restored; write \"GLACIER_IR\""),
        ("match = \"*\"\nstorage_class = \"Archive\"", "can't be read before it is restored"),
        ("match = \"*\"\nacl = \"public\"", "\"public\" is not one of: private, public-read"),
    ] {
        let told = parse(&format!("{job}{text}\n")).unwrap_err();
        assert!(told.contains(expected), "{text}: {told}");
    }
}
