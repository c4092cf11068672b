//! docs/servers.md is what the table of divergences says.

use super::expected::{ROWS, SERVERS};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/servers.md");
const BEGIN: &str = "<!-- written by tests/it/contract/docs.rs: WRITE_DOCS=1 cargo test --test it contract::docs -->\n";

fn tables() -> String {
    let mut lines = vec![BEGIN.trim_end().to_owned()];
    for server in SERVERS {
        lines.extend([String::new(), format!("## {} {}", server.name, server.version), String::new()]);
        lines.push("| what differs | why, and what is done | case |".to_owned());
        lines.push("|---|---|---|".to_owned());
        let rows = ROWS.iter().filter(|row| row.on.contains(&server.label));
        lines.extend(rows.map(|row| format!("| {} | {} | {} |", row.what, row.why, row.case)));
    }
    lines.join("\n") + "\n"
}

#[test]
fn the_page_about_servers_says_what_the_table_says() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (head, written) = page.split_at(page.find(BEGIN).expect("the page has the line that the tables follow"));
    let wanted = tables();
    if std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(PAGE, format!("{head}{wanted}")).unwrap();
    } else {
        assert_eq!(written, wanted, "run WRITE_DOCS=1 cargo test --test it contract::docs");
    }
}
