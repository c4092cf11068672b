//! `mediasync completions` and `mediasync man`: what shells and man make of them. Shells that are not installed are skipped,
//! and the test says so.

use std::fs;
use std::process::Command;

use crate::support::sandbox::Sandbox;

/// Whether a program is there.
fn has(program: &str) -> bool {
    let found =
        Command::new("/bin/sh").args(["-c", &format!("command -v {program}")]).output().unwrap().status.success();
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

fn output(program: &str, args: &[&str]) -> (bool, String) {
    let told = Command::new(program).args(args).output().unwrap();
    (told.status.success(), String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned())
}

#[test]
fn shells_read_the_completions_and_find_commands_and_flags() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = sandbox.run(&["completions", shell]).exits(0).stdout;
        for word in ["push", "resolve", "config", "dry-run", "save-plan"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        let file = sandbox.path(shell);
        fs::write(&file, &script).unwrap();
        if has(shell) {
            let (fine, told) = output(shell, &["-n", file.to_str().unwrap()]);
            assert!(fine, "{shell}: {told}");
        }
    }
    sandbox.run(&["completions", "csh"]).exits(2);
    if has("bash") {
        let file = sandbox.path("bash").display().to_string();
        let complete = |words: &str, at: usize, word: &str| {
            let script = format!(
                ". '{file}'; COMP_WORDS=({words}); COMP_CWORD={at}; _mediasync mediasync '{word}' ''; echo \"${{COMPREPLY[@]}}\""
            );
            output("bash", &["-c", &script]).1.trim().to_owned()
        };
        assert_eq!(complete("mediasync tra", 1, "tra"), "trash");
        assert_eq!(complete("mediasync push --dry", 2, "--dry"), "--dry-run");
        assert_eq!(complete("mediasync config ch", 2, "ch"), "check");
    }
}

#[test]
fn man_takes_every_page_without_a_warning() {
    let sandbox = Sandbox::new();
    let dir = sandbox.path("man");
    sandbox.run(&["man", "--dir", dir.to_str().unwrap()]).exits(0);
    let pages = sandbox.files("man");
    assert!(pages.len() > 25, "{pages:?}");
    if has("groff") {
        for page in &pages {
            let (fine, told) = output("groff", &["-man", "-ww", "-Tutf8", "-z", page.to_str().unwrap()]);
            assert!(fine && told.is_empty(), "{page:?}: {told}");
        }
    }
    let one = sandbox.run(&["man", "trash", "restore"]).exits(0).stdout;
    assert_eq!(one, fs::read_to_string(dir.join("mediasync-trash-restore.1")).unwrap());
    assert!(
        one.contains("mediasync trash restore media photos/cat.jpg")
            || one.contains(".SH EXAMPLES")
            || one.contains(".SH \"EXAMPLES\"")
    );
    sandbox.run(&["man", "none"]).exits(2).says(&["there is no command none"]);
}
