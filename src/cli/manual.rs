//! `man`: manual pages, one a command, made of the same texts as `--help`.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;

use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use super::parse;
use super::setup::shown;

/// `man [COMMAND...]`.
#[derive(Debug, Args)]
pub struct Manual {
    /// Print the page of this command (default: the page of mediasync itself)
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
    /// Write the pages of all commands into a directory
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub dir: Option<PathBuf>,
}

/// The help of `man`.
pub const HELP: &str = "\
The Debian package has them in place already.

Examples:
  mediasync man | man -l -                   read the page of mediasync itself
  mediasync man trash restore | man -l -     that of one command
  mediasync man --dir ~/.local/share/man/man1";

/// `man`.
///
/// # Errors
/// There is no such command, or the directory can't be written.
pub(super) fn manual(args: &Manual, output: &Output) -> Result<Exit, Failure> {
    let mut all = parse::command();
    all.build();
    if let Some(dir) = &args.dir {
        let failed = |path: &Path, error: io::Error| Failure::error(format!("can't write {}: {error}", shown(path)));
        std::fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
        let mut pages = Vec::new();
        pages_of(&all, &mut pages);
        for (name, page) in pages {
            let path = dir.join(format!("{name}.1"));
            std::fs::write(&path, page).map_err(|error| failed(&path, error))?;
        }
        return Ok(Exit::Done);
    }
    let mut command = &all;
    for name in &args.command {
        let unknown =
            || Failure::usage(format!("there is no command {}", name.escape_debug())).hint("mediasync help lists them");
        command = command.find_subcommand(name).ok_or_else(unknown)?;
    }
    output.data(page(command).trim_end());
    Ok(Exit::Done)
}

/// The pages of a command and of all below it.
fn pages_of(command: &Command, pages: &mut Vec<(String, String)>) {
    pages.push((name_of(command), page(command)));
    command.get_subcommands().for_each(|below| pages_of(below, pages));
}

/// `mediasync-trash-list`.
fn name_of(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

/// The page of a command.
fn page(command: &Command) -> String {
    let name = name_of(command);
    let man =
        Man::new(command.clone()).title(name.to_uppercase()).source(concat!("mediasync ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    let write = "a Vec takes all bytes";
    man.render_title(&mut page).expect(write);
    man.render_name_section(&mut page).expect(write);
    man.render_synopsis_section(&mut page).expect(write);
    man.render_description_section(&mut page).expect(write);
    let mut text = String::from_utf8_lossy(&page).into_owned();
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (before, examples, exit) = parts(&help);
    for paragraph in before.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        writeln!(text, ".PP\n{}", escaped(paragraph)).expect(write);
    }
    let mut options = Vec::new();
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut options).expect(write);
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut options).expect(write);
    }
    text.push_str(&String::from_utf8_lossy(&options));
    for (title, lines) in [("EXAMPLES", examples), ("EXIT STATUS", exit)] {
        if !lines.is_empty() {
            let lines = lines.lines().map(|line| escaped(line.strip_prefix("  ").unwrap_or(line)));
            writeln!(text, ".SH \"{title}\"\n.nf\n{}\n.fi", lines.collect::<Vec<_>>().join("\n")).expect(write);
        }
    }
    text
}

/// What the end of a help has: prose, examples, exit status.
fn parts(help: &str) -> (&str, &str, &str) {
    let (rest, exit) = help.split_once("Exit status:\n").unwrap_or((help, ""));
    let (before, examples) = rest.split_once("Examples:\n").unwrap_or((rest, ""));
    (before.trim(), examples.trim_end(), exit.trim_end())
}

/// A text as roff has it: minus signs that can be pasted, and no line that is taken for a request.
fn escaped(text: &str) -> String {
    let line = |line: &str| {
        let plain = line.replace('\\', "\\e").replace('-', "\\-");
        if plain.starts_with(['.', '\'']) { format!("\\&{plain}") } else { plain }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_examples_and_exit_status() {
        let mut all = parse::command();
        all.build();
        let mut pages = Vec::new();
        pages_of(&all, &mut pages);
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["mediasync", "mediasync-push", "mediasync-trash-restore", "mediasync-config-check"] {
            assert!(names.contains(&name), "{names:?}");
        }
        for (name, page) in &pages {
            let wanted = if name == "mediasync" {
                &["NAME", "SYNOPSIS", "EXIT STATUS"][..]
            } else {
                &["NAME", "SYNOPSIS", "EXAMPLES", "EXIT STATUS"]
            };
            for section in wanted {
                let found = page
                    .lines()
                    .any(|line| line.trim_end() == format!(".SH {section}") || line == format!(".SH \"{section}\""));
                assert!(found, "{name} lacks {section}:\n{page}");
            }
        }
    }

    #[test]
    fn no_text_is_taken_for_a_request() {
        assert_eq!(escaped(".x\n'y\n  --a\\b"), "\\&.x\n\\&'y\n  \\-\\-a\\eb");
        assert_eq!(
            parts("Prose.\n\nExamples:\n  a\n  b\n\nExit status:\n  0  done"),
            ("Prose.", "  a\n  b", "  0  done")
        );
    }
}
