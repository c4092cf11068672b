//! The reference's behaviour as tables, where it is right and where it is not; and that nothing leaks.

use proptest::prelude::*;

use super::*;

fn s3_of(text: &str) -> (S3Address, Vec<String>) {
    match parse(text, None) {
        Ok(Dsn { place: Place::S3(address), warnings }) => (address, warnings),
        other => panic!("{text}: {other:?}"),
    }
}

fn fault(text: &str) -> Fault {
    parse(text, None).expect_err(text).fault
}

fn credentials_of(address: &S3Address) -> (&str, &str) {
    match &address.credentials {
        Credentials::Static { access_key, secret, .. } => (access_key, secret.reveal()),
        Credentials::Chain { .. } | Credentials::Renewed { .. } => panic!("a DSN has credentials"),
    }
}

/// Host, bucket, endpoint (`aws` for AWS by region), region.
type Vector = (&'static str, &'static str, &'static str, Option<&'static str>);

fn check(vectors: &[Vector]) {
    for (host, bucket, endpoint, region) in vectors {
        let (address, _) = s3_of(&format!("s3://KEY:SECRET@{host}/?auth=s3v4"));
        let contacted = address.endpoint.as_deref().unwrap_or("https://aws").trim_start_matches("https://");
        let got = (address.bucket.as_str(), contacted, address.region.as_deref());
        assert_eq!(got, (*bucket, *endpoint, *region), "{host}");
    }
}

#[test]
fn golden_vectors_where_the_reference_is_right() {
    check(&[
        ("a.aldryn-media.io.s3.amazonaws.com", "a.aldryn-media.io", "aws", Some("us-east-1")),
        ("a.aldryn-media.io.s3-eu-central-1.amazonaws.com", "a.aldryn-media.io", "aws", Some("eu-central-1")),
        ("b-live-1.divio-media.org.s3.amazonaws.com", "b-live-1.divio-media.org", "aws", Some("us-east-1")),
        ("bbb.s3.eu-west-2.amazonaws.com", "bbb", "aws", Some("eu-west-2")),
        ("bbb.s3-eu-west-2.amazonaws.com", "bbb", "aws", Some("eu-west-2")),
        ("bbb.s3.dualstack.eu-west-1.amazonaws.com", "bbb", "s3.dualstack.eu-west-1.amazonaws.com", Some("eu-west-1")),
        (
            "bbb.s3-fips.us-gov-west-1.amazonaws.com",
            "bbb",
            "s3-fips.us-gov-west-1.amazonaws.com",
            Some("us-gov-west-1"),
        ),
        (
            "bbb.s3-fips.dualstack.us-east-1.amazonaws.com",
            "bbb",
            "s3-fips.dualstack.us-east-1.amazonaws.com",
            Some("us-east-1"),
        ),
        ("bbb.s3.cn-north-1.amazonaws.com.cn", "bbb", "aws", Some("cn-north-1")),
        ("bbb.sos-ch-dk-2.exo.io", "bbb", "sos-ch-dk-2.exo.io", Some("ch-dk-2")),
        ("bbb.sos-ch-gva-2.exo.io", "bbb", "sos-ch-gva-2.exo.io", Some("ch-gva-2")),
        ("dotted.bbb.sos-de-fra-1.exo.io", "dotted.bbb", "sos-de-fra-1.exo.io", Some("de-fra-1")),
        ("bbb.s3.us-west-004.backblazeb2.com", "bbb", "s3.us-west-004.backblazeb2.com", Some("us-west-004")),
        ("bbb.s3.fr-par.scw.cloud", "bbb", "s3.fr-par.scw.cloud", Some("fr-par")),
        ("bbb.s3.gra.io.cloud.ovh.net", "bbb", "s3.gra.io.cloud.ovh.net", Some("gra")),
        ("bbb.s3.eu-central-1.wasabisys.com", "bbb", "s3.eu-central-1.wasabisys.com", Some("eu-central-1")),
        ("bbb.storage.example.com", "bbb", "storage.example.com", None),
        ("x.bbb.storage.example.com", "x.bbb", "storage.example.com", None),
        ("BBB.S3.EU-West-1.AmazonAWS.com", "bbb", "aws", Some("eu-west-1")),
    ]);
}

#[test]
fn golden_vectors_where_the_reference_is_wrong() {
    check(&[
        // Its region: "accelerate".
        ("bbb.s3-accelerate.amazonaws.com", "bbb", "s3-accelerate.amazonaws.com", None),
        ("bbb.s3-accelerate.dualstack.amazonaws.com", "bbb", "s3-accelerate.dualstack.amazonaws.com", None),
        // "website-us-east-1", "website": hosts without an API.
        ("bbb.s3-website-us-east-1.amazonaws.com", "bbb", "aws", Some("us-east-1")),
        ("bbb.s3-website.eu-central-1.amazonaws.com", "bbb", "aws", Some("eu-central-1")),
        // "external-1".
        ("bbb.s3-external-1.amazonaws.com", "bbb", "aws", Some("us-east-1")),
        // "wasabisys".
        ("bbb.s3.wasabisys.com", "bbb", "s3.wasabisys.com", Some("us-east-1")),
        // None.
        ("bbb.sos.exo.io", "bbb", "sos.exo.io", Some("ch-dk-2")),
        ("bbb.fra1.digitaloceanspaces.com", "bbb", "fra1.digitaloceanspaces.com", Some("fra1")),
        ("bbb.fsn1.your-objectstorage.com", "bbb", "fsn1.your-objectstorage.com", Some("fsn1")),
        // Bucket "bbb.0123abcd".
        ("bbb.0123abcd.r2.cloudflarestorage.com", "bbb", "0123abcd.r2.cloudflarestorage.com", Some("auto")),
        ("bbb.0123abcd.eu.r2.cloudflarestorage.com", "bbb", "0123abcd.eu.r2.cloudflarestorage.com", Some("auto")),
        // Split at the first ".s3".
        ("weird.s3.name.s3.eu-west-1.amazonaws.com", "weird.s3.name", "aws", Some("eu-west-1")),
        ("my.s3-backup.s3.eu-west-1.amazonaws.com", "my.s3-backup", "aws", Some("eu-west-1")),
        ("s3.s3.s3.amazonaws.com", "s3.s3", "aws", Some("us-east-1")),
        ("my.s3.thing.s3.eu-south-1.example.com", "my.s3.thing", "s3.eu-south-1.example.com", Some("eu-south-1")),
        ("bbb.s3.storage.example.com", "bbb", "s3.storage.example.com", None),
    ]);
    let (address, warnings) = s3_of("s3://K:S@bbb.s3-website.eu-central-1.amazonaws.com/");
    assert!(warnings[0].contains("website"), "{warnings:?} {address:?}");
    assert_eq!(s3_of("s3://K:S@bbb.s3-accelerate.amazonaws.com").0.addressing, Addressing::Virtual);
    // A bucket with dots can't be accelerated.
    let (address, warnings) = s3_of("s3://K:S@a.bbb.s3-accelerate.amazonaws.com");
    assert_eq!((address.endpoint, address.addressing, warnings.len()), (None, Addressing::Auto, 1));
}

#[test]
fn ports_plain_http_and_bare_buckets_through_endpoint() {
    for (text, bucket, endpoint) in [
        ("s3://K:S@media/?endpoint=http://127.0.0.1:9000", "media", "http://127.0.0.1:9000"),
        ("s3://K:S@media?endpoint=http%3A%2F%2F127.0.0.1%3A9000", "media", "http://127.0.0.1:9000"),
        ("s3://K:S@My_Bucket/?endpoint=http://minio:9000/", "My_Bucket", "http://minio:9000"),
        ("s3://K:S@a.media.org/?endpoint=https://minio.local", "a.media.org", "https://minio.local"),
        ("s3://K:S@media.minio.local/?endpoint=http://minio.local:9000", "media", "http://minio.local:9000"),
        ("s3://K:S@media.s3.eu-west-1.amazonaws.com/?endpoint=http://proxy:80", "media", "http://proxy"),
    ] {
        let (address, warnings) = s3_of(text);
        assert_eq!((address.bucket.as_str(), address.endpoint.as_deref()), (bucket, Some(endpoint)), "{text}");
        assert!(warnings.is_empty(), "{warnings:?}");
    }
    let (address, _) = s3_of("s3://K:S@media/?endpoint=https://s3-eu-west-1.amazonaws.com");
    assert_eq!((address.endpoint, address.region.as_deref()), (None, Some("eu-west-1")));
}

const HOST: &str = "bbb.s3.eu-west-1.amazonaws.com";

#[test]
fn credentials_are_decoded_once_and_leniently() {
    for (userinfo, key, wanted, raw) in [
        ("KEY:abc", "KEY", "abc", ""),
        ("KEY:a%2Fb%2fc%2Bd%40", "KEY", "a/b/c+d@", ""),
        ("KEY:a%252F", "KEY", "a%2F", ""),
        ("KEY:%zz=", "KEY", "%zz=", ""),
        ("KEY:a:b", "KEY", "a:b", ""),
        ("KEY:a+b", "KEY", "a+b", "`+`"),
        ("KEY:a/b/c", "KEY", "a/b/c", "`/`"),
        ("KEY:a@b", "KEY", "a@b", "`@`"),
        ("KEY:/a@b/c#d+", "KEY", "/a@b/c#d+", "`/`, `@`, `+`, `#`"),
        ("KEY:@/", "KEY", "@/", "`/`, `@`"),
        ("K EY:a\u{20}b", "KEY", "ab", ""),
    ] {
        let (address, warnings) = s3_of(&format!("s3://{userinfo}@{HOST}/pre?auth=s3v4"));
        assert_eq!(credentials_of(&address), (key, wanted), "{userinfo}");
        assert_eq!((address.bucket.as_str(), address.prefix.as_str()), ("bbb", "pre"));
        match raw {
            "" => assert!(warnings.is_empty(), "{userinfo}: {warnings:?}"),
            raw => assert!(warnings.len() == 1 && warnings[0].contains(&format!("unencoded {raw}:")), "{warnings:?}"),
        }
    }
}

#[test]
fn what_copying_leaves_is_taken_off() {
    let plain = format!("s3://KEY:SEC%2FRET@{HOST}/pre?domain=cdn.example.com");
    let (half, rest) = plain.split_at(15);
    let (mid, end) = rest.split_at(20);
    for text in [
        format!("  {plain}\n"),
        format!("\"{plain}\""),
        format!("'{plain}'\r\n"),
        format!("DEFAULT_STORAGE_DSN={plain}"),
        format!("export DEFAULT_STORAGE_DSN=\"{plain}\""),
        format!("\"DEFAULT_STORAGE_DSN={plain}\""),
        format!("{half}\n{mid}\n{end}"),
        format!("{half}\r\n  {mid}  \r\n{end}"),
        format!("+-----+\n| {half} |\n| {mid} |\n| {end} |\n+-----+"),
        plain.replacen("s3", "S3", 1),
    ] {
        assert_eq!(parse(&text, None), parse(&plain, None), "{text}");
        assert!(parse(&text, None).is_ok(), "{text}");
    }
}

#[test]
fn the_path_is_the_prefix_that_the_reference_uses() {
    // Measured: django-storage-url 0.12.1 takes str(furl(dsn).path) with furl 2.1.4.
    for (path, wanted, warns) in [
        ("", "", false),
        ("/", "", false),
        ("/media", "media", false),
        ("/media/", "media", false),
        ("/a/b/c", "a/b/c", false),
        ("/pre%20fix/", "pre%20fix", true),
        ("/pre fix", "pre%20fix", true),
        ("/a+b", "a+b", false),
        ("/é", "%C3%A9", true),
        ("/p%2fq", "p%2Fq", true),
        ("/p%zz", "p%25zz", true),
        ("/a%41b", "aAb", false),
        ("/x%40y", "x@y", false),
        ("/a[b]", "a%5Bb%5D", true),
    ] {
        let (address, warnings) = s3_of(&format!("s3://K:S@{HOST}{path}"));
        assert_eq!(address.prefix, wanted, "{path}");
        assert_eq!(!warnings.is_empty(), warns, "{path}: {warnings:?}");
    }
    assert_eq!(s3_of(&format!("s3://K:S@{HOST}/a/?prefix=b%20c%3F/")).0.prefix, "a/b c?");
    assert_eq!(s3_of(&format!("s3://K:S@{HOST}/?prefix=/x%40y/")).0.prefix, "x@y");
}

#[test]
fn parameters() {
    let acl = |query: &str| s3_of(&format!("s3://K:S@{HOST}/?{query}")).0.acl;
    assert_eq!(acl(""), Some("public-read".to_owned()));
    assert_eq!(acl("acl=private&acl=public-read"), Some("private".to_owned()));
    assert_eq!(acl("acl="), None);
    let region = |host: &str, query: &str| {
        let (address, warnings) = s3_of(&format!("s3://K:S@{host}/?{query}"));
        (address.region.unwrap_or_default(), warnings.len())
    };
    assert_eq!(region(HOST, "region_name=eu-west-2"), ("eu-west-1".to_owned(), 1));
    assert_eq!(region(HOST, "region=eu-west-2"), ("eu-west-2".to_owned(), 1));
    assert_eq!(region("bbb.storage.example.com", "region_name=here"), ("here".to_owned(), 0));
    assert_eq!(region("bbb.storage.example.com", "region=there&region_name=here"), ("there".to_owned(), 0));
    let style = |query: &str| s3_of(&format!("s3://K:S@{HOST}/?{query}")).0.addressing;
    assert_eq!(style(""), Addressing::Auto);
    assert_eq!(style("addressing_style=path"), Addressing::Path);
    assert_eq!(style("addressing_style=virtual"), Addressing::Virtual);
    for quiet in ["auth=s3", "auth=s3v4", "qs_auth=1", "domain=d", ""] {
        assert!(s3_of(&format!("s3://K:S@{HOST}/?{quiet}")).1.is_empty(), "{quiet}");
    }
    for loud in ["auth=s5", "media-headers=x", "acl=private&acl=", "url=/media/"] {
        assert_eq!(s3_of(&format!("s3://K:S@{HOST}/?{loud}")).1.len(), 1, "{loud}");
    }
}

#[test]
fn where_the_public_reads() {
    for (host, rest, wanted) in [
        ("bbb.sos-ch-dk-2.exo.io", "/", Some("https://bbb.sos-ch-dk-2.exo.io")),
        ("bbb.sos-ch-dk-2.exo.io", "/pre%20fix", Some("https://bbb.sos-ch-dk-2.exo.io/pre%2520fix")),
        (HOST, "/?domain=cdn.example.com", Some("https://cdn.example.com")),
        (HOST, "/a/?domain=cdn.example.com&prefix=b", Some("https://cdn.example.com/a/b")),
        (HOST, "/a?domain=https://cdn.example.com", Some("https://cdn.example.com/a")),
        (HOST, "/a?domain=HTTP://cdn.example.com:8080/m/", Some("http://cdn.example.com:8080/m/a")),
        (HOST, "/a?domain=//cdn.example.com", Some("https://cdn.example.com/a")),
        (HOST, "/a/?url=http://cdn.example.com/x/&domain=no", Some("http://cdn.example.com/x")),
        (HOST, "/a/?url=//cdn.example.com/x/&prefix=b", Some("https://cdn.example.com/x/b")),
        ("a.bbb.s3.eu-west-1.amazonaws.com", "/p", Some("https://s3.eu-west-1.amazonaws.com/a.bbb/p")),
        ("media", "/?endpoint=http://minio:9000", Some("http://minio:9000/media")),
        ("bbb.0123abcd.r2.cloudflarestorage.com", "/", None),
    ] {
        assert_eq!(s3_of(&format!("s3://K:S@{host}{rest}")).0.public_url.as_deref(), wanted, "{host}{rest}");
    }
}

#[test]
fn a_domain_is_a_host_name_or_a_mistake() {
    for wrong in [
        "...",
        "a..b",
        "ftp://cdn.example.com",
        "a b.example.com",
        "cdn.example.com:x",
        "k:s@cdn",
        "https://",
        "c?d",
        "a/b%23c",
    ] {
        for dsn in [
            format!("s3://K:S@{HOST}/?domain={wrong}"),
            format!("az://acct:c2VjcmV0@blob.core.windows.net/cont?domain={wrong}"),
        ] {
            let told = parse(&dsn, None);
            let is_refused =
                matches!(&told, Err(error) if matches!(error.fault, Fault::Domain | Fault::AtAfterQuestion));
            assert!(is_refused, "{dsn}: {told:?}");
        }
    }
    for fine in [
        "d",
        "localhost:9000",
        "a_b.example.com.",
        "cdn.example.com/files/x",
        "",
        "b%C3%BCro.de".replace("%C3%BC", "xn--").as_str(),
    ] {
        assert!(parse(&format!("s3://K:S@{HOST}/?domain={fine}"), None).is_ok(), "{fine}");
    }
    assert!(Fault::Domain.hint().contains("domain=media.example.com"));
}

#[test]
fn files() {
    for (text, wanted) in [
        ("file:///data/media/?url=%2Fmedia%2F", "/data/media/"),
        ("FILE:///data/media", "/data/media"),
        ("file://localhost/data", "/data"),
        ("file:/data", "/data"),
        ("file:rel/ative", "rel/ative"),
        ("file:////data", "/data"),
        ("file:///a%20b", "/a%20b"),
        ("DEFAULT_STORAGE_DSN='file:///a b'", "/a b"),
    ] {
        let dsn = parse(text, None).unwrap();
        assert_eq!(dsn.place, Place::Local(wanted.into()), "{text}");
        assert_eq!(dsn.warnings.len(), usize::from(wanted.contains('%')), "{text}");
    }
    assert_eq!(fault("file://data/media"), Fault::FileHost);
    assert_eq!(fault("file://"), Fault::NoPath);
    assert_eq!(fault("file:?url=/x"), Fault::NoPath);
}

#[test]
fn faults() {
    use crate::replica::s3::bucket::BadName;
    use crate::replica::s3::endpoint::BadHost;
    for (text, wanted) in [
        ("", Fault::Empty),
        (" \n ", Fault::Empty),
        ("gs://K:S@b.x.y.z", Fault::Scheme),
        ("s3:/K:S@b.x.y.z", Fault::Scheme),
        ("K:S@b.x.y.z", Fault::Scheme),
        ("az:/acct:c2ln@blob.core.windows.net/", Fault::Scheme),
        ("az://acct@blob.core.windows.net/", Fault::NoSecret),
        ("az://acct:~~~@blob.core.windows.net/", Fault::AzureSecret),
        ("az://acct:c2ln@blob.core.windows.net:443/", Fault::Port),
        ("s3://bucket/prefix", Fault::NoUserinfo),
        ("s3://KEY@bbb.s3.amazonaws.com", Fault::NoSecret),
        ("s3://KEY:@bbb.s3.amazonaws.com", Fault::NoSecret),
        ("s3://:SECRET@bbb.s3.amazonaws.com", Fault::NoSecret),
        ("s3://KEY:%FF@bbb.s3.amazonaws.com", Fault::SecretEncoding),
        ("s3://KEY:SECRET@bucket/", Fault::NoHost),
        ("s3://KEY:SECRET@", Fault::NoHost),
        ("s3://KEY:SE@c.r.e.t/x@bbb.s3.amazonaws.com", Fault::Ambiguous),
        ("s3://KEY:SECRET@bbb.s3.amazonaws.com/img@2x", Fault::Ambiguous),
        ("s3://KEY:SECRET@bbb/img@2x?endpoint=http://h", Fault::Ambiguous),
        ("s3://KEY:SE?CRET@bbb.s3.amazonaws.com", Fault::AtAfterQuestion),
        ("s3://KEY:SECRET@bbb.minio.local:9000/", Fault::Port),
        ("s3://KEY:SECRET@localhost:9000/bucket", Fault::Port),
        ("s3://KEY:SECRET@bbb.s3.amazonaws.com/a#b", Fault::Fragment),
        ("s3://KEY:SECRET@bbb.s3.amazonaws.com/?acl=all", Fault::Value("acl")),
        ("s3://KEY:SECRET@bbb.s3.amazonaws.com/?addressing_style=x", Fault::Value("addressing_style")),
        ("s3://KEY:SECRET@127.0.0.1/", Fault::Host(BadHost::Form)),
        ("s3://KEY:SECRET@s3.amazonaws.com/bucket", Fault::Host(BadHost::NoBucket)),
        ("s3://KEY:SECRET@x.s3-accesspoint.eu-west-1.amazonaws.com", Fault::Host(BadHost::AccessPoint)),
        ("s3://KEY:SECRET@bbb/?endpoint=minio:9000", Fault::Host(BadHost::Scheme)),
        ("s3://KEY:SECRET@a_b.s3.amazonaws.com", Fault::Name(BadName::BucketCharacter)),
        ("s3://KEY:SECRET@bbb.s3.amazonaws.com/a//b", Fault::Name(BadName::PrefixEmptyComponent)),
        ("s3://KEY:SECRET@bbb.s3.amazonaws.com/?prefix=../x", Fault::Name(BadName::PrefixDots)),
    ] {
        assert_eq!(fault(text), wanted, "{text}");
        assert!(!wanted.hint().is_empty());
    }
    let error = parse("s3://KEY:@bbb.s3.amazonaws.com", Some("MY_DSN")).unwrap_err();
    assert_eq!(error.to_string(), "the DSN in MY_DSN: the access key or the secret before the `@` is missing");
}

#[test]
fn redaction() {
    for (text, wanted) in [
        ("s3://KEY:SECRET@host/x", "s3://***@host/x"),
        ("can't read 's3://K:SE/C@R?ET@b.host/x?y': no", "can't read 's3://***@b.host/x?y': no"),
        ("s3://K:S@a.b to az://acct:S@c.d/x.", "s3://***@a.b to az://***@c.d/x."),
        ("s3://K:SECRET", "s3://***"),
        ("s3://K:SECRET and more", "s3://*** and more"),
        ("s3://KE\nY:SEC\nRET@host", "s3://***@host"),
        ("S3://K:S@h", "S3://***@h"),
        ("http://user:pw@proxy:3128", "http://***@proxy:3128"),
        // Not secrets.
        ("nothing", "nothing"),
        ("s3://bucket/a@b: not found", "s3://bucket/a@b: not found"),
        ("s3://bucket: not found", "s3://bucket: not found"),
        ("http://127.0.0.1:9000/x", "http://127.0.0.1:9000/x"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("s3://b?endpoint=http://127.0.0.1:9000&region=r", "s3://b?endpoint=http://127.0.0.1:9000&region=r"),
        ("file:///data/media", "file:///data/media"),
    ] {
        assert_eq!(redact(text), wanted, "{text}");
    }
}

/// Whether `shown` holds any 8 neighbouring bytes of `secret`.
fn leaks(shown: &str, secret: &str) -> bool {
    secret.as_bytes().windows(8).any(|piece| shown.as_bytes().windows(8).any(|other| other == piece))
}

/// Secrets as they come, and such as look like hosts, paths and parameters in the middle.
fn secrets() -> impl Strategy<Value = String> {
    prop_oneof![
        "([A-Za-z0-9]|[/@+?#:%&=.|'\"]){8,44}",
        "[a-z]{2,9}[@:/?][a-z]{8}(\\.[a-z]{8}){1,3}[/?#&@:][a-z=]{8,20}"
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_output_of_a_parse_holds_a_piece_of_the_secret(
        secret in secrets(),
        before in prop::sample::select(vec!["s3://AK:", "s3:/AK:", "s3//AK:", "AK:", "X=s3://AK:", "\"s3://AK:", "az://AK:", "az://acct:", "s3:// AK:", "s3://AK", "s3://", "gs://AK:", ""]),
        after in prop::sample::select(vec![
            "@bbb.s3.eu-west-1.amazonaws.com/pre?acl=", "@bucket/?endpoint=http://127.0.0.1:9000", "@a.b.example.com",
            "@localhost:9000/x", "@", "", "@nohost/x", "@bbb.exo.io/p?foo=1",
        ]),
    ) {
        // Without the `@` that ends them, no reading can tell credentials with another one from a whole DSN.
        prop_assume!(!after.is_empty() || !secret.contains('@'));
        let text = format!("{before}{secret}{after}");
        let result = parse(&text, Some("NAME"));
        let shown = match &result {
            Err(error) => format!("{error} {error:?} {}", error.fault.hint()),
            Ok(dsn) => {
                let address = match &dsn.place {
                    Place::S3(address) => format!("{} {}", address.display(), address.canonical()),
                    Place::Azure(address) => format!("{} {}", address.display(), address.canonical()),
                    Place::Local(_) => String::new(),
                };
                format!("{dsn:?} {address}")
            }
        };
        // Without a `:` before it, the planted text is the access key, which Debug shows and nothing else does.
        let shown = match &result {
            Ok(Dsn { place: Place::S3(address), .. }) if !before.ends_with(':') => {
                shown.replace(&format!("{:?}", credentials_of(address).0), "")
            }
            _ => shown,
        };
        prop_assert!(!leaks(&shown, &secret), "{text} -> {shown}");
    }

    #[test]
    fn redaction_leaves_no_piece_of_the_secret(
        secret in "([A-Za-z0-9]|[/@+?#:%&=.|]){8,44}",
        before in "[a-z ']{0,10}",
        after in "[a-z /?']{0,10}",
    ) {
        prop_assume!(!secret.contains("://"));
        let text = format!("{before}s3://KEY:{secret}@host.example{after}");
        prop_assert!(!leaks(&redact(&text), &secret), "{text}");
        let cut_off = format!("{before}s3://KEY:{secret}");
        // After an `@` a cut-off secret looks like a host.
        prop_assert!(secret.contains('@') || !leaks(&redact(&cut_off), &secret), "{cut_off}");
    }
}
