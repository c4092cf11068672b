//! All integration tests, as one program: a module a theme, one line each, sorted.
#![cfg(test)]
#![expect(unreachable_pub, reason = "a test program has no outside")]

mod architecture;
mod cli_adopt;
mod cli_azure;
mod cli_changes;
mod cli_conflicts;
mod cli_disk;
mod cli_errors;
mod cli_kill;
mod cli_links;
mod cli_mirror;
mod cli_mirror_copy;
mod cli_names;
mod cli_output;
mod cli_project;
mod cli_pull;
mod cli_pull_harm;
mod cli_safety;
mod cli_service;
mod cli_status_daemon;
mod cli_trash;
mod cli_trash_restore;
mod cli_trash_sides;
mod cli_two_way;
mod cli_two_way_harm;
mod cli_uploads;
mod contract;
mod cycle;
mod cycle_deletions;
mod cycle_keys;
mod cycle_lease;
mod cycle_trash;
<<<<<<< HEAD
mod daemon_dsn_command;
=======
mod daemon_lease;
>>>>>>> 1cab715 (wip: lease)
mod daemon_memory;
mod daemon_pause;
mod daemon_service;
mod daemon_watch;
mod daemon_watch_roots;
mod daemon_watch_saves;
mod live;
mod model;
mod model_two_way;
mod packaging;
mod s3_faults;
mod s3_lease;
mod s3_providers;
mod s3_ranges;
mod s3_replica;
mod s3_server;
mod support;
