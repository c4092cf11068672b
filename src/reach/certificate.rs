//! Until when a certificate holds. Reads the few bytes of it that say so (RFC 5280, 4.1); whether it is to be trusted is
//! what rustls says.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]`, which is left out of certificates of the first version.
const VERSION: u8 = 0xa0;

/// The end of its validity; `None` for what is no certificate.
pub(super) fn until(der: &[u8]) -> Option<Timestamp> {
    let (_, certificate, _) = element(der).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, mut rest, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (tag, _, after) = element(rest)?;
    if tag == VERSION {
        rest = after;
    }
    // The serial number, the algorithm, the issuer.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (tag, text, _) = element(element(validity)?.2)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

/// The first element: its tag, what is in it, and what comes after it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        // Certificates are shorter than what three bytes count.
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (inside, after) = rest.split_at_checked(length)?;
    Some((*tag, inside, after))
}

fn time(tag: u8, text: &str) -> Option<Timestamp> {
    let full = match tag {
        // Two digits of a year are of this century up to 49 (RFC 5280, 4.1.2.5.1).
        UTC_TIME => format!("{}{text}", if text < "50" { "20" } else { "19" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let civil = DateTime::strptime("%Y%m%d%H%M%SZ", full).ok()?;
    TimeZone::UTC.to_ambiguous_timestamp(civil).compatible().ok()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn der() -> Vec<u8> {
        let pem = include_str!("../../tests/it/support/tls/host.pem");
        STANDARD.decode(pem.lines().filter(|line| !line.starts_with("--")).collect::<String>()).unwrap()
    }

    #[test]
    fn a_certificate_says_until_when_it_holds() {
        assert_eq!(until(&der()).unwrap().to_string(), "2126-10-30T18:28:47Z");
    }

    #[test]
    fn both_forms_of_times_are_read() {
        let read = |tag, text| time(tag, text).map(|time| time.to_string());
        assert_eq!(read(UTC_TIME, "300102030405Z").unwrap(), "2030-01-02T03:04:05Z");
        assert_eq!(read(UTC_TIME, "990102030405Z").unwrap(), "1999-01-02T03:04:05Z");
        assert_eq!(read(GENERALIZED_TIME, "21260102030405Z").unwrap(), "2126-01-02T03:04:05Z");
        assert_eq!((read(UTC_TIME, "x"), read(0x02, "300102030405Z")), (None, None));
    }

    #[test]
    fn what_is_cut_off_is_no_certificate() {
        let whole = der();
        for length in 0..whole.len() {
            // It ends anywhere: nothing is read beyond.
            let cut = until(&whole[..length]);
            assert_eq!(cut, None, "{length}");
        }
    }
}
