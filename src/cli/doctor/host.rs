//! What is told of each step on the way to a host. Pure; [`super::network`] goes there.

use std::io;

use jiff::Timestamp;

use crate::cli::human;
use crate::reach::{Host, Refusal};
use crate::replica::checkup::Finding;

/// Services refuse what was signed by a clock that is this far from theirs
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>, RequestTimeTooSkewed).
const REFUSED: i64 = 900;
/// From this on nobody should rely on it any more.
const TOO_FAR: i64 = 300;
/// What no clock that is set by the network shows.
const FAR: i64 = 30;
/// A certificate that ends within this time was forgotten, or is renewed late.
const SOON_HOURS: i64 = 14 * 24;

pub(super) fn dns(host: &Host, found: &io::Result<Vec<std::net::SocketAddr>>) -> Finding {
    const NAME: &str = "dns";
    match found {
        Ok(addresses) => {
            let mut told: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).take(3).collect();
            told.dedup();
            Finding::ok(NAME, format!("{} is {}", host.name, told.join(", ")))
        }
        Err(_) => Finding::fail(
            NAME,
            format!("the host name {} does not resolve", host.name),
            "Check the endpoint and the region in it, and this machine's DNS",
        ),
    }
}

pub(super) fn tcp(host: &Host, error: Option<&io::Error>) -> Finding {
    const NAME: &str = "tcp";
    let Some(error) = error else { return Finding::ok(NAME, format!("{host} takes connections")) };
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Finding::fail(
            NAME,
            format!("{host} refuses connections: nothing listens on port {}", host.port),
            "Check the port and the host in the endpoint, and whether the server runs",
        ),
        io::ErrorKind::TimedOut => Finding::fail(
            NAME,
            format!("{host} does not answer"),
            "Check the port and the host in the endpoint; a firewall in between may drop what is sent",
        ),
        _ => Finding::fail(
            NAME,
            format!("no connection to {host}: {}", error.kind()),
            "Check the network of this machine and the endpoint",
        ),
    }
}

pub(super) fn tls(host: &Host, shaken: Result<Option<Timestamp>, Refusal>, now: Timestamp) -> Finding {
    const NAME: &str = "tls";
    let name = &host.name;
    let (found, fix) = match shaken {
        Ok(None) => return Finding::ok(NAME, "the certificate is trusted"),
        Ok(Some(until)) => {
            let day = until.strftime("%Y-%m-%d");
            let soon = until.duration_since(now).as_hours() < SOON_HOURS;
            let found = format!("the certificate is trusted and holds until {day}");
            return if soon {
                Finding::warn(NAME, found, format!("Whoever runs {name} has to renew it before"))
            } else {
                Finding::ok(NAME, found)
            };
        }
        Err(Refusal::NoTls) => (
            format!("{host} does not speak TLS, and the endpoint says https://"),
            "Write http:// in the endpoint if nothing secret is between here and there, or the port that speaks TLS",
        ),
        Err(Refusal::NoRoots) => (
            "this system's certificates can't be read".to_owned(),
            "Install the package ca-certificates, or name a file with SSL_CERT_FILE",
        ),
        Err(Refusal::Expired) => {
            (format!("the certificate of {name} has expired"), "Have it renewed; check this machine's clock as well")
        }
        Err(Refusal::NotYet) => (
            format!("the certificate of {name} does not hold yet"),
            "Check this machine's clock: it is behind, most likely",
        ),
        Err(Refusal::OtherName) => (
            format!("the certificate is not one of {name}"),
            "Check the host in the endpoint; a bucket with dots in its name needs addressing = \"path\"",
        ),
        Err(Refusal::Untrusted) => (
            format!("nobody whom this system trusts has signed the certificate of {name}"),
            "Put the certificate of a private authority into the system's trust store, or name it with SSL_CERT_FILE",
        ),
        Err(Refusal::Failed) => (
            format!("there is no TLS with {host}: the versions do not fit, or the connection broke"),
            "Check the port in the endpoint; a proxy in between may answer instead",
        ),
    };
    Finding::fail(NAME, found, fix)
}

/// The endpoint is `http://`, and what answers wants TLS.
pub(super) fn wants_tls(host: &Host) -> Finding {
    Finding::fail("tls", format!("{host} speaks TLS, and the endpoint says http://"), "Write https:// in the endpoint")
}

/// The endpoint is `http://`.
pub(super) fn in_the_clear(host: &Host) -> Finding {
    const NAME: &str = "tls";
    let is_here =
        host.name == "localhost" || host.name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if is_here {
        return Finding::ok(NAME, "not used: the server is on this machine");
    }
    Finding::warn(
        NAME,
        "not used: everybody on the way reads and may change what is sent",
        "Write https:// in the endpoint if the server speaks TLS",
    )
}

pub(super) fn clock(ahead: Option<i64>) -> Finding {
    const NAME: &str = "clock";
    let Some(ahead) = ahead else { return Finding::skip(NAME, "the server does not tell the time") };
    let apart = ahead.abs();
    let side = if ahead > 0 { "behind" } else { "ahead of" };
    let text = human::duration(std::time::Duration::from_secs(apart.unsigned_abs()));
    let found = format!("this machine's clock is {text} {side} the server's; it refuses requests from {REFUSED} s on");
    let fix = "Set this machine's clock, and have it kept: timedatectl set-ntp true";
    match apart {
        ..FAR => Finding::ok(NAME, "this machine's clock agrees with the server's"),
        FAR..=TOO_FAR => Finding::warn(NAME, found, fix),
        _ => Finding::fail(NAME, found, fix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::checkup::State;

    fn host(url: &str) -> Host {
        Host::of(url).unwrap()
    }

    #[test]
    fn a_clock_is_told_from_half_a_minute_on_and_fails_from_five_on() {
        for (ahead, state) in [
            (Some(0), State::Ok),
            (Some(-29), State::Ok),
            (Some(31), State::Warn),
            (Some(-300), State::Warn),
            (Some(301), State::Fail),
            (Some(-7200), State::Fail),
            (None, State::Skip),
        ] {
            assert_eq!(clock(ahead).state, state, "{ahead:?}");
        }
        let found = clock(Some(7200)).found;
        assert!(found.contains("behind the server's") && found.contains("900 s"), "{found}");
        assert!(clock(Some(-7200)).found.contains("ahead of the server's"));
    }

    #[test]
    fn a_certificate_that_ends_soon_is_told() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let state = |until: &str| tls(&host("https://h"), Ok(Some(until.parse().unwrap())), now).state;
        assert_eq!((state("2026-01-10T00:00:00Z"), state("2026-02-01T00:00:00Z")), (State::Warn, State::Ok));
        let all = [Refusal::NoTls, Refusal::NoRoots, Refusal::Expired, Refusal::NotYet, Refusal::OtherName];
        for refusal in all.into_iter().chain([Refusal::Untrusted, Refusal::Failed]) {
            let finding = tls(&host("https://h"), Err(refusal), now);
            assert!(finding.state == State::Fail && finding.fix.is_some(), "{refusal:?}");
        }
    }

    #[test]
    fn what_goes_in_the_clear_is_told_unless_it_stays_here() {
        assert_eq!(in_the_clear(&host("http://127.0.0.1:9000")).state, State::Ok);
        assert_eq!(in_the_clear(&host("http://s3.example.com")).state, State::Warn);
    }
}
