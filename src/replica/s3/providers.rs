//! What is known of S3 servers before they are asked: one table, by host.
//!
//! It is the first guess, from the providers' documentation and from reports. It spares requests that would be refused,
//! and says what can't be tried (how many parts an upload may have). It takes abilities away and never grants one:
//! what a server can do is tried by the [`probe`](super::probe), which has the last word. `docs/providers.md` prints this
//! table, held by a test.

use std::fmt::Write as _;

use super::address::{Addressing, S3Address};
use super::probe::Probe;
use crate::replica::Ability;

const MIB: u64 = 1024 * 1024;

/// Whether servers of a kind do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Yes,
    No,
    /// Sources disagree, or it depends on the release: act as if not, until it was tried.
    Perhaps,
}

/// Whether objects have ACLs of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acls {
    Objects,
    /// A header must equal the bucket's ACL: none is sent unless somebody names one.
    Bucket,
    None,
}

/// Whether a batch of deletions and a CORS rule need a Content-MD5. It is always sent with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ContentMd5 {
    Needed,
    Optional,
}

/// The parts of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parts {
    most: u32,
    /// Bytes of each but the last.
    smallest: u64,
    sizes: Sizes,
}

/// Whether parts may have different sizes. Ours are equal, except for the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sizes {
    Any,
    Equal,
}

/// Where the public reads an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Public {
    /// `https://BUCKET.HOST/KEY`.
    Virtual,
    /// `https://HOST/BUCKET/KEY`.
    Path,
    /// At a domain of one's own only.
    Domain,
}

/// A kind of server.
#[derive(Debug, PartialEq, Eq)]
pub struct Provider {
    /// As the configuration spells it.
    pub name: &'static str,
    shown: &'static str,
    /// Ends of host names; none for software that anybody may run.
    hosts: &'static [&'static str],
    addressing: Addressing,
    region: &'static str,
    acls: Acls,
    checksums: Does,
    content_md5: ContentMd5,
    parts: Parts,
    conditional_put: Does,
    conditional_delete: Does,
    conditional_copy: Does,
    copies: Does,
    list_v2: Does,
    ordered: Does,
    url_encoding: Does,
    public: Public,
}

const COMMON: Parts = Parts { most: 10_000, smallest: 5 * MIB, sizes: Sizes::Any };

/// Of whom nothing is known.
const UNKNOWN: Provider = Provider {
    name: "other",
    shown: "any other",
    hosts: &[],
    addressing: Addressing::Path,
    region: "`us-east-1`, or what the server says",
    acls: Acls::Objects,
    checksums: Does::Perhaps,
    content_md5: ContentMd5::Needed,
    parts: COMMON,
    conditional_put: Does::Perhaps,
    conditional_delete: Does::Perhaps,
    conditional_copy: Does::Perhaps,
    copies: Does::Yes,
    list_v2: Does::Perhaps,
    ordered: Does::Perhaps,
    url_encoding: Does::Perhaps,
    public: Public::Path,
};

/// All kinds; the last is of whom nothing is known.
pub static PROVIDERS: [Provider; 16] = [
    Provider {
        name: "aws",
        shown: "AWS",
        hosts: &["amazonaws.com", "amazonaws.com.cn", "amazonaws.eu", "api.aws"],
        addressing: Addressing::Virtual,
        region: "in the host; `s3.amazonaws.com` is `us-east-1`",
        checksums: Does::Yes,
        content_md5: ContentMd5::Optional,
        conditional_put: Does::Yes,
        conditional_delete: Does::Yes,
        conditional_copy: Does::Yes,
        list_v2: Does::Yes,
        ordered: Does::Yes,
        url_encoding: Does::Yes,
        public: Public::Virtual,
        ..UNKNOWN
    },
    Provider {
        name: "exoscale",
        shown: "Exoscale SOS",
        hosts: &["exo.io"],
        region: "the zone in the host",
        checksums: Does::Yes,
        list_v2: Does::Yes,
        public: Public::Virtual,
        ..UNKNOWN
    },
    Provider {
        name: "r2",
        shown: "Cloudflare R2",
        hosts: &["r2.cloudflarestorage.com"],
        region: "`auto`",
        acls: Acls::None,
        checksums: Does::Yes,
        parts: Parts { sizes: Sizes::Equal, ..COMMON },
        conditional_put: Does::Yes,
        list_v2: Does::Yes,
        public: Public::Domain,
        ..UNKNOWN
    },
    Provider {
        name: "backblaze",
        shown: "Backblaze B2",
        hosts: &["backblazeb2.com"],
        region: "in the host",
        acls: Acls::Bucket,
        checksums: Does::No,
        list_v2: Does::Yes,
        public: Public::Virtual,
        ..UNKNOWN
    },
    Provider {
        name: "wasabi",
        shown: "Wasabi",
        hosts: &["wasabisys.com"],
        region: "in the host; `s3.wasabisys.com` is `us-east-1`",
        list_v2: Does::Yes,
        ordered: Does::Yes,
        public: Public::Virtual,
        ..UNKNOWN
    },
    Provider {
        name: "digitalocean",
        shown: "DigitalOcean Spaces",
        hosts: &["digitaloceanspaces.com"],
        region: "the first label of the host",
        list_v2: Does::Yes,
        url_encoding: Does::No,
        public: Public::Virtual,
        ..UNKNOWN
    },
    Provider {
        name: "hetzner",
        shown: "Hetzner",
        hosts: &["your-objectstorage.com"],
        region: "the first label of the host",
        copies: Does::Perhaps,
        list_v2: Does::Yes,
        public: Public::Virtual,
        ..UNKNOWN
    },
    Provider {
        name: "ovh",
        shown: "OVH",
        hosts: &["cloud.ovh.net", "cloud.ovh.us"],
        region: "in the host",
        checksums: Does::No,
        list_v2: Does::Yes,
        public: Public::Virtual,
        ..UNKNOWN
    },
    Provider {
        name: "scaleway",
        shown: "Scaleway",
        hosts: &["scw.cloud"],
        region: "in the host",
        checksums: Does::Yes,
        parts: Parts { most: 1_000, ..COMMON },
        conditional_put: Does::Yes,
        list_v2: Does::Yes,
        public: Public::Virtual,
        ..UNKNOWN
    },
    Provider {
        name: "google",
        shown: "Google Cloud Storage",
        hosts: &["storage.googleapis.com"],
        region: "`auto`",
        list_v2: Does::Yes,
        ..UNKNOWN
    },
    Provider {
        name: "storj",
        shown: "Storj",
        hosts: &["storjshare.io"],
        acls: Acls::None,
        checksums: Does::No,
        parts: Parts { smallest: 64 * MIB, ..COMMON },
        list_v2: Does::Yes,
        ordered: Does::No,
        public: Public::Domain,
        ..UNKNOWN
    },
    Provider {
        name: "minio",
        shown: "MinIO",
        acls: Acls::None,
        conditional_put: Does::Yes,
        list_v2: Does::Yes,
        ordered: Does::Yes,
        ..UNKNOWN
    },
    Provider { name: "ceph", shown: "Ceph", url_encoding: Does::No, ..UNKNOWN },
    Provider { name: "garage", shown: "Garage", acls: Acls::None, list_v2: Does::Yes, ..UNKNOWN },
    Provider {
        name: "seaweedfs",
        shown: "SeaweedFS",
        conditional_put: Does::Yes,
        list_v2: Does::Yes,
        ordered: Does::No,
        ..UNKNOWN
    },
    UNKNOWN,
];

/// What people may say about a server in the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Which row of the table it is; by host if nobody says.
    pub provider: Option<&'static Provider>,
    /// What is not to be used, whatever the server does.
    pub without: Vec<Without>,
    /// The most parts that an upload may have.
    pub max_parts: Option<u32>,
}

/// An ability that is not to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// ACLs of objects.
    Acls,
    /// `x-amz-checksum-*`.
    Checksums,
    /// `If-Match` and `If-None-Match` of writes.
    ConditionalPut,
    /// `If-Match` of deletions.
    ConditionalDelete,
    /// Conditions of copies.
    ConditionalCopy,
    /// CopyObject.
    Copies,
    /// DeleteObjects.
    BatchDelete,
    /// ListObjectsV2.
    ListV2,
    /// `encoding-type=url`.
    UrlEncoding,
    /// That listings are in the order of keys.
    Order,
}

/// The spellings of the configuration.
pub const WITHOUT: [(&str, Without); 10] = [
    ("acls", Without::Acls),
    ("checksums", Without::Checksums),
    ("conditional-put", Without::ConditionalPut),
    ("conditional-delete", Without::ConditionalDelete),
    ("conditional-copy", Without::ConditionalCopy),
    ("copies", Without::Copies),
    ("batch-delete", Without::BatchDelete),
    ("list-v2", Without::ListV2),
    ("url-encoding", Without::UrlEncoding),
    ("order", Without::Order),
];

impl Said {
    /// What is never used, as a probe that says so.
    pub(super) fn limits(&self) -> Probe {
        let mut probe = Probe::default();
        for without in &self.without {
            let abilities: &mut [&mut Ability] = match without {
                Without::Acls => &mut [&mut probe.acl],
                Without::Checksums => &mut [&mut probe.checksums],
                Without::ConditionalPut => &mut [&mut probe.conditional_put],
                Without::ConditionalDelete => &mut [&mut probe.conditional_delete, &mut probe.conditional_batch_delete],
                Without::ConditionalCopy => &mut [&mut probe.conditional_copy, &mut probe.checked_source],
                Without::Copies => &mut [&mut probe.copy],
                Without::BatchDelete => &mut [&mut probe.batch_delete],
                Without::ListV2 => &mut [&mut probe.list_v2],
                Without::UrlEncoding => &mut [&mut probe.url_encoding],
                Without::Order => &mut [&mut probe.ordered],
            };
            for ability in abilities.iter_mut() {
                **ability = Ability::Missing;
            }
        }
        probe
    }
}

impl Provider {
    /// The kind that an address names or that its host shows.
    pub fn of(address: &S3Address) -> &'static Self {
        let Some(endpoint) = address.endpoint.as_deref() else {
            return address.said.provider.unwrap_or(&PROVIDERS[0]);
        };
        let host = endpoint.split("://").last().unwrap_or(endpoint);
        let host = host.split([':', '/']).next().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        let is_of =
            |suffix: &&str| host.strip_suffix(*suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        let by_host = PROVIDERS.iter().find(|provider| provider.hosts.iter().any(is_of));
        address.said.provider.or(by_host).unwrap_or(&PROVIDERS[PROVIDERS.len() - 1])
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PROVIDERS.iter().find(|provider| provider.name == name)
    }

    /// What is taken for missing until it was tried.
    pub(super) fn guess(&self) -> Probe {
        let guess = |does: Does| if does == Does::No { Ability::Missing } else { Ability::Unknown };
        Probe {
            acl: if self.acls == Acls::None { Ability::Missing } else { Ability::Unknown },
            checksums: guess(self.checksums),
            conditional_put: guess(self.conditional_put),
            conditional_delete: guess(self.conditional_delete),
            conditional_copy: guess(self.conditional_copy),
            copy: guess(self.copies),
            list_v2: guess(self.list_v2),
            ordered: guess(self.ordered),
            url_encoding: guess(self.url_encoding),
            ..Probe::default()
        }
    }

    /// How people call it.
    pub(super) fn shown(&self) -> &'static str {
        self.shown
    }

    /// Whether objects have ACLs of their own there.
    pub(super) fn acls(&self) -> Acls {
        self.acls
    }

    /// How the bucket is put into the URL where nobody says.
    pub(super) fn addressing(&self) -> Addressing {
        self.addressing
    }

    /// The part size for content of `size` bytes.
    pub(super) fn part_size(&self, said: &Said, size: u64) -> u64 {
        let most = u64::from(said.max_parts.unwrap_or(self.parts.most)).max(1);
        let mut part = crate::replica::part_size(size);
        while part < self.parts.smallest || size.div_ceil(part) > most {
            part *= 2;
        }
        part
    }
}

/// The table as `docs/providers.md` has it.
pub fn table() -> String {
    let mut text = String::from(
        "| `provider` | hosts | addressing | region | ACLs | checksums | Content-MD5 | parts | conditions: put, delete, copy \
         | copies | ListObjectsV2, in order, `encoding-type` | public URL |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for provider in &PROVIDERS {
        writeln!(text, "{}", provider.row()).expect("a String takes any text");
    }
    text
}

impl Provider {
    fn row(&self) -> String {
        let does = |does: Does| match does {
            Does::Yes => "yes",
            Does::No => "no",
            Does::Perhaps => "?",
        };
        let hosts: Vec<String> = self.hosts.iter().map(|host| format!("`{host}`")).collect();
        let hosts = if hosts.is_empty() { "-".to_owned() } else { hosts.join(", ") };
        let addressing = if self.addressing == Addressing::Virtual { "virtual" } else { "path" };
        let acls = match self.acls {
            Acls::Objects => "yes",
            Acls::Bucket => "equal to the bucket's",
            Acls::None => "none",
        };
        let md5 = if self.content_md5 == ContentMd5::Needed { "needed" } else { "optional" };
        let equal = if self.parts.sizes == Sizes::Equal { ", of one size" } else { "" };
        let parts = format!("{}, from {} MiB{equal}", self.parts.most, self.parts.smallest / MIB);
        let public = match self.public {
            Public::Virtual => "`BUCKET.HOST/KEY`",
            Public::Path => "`HOST/BUCKET/KEY`",
            Public::Domain => "own domain",
        };
        format!(
            "| {}: `{}` | {hosts} | {addressing} | {} | {acls} | {} | {md5} | {parts} | {}, {}, {} | {} | {}, {}, {} | {public} |",
            self.shown,
            self.name,
            self.region,
            does(self.checksums),
            does(self.conditional_put),
            does(self.conditional_delete),
            does(self.conditional_copy),
            does(self.copies),
            does(self.list_v2),
            does(self.ordered),
            does(self.url_encoding),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::s3::session::tests::address;

    const DOC: &str = include_str!("../../../docs/providers.md");

    #[test]
    fn the_document_prints_the_table() {
        assert!(DOC.contains(&table()), "docs/providers.md lacks the table; it reads now:\n\n{}", table());
        for (spelled, _) in WITHOUT {
            assert!(DOC.contains(&format!("`{spelled}`")), "docs/providers.md does not name `without` {spelled}");
        }
    }

    #[test]
    fn a_server_is_known_by_its_host_unless_somebody_says_what_it_is() {
        for (endpoint, name) in [
            (None, "aws"),
            (Some("https://s3.eu-west-1.amazonaws.com"), "aws"),
            (Some("https://sos-ch-dk-2.exo.io"), "exoscale"),
            (Some("https://0123.eu.r2.cloudflarestorage.com:443"), "r2"),
            (Some("https://s3.fr-par.scw.cloud"), "scaleway"),
            (Some("https://s3.gra.io.cloud.ovh.net"), "ovh"),
            (Some("https://S3.EU-Central-1.wasabisys.com."), "wasabi"),
            (Some("https://notscw.cloud"), "other"),
            (Some("https://exo.io.example.com"), "other"),
            (Some("http://127.0.0.1:9000"), "other"),
        ] {
            let mut address = address("bucket", endpoint);
            assert_eq!(Provider::of(&address).name, name, "{endpoint:?}");
            address.said.provider = Provider::named("minio");
            assert_eq!(Provider::of(&address).name, "minio");
        }
    }

    #[test]
    fn names_are_different_and_every_guess_takes_away_and_grants_nothing() {
        for (at, provider) in PROVIDERS.iter().enumerate() {
            assert!(PROVIDERS[at + 1..].iter().all(|other| other.name != provider.name), "{}", provider.name);
            let text = serde_json::to_string(&provider.guess()).unwrap();
            assert!(!text.contains("proven"), "{}: {text}", provider.name);
        }
        let all: Vec<Without> = WITHOUT.iter().map(|(_, without)| *without).collect();
        let limits = Said { without: all, ..Said::default() }.limits();
        assert!(!serde_json::to_string(&limits).unwrap().contains("proven"));
        assert_eq!((limits.acl, limits.copy, limits.list_v2), (Ability::Missing, Ability::Missing, Ability::Missing));
    }

    #[test]
    fn parts_are_as_many_and_as_large_as_the_server_takes() {
        const GIB: u64 = 1024 * MIB;
        let size = |name: &str, size| Provider::named(name).unwrap().part_size(&Said::default(), size);
        assert_eq!(size("aws", GIB), 8 * MIB);
        assert_eq!(size("aws", 100 * GIB), 64 * MIB);
        // 100 GiB in parts of 64 MiB would be 1,600.
        assert_eq!(size("scaleway", 100 * GIB), 128 * MIB);
        assert_eq!(size("storj", GIB), 64 * MIB);
        let said = Said { max_parts: Some(3), ..Said::default() };
        assert_eq!(Provider::named("aws").unwrap().part_size(&said, 40 * MIB), 16 * MIB);
    }
}
