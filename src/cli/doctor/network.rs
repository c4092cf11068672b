//! The way to a host: its name, its port, TLS, its clock. Without credentials.

use jiff::Timestamp;

use super::host;
use crate::cli::place::World;
use crate::reach::{self, Host, Refusal, Scheme};
use crate::replica::checkup::Finding;

/// Whether it is worth asking anything else there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    Yes,
    No,
}

/// Goes to the host of a URL, as far as that is possible.
pub(super) async fn network(url: &str, world: World<'_>) -> (Vec<Finding>, Reached) {
    let Some(place) = Host::of(url) else {
        let fix = "Write it as https://HOST or http://HOST:PORT";
        return (vec![Finding::fail("dsn", "the endpoint is no URL of a host", fix)], Reached::No);
    };
    if let Some(variable) = proxy(place.scheme, world) {
        let told = format!("not looked at: {variable} names a proxy, which requests may go through");
        return (vec![Finding::skip("dns", told)], Reached::Yes);
    }
    let mut findings = Vec::new();
    let addresses = reach::resolve(&place).await;
    findings.push(host::dns(&place, &addresses));
    let Ok(addresses) = addresses else { return (findings, Reached::No) };
    let stream = reach::connect(&addresses).await;
    findings.push(host::tcp(&place, stream.as_ref().err()));
    let Ok(stream) = stream else { return (findings, Reached::No) };
    if place.scheme == Scheme::Https {
        let shaken = reach::shake_hands(&place, stream).await;
        findings.push(host::tls(&place, shaken, Timestamp::now()));
        if shaken.is_err() {
            return (findings, Reached::No);
        }
    }
    let answer = reach::ask(url).await;
    if place.scheme == Scheme::Http {
        // Servers that want TLS say 400, or nothing that can be read.
        let is_strange = answer.as_ref().map_or(true, |answer| answer.status == 400);
        if is_strange && speaks_tls(&place, &addresses).await {
            findings.push(host::wants_tls(&place));
            return (findings, Reached::No);
        }
        findings.push(host::in_the_clear(&place));
    }
    let Ok(answer) = answer else {
        let fix = "Check the port in the endpoint: something else than an object store may listen there";
        findings.push(Finding::fail("answer", format!("{place} does not answer to HTTP"), fix));
        return (findings, Reached::No);
    };
    findings.push(host::clock(answer.ahead));
    (findings, Reached::Yes)
}

async fn speaks_tls(place: &Host, addresses: &[std::net::SocketAddr]) -> bool {
    let Ok(stream) = reach::connect(addresses).await else { return false };
    let shaken = reach::shake_hands(place, stream).await;
    !matches!(shaken, Err(Refusal::NoTls | Refusal::Failed | Refusal::NoRoots))
}

/// The variable that names a proxy for TLS, as the AWS tools read it.
fn proxy(scheme: Scheme, world: World<'_>) -> Option<&'static str> {
    let variables = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let found = variables.into_iter().find(|name| (world.env)(name).is_some());
    found.filter(|_| scheme == Scheme::Https)
}
