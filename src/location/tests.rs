//! What users type, as tables.

use proptest::prelude::*;

use super::*;
use crate::replica::s3::{Addressing, Credentials};

const DSN: &str = "s3://KEY:SECRET@bbb.s3.eu-west-1.amazonaws.com/pre";

/// Remotes `live` (a bucket), `disk` (a directory), `broken` and `c`.
struct World {
    variables: Vec<(&'static str, &'static str)>,
    origin: Origin,
    project: Option<&'static Path>,
}

impl World {
    fn new(variables: &[(&'static str, &'static str)]) -> Self {
        Self { variables: variables.to_vec(), origin: Origin::Argument, project: None }
    }

    fn parse(&self, text: &str) -> Result<Parsed, UsageError> {
        let names = ["live", "disk", "broken", "c"].map(str::to_owned);
        let remote = |name: &str| match name {
            "live" | "c" => Some(Ok(self.at(DSN, &[]).location)),
            "disk" => Some(Ok(Location::Local("/mnt/disk".into()))),
            "broken" => Some(Err(UsageError::new("the variable X is not set", "set it"))),
            _ => None,
        };
        let variable = |name: &str| {
            let found = self.variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let found = |path: &Path| match path.extension() {
            Some(_) => Found::File,
            None => Found::Nothing,
        };
        let text_of = |at: TextAt<'_>| match at {
            TextAt::Input => Ok(Given { text: Secret::new(format!("DEFAULT_STORAGE_DSN={DSN}\n")), warning: None }),
            TextAt::File(path) if path == Path::new("dir/.env#1") => {
                let text = format!("A=1\nONE_DSN={DSN}\nTWO_DSN=file:///data/media\n");
                Ok(Given { text: Secret::new(text), warning: Some("others can read it".to_owned()) })
            }
            TextAt::File(path) => Err(UsageError::new(format!("can't read {}", path.display()), "")),
            TextAt::Credential("live") => {
                Ok(Given { text: Secret::new(format!("ONE_DSN={DSN}\nTWO_DSN={DSN}\n")), warning: None })
            }
            TextAt::Credential(name) => Err(UsageError::new(format!("there is no credential {name}"), "")),
        };
        let around = Surroundings {
            variable: &variable,
            remote: &remote,
            remotes: &names,
            found: &found,
            text: &text_of,
            project: self.project,
            origin: self.origin,
        };
        parse(text, &around)
    }

    /// Parses with no remotes.
    fn at(&self, text: &str, remotes: &[String]) -> Parsed {
        let around = Surroundings {
            variable: &|_| None,
            remote: &|_| None,
            remotes,
            found: &|_| Found::Directory,
            text: &|_| panic!("no text is asked for"),
            project: None,
            origin: self.origin,
        };
        parse(text, &around).expect(text)
    }
}

fn s3_of(parsed: &Parsed) -> &S3Address {
    match &parsed.location {
        Location::S3(address) => address,
        other => panic!("{other:?}"),
    }
}

#[test]
fn paths() {
    let world = World::new(&[("HOME", "/home/me"), ("DEFAULT_STORAGE_DSN", "file:///data/media/?url=%2Fmedia%2F")]);
    for (text, path) in [
        ("media", "media"),
        ("./live", "./live"),
        ("/data/media/", "/data/media/"),
        ("a b/c", "a b/c"),
        ("dir/with:colon", "dir/with:colon"),
        ("./with:colon", "./with:colon"),
        ("/x/s3://y", "/x/s3://y"),
        ("~/media", "/home/me/media"),
        ("~", "/home/me"),
        ("~other", "~other"),
        (".", "."),
        ("..", ".."),
        ("C:\\media", "C:\\media"),
        ("D:/media", "D:/media"),
        ("\\\\nas\\media", "\\\\nas\\media"),
        ("file:///data/media", "/data/media"),
        ("FILE:///data/media", "/data/media"),
        ("file:rel", "rel"),
        ("file:///data/media/?url=%2Fmedia%2F", "/data/media/"),
        ("env:DEFAULT_STORAGE_DSN", "/data/media/"),
        ("disk:", "/mnt/disk"),
        ("disk:a/b/", "/mnt/disk/a/b"),
        ("disk:/a", "/mnt/disk/a"),
        ("user@host", "user@host"),
        (" file:///data/media\n", "/data/media"),
    ] {
        let parsed = world.parse(text).expect(text);
        assert_eq!(parsed.location, Location::Local(path.into()), "{text}");
        assert_eq!(parsed.spelled(), Some(text.trim()));
        assert!(parsed.warnings.is_empty(), "{:?}", parsed.warnings);
        assert_eq!(parsed.display(), path);
    }
    assert_eq!(world.parse("file:///a%20b").unwrap().warnings.len(), 1);
    assert_eq!(world.parse("./a\nb").unwrap().display(), r"./a\u{a}b");
}

#[test]
fn plain_bucket_urls_are_taken_literally() {
    let world = World::new(&[]);
    for (text, prefix, warnings) in [
        ("s3://bucket", "", 0),
        ("s3://bucket/", "", 0),
        ("S3://bucket/a/b/", "a/b", 0),
        ("s3://bucket/a", "a", 0),
        ("s3://bucket/a b+c", "a b+c", 0),
        ("s3://bucket/img@2x", "img@2x", 0),
        ("s3://bucket/a:b", "a:b", 0),
        ("s3://bucket/a#b", "a#b", 0),
        ("s3://bucket/100%", "100%", 0),
        ("s3://bucket/a%20b", "a%20b", 1),
        ("s3://bucket?prefix=what%3F/%2Bx", "what?/+x", 0),
        ("s3://bucket/a?prefix=b", "a/b", 0),
    ] {
        let parsed = world.parse(text).expect(text);
        let address = s3_of(&parsed);
        assert_eq!((address.bucket.as_str(), address.prefix.as_str()), ("bucket", prefix), "{text}");
        assert_eq!((&address.endpoint, &address.region, &address.acl), (&None, &None, &None));
        assert_eq!(
            address.credentials,
            Credentials::Chain { profile: None, variables: crate::replica::s3::Variables::default() }
        );
        assert_eq!(parsed.warnings.len(), warnings, "{text}");
        assert_eq!(parsed.spelled(), Some(text));
        assert_eq!(parsed.canonical(), format!("s3://aws/bucket/{prefix}"));
        assert_eq!(parsed.display(), format!("s3://bucket/{prefix}").trim_end_matches('/'));
    }
}

#[test]
fn endpoint_and_region_come_from_the_url_then_the_host_then_the_environment() {
    const MINIO: (&str, &str) = ("AWS_ENDPOINT_URL", "http://minio:9000");
    const EXO: (&str, &str) = ("AWS_ENDPOINT_URL_S3", "https://sos-ch-dk-2.exo.io");
    const AWS: (&str, &str) = ("AWS_ENDPOINT_URL", "https://s3-eu-west-1.amazonaws.com");
    const REGION: (&str, &str) = ("AWS_REGION", "eu-central-1");
    const DEFAULT: (&str, &str) = ("AWS_DEFAULT_REGION", "sa-east-1");
    type Case<'a> = (&'a [(&'static str, &'static str)], &'a str, Option<&'a str>, Option<&'a str>);
    let cases: [Case<'_>; 15] = [
        (&[], "", None, None),
        (&[REGION, DEFAULT], "", None, Some("eu-central-1")),
        (&[DEFAULT], "", None, Some("sa-east-1")),
        (&[("AWS_REGION", ""), DEFAULT], "", None, Some("sa-east-1")),
        (&[REGION], "?region=us-west-2", None, Some("us-west-2")),
        (&[REGION], "?region=", None, Some("eu-central-1")),
        (&[MINIO], "", Some("http://minio:9000"), None),
        (&[MINIO, REGION], "", Some("http://minio:9000"), Some("eu-central-1")),
        (&[MINIO, EXO, REGION], "", Some("https://sos-ch-dk-2.exo.io"), Some("ch-dk-2")),
        (&[EXO], "?region=elsewhere", Some("https://sos-ch-dk-2.exo.io"), Some("elsewhere")),
        (&[EXO], "?endpoint=http://127.0.0.1:1", Some("http://127.0.0.1:1"), None),
        (&[MINIO], "?endpoint=", Some("http://minio:9000"), None),
        (&[MINIO, ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")], "", None, None),
        (&[AWS], "", None, Some("eu-west-1")),
        (&[], "?endpoint=https%3A%2F%2Fs3.eu-west-1.amazonaws.com", None, Some("eu-west-1")),
    ];
    for (variables, query, endpoint, region) in cases {
        let parsed = World::new(variables).parse(&format!("s3://bucket/p{query}")).unwrap();
        let address = s3_of(&parsed);
        assert_eq!(
            (address.endpoint.as_deref(), address.region.as_deref()),
            (endpoint, region),
            "{variables:?} {query}"
        );
    }
    let accelerated = World::new(&[]).parse("s3://bucket?endpoint=https://s3-accelerate.amazonaws.com").unwrap();
    assert_eq!(s3_of(&accelerated).addressing, Addressing::Virtual);
    // A DSN says it all: the variables are for AWS's own tools' URLs.
    let dsn = World::new(&[MINIO, REGION]).parse(DSN).unwrap();
    assert_eq!((s3_of(&dsn).endpoint.as_deref(), s3_of(&dsn).region.as_deref()), (None, Some("eu-west-1")));
}

#[test]
fn dsns() {
    let world = World::new(&[
        ("MY_DSN", DSN),
        ("WRAPPED", "\"s3://KEY:SEC\nRET@bbb.s3.eu-west-1.amazonaws.com/pre\"\n"),
        ("PLAIN", "s3://bucket/p"),
    ]);
    let typed = world.parse(DSN).unwrap();
    assert!(typed.warnings[0].contains("visible in the process list") && typed.warnings[0].contains("env:NAME"));
    assert_eq!((typed.spelled(), typed.display().as_str()), (None, "s3://bbb/pre"));
    for text in ["env:MY_DSN", "env:WRAPPED"] {
        let parsed = world.parse(text).unwrap();
        assert_eq!(parsed.location, typed.location, "{text}");
        assert_eq!((parsed.spelled(), parsed.warnings.len()), (Some(text), 0), "{text}");
    }
    assert_eq!(world.parse("env:PLAIN").unwrap().canonical(), "s3://aws/bucket/p");
    let quiet = World { origin: Origin::File, ..World::new(&[]) };
    assert!(quiet.parse(DSN).unwrap().warnings.is_empty());
    // With a raw slash in the secret, and with the name before it, it is still a DSN.
    for text in [
        "s3://KEY:SE/CRET@bbb.s3.eu-west-1.amazonaws.com/pre",
        "MY_DSN=s3://KEY:SECRET@bbb.s3.eu-west-1.amazonaws.com/pre",
        "'s3://KEY:SECRET@bbb.s3.eu-west-1.amazonaws.com/pre'",
    ] {
        let parsed = world.parse(text).expect(text);
        assert_eq!((parsed.display().as_str(), parsed.spelled()), ("s3://bbb/pre", None), "{text}");
    }
}

#[test]
fn remotes_of_the_config() {
    let world = World::new(&[]);
    for (text, display) in [
        ("live:", "s3://bbb/pre"),
        ("live:/", "s3://bbb/pre"),
        ("live:a/b", "s3://bbb/pre/a/b"),
        ("live:/a/b/", "s3://bbb/pre/a/b"),
        ("live:a:b@c", "s3://bbb/pre/a:b@c"),
        ("c:a", "s3://bbb/pre/a"),
        ("c:/a", "s3://bbb/pre/a"),
    ] {
        let parsed = world.parse(text).expect(text);
        assert_eq!((parsed.display().as_str(), parsed.spelled()), (display, Some(text)), "{text}");
    }
    let parsed = world.parse("live:a b").unwrap();
    assert_eq!(s3_of(&parsed).public_url.as_deref(), Some("https://bbb.s3.eu-west-1.amazonaws.com/pre/a%20b"));
}

#[test]
fn usage_errors() {
    let world = World::new(&[("EMPTY", " "), ("BAD", "s3://KEY:SECRET@nohost"), ("A_PATH", "/data/media")]);
    for (text, message, hint) in [
        ("", "a location is empty", "name a path"),
        ("  ", "a location is empty", "name a path"),
        ("live", "`live` is the name of a remote: `live:` or `./live`?", ""),
        ("photo.jpg", "photo.jpg is a file", "mediasync cp"),
        ("/data/photo.jpg", "/data/photo.jpg is a file", "mediasync cp"),
        ("file:///data/photo.jpg", "/data/photo.jpg is a file", "mediasync cp"),
        ("disk:photo.jpg", "/mnt/disk/photo.jpg is a file", "mediasync cp"),
        ("~/media", "`~` is used, but HOME is not set", "./~"),
        ("lvie:x", "no remote is called `lvie`: known are live:, disk:, broken:, c:", "./lvie:"),
        ("broken:x", "the variable X is not set", "set it"),
        ("live:a//b", "empty component", "NAME:some/path"),
        ("live:../b", "`..` component", "NAME:some/path"),
        ("disk:../b", "`..` component", "NAME:some/path"),
        ("user@host:/path", "what stands before the `:` is no remote", "env:NAME"),
        (":x", "what stands before the `:` is no remote", "env:NAME"),
        ("s3:/KEY:SECRET@host", "what stands before the `:` is no remote", "is written s3://..."),
        ("s3:bucket", "what stands before the `:` is no remote", "is written s3://bucket"),
        ("env:", "no name of a variable", "env:DEFAULT_STORAGE_DSN"),
        ("env:s3://K:S@h", "no name of a variable", "env:DEFAULT_STORAGE_DSN"),
        ("env:NAME/sub", "no name of a variable", "env:DEFAULT_STORAGE_DSN"),
        ("env:UNSET", "the variable UNSET is not set", "DSN"),
        ("env:EMPTY", "the variable EMPTY is not set", "DSN"),
        ("env:BAD", "the DSN in BAD: no host name with a dot", "endpoint="),
        ("env:A_PATH", "the DSN in A_PATH: it does not begin with s3://, az:// or file:", "a DSN reads"),
        ("az://account", "the container is missing", "az://ACCOUNT/CONTAINER"),
        ("az://acct:c2VjcmV0@blob.core.windows.net/c", "the container must have", "az://ACCOUNT:SECRET"),
        ("https://acct.blob.core.windows.net/c?sig=xyz", "a web address is no location", "AZURE_STORAGE_SAS_TOKEN"),
        ("https://example.com/x", "a web address is no location", "?endpoint="),
        ("gs://bucket", "gs:// is not supported", "storage.googleapis.com"),
        ("ftp://host/x", "a kind that is not known", "s3://"),
        ("file://data/media", "may not name a host", "file:///absolute"),
        ("s3://", "the bucket name is missing", "s3://BUCKET"),
        ("s3:///x", "the bucket name is missing", "s3://BUCKET"),
        ("s3://My_Bucket?endpoint=https://s3.amazonaws.com", "may hold only a-z", "s3://BUCKET"),
        ("s3://bucket/a//b?endpoint=http://h", "empty component", "s3://BUCKET"),
        ("s3://bucket/../b?endpoint=http://h", "`..` component", "s3://BUCKET"),
        ("s3://bucket/what?/x", "no other", "%3F"),
        ("s3://bucket?enpoint=http://h", "no other", "%3F"),
        ("s3://bucket?region=a&region=b", "given twice", "once"),
        ("s3://bucket?endpoint=h:9000", "the parameter endpoint: the endpoint must begin", "https://HOST"),
        (
            "s3://bucket?endpoint=http://u:p@h",
            "the parameter endpoint: the endpoint may not hold credentials",
            "https://",
        ),
        ("s3://bucket:9000/x", "it has no KEY:SECRET@", "endpoint="),
    ] {
        let error = world.parse(text).expect_err(text);
        assert!(error.message.contains(message), "{text}: {}", error.message);
        assert!(error.hint.contains(hint), "{text}: {}", error.hint);
    }
    let error = World::new(&[("AWS_ENDPOINT_URL_S3", "minio:9000")]).parse("s3://bucket").unwrap_err();
    assert!(error.message.starts_with("AWS_ENDPOINT_URL_S3: the endpoint must begin"), "{error}");
    // Where upper case can exist, it may.
    assert!(World::new(&[]).parse("s3://My_Bucket?endpoint=http://minio:9000").is_ok());
    assert!(World::new(&[]).parse("s3://My_Bucket").is_err());
    assert_eq!(UsageError::new("a", "b").to_string(), "a; b");
    assert_eq!(UsageError::new("a", "").to_string(), "a");
}

#[test]
fn the_default_local_directory() {
    assert_eq!(default_local(None, &|path| path == Path::new("./data/media")), Path::new("./data/media"));
    assert_eq!(default_local(None, &|_| false), Path::new("/data/media"));
    let site = Some(Path::new("/home/me/site"));
    let exists = |path: &Path| path.starts_with("/home") || path == Path::new("/data/media");
    assert_eq!(default_local(site, &exists), Path::new("/home/me/site/data/media"));
    assert_eq!(default_local(site, &|path| path == Path::new("/data/media")), Path::new("/data/media"));
    assert_eq!(default_local(None, &|path| path == Path::new("/data/media")), Path::new("/data/media"));
}

#[test]
fn spellings_of_one_place_are_one() {
    let world = World::new(&[]);
    for same in [
        ["s3://bucket/p?region=eu-west-1", "s3://bucket/p/?endpoint=https://s3.eu-west-1.amazonaws.com"],
        ["s3://bucket/p", "s3://K:S@bucket.s3-eu-west-1.amazonaws.com/p"],
        ["s3://K:S@bucket.s3.eu-west-1.amazonaws.com/p/", "s3://K2:S2@bucket.s3-fips.us-east-1.amazonaws.com/p"],
        ["s3://K:S@bucket.sos.exo.io/", "s3://bucket?endpoint=https://sos-ch-dk-2.exo.io:443/"],
        ["s3://K:S@bucket/p?endpoint=http://localhost:9000", "s3://bucket/p?endpoint=http://127.0.0.1:9000"],
    ] {
        let [a, b] = same.map(|text| world.parse(text).expect(text).location);
        assert_eq!(a.canonical(), b.canonical());
        assert_eq!(overlap(&a, &b), Some(Overlap::Same));
    }
}

#[test]
fn overlaps() {
    use Overlap::{FirstInside, Same, SecondInside};
    let world = World::new(&[]);
    for (first, second, wanted) in [
        ("/data/media", "/data/media/", Some(Same)),
        ("/data", "/data/media", Some(SecondInside)),
        ("/data/media/x", "/data/media", Some(FirstInside)),
        ("/data/media", "/data/media2", None),
        ("/", "/data", Some(SecondInside)),
        ("s3://bucket", "s3://bucket/", Some(Same)),
        ("s3://bucket", "s3://bucket/a", Some(SecondInside)),
        ("s3://bucket/a/b", "s3://bucket/a", Some(FirstInside)),
        ("s3://bucket/a", "s3://bucket/ab", None),
        ("s3://bucket/a", "s3://other/a", None),
        ("s3://bucket/a?region=cn-north-1", "s3://bucket/a", None),
        ("s3://bucket/a?endpoint=http://minio:9000", "s3://bucket/a", None),
        ("s3://bucket/a?endpoint=http://minio:9000", "s3://bucket?endpoint=http://minio:9000", Some(FirstInside)),
        ("s3://bucket", "/bucket", None),
        ("/data", "s3://bucket", None),
    ] {
        let [a, b] = [first, second].map(|text| world.parse(text).expect(text).location);
        assert_eq!(overlap(&a, &b), wanted, "{first} {second}");
    }
}

#[test]
fn settled_paths_have_no_symlinks_and_need_not_exist() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    std::fs::create_dir_all(root.join("real/media")).unwrap();
    std::os::unix::fs::symlink(root.join("real"), root.join("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", root.join("dangling")).unwrap();
    for (path, wanted) in [
        ("real/media", "real/media"),
        ("link/media/", "real/media"),
        ("link/../real/media/.", "real/media"),
        ("link/new/deep", "real/new/deep"),
        ("new", "new"),
    ] {
        assert_eq!(settle(&root.join(path)).unwrap(), root.join(wanted), "{path}");
    }
    for path in ["dangling", "dangling/x", "new/../real"] {
        assert!(settle(&root.join(path)).is_err(), "{path}");
    }
    let here = |path: &str| Location::Local(settle(&root.join(path)).unwrap());
    assert_eq!(overlap(&here("link"), &here("real/media")), Some(Overlap::SecondInside));
    assert_eq!(overlap(&here("link/media"), &here("real/media")), Some(Overlap::Same));
}

#[test]
fn paths_that_are_no_text_have_canonical_texts_of_their_own() {
    use std::os::unix::ffi::OsStrExt as _;
    let at = |bytes: &[u8]| Location::Local(PathBuf::from(std::ffi::OsStr::from_bytes(bytes))).canonical();
    assert_eq!(at(b"/a/\xe9"), r"file:///a/\xe9");
    assert_eq!(at(br"/a/\xe9"), r"file:///a/\\xe9");
    assert_ne!(at(b"/a/\xe9"), at(b"/a/\xe8"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_output_of_a_parse_holds_a_piece_of_the_secret(
        secret in prop_oneof![
            "([A-Za-z0-9]|[/@+?#:%&=.]){8,44}",
            "[a-z]{2,9}[@:/?][a-z]{8}(\\.[a-z]{8}){1,3}[/?#&@:][a-z=]{8,20}",
        ],
        before in prop::sample::select(vec!["s3://AK:", "s3:/AK:", "s3:AK:", "AK:", "X=s3://AK:", "'s3://AK:", "az://AK:", "az://acct:", "env:s3://AK:", "https://AK:", "env:V", "S3://AK:"]),
        after in prop::sample::select(vec!["@bbb.s3.eu-west-1.amazonaws.com/pre", "@bucket/?endpoint=http://127.0.0.1:9000", "@blob.core.windows.net/cont", "@host", "@"]),
    ) {
        // One more, typed by name: the value of the variable holds the secret.
        let text = format!("{before}{secret}{after}");
        let dsn: &'static str = format!("s3://AK:{secret}{after}").leak();
        let world = World::new(&[("DSN", dsn)]);
        for text in [text.as_str(), "env:DSN"] {
            let shown = match world.parse(text) {
                Err(error) => format!("{error} {error:?}"),
                Ok(parsed) => format!("{parsed:?} {} {} {:?}", parsed.display(), parsed.canonical(), parsed.spelled()),
            };
            let leaked = secret.as_bytes().windows(8).any(|piece| shown.as_bytes().windows(8).any(|other| other == piece));
            prop_assert!(!leaked, "{text} -> {shown}");
        }
    }
}

#[test]
fn names_of_remotes_do_not_collide_with_other_locations() {
    for name in ["live", "live-2", "a_b.c", "c", "9"] {
        assert!(check_remote_name(name).is_ok(), "{name}");
    }
    for name in ["", "s3", "S3", "az", "env", "file", "https", "a b", "a/b", "a:b", ".", "..", "-x", "~", "\u{e9}"] {
        assert!(check_remote_name(name).is_err(), "{name}");
    }
}

#[test]
fn a_path_given_as_such_is_spelled_so_that_it_reads_back() {
    let world = World::new(&[]);
    for (path, spelled) in [
        ("/data/media", "/data/media"),
        ("./data/media", "./data/media"),
        ("live", "./live"),
        ("live:x", "./live:x"),
        ("~", "./~"),
        ("..", "./.."),
    ] {
        let parsed = Parsed::of_path(PathBuf::from(path));
        assert_eq!(parsed.spelled(), Some(spelled), "{path}");
        let again = world.parse(spelled).unwrap();
        let plain = |path: &Path| path.components().filter(|c| *c != std::path::Component::CurDir).collect::<PathBuf>();
        let (Location::Local(a), Location::Local(b)) = (&parsed.location, &again.location) else { panic!("{path}") };
        assert_eq!(plain(a), plain(b));
    }
}

#[test]
fn a_dsn_may_stand_in_a_file_or_on_standard_input() {
    let world = World::new(&[]);
    let one = world.parse("dsn-file:dir/.env#1#ONE_DSN").unwrap();
    assert_eq!(one.display(), "s3://bbb/pre");
    assert_eq!(one.spelled(), Some("dsn-file:dir/.env#1#ONE_DSN"));
    assert!(one.warnings.contains(&"others can read it".to_owned()));
    let input = world.parse("-").unwrap();
    assert_eq!((input.display().as_str(), input.spelled()), ("s3://bbb/pre", None));
    for (text, told) in [
        ("dsn-file:dir/.env#1", "dir/.env#1: it holds several storage DSNs: ONE_DSN, TWO_DSN"),
        ("dsn-file:dir/.env#1#THREE", "dir/.env#1: it holds no THREE, but ONE_DSN, TWO_DSN"),
        ("dsn-file:none", "can't read none"),
        ("dsn-file:", "`dsn-file:` names no file"),
    ] {
        assert_eq!(world.parse(text).unwrap_err().message, told);
    }
}

#[test]
fn a_dsn_may_be_a_credential_of_the_service() {
    let world = World::new(&[]);
    let one = world.parse("credential:live#ONE_DSN").unwrap();
    assert_eq!((one.display().as_str(), one.spelled()), ("s3://bbb/pre", Some("credential:live#ONE_DSN")));
    let several = world.parse("credential:live").unwrap_err();
    assert_eq!(several.message, "the credential live: it holds several storage DSNs: ONE_DSN, TWO_DSN");
    assert_eq!(several.hint, "name one: credential:NAME#VARIABLE");
    assert_eq!(world.parse("credential:none").unwrap_err().message, "there is no credential none");
    for text in ["credential:live", "dsn-file:a", "env:A"] {
        assert_eq!(remote_of(text), None, "{text} names no remote");
    }
}

#[test]
fn the_directory_of_the_containers_is_the_projects_outside_of_them() {
    let variables = [("DEFAULT_STORAGE_DSN", "file:///data/media/?url=%2Fmedia%2F")];
    let world = World { project: Some(Path::new("/home/me/site")), ..World::new(&variables) };
    for text in ["env:DEFAULT_STORAGE_DSN", "dsn-file:dir/.env#1#TWO_DSN", "file:///data/media"] {
        let parsed = world.parse(text).unwrap();
        assert_eq!(parsed.location, Location::Local("/home/me/site/data/media".into()), "{text}");
        assert!(parsed.warnings.iter().any(|told| told.contains("there is no /data here")), "{:?}", parsed.warnings);
    }
    // A path is meant as it stands, and so is what lies elsewhere.
    assert_eq!(world.parse("/data/media").unwrap().location, Location::Local("/data/media".into()));
    assert_eq!(world.parse("file:///database").unwrap().location, Location::Local("/database".into()));
}
