//! Compact bytes for digests, entries and actions, as the manifest and spools hold them.
//!
//! Every form round-trips exactly, and a damaged one is refused rather than guessed. The form of digests is part of
//! the manifest's schema; entries and actions live in private files of one run, so their form may change freely.

use crate::model::{
    Action, Digest, DigestKind, Digests, Entry, Expect, Key, Readable, Reason, Retype, Side, StyleMark, Verb, Version,
};

/// Appends an entry.
pub fn write_entry(out: &mut Vec<u8>, entry: &Entry) {
    write_number(out, entry.size);
    write_text(out, entry.version.as_str());
    write_time(out, entry.modified_ns);
    write_digests(out, &entry.digests);
    out.push(match entry.readable {
        Readable::Yes => 0,
        Readable::Archived => 1,
    });
}

/// Reads an entry; `None` if the bytes are not exactly one.
pub fn read_entry(bytes: &[u8]) -> Option<Entry> {
    let mut from = Bytes(bytes);
    let entry = from.entry()?;
    from.end()?;
    Some(entry)
}

/// Appends an action.
pub fn write_action(out: &mut Vec<u8>, action: &Action) {
    write_text(out, action.key.as_str());
    out.push(match action.side {
        Side::Source => 0,
        Side::Dest => 1,
    });
    write_verb(out, &action.verb);
    write_reason(out, &action.reason);
    match &action.expect {
        Expect::Absent => out.push(0),
        Expect::Version(version) => {
            out.push(1);
            write_text(out, version.as_str());
        }
    }
    write_number(out, action.size);
    for entry in [&action.from, &action.at] {
        out.push(u8::from(entry.is_some()));
        if let Some(entry) = entry {
            write_entry(out, entry);
        }
    }
    write_digests(out, &action.digests);
}

/// Reads an action; `None` if the bytes are not exactly one.
pub fn read_action(bytes: &[u8]) -> Option<Action> {
    let mut from = Bytes(bytes);
    let action = Action {
        key: from.key()?,
        side: match from.byte()? {
            0 => Side::Source,
            1 => Side::Dest,
            _ => return None,
        },
        verb: from.verb()?,
        reason: from.reason()?,
        expect: match from.byte()? {
            0 => Expect::Absent,
            1 => Expect::Version(Version::new(from.text()?)),
            _ => return None,
        },
        size: from.number()?,
        from: if from.flag()? { Some(from.entry()?) } else { None },
        at: if from.flag()? { Some(from.entry()?) } else { None },
        digests: from.digests()?,
    };
    from.end()?;
    Some(action)
}

/// Digests as a blob of their own.
pub(super) fn digests_to_blob(digests: &Digests, out: &mut Vec<u8>) {
    out.clear();
    for digest in digests.iter() {
        write_digest(out, digest);
    }
}

/// Reads what [`digests_to_blob`] wrote.
pub(super) fn digests_from_blob(bytes: &[u8]) -> Option<Digests> {
    let mut from = Bytes(bytes);
    let mut digests = Digests::none();
    while !from.0.is_empty() {
        digests.add(from.digest()?);
    }
    Some(digests)
}

fn write_digests(out: &mut Vec<u8>, digests: &Digests) {
    write_number(out, digests.iter().count() as u64);
    for digest in digests.iter() {
        write_digest(out, digest);
    }
}

// The forms of a digest's text, after its kind: lower-case hexadecimal as raw bytes; the same with a number of
// parts; anything else as it is.
const HEX: u8 = 0;
const HEX_AND_PARTS: u8 = 1;
const TEXT: u8 = 2;

fn write_digest(out: &mut Vec<u8>, digest: &Digest) {
    let kind = match digest.kind {
        DigestKind::Blake3 => 1,
        DigestKind::Md5 => 2,
        DigestKind::MultipartMd5 => 3,
        DigestKind::Sha256 => 4,
        DigestKind::Crc64Nvme => 5,
        DigestKind::EtagMd5 => 6,
        DigestKind::EtagMultipart => 7,
    };
    out.push(kind);
    let form_at = out.len();
    let (hex, parts) = match digest.text.split_once('-') {
        None => (&*digest.text, None),
        Some((hex, parts)) => (hex, Some(parts)),
    };
    // Only what reads back to the same text is packed.
    let number = parts.map(|p| p.parse::<u64>().ok().filter(|n| n.to_string() == p));
    if number != Some(None) {
        out.push(if parts.is_some() { HEX_AND_PARTS } else { HEX });
        write_number(out, hex.len() as u64 / 2);
        if write_unhexed(out, hex.as_bytes()) {
            if let Some(Some(parts)) = number {
                write_number(out, parts);
            }
            return;
        }
        out.truncate(form_at);
    }
    out.push(TEXT);
    write_text(out, &digest.text);
}

fn write_unhexed(out: &mut Vec<u8>, hex: &[u8]) -> bool {
    let nibble = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    for pair in hex.chunks(2) {
        let &[high, low] = pair else { return false };
        let (Some(high), Some(low)) = (nibble(high), nibble(low)) else { return false };
        out.push(high << 4 | low);
    }
    true
}

fn write_verb(out: &mut Vec<u8>, verb: &Verb) {
    match verb {
        Verb::Create => out.push(0),
        Verb::Overwrite => out.push(1),
        Verb::Copy { from, from_version } => {
            out.push(2);
            write_text(out, from.as_str());
            write_text(out, from_version.as_str());
        }
        Verb::Delete => out.push(3),
        Verb::Adopt => out.push(4),
        Verb::Touch => out.push(5),
        Verb::Forget => out.push(6),
        Verb::Lapse => out.push(7),
        Verb::KeepBoth { kept_as } => {
            out.push(8);
            write_text(out, kept_as.as_str());
        }
        Verb::Restyle { mark, retype } => {
            out.push(9);
            write_text(out, mark.as_ref().map_or("", StyleMark::as_str));
            out.push(match retype {
                Retype::Keep => 0,
                Retype::ByName => 1,
            });
        }
    }
}

fn write_reason(out: &mut Vec<u8>, reason: &Reason) {
    let (code, key) = match reason {
        Reason::New => (0, None),
        Reason::ContentChanged => (1, None),
        Reason::Renamed { from } => (2, Some(from)),
        Reason::Copied { from } => (3, Some(from)),
        Reason::TouchedOnly => (4, None),
        Reason::DeletedAtSource => (5, None),
        Reason::MissingAtDestination => (6, None),
        Reason::AlreadyThere => (7, None),
        Reason::OverwritesChange => (8, None),
        Reason::DeletesChange => (9, None),
        Reason::Extra => (10, None),
        Reason::GoneOnBothSides => (11, None),
        Reason::OutOfScope => (12, None),
        Reason::BothKept => (13, None),
        Reason::RulesSay => (14, None),
        Reason::Drifted => (15, None),
        Reason::AsRuled => (16, None),
        Reason::NotKnown => (17, None),
    };
    out.push(code);
    if let Some(key) = key {
        write_text(out, key.as_str());
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    write_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn write_time(out: &mut Vec<u8>, time_ns: Option<i64>) {
    out.push(u8::from(time_ns.is_some()));
    if let Some(time_ns) = time_ns {
        out.extend_from_slice(&time_ns.to_le_bytes());
    }
}

/// Seven bits a byte, the lowest first; the last one has the high bit clear.
fn write_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = self.number()?;
        std::str::from_utf8(self.take(len)?).ok()
    }

    fn key(&mut self) -> Option<Key> {
        Key::new(self.text()?).ok()
    }

    /// Whether an optional value follows.
    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn time(&mut self) -> Option<i64> {
        Some(i64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn digest(&mut self) -> Option<Digest> {
        let kind = match self.byte()? {
            1 => DigestKind::Blake3,
            2 => DigestKind::Md5,
            3 => DigestKind::MultipartMd5,
            4 => DigestKind::Sha256,
            5 => DigestKind::Crc64Nvme,
            6 => DigestKind::EtagMd5,
            7 => DigestKind::EtagMultipart,
            _ => return None,
        };
        let text: Box<str> = match self.byte()? {
            form @ (HEX | HEX_AND_PARTS) => {
                let len = self.number()?;
                let mut text = hexed(self.take(len)?)?;
                if form == HEX_AND_PARTS {
                    text = format!("{text}-{}", self.number()?);
                }
                text.into()
            }
            TEXT => self.text()?.into(),
            _ => return None,
        };
        Some(Digest::new(kind, text))
    }

    fn digests(&mut self) -> Option<Digests> {
        let mut digests = Digests::none();
        for _ in 0..self.number()? {
            digests.add(self.digest()?);
        }
        Some(digests)
    }

    fn entry(&mut self) -> Option<Entry> {
        Some(Entry {
            size: self.number()?,
            version: Version::new(self.text()?),
            modified_ns: if self.flag()? { Some(self.time()?) } else { None },
            digests: self.digests()?,
            readable: match self.byte()? {
                0 => Readable::Yes,
                1 => Readable::Archived,
                _ => return None,
            },
        })
    }

    fn verb(&mut self) -> Option<Verb> {
        Some(match self.byte()? {
            0 => Verb::Create,
            1 => Verb::Overwrite,
            2 => Verb::Copy { from: self.key()?, from_version: Version::new(self.text()?) },
            3 => Verb::Delete,
            4 => Verb::Adopt,
            5 => Verb::Touch,
            6 => Verb::Forget,
            7 => Verb::Lapse,
            8 => Verb::KeepBoth { kept_as: self.key()? },
            9 => Verb::Restyle {
                mark: Some(self.text()?).filter(|mark| !mark.is_empty()).map(StyleMark::new),
                retype: match self.byte()? {
                    0 => Retype::Keep,
                    1 => Retype::ByName,
                    _ => return None,
                },
            },
            _ => return None,
        })
    }

    fn reason(&mut self) -> Option<Reason> {
        Some(match self.byte()? {
            0 => Reason::New,
            1 => Reason::ContentChanged,
            2 => Reason::Renamed { from: self.key()? },
            3 => Reason::Copied { from: self.key()? },
            4 => Reason::TouchedOnly,
            5 => Reason::DeletedAtSource,
            6 => Reason::MissingAtDestination,
            7 => Reason::AlreadyThere,
            8 => Reason::OverwritesChange,
            9 => Reason::DeletesChange,
            10 => Reason::Extra,
            11 => Reason::GoneOnBothSides,
            12 => Reason::OutOfScope,
            13 => Reason::BothKept,
            14 => Reason::RulesSay,
            15 => Reason::Drifted,
            16 => Reason::AsRuled,
            17 => Reason::NotKnown,
            _ => return None,
        })
    }
}

/// Lower-case hexadecimal by table: this runs once a record of every cycle.
fn hexed(bytes: &[u8]) -> Option<String> {
    const PAIRS: [[u8; 2]; 256] = {
        let digits = b"0123456789abcdef";
        let mut pairs = [[0; 2]; 256];
        let mut i = 0;
        while i < 256 {
            pairs[i] = [digits[i >> 4], digits[i & 15]];
            i += 1;
        }
        pairs
    };
    let mut text = Vec::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.extend_from_slice(&PAIRS[usize::from(*byte)]);
    }
    String::from_utf8(text).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::manifest) fn any_key() -> impl Strategy<Value = Key> {
        prop_oneof!["[a-c]{1,3}(/[a-c.-]{1,3}){0,2}", "[a-zé漢😀 /~0]{1,12}"].prop_map(|t| Key::new(t).unwrap())
    }

    pub(in crate::manifest) fn any_version() -> impl Strategy<Value = Version> {
        "[0-9a-f:-]{0,20}|\\PC{0,6}".prop_map(Version::new)
    }

    pub(in crate::manifest) fn any_digests() -> impl Strategy<Value = Digests> {
        let kind = prop::sample::select(vec![
            DigestKind::Blake3,
            DigestKind::Md5,
            DigestKind::MultipartMd5,
            DigestKind::Sha256,
            DigestKind::Crc64Nvme,
            DigestKind::EtagMd5,
            DigestKind::EtagMultipart,
        ]);
        let text = "([0-9a-f]{2}){0,32}|[0-9a-f]{32}-[1-9][0-9]{0,4}|[0-9a-fA-F]{0,5}(-[0-9x]{0,3}){0,2}";
        prop::collection::vec((kind, text), 0..4)
            .prop_map(|list| list.into_iter().map(|(kind, text)| Digest::new(kind, text)).collect())
    }

    fn any_entry() -> impl Strategy<Value = Entry> {
        let readable = prop::sample::select(vec![Readable::Yes, Readable::Archived]);
        (any::<u64>(), any_version(), any::<Option<i64>>(), any_digests(), readable).prop_map(
            |(size, version, modified_ns, digests, readable)| Entry { size, version, modified_ns, digests, readable },
        )
    }

    pub(in crate::manifest) fn any_action() -> impl Strategy<Value = Action> {
        let verb = prop_oneof![
            prop::sample::select(vec![
                Verb::Create,
                Verb::Overwrite,
                Verb::Delete,
                Verb::Adopt,
                Verb::Touch,
                Verb::Forget,
                Verb::Lapse
            ]),
            (any_key(), any_version()).prop_map(|(from, from_version)| Verb::Copy { from, from_version }),
            any_key().prop_map(|kept_as| Verb::KeepBoth { kept_as }),
            (prop::option::of("[0-9a-f]{16}t?"), prop::sample::select(vec![Retype::Keep, Retype::ByName]))
                .prop_map(|(mark, retype)| Verb::Restyle { mark: mark.map(StyleMark::new), retype }),
        ];
        let reason = prop_oneof![
            prop::sample::select(vec![
                Reason::New,
                Reason::ContentChanged,
                Reason::TouchedOnly,
                Reason::DeletedAtSource,
                Reason::MissingAtDestination,
                Reason::AlreadyThere,
                Reason::OverwritesChange,
                Reason::DeletesChange,
                Reason::Extra,
                Reason::GoneOnBothSides,
                Reason::OutOfScope,
                Reason::BothKept,
                Reason::RulesSay,
                Reason::Drifted,
                Reason::AsRuled,
                Reason::NotKnown,
            ]),
            any_key().prop_map(|from| Reason::Renamed { from }),
            any_key().prop_map(|from| Reason::Copied { from }),
        ];
        let expect = prop_oneof![Just(Expect::Absent), any_version().prop_map(Expect::Version)];
        let side = prop::sample::select(vec![Side::Source, Side::Dest]);
        let entry = || prop::option::of(any_entry());
        (any_key(), side, verb, reason, expect, any::<u64>(), entry(), entry(), any_digests()).prop_map(
            |(key, side, verb, reason, expect, size, from, at, digests)| Action {
                key,
                side,
                verb,
                reason,
                expect,
                size,
                from,
                at,
                digests,
            },
        )
    }

    proptest! {
        #[test]
        fn digests_round_trip(digests in any_digests()) {
            let mut blob = Vec::new();
            digests_to_blob(&digests, &mut blob);
            prop_assert_eq!(digests_from_blob(&blob), Some(digests));
        }

        #[test]
        fn entries_round_trip_and_damaged_ones_are_refused(entry in any_entry()) {
            let mut bytes = Vec::new();
            write_entry(&mut bytes, &entry);
            prop_assert_eq!(read_entry(&bytes), Some(entry));
            for len in 0..bytes.len() {
                prop_assert_eq!(read_entry(&bytes[..len]), None);
            }
            bytes.push(0);
            prop_assert_eq!(read_entry(&bytes), None);
        }

        #[test]
        fn actions_round_trip_and_damaged_ones_are_refused(action in any_action()) {
            let mut bytes = Vec::new();
            write_action(&mut bytes, &action);
            prop_assert_eq!(read_action(&bytes), Some(action));
            for len in 0..bytes.len() {
                prop_assert_eq!(read_action(&bytes[..len]), None);
            }
        }

        #[test]
        fn actions_round_trip_as_json(action in any_action()) {
            let json = serde_json::to_string(&action).unwrap();
            prop_assert_eq!(serde_json::from_str::<Action>(&json).unwrap(), action);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            read_entry(&bytes);
            read_action(&bytes);
            digests_from_blob(&bytes);
        }
    }

    #[test]
    fn a_blake3_takes_35_bytes() {
        let mut blob = Vec::new();
        digests_to_blob(&[Digest::from_bytes(DigestKind::Blake3, &[7; 32])].into_iter().collect(), &mut blob);
        assert_eq!(blob.len(), 35);
    }
}
