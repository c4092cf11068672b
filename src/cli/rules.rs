//! `--exclude` and `--include`: globs in the order in which they were typed.

use clap::{ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::model::Rule;

fn pattern(text: &str) -> Result<String, String> {
    Rule::Exclude(text.to_owned()).check().map(|()| text.to_owned()).map_err(|bad| bad.why)
}

/// `--exclude` and `--include` in the order in which they were typed, which derive alone does not keep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules(pub Vec<Rule>);

impl Args for Rules {
    fn augment_args(command: Command) -> Command {
        let glob = |name: &'static str, text: &'static str| {
            clap::Arg::new(name)
                .long(name)
                .value_name("GLOB")
                .action(ArgAction::Append)
                .value_parser(pattern)
                .help(text)
        };
        command
            .arg(glob("exclude", "Leave out what matches; rules apply in order, the last match wins"))
            .arg(glob("include", "Take what matches, whatever came before"))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Rules {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let typed = |name: &str, rule: fn(String) -> Rule| {
            let indices = matches.indices_of(name).into_iter().flatten();
            let globs = matches.get_many::<String>(name).into_iter().flatten().cloned();
            indices.zip(globs.map(rule)).collect::<Vec<_>>()
        };
        let mut rules = typed("exclude", Rule::Exclude);
        rules.extend(typed("include", Rule::Include));
        rules.sort_by_key(|(index, _)| *index);
        Ok(Self(rules.into_iter().map(|(_, rule)| rule).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
