//! `ls`: what a place has, one level or all of it. Changes nothing, takes no lock and asks for nothing but listings.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::exit::Exit;
use super::failure::Failure;
use super::human;
use super::interrupt::or_interrupted;
use super::json::time;
use super::output::{Format, Output};
use super::place::World;
use super::resolve;
use super::setup::Setup;
use super::spot::{Spot, browse, spot};
use crate::location::Found;
use crate::model::{Key, OWN_PREFIX};
use crate::replica::browse::{Depth, Seen};

pub mod args;

/// Names that a hint shows.
const NEIGHBOURS: usize = 5;

/// `ls LOCATION`.
///
/// # Errors
/// Nothing is there; the place can't be listed.
pub async fn ls(args: &args::Ls, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let output = &*setup.output;
    let spot = spot(&args.place, world)?;
    for warning in &spot.whole.warnings {
        output.warn(warning);
    }
    let bucket = resolve::bucket_without_scheme(&args.place, world);
    let work = async {
        tokio::select! {
            // Nobody reads on.
            () = output.closed() => Ok(Exit::Done),
            done = Box::pin(list(args, &spot, output)) => done.map_err(|failure| match &bucket {
                Some(bucket) => failure.hint(format!("a bucket is written {bucket}")),
                None => failure,
            }),
        }
    };
    or_interrupted(work).await?
}

/// What was shown.
#[derive(Debug, Default)]
struct Sums {
    files: u64,
    folders: u64,
    bytes: u64,
    others: u64,
}

async fn list(args: &args::Ls, spot: &Spot, output: &Output) -> Result<Exit, Failure> {
    let depth = match (args.recursive, args.all) {
        (false, _) => Depth::Level,
        (true, true) => Depth::All,
        (true, false) => Depth::Users,
    };
    let mut sums = Sums::default();
    let mut exists = spot.found == Found::Directory;
    if spot.found != Found::File {
        let mut listing = browse(&spot.whole, "", depth)?;
        while let Some(batch) = listing.next().await? {
            exists = true;
            for seen in batch.iter().filter(|seen| args.all || !is_own(seen.name())) {
                // The mark of the folder itself.
                if !seen.name().is_empty() {
                    show(seen, args, spot, &mut sums, output);
                }
            }
        }
    }
    if !exists && let Some(seen) = one(spot).await? {
        show(&seen, args, spot, &mut sums, output);
        exists = true;
    }
    if !exists && spot.above.is_some() {
        return Err(nothing(spot).await);
    }
    match output.format() {
        Format::Json => output.data(&total(spot, &sums).to_string()),
        Format::Human => output.say(&told(spot, &sums)),
    }
    Ok(Exit::Done)
}

/// The file that the text names.
async fn one(spot: &Spot) -> Result<Option<Seen>, Failure> {
    let Some((above, key)) = &spot.above else { return Ok(None) };
    let mut listing = browse(above, key.as_str(), Depth::Level)?;
    while let Some(batch) = listing.next().await? {
        let past = batch.iter().any(|seen| seen.name() > key.as_str());
        if let Some(seen) = batch.into_iter().find(|seen| seen.name() == key.as_str()) {
            return Ok(Some(seen));
        }
        // The name itself is the first that begins with it. Servers without order have it in their first page too, or
        // would be read to the end for a name that is not there.
        if past {
            break;
        }
    }
    Ok(None)
}

/// Nothing is there: what is near.
pub(super) async fn nothing(spot: &Spot) -> Failure {
    let failure = Failure::error(format!("nothing is at {}", spot.shown));
    let Some((above, key)) = &spot.above else { return failure };
    let like = key.as_str();
    let length = like.chars().count();
    let begin = |chars: usize| like.char_indices().nth(chars).map_or("", |(at, _)| &like[..at]);
    let mut near = Vec::new();
    for start in [begin(length / 2), begin(length / 4), ""] {
        let first = match browse(above, start, Depth::Level) {
            Ok(mut listing) => listing.next().await.ok().flatten().unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        near = first.iter().map(Seen::name).filter(|name| !is_own(name) && !name.is_empty()).map(shown).collect();
        if !near.is_empty() {
            break;
        }
    }
    let place = above.location.display();
    let more = if near.len() > NEIGHBOURS { ", ..." } else { "" };
    near.truncate(NEIGHBOURS);
    if near.is_empty() {
        return failure.hint(format!("{place} has nothing either"));
    }
    failure.hint(format!("in {place} there are {}{more}", near.join(", ")))
}

fn is_own(name: &str) -> bool {
    name.split('/').any(|component| component.starts_with(OWN_PREFIX))
}

/// A name for a terminal.
fn shown(name: &str) -> String {
    Key::new(name).map_or_else(|_| name.escape_debug().to_string(), |key| key.to_string())
}

fn show(seen: &Seen, args: &args::Ls, spot: &Spot, sums: &mut Sums, output: &Output) {
    match seen {
        Seen::File { size, .. } => {
            sums.files += 1;
            sums.bytes += size.unwrap_or(0);
        }
        Seen::Folder(_) => sums.folders += 1,
        Seen::Other { .. } => sums.others += 1,
    }
    output.data(&match output.format() {
        Format::Json => line(spot, seen).to_string(),
        Format::Human if args.long => row(seen, output.zone()),
        Format::Human => short(seen),
    });
}

fn short(seen: &Seen) -> String {
    match seen {
        Seen::File { name, .. } | Seen::Folder(name) => shown(name),
        Seen::Other { name, what } => format!("{} ({what})", shown(name)),
    }
}

fn row(seen: &Seen, zone: &TimeZone) -> String {
    let (when, size) = match seen {
        Seen::File { size, modified_ns, .. } => {
            let when = modified_ns.map_or_else(|| "-".to_owned(), |ns| human::local_time(ns, zone));
            (when, size.map_or_else(|| "?".to_owned(), human::size))
        }
        Seen::Folder(_) | Seen::Other { .. } => ("-".to_owned(), "-".to_owned()),
    };
    format!("{when:<19}  {size:>10}  {}", short(seen))
}

/// `"type":"entry"`.
fn line(spot: &Spot, seen: &Seen) -> Value {
    let mut line = json!({ "v": 1, "type": "entry", "place": spot.shown, "key": seen.name() });
    match seen {
        Seen::File { size, modified_ns, .. } => {
            line["kind"] = "file".into();
            line["size"] = (*size).into();
            line["modified"] = modified_ns.and_then(time).into();
        }
        Seen::Folder(_) => line["kind"] = "folder".into(),
        Seen::Other { what, .. } => {
            line["kind"] = "other".into();
            line["what"] = (*what).into();
        }
    }
    line
}

/// `"type":"listed"`: the end, so that whoever reads knows that nothing is missing.
fn total(spot: &Spot, sums: &Sums) -> Value {
    let Sums { files, folders, bytes, others } = sums;
    json!({
        "v": 1, "type": "listed", "place": spot.shown,
        "files": files, "folders": folders, "others": others, "bytes": bytes,
    })
}

fn told(spot: &Spot, sums: &Sums) -> String {
    let mut all = vec![format!("{} ({})", human::files(sums.files), human::size(sums.bytes))];
    let mut more = |count: u64, one: &str, many: &str| {
        if count > 0 {
            all.push(format!("{} {}", human::count(count), if count == 1 { one } else { many }));
        }
    };
    more(sums.folders, "folder", "folders");
    more(sums.others, "other", "others");
    format!("{}: {}", spot.shown, all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_columns_and_harmless_names() {
        let file = Seen::File { name: "a\u{1b}[31m.jpg".into(), size: Some(2048), modified_ns: Some(0) };
        assert_eq!(row(&file, &TimeZone::UTC), "1970-01-01 00:00:00     2.0 KiB  a\\u{1b}[31m.jpg");
        let folder = row(&Seen::Folder("b/".into()), &TimeZone::UTC);
        assert_eq!(folder, format!("{:<19}  {:>10}  b/", "-", "-"));
        let odd = Seen::Other { name: "l".into(), what: "symbolic link" };
        assert_eq!(short(&odd), "l (symbolic link)");
    }

    #[test]
    fn own_names_are_known_in_any_folder() {
        assert!(is_own(".mediasync/") && is_own("a/.mediasync/id") && !is_own("a.mediasync"));
    }
}
