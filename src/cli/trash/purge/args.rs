//! What can be typed after `purge-junk`.

use clap::Args;

use crate::cli::exit;
use crate::model::junk_rows;

/// `purge-junk REMOTE`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that is typed or not")]
pub struct Purge {
    /// The remote place, or a job, meaning the places that it changes
    #[arg(value_name = "REMOTE|JOB")]
    pub place: String,
    /// Move it to the trash of the place
    #[arg(long)]
    pub yes: bool,
    /// Only what fits this row of the list, also where it may be content: '*.part', '@eaDir/'; can be repeated
    #[arg(long, value_name = "ROW", value_parser = row)]
    pub only: Vec<String>,
    /// Times too, and whether everybody may read it: one request a file in a bucket
    #[arg(short, long)]
    pub long: bool,
    /// Print JSON, one line a file
    #[arg(long)]
    pub json: bool,
}

/// A row of the list, and nothing that a person makes up: `*` would be everything.
fn row(text: &str) -> Result<String, String> {
    let rows = junk_rows();
    if rows.iter().any(|row| row == text) {
        return Ok(text.to_owned());
    }
    let folder = format!("{text}/");
    if rows.contains(&folder) {
        return Err(format!("the row of a folder is written {folder}"));
    }
    let unknown = "no row of the list of junk is called like that; purge-junk shows the row of each file, and \
                   docs/filters.md has them all";
    Err(unknown.to_owned())
}

/// What the help ends with.
pub fn help() -> String {
    format!(
        "\
Lists .DS_Store, Thumbs.db, desktop.ini and the like, which a push leaves out and other tools
sent. Without --yes nothing is changed. What goes is kept in the trash of the place, and the
command that puts it back is printed. What is called like junk and may be content (*.part,
lost+found/) is listed and left alone, unless --only names its row. Nothing at the place:
exit 1.

Examples:
  mediasync purge-junk live:
  mediasync purge-junk -l live:
  mediasync purge-junk live: --yes
  mediasync purge-junk live: --only '*.part' --yes

{}",
        exit::HELP
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_of_the_list_can_be_named() {
        for fine in ["*.part", "@eaDir/", ".DS_Store", "/MANIFEST", "._*", ".*.swp"] {
            assert_eq!(row(fine).as_deref(), Ok(fine));
        }
        for wrong in ["*", "*.jpg", "", "photos/", "MANIFEST"] {
            assert!(row(wrong).is_err(), "{wrong}");
        }
        assert!(row("@eaDir").unwrap_err().contains("@eaDir/"));
    }
}
