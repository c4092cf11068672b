//! `mediasync dsn show` and `mediasync remote env`: the parts of a DSN, and its secret only where it is asked for.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::sandbox::{REMOTE, Sandbox};
use crate::support::terminal::Terminal;

const DSN: &str = "s3://AKIAEXAMPLE:hunt%2Fer2@media.sos-ch-dk-2.exo.io/site?domain=cdn.example.com&acl=public-read";

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.env("LIVE_DSN", DSN);
    let config = "[remote.live]\ndsn = \"env:LIVE_DSN\"\naccess = \"read-only\"\n\n[remote.here]\ndsn = \"file:///tmp\"\n\n\
        [remote.profile]\nurl = \"s3://bucket\"\nprofile = \"mine\"\n\n\
        [remote.azure]\ndsn = \"az://acct:c3Y9MjAxOC0xMS0wOSZzcD1ybCZzaWc9aHVudGVyMg==@blob.core.windows.net/media\"\n";
    let file = sandbox.path("work/mediasync.toml");
    fs::write(&file, config).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    sandbox
}

#[test]
fn the_parts_of_a_dsn_are_shown_and_its_secret_is_not() {
    let sandbox = sandbox();
    for name in ["live", "live:", "env:LIVE_DSN", DSN] {
        let told = sandbox.run(&["dsn", "show", name]).exits(0).never_says("hunt");
        for line in [
            "provider     exoscale",
            "endpoint     https://sos-ch-dk-2.exo.io",
            "bucket       media",
            "prefix       site/",
            "key id       AKIAEXAMPLE",
            "secret       hidden",
            "everybody may read what is pushed",
            "url          https://cdn.example.com/site",
        ] {
            assert!(told.stdout.contains(line), "{line}\n{}", told.stdout);
        }
        assert!(name != "live" || told.stdout.contains("never changed, says remote.live"), "{}", told.stdout);
    }
    sandbox.run(&["dsn", "show", DSN]).says(&["visible in the process list"]);
    let line = sandbox.run(&["dsn", "show", "live", "--json"]).exits(0).never_says("hunt").line("dsn");
    assert_eq!(
        (&line["bucket"], &line["key_id"], &line["region"]),
        (&"media".into(), &"AKIAEXAMPLE".into(), &"ch-dk-2".into())
    );
    let azure = sandbox.run(&["dsn", "show", "azure"]).exits(0).never_says("hunter2");
    azure.says(&["account      acct", "container    media", "permissions rl"]);
    sandbox.run(&["dsn", "show", "s3://KEY:hunter2@"]).exits(2).says(&["hint: a DSN reads"]).never_says("hunter2");
    assert_eq!(sandbox.server.requests().len(), 0, "nobody is asked");
}

#[test]
fn a_secret_is_revealed_on_a_terminal_and_nowhere_else() {
    let sandbox = sandbox();
    let refused = sandbox.run(&["dsn", "show", "live", "--reveal"]).exits(2).never_says("hunt");
    refused.says(&["on a terminal only", "mediasync remote env NAME -- CMD"]);
    sandbox.run(&["dsn", "show", "live", "--reveal", "--json"]).exits(2).never_says("hunt");
    let (code, shown) = Terminal::start(&sandbox, &["dsn", "show", "live", "--reveal"]).ends();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("secret       hunt/er2"), "{shown}");
    let (code, shown) = Terminal::start(&sandbox, &["dsn", "show", "live"]).ends();
    assert!(code == 0 && !shown.contains("hunt"), "{shown}");
    let (code, shown) = Terminal::start(&sandbox, &["dsn", "show", "profile", "--reveal"]).ends();
    assert!(code == 2 && shown.contains("the credentials come from elsewhere"), "{shown}");
}

#[test]
fn a_profile_is_written_beside_what_is_there() {
    let sandbox = sandbox();
    let (credentials, config) = (sandbox.path("home/.aws/credentials"), sandbox.path("home/.aws/config"));
    let read = || (fs::read_to_string(&credentials).unwrap(), fs::read_to_string(&config).unwrap());
    let write =
        |profile: &str, more: &[&str]| sandbox.run(&[&["dsn", "show", "live", "--aws-config", profile], more].concat());
    write("site", &[]).exits(0).says(&["written: ", "/.aws/credentials"]).never_says("hunt");
    let keys = "aws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = hunt/er2\n";
    let settings = "region = ch-dk-2\nendpoint_url = https://sos-ch-dk-2.exo.io\n";
    assert_eq!(read(), (format!("[site]\n{keys}"), format!("[profile site]\n{settings}")));
    for file in [&credentials, &config] {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o7777, 0o600);
    }
    write("site", &[]).exits(0).says(&["unchanged: "]);
    // Somebody's own profiles stay as they are, to the byte.
    let own = "# mine\n[default]\naws_access_key_id=OWN\r\n\n[site]\naws_access_key_id = OTHER\n\n# last\n[z]\nx = 1";
    fs::write(&credentials, own).unwrap();
    write("site", &[]).exits(2).says(&["has a profile site with another content; nothing was written", "--overwrite"]);
    assert_eq!(read().0, own);
    write("new", &[]).exits(0);
    assert_eq!(read().0, format!("{own}\n\n[new]\n{keys}"));
    write("site", &["--overwrite"]).exits(0).says(&["replaced: "]);
    let replaced = own.replace("[site]\naws_access_key_id = OTHER\n", &format!("[site]\n{keys}"));
    assert_eq!(read().0, format!("{replaced}\n\n[new]\n{keys}"));
    write("a]b", &[]).exits(2).says(&["the name of a profile has"]);
    for name in ["here", "azure", "profile"] {
        sandbox.run(&["dsn", "show", name, "--aws-config", "x"]).exits(2).never_says("hunter2");
    }
}

#[test]
fn a_profile_goes_where_the_variables_say_and_both_files_or_none_are_written() {
    let mut sandbox = sandbox();
    let (credentials, config) = (sandbox.path("work/keys"), sandbox.path("work/settings"));
    sandbox.env("AWS_SHARED_CREDENTIALS_FILE", credentials.to_str().unwrap());
    sandbox.env("AWS_CONFIG_FILE", config.to_str().unwrap());
    fs::write(&config, "[profile site]\nregion = other\n").unwrap();
    sandbox.run(&["dsn", "show", "live", "--aws-config", "site"]).exits(2);
    assert!(!credentials.exists());
    fs::remove_file(&config).unwrap();
    sandbox.run(&["dsn", "show", "live", "--aws-config", "default"]).exits(0);
    assert!(fs::read_to_string(&config).unwrap().starts_with("[default]\nregion = ch-dk-2\n"));
    assert!(!sandbox.path("home/.aws").exists());
}

#[test]
fn files_that_are_links_stay_links_and_what_is_in_them_stays() {
    let sandbox = sandbox();
    let (kept, aws) = (sandbox.path("home/dotfiles"), sandbox.path("home/.aws"));
    for dir in [&kept, &aws] {
        fs::create_dir(dir).unwrap();
    }
    let own =
        "\u{feff}# mine\r\n[default]\r\naws_access_key_id = OWN\r\n\r\n; work\r\n[work]\r\naws_secret_access_key=w\r\n";
    fs::write(kept.join("keys"), own).unwrap();
    fs::set_permissions(kept.join("keys"), fs::Permissions::from_mode(0o644)).unwrap();
    symlink(kept.join("keys"), aws.join("credentials")).unwrap();
    symlink(kept.join("nothing"), aws.join("config")).unwrap();
    let write = || sandbox.run(&["dsn", "show", "live", "--aws-config", "site"]);
    // Both files or none.
    write().exits(1).says(&["/.aws/config: it is a link that leads to nothing"]).never_says("hunt");
    assert_eq!(fs::read_to_string(kept.join("keys")).unwrap(), own);
    fs::write(kept.join("nothing"), "").unwrap();
    write().exits(0).never_says("hunt");
    assert!(aws.join("credentials").is_symlink() && aws.join("config").is_symlink());
    let told = fs::read_to_string(kept.join("keys")).unwrap();
    assert!(
        told.starts_with(own)
            && told.ends_with("[site]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = hunt/er2\n")
    );
    for name in ["keys", "nothing"] {
        assert_eq!(fs::metadata(kept.join(name)).unwrap().permissions().mode() & 0o7777, 0o600, "{name}");
    }
    assert_eq!(fs::read_dir(&kept).unwrap().count(), 2, "nothing is left beside them");
    write().exits(0).says(&["unchanged: "]);
}

#[test]
fn a_command_gets_the_credentials_and_gives_its_exit_code() {
    let mut sandbox = sandbox();
    sandbox.env("AWS_PROFILE", "other");
    sandbox.env("AWS_SESSION_TOKEN", "stale");
    let script = "echo \"$AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY $AWS_ENDPOINT_URL_S3 $AWS_REGION ${AWS_PROFILE-none} ${AWS_SESSION_TOKEN-none} $1\"; exit 7";
    let ran = sandbox.run_plainly(&["remote", "env", "live", "--", "sh", "-c", script, "sh", "--dry-run"]).exits(7);
    assert_eq!(ran.stdout, "AKIAEXAMPLE hunt/er2 https://sos-ch-dk-2.exo.io ch-dk-2 none none --dry-run\n");
    sandbox.run_plainly(&["remote", "env", "live", "--", "sh", "-c", "kill -TERM $$"]).exits(-15);
    // The two dashes may be left out.
    let short = sandbox.run_plainly(&["remote", "env", "live", "sh", "-c", script, "sh", "-v"]).exits(7);
    assert!(short.stdout.ends_with(" none none -v\n"), "{}", short.stdout);
    let azure = ["remote", "env", "azure", "--", "sh", "-c", "echo $AZURE_STORAGE_ACCOUNT $AZURE_STORAGE_SAS_TOKEN"];
    assert_eq!(sandbox.run_plainly(&azure).exits(0).stdout, "acct sv=2018-11-09&sp=rl&sig=hunter2\n");
    for (args, said) in [
        (&["remote", "env", "live"][..], "none was named: it prints no secrets by itself"),
        (&["remote", "env", "live", "--"], "none was named"),
        (&["remote", "env", "here", "--", "env"], "is a directory, and has no credentials"),
        (&["remote", "env", "live", "--", "no-such-program"], "can't run no-such-program: "),
        (&["remote", "env", "none:", "--", "env"], "none"),
    ] {
        sandbox.run_plainly(args).exits(2).says(&[said]).never_says("hunt");
    }
    let own = sandbox.run_plainly(&["remote", "env", REMOTE, "--", "sh", "-c", "echo $AWS_ENDPOINT_URL"]).exits(0);
    assert_eq!(own.stdout.trim(), sandbox.server.endpoint());
}
