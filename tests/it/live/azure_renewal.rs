//! Signatures that run out in the middle: the command that printed the DSN is run again, once for all requests, and the run
//! goes on; where it can't help, it is told which remote it is about.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::container::{MIB, Place, assert_done, on_each_server};
use crate::support::front::{Front, Then};
use crate::support::sandbox::bytes;

/// A configuration whose remote is what a command prints: the first line of the file `dsns` that is not used up.
fn configure(place: &Place, dsns: &[String]) -> String {
    let sandbox = &place.sandbox;
    let (script, list, runs) = (sandbox.path("print.sh"), sandbox.path("dsns"), sandbox.path("runs"));
    fs::write(&list, dsns.join("\n") + "\n").unwrap();
    let (list, runs) = (list.display(), runs.display());
    let text = format!(
        "echo run >> {runs}\nline=$(head -n 1 {list})\n[ -n \"$line\" ] || exit 7\nsed -i 1d {list}\necho \"$line\"\n"
    );
    fs::write(&script, text).unwrap();
    let config = sandbox.path("mediasync.toml");
    fs::write(&config, format!("[remote.live]\ndsn_command = [\"sh\", \"{}\"]\n", script.display())).unwrap();
    config.to_str().unwrap().to_owned()
}

fn runs(place: &Place) -> usize {
    fs::read_to_string(place.sandbox.path("runs")).unwrap_or_default().lines().count()
}

/// The service takes requests with this signature only so often.
fn wears_out(front: &Front, signature: &str, after: usize) {
    let (signature, seen) = (signature.split("sig=").last().unwrap().to_owned(), AtomicUsize::new(0));
    front.on(move |call| {
        let has = call.query.contains(&signature);
        (has && seen.fetch_add(1, Relaxed) >= after).then(|| Then::refuse(403, "AuthenticationFailed"))
    });
}

#[test]
fn a_signature_that_ran_out_is_renewed_once_and_the_run_goes_on() {
    on_each_server(|place| {
        let (first, second) = (place.sas("container"), place.sas("account"));
        let front = place.front();
        let dsns = [place.dsn_by(&front, &first), place.dsn_by(&front, &second)];
        let config = configure(&place, &dsns);
        for n in 0..20 {
            place.sandbox.write(&format!("{n}.jpg"), bytes(n, 500));
        }
        place.sandbox.write("large.bin", bytes(99, 20 * MIB));
        wears_out(&front, &first, 30);
        let media = place.sandbox.path("media");
        let args = ["push", media.to_str().unwrap(), "live:", "--config", &config, "--json", "-vv"];
        let ran = place.sandbox.run(&args).exits(0);
        assert_done(&ran.line("summary"), &[("creates", 21)]);
        assert_eq!(runs(&place), 2, "once at the beginning, once for all that were refused");
        for secret in [&first, &second] {
            let signature = secret.split("sig=").last().unwrap();
            assert!(!ran.all().contains(&signature[..8]), "{ran:?}");
        }
        place.assert_equal();
    });
}

#[test]
fn a_signature_that_really_expired_is_renewed() {
    on_each_server(|place| {
        let dsns = ["expired", "account"].map(|what| place.dsn(&place.sas(what), &place.server.container));
        let config = configure(&place, &dsns);
        place.sandbox.write("a.jpg", "a");
        let media = place.sandbox.path("media");
        place.sandbox.run(&["push", media.to_str().unwrap(), "live:", "--config", &config]).exits(0);
        assert_eq!(runs(&place), 2);
        place.assert_equal();
    });
}

#[test]
fn a_command_that_can_not_help_is_told_with_its_remote() {
    on_each_server(|place| {
        let expired = place.dsn(&place.sas("expired"), &place.server.container);
        let elsewhere = place.dsn(&place.sas("account"), "elsewhere");
        place.sandbox.write("a.jpg", "a");
        let media = place.sandbox.path("media");
        let push = |dsns: &[String], told: &[&str], code: i32| {
            let config = configure(&place, dsns);
            let args = ["push", media.to_str().unwrap(), "live:", "--config", &config, "-v"];
            let ran = place.sandbox.run(&args).exits(code).says(told);
            ran.never_says("sig=");
        };
        push(&[], &["remote.live.dsn_command: `sh` failed: exit status: 7"], 2);
        push(&[expired.clone(), expired.clone()], &["the shared access signature expired at", "Issue a new one"], 1);
        push(std::slice::from_ref(&expired), &["the shared access signature expired at"], 1);
        // Never on with somebody else's place.
        push(&[expired, elsewhere], &["the shared access signature expired at"], 1);
        assert!(place.blobs().is_empty());
    });
}
