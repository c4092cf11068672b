//! docs/config.md is what the program knows of keys.

use mediasync::config::keys;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/config.md");
const BEGIN: &str =
    "<!-- written by tests/it/config_reference.rs: WRITE_DOCS=1 cargo test --test it config_reference -->\n";

#[test]
fn the_page_about_the_configuration_says_what_the_program_knows() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (head, written) = page.split_at(page.find(BEGIN).expect("the page has the line that the tables follow"));
    let wanted = format!("{BEGIN}{}", keys::reference());
    if std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(PAGE, format!("{head}{wanted}")).unwrap();
    } else {
        assert_eq!(written, wanted, "run WRITE_DOCS=1 cargo test --test it config_reference");
    }
}
