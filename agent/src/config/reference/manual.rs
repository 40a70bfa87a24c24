//! The manual page `vipd.toml(5)`.

use roff::{Inline, Roff, bold, roman};

use super::sections;

/// The manual page, as roff.
#[must_use]
pub fn manual() -> String {
    let mut page = Roff::new();
    let version = concat!("vipd ", env!("CARGO_PKG_VERSION"));
    page.control("TH", ["vipd.toml", "5", "", version, "vipd"]);
    page.control("SH", ["NAME"]);
    page.text([roman("vipd.toml - configuration of vipd")]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(
        "The file is TOML and the same on every node of a cluster: /etc/vipd/vipd.toml, or what --config says. A key that is not listed \
         here is a mistake, and vipd check reports every mistake at once. Time spans are a number and its unit in quotes.",
    )]);
    for section in sections() {
        page.control("SH", [section.heading.replace('`', "").as_str()]);
        write_about(&mut page, &section.about);
        for key in &section.keys {
            page.control("TP", []);
            page.text([bold(key.name.clone())]);
            page.text(words(&format!("{}.", key.terms())));
            page.control("br", []);
            page.text(words(key.about.trim_end()));
            page.control("br", []);
            page.text([roman(format!("Example: {} = {}", key.name, key.example))]);
        }
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("vipd"), roman("(1), "), bold("vipd-check"), roman("(1)")]);
    page.render()
}

/// Paragraphs, and lines of a file between fences.
fn write_about(page: &mut Roff, about: &str) {
    for (part, is_file) in about.split("```").zip([false, true].into_iter().cycle()) {
        if is_file {
            page.control("PP", []).control("nf", []);
            for line in part.lines().skip(1) {
                page.text([roman(line)]);
            }
            page.control("fi", []).control("PP", []);
        } else if !part.trim().is_empty() {
            page.text(words(part.trim()));
        }
    }
}

/// `[words](target)` without the target.
fn without_links(text: &str) -> String {
    let mut parts = text.split("](");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if let Some(at) = plain.rfind('[') {
            plain.remove(at);
        }
        plain.push_str(part.split_once(')').map_or("", |(_, rest)| rest));
    }
    plain
}

/// Text whose words between grave accents are code, and of whose links only the words stay.
fn words(text: &str) -> Vec<Inline> {
    let text = without_links(text);
    let pieces = text.split('`').zip([false, true].into_iter().cycle());
    pieces
        .filter(|(piece, _)| !piece.is_empty())
        .map(|(piece, is_code)| if is_code { bold(piece) } else { roman(piece) })
        .collect()
}
