//! What is typed and what it means, as tables.

use clap::Parser;

use super::super::args::{Cli, Cmd};
use super::super::commands::Commands;
use super::super::texts::Texts;
use super::*;
use crate::config::Config;
use crate::model::Rule;
use crate::plan::{Budget, Limit};

const CONFIG: &str = r#"
[remote.live]
dsn = "env:LIVE"
access = "confirm"
acl = "public-read"

[remote.archive]
url = "s3://archive/old"
endpoint = "https://minio.example.com:9000"
region = "xx"
access_key = "AKIA"
secret_key = "env:ARCHIVE_SECRET"
access = "read-only"

[remote.broken]
dsn = "env:MISSING"

[[job]]
name = "media"
source = "media"
destination = "live:"
mode = "copy"
delete = true
exclude = ["*.tmp"]
max_delete = 5

[[job]]
name = "lost"
source = "media"
destination = "broken:"
mode = "copy"
"#;

/// Resolves a command line in a project with `./data/media`, and tells the tasks as lines.
fn resolve(config: &str, line: &str) -> Result<Vec<Task>, Failure> {
    let env = |name: &str| {
        let value = match name {
            "HERE" => "file:///project/media",
            "LIVE" => "s3://KEY:hunter2@live.s3.eu-central-1.amazonaws.com/site?acl=public-read",
            "ARCHIVE_SECRET" => "hunter3",
            _ => return None,
        };
        Some(value.to_owned())
    };
    resolve_with(&env, config, line)
}

fn resolve_with(env: &dyn Fn(&str) -> Option<String>, config: &str, line: &str) -> Result<Vec<Task>, Failure> {
    let parsed = Config::parse(config, Path::new("/project/mediasync.toml")).unwrap();
    let found = |path: &Path| match path.to_str().unwrap() {
        "./data/media" | "media" | "/project/media" => Found::Directory,
        "file.txt" => Found::File,
        _ => Found::Nothing,
    };
    let settle = |path: &Path| {
        let plain = path.strip_prefix("./").unwrap_or(path);
        Ok(Path::new("/project").join(plain))
    };
    let world = World {
        texts: &Texts::default(),
        commands: &Commands::default(),
        project: None,
        env,
        found: &found,
        settle: &settle,
        config: &parsed,
        repeated: "",
    };
    let cli = Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{error}"));
    match cli.command {
        Cmd::Push(args) => push(&args, world).map(|task| vec![task]),
        Cmd::Pull(args) => pull(&args, world).map(|task| vec![task]),
        Cmd::Mirror(args) => mirror(&args, world).map(|task| vec![task]),
        Cmd::Sync(args) => sync(&args, world)?.into_iter().map(|(_, task)| Ok(task?)).collect(),
        other => panic!("{other:?}"),
    }
}

fn told(config: &str, line: &str) -> String {
    tell_all(line, resolve(config, line))
}

fn told_with(env: &dyn Fn(&str) -> Option<String>, line: &str) -> String {
    tell_all(line, resolve_with(env, "", line))
}

fn tell_all(line: &str, resolved: Result<Vec<Task>, Failure>) -> String {
    match resolved {
        Ok(tasks) => tasks.iter().map(tell).collect::<Vec<_>>().join("\n"),
        Err(failure) => {
            assert_eq!(failure.exit.code(), 2, "{line}");
            std::iter::once(failure.message).chain(failure.hints).collect::<Vec<_>>().join("\n")
        }
    }
}

fn tell(task: &Task) -> String {
    let (source, dest) = (task.source.location.display(), task.dest.location.display());
    let confirm = task.confirm.as_deref().map(|remote| format!(" confirm {remote}")).unwrap_or_default();
    format!("{source} -> {dest} {:?} {:?}{confirm}", task.mode, task.run)
}

#[test]
fn a_single_argument_of_push_binds_by_kind() {
    for (line, expected) in [
        ("mediasync push live:", "/project/data/media -> s3://live/site Copy Execute confirm live"),
        ("mediasync push --yes live:a/b", "/project/data/media -> s3://live/site/a/b Copy Execute"),
        ("mediasync push -n --delete live:", "/project/data/media -> s3://live/site CopyAndDelete DryRun"),
        ("mediasync push s3://other/x", "/project/data/media -> s3://other/x Copy Execute"),
        ("mediasync push media env:LIVE", "/project/media -> s3://live/site Copy Execute confirm live"),
        ("mediasync push media /backup", "/project/media -> /backup Copy Execute"),
        ("mediasync push --save-plan p.json live:", "/project/data/media -> s3://live/site Copy SavePlan(\"p.json\")"),
        ("mediasync push", "push needs a target\nknown remotes are archive:, broken:, live:"),
        (
            "mediasync push media",
            "push needs a target: /project/media is a local directory\nknown remotes are archive:, broken:, live:",
        ),
    ] {
        assert_eq!(told(CONFIG, line), expected, "{line}");
    }
}

#[test]
fn a_single_argument_of_pull_binds_by_kind() {
    for (line, expected) in [
        ("mediasync pull live:", "s3://live/site -> /project/data/media Copy Execute"),
        ("mediasync pull live: media", "s3://live/site -> /project/media Copy Execute"),
        ("mediasync pull archive: /backup", "s3://archive/old -> /backup Copy Execute"),
        ("mediasync pull -n --delete env:LIVE", "s3://live/site -> /project/data/media CopyAndDelete DryRun"),
        ("mediasync pull s3://other/x /new", "s3://other/x -> /new Copy Execute"),
        (
            "mediasync pull",
            "pull needs a remote, and the variable DEFAULT_STORAGE_DSN is not set\n\
             known remotes are archive:, broken:, live:",
        ),
        (
            "mediasync pull media",
            "pull needs a remote: /project/media is a local directory, and the variable DEFAULT_STORAGE_DSN is not \
             set\nknown remotes are archive:, broken:, live:",
        ),
    ] {
        assert_eq!(told(CONFIG, line), expected, "{line}");
    }
    let env = |name: &str| {
        (name == "DEFAULT_STORAGE_DSN").then(|| "s3://KEY:hunter2@site.s3.eu-central-1.amazonaws.com/x".to_owned())
    };
    let default = |line: &str| told_with(&env, line);
    assert_eq!(default("mediasync pull"), "s3://site/x -> /project/data/media Copy Execute");
    assert_eq!(default("mediasync pull media"), "s3://site/x -> /project/media Copy Execute");
}

#[test]
fn wrong_places_are_refused_with_the_way_out() {
    for (line, parts) in [
        ("mediasync push live media", &["`live` is the name of a remote: `live:` or `./live`?"][..]),
        ("mediasync push file.txt live:", &["file.txt is a file", "mediasync cp"]),
        ("mediasync push live: media", &["push sends a local directory, and s3://live/site is none"]),
        ("mediasync pull media live:", &["pull fills a local directory, and s3://live/site is none"]),
        ("mediasync pull --acl private live: media", &["--acl is for objects in a bucket"]),
        ("mediasync mirror media media", &["the same place"]),
        (
            "mediasync mirror media env:HERE",
            &["the same place", "env:HERE is the DSN of the directory", "let env:HERE name a bucket"],
        ),
        (
            "mediasync push --acl private media az://account/container",
            &["blobs have no ACLs", "the container's public access level"],
        ),
        ("mediasync mirror media media/sub", &["lies inside the source"]),
        ("mediasync mirror media/sub media", &["lies inside the destination"]),
        ("mediasync push env:MISSING", &["MISSING is not set"]),
        ("mediasync push nowhere:", &["no remote is called `nowhere`", "live:"]),
        ("mediasync sync media live:", &["no job is called \"live:\""]),
        (
            "mediasync sync ./media s3://KEY:hunter2@b.host/x",
            &["mediasync push ./media", "mediasync mirror ./media", "***"],
        ),
        ("mediasync sync meida", &["did you mean \"media\"?", "known are media, lost"]),
        ("mediasync sync --save-plan p media lost", &["one plan"]),
        ("mediasync push --only ../x live:", &["--only"]),
        ("mediasync push --acl private media /backup", &["--acl is for objects in a bucket"]),
        ("mediasync push --min-size 2MiB --max-size 1MiB live:", &["nothing would be in scope"]),
    ] {
        let told = told(CONFIG, line);
        for part in parts {
            assert!(told.contains(part), "{line}: {told}");
        }
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn a_forgotten_scheme_makes_no_directory() {
    let variable = "`STORAGE_DSN` is the name of a variable: `env:STORAGE_DSN` or `./STORAGE_DSN`?";
    let bucket = "there is no directory `my-bucket`: `s3://my-bucket` or `./my-bucket`?";
    for (line, expected) in [
        ("mediasync push -n STORAGE_DSN", variable),
        ("mediasync push media STORAGE_DSN", variable),
        ("mediasync pull STORAGE_DSN", variable),
        ("mediasync pull STORAGE_DSN media", variable),
        ("mediasync mirror media STORAGE_DSN", variable),
        ("mediasync push LIVE", "`LIVE` is the name of a variable: `env:LIVE` or `./LIVE`?"),
        ("mediasync push my-bucket", bucket),
        ("mediasync push media my-bucket", bucket),
        ("mediasync pull my-bucket media", bucket),
        ("mediasync mirror media my-bucket", bucket),
        ("mediasync mirror my-bucket media", bucket),
        (
            "mediasync push media my-bucket/sub",
            "there is no directory `my-bucket`: `s3://my-bucket/sub` or `./my-bucket/sub`?",
        ),
    ] {
        let told = told(CONFIG, line);
        assert!(told.starts_with(expected), "{line}: {told}");
    }
    for (line, expected) in [
        ("mediasync push media ./my-bucket", "/project/media -> /project/my-bucket Copy Execute"),
        ("mediasync mirror media ./sub/my-bucket", "/project/media -> /project/sub/my-bucket Mirror Execute"),
        ("mediasync mirror data media", "there is no directory `data`"),
        ("mediasync mirror /data media", "/data -> /project/media Mirror Execute"),
        // No bucket is called like that.
        ("mediasync push media b", "/project/media -> /project/b Copy Execute"),
        ("mediasync pull live: new", "s3://live/site -> /project/new Copy Execute"),
    ] {
        let told = told(CONFIG, line);
        assert!(told.starts_with(expected), "{line}: {told}");
    }
}

#[test]
fn a_mistake_of_a_remote_is_told_with_its_line_and_its_value() {
    let config = "[remote.live]\nurl = \"s3://tw\"\n[[job]]\nname = \"media\"\nsource = \"media\"\n\
                  destination = \"live:\"\nmode = \"copy\"\n";
    let expected = "remote.live (line 1): tw: the bucket name must have 3 to 63 characters";
    assert!(told(config, "mediasync push live:").starts_with(expected));
    let parsed = Config::parse(config, Path::new("/project/mediasync.toml")).unwrap();
    let world = World {
        texts: &Texts::default(),
        commands: &Commands::default(),
        project: None,
        env: &|_| None,
        found: &|_| Found::Directory,
        settle: &|path| Ok(path.to_owned()),
        config: &parsed,
        repeated: "",
    };
    let failure = job_ends(&parsed.jobs[0], world).unwrap_err();
    assert_eq!(failure.message, format!("job.media.destination (line 3): {expected}"));
}

#[test]
fn without_a_configuration_there_are_no_jobs_and_push_says_what_to_write() {
    assert!(told("", "mediasync push").contains("s3://BUCKET/PREFIX"));
    assert!(told("", "mediasync sync").contains("names no job"));
}

#[test]
fn a_read_only_remote_is_protected_under_every_name() {
    for line in ["mediasync push archive:", "mediasync push archive:below", "mediasync mirror media archive:"] {
        assert!(told(CONFIG, line).contains("read-only: remote.archive"), "{line}");
    }
    let other = "mediasync push s3://archive/old/deeper?endpoint=https://minio.example.com:9000";
    assert!(told(CONFIG, other).contains("read-only: remote.archive"), "{}", told(CONFIG, other));
    assert!(told(CONFIG, "mediasync push -n archive:").ends_with("DryRun"));
    let mirror = "s3://archive/old -> /backup Mirror Execute";
    assert_eq!(told(CONFIG, "mediasync mirror archive: /backup"), mirror, "what is only read may be read-only");
}

#[test]
fn a_remote_in_single_keys_is_an_address() {
    let task = resolve(CONFIG, "mediasync push -n archive:").unwrap().remove(0);
    let Location::S3(address) = task.dest.location else { panic!("not S3") };
    assert_eq!(address.endpoint.as_deref(), Some("https://minio.example.com:9000"));
    assert_eq!(address.region.as_deref(), Some("xx"));
    let crate::replica::s3::Credentials::Static { access_key, secret, .. } = address.credentials else {
        panic!("chain")
    };
    assert_eq!((access_key.as_str(), secret.reveal()), ("AKIA", "hunter3"));
}

#[test]
fn a_mirror_is_private_unless_somebody_says_otherwise() {
    let acl = |line: &str| match resolve(CONFIG, line).unwrap().remove(0).dest.location {
        Location::S3(address) => address.acl,
        Location::Local(_) | Location::Azure(_) => panic!("not S3"),
    };
    assert_eq!(acl("mediasync push live:").as_deref(), Some("public-read"));
    assert_eq!(acl("mediasync push --acl private live:").as_deref(), Some("private"));
    assert_eq!(acl("mediasync mirror media env:LIVE"), None);
    assert_eq!(acl("mediasync mirror media live:").as_deref(), Some("public-read"));
    assert_eq!(acl("mediasync mirror --acl private media live:").as_deref(), Some("private"));
    assert_eq!(acl("mediasync mirror --no-delete media env:LIVE"), None);
    // What is not taken is told, where it would have let everybody read.
    let left = |line: &str| resolve(CONFIG, line).unwrap().remove(0).left_acl;
    assert_eq!(left("mediasync mirror media env:LIVE").as_deref(), Some("public-read"));
    assert_eq!(left("mediasync mirror --no-delete media env:LIVE").as_deref(), Some("public-read"));
    for told in ["mirror media live:", "mirror --acl private media env:LIVE", "push media env:LIVE"] {
        assert_eq!(left(&format!("mediasync {told}")), None, "{told}");
    }
}

#[test]
fn flags_come_on_top_of_a_job() {
    let task =
        resolve(CONFIG, "mediasync sync media --include a.tmp --max-delete 10% --only ./photos/").unwrap().remove(0);
    assert_eq!(task.options.filter.rules, [Rule::Exclude("*.tmp".into()), Rule::Include("a.tmp".into())]);
    assert_eq!(task.options.max_delete, Budget::ThisRun(Limit::Percent(10.0)));
    assert_eq!(task.only, Some(Key::new("photos").unwrap()));
    assert_eq!(tell(&task), "/project/media -> s3://live/site CopyAndDelete Execute confirm live");
    let task = resolve(CONFIG, "mediasync sync media").unwrap().remove(0);
    assert_eq!(task.options.max_delete, Budget::ThisRun(Limit::Keys(5)));
}

#[test]
fn what_a_halt_says_about_limits_fits_where_they_come_from() {
    let raise = |config: &str, line: &str| resolve(config, line).unwrap().remove(0).raise;
    let timed = |line: &str| CONFIG.replacen("mode = ", &format!("{line}\nmode = "), 1);
    assert_eq!(raise(CONFIG, "mediasync sync media"), Raise::InJob);
    for line in ["watch = true", "every = \"1h\""] {
        assert_eq!(raise(&timed(line), "mediasync sync media"), Raise::InConfig, "{line}");
    }
    for flags in ["--max-delete 10", "--max-overwrite 5%"] {
        assert_eq!(raise(&timed("watch = true"), &format!("mediasync sync media {flags}")), Raise::ByFlag, "{flags}");
    }
    assert_eq!(raise(CONFIG, "mediasync push live:"), Raise::ByFlag);
}

#[test]
fn only_a_job_as_it_is_written_may_be_run_by_somebody_who_finds_its_places() {
    let unready = |flags: &str| {
        let config = CONFIG.replace("env:LIVE", "env:MISSING");
        let parsed = Config::parse(&config, Path::new("/project/mediasync.toml")).unwrap();
        let world = World {
            texts: &Texts::default(),
            commands: &Commands::default(),
            project: None,
            env: &|_| None,
            found: &|_| Found::Directory,
            settle: &|path| Ok(path.to_owned()),
            config: &parsed,
            repeated: "",
        };
        let line = format!("mediasync sync media {flags}");
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Cmd::Sync(args) = cli.command else { panic!("not sync") };
        sync(&args, world).unwrap().remove(0).1.unwrap_err()
    };
    // What the job says itself is nothing more: it has max_delete = 5.
    for plain in ["", "--json", "--max-delete 5"] {
        assert!(matches!(unready(plain), Unready::Places(_)), "{plain}");
    }
    let more =
        ["-n", "--save-plan x", "--only a", "--max-delete 6", "--yes", "--acl private", "--trash 1d", "--overwrite"];
    for flags in more.into_iter().chain(["--exclude a", "--no-default-excludes", "--symlinks follow", "--bwlimit 1MiB"])
    {
        assert!(matches!(unready(flags), Unready::Refused(_)), "{flags}");
    }
}

#[test]
fn a_missing_variable_only_matters_to_the_job_that_needs_it() {
    let parsed = Config::parse(CONFIG, Path::new("/project/mediasync.toml")).unwrap();
    let env = |name: &str| (name == "LIVE").then(|| "s3://K:S@live.s3.eu-central-1.amazonaws.com/site".to_owned());
    let world = World {
        texts: &Texts::default(),
        commands: &Commands::default(),
        project: None,
        env: &env,
        found: &|_| Found::Directory,
        settle: &|path| Ok(path.to_owned()),
        config: &parsed,
        repeated: "",
    };
    check_jobs(world).unwrap();
    let cli = Cli::try_parse_from(["mediasync", "sync"]).unwrap();
    let Cmd::Sync(args) = cli.command else { panic!("not sync") };
    let tasks = sync(&args, world).unwrap();
    assert!(tasks[0].1.is_ok());
    let failure = Failure::from(tasks[1].1.clone().unwrap_err());
    assert_eq!(
        failure.message,
        "job.lost.destination (line 27): remote.broken (line 15): the variable MISSING is not set"
    );
}

#[test]
fn jobs_that_stand_in_each_others_way_are_refused_however_they_are_spelled() {
    let config =
        CONFIG.to_owned() + "[[job]]\nname = \"two\"\nsource = \"/x\"\ndestination = \"env:LIVE\"\nmode = \"copy\"\n";
    let parsed = Config::parse(&config, Path::new("/project/mediasync.toml")).unwrap();
    let env = |name: &str| (name == "LIVE").then(|| "s3://K:S@live.s3.eu-central-1.amazonaws.com/site".to_owned());
    let world = World {
        texts: &Texts::default(),
        commands: &Commands::default(),
        project: None,
        env: &env,
        found: &|_| Found::Directory,
        settle: &|path| Ok(path.to_owned()),
        config: &parsed,
        repeated: "",
    };
    let failure = check_jobs(world).unwrap_err();
    assert_eq!(failure.exit.code(), 2);
    assert!(
        failure.message.contains("job.two.destination: is the destination of job \"media\""),
        "{}",
        failure.message
    );
}
