//! Tables and keys to the text of a configuration.

use std::fmt::Write;

use super::model::Micros;

/// Keys with their values, as TOML has them.
pub(super) type Keys = Vec<(&'static str, String)>;

/// A table: its heading, what is to be said of it, its keys.
#[derive(Default)]
pub(super) struct Table {
    pub(super) heading: &'static str,
    pub(super) comments: Vec<String>,
    pub(super) keys: Keys,
}

/// The text of `tables`, below `comments`.
pub(super) fn text(comments: &[String], tables: &[Table]) -> String {
    let mut text = String::new();
    comment(&mut text, comments);
    for table in tables {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{}\n", table.heading);
        comment(&mut text, &table.comments);
        for (key, value) in &table.keys {
            let _ = writeln!(text, "{key} = {value}");
        }
    }
    text
}

/// Lines of comment in front of `lines`.
pub(super) fn comment(text: &mut String, lines: &[String]) {
    for line in lines {
        let line: String = line.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect();
        text.push_str(if line.is_empty() { "#" } else { "# " });
        text.push_str(&line);
        text.push('\n');
    }
}

/// A string of TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            _ if char.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(char));
            }
            _ => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

/// An array of strings.
pub(super) fn array<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| quoted(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

/// A key that may have any characters.
pub(super) fn key(name: &str) -> String {
    let is_bare = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
    if !name.is_empty() && name.chars().all(is_bare) { name.to_owned() } else { quoted(name) }
}

/// An inline table.
pub(super) fn inline<'k>(keys: impl IntoIterator<Item = (&'k str, String)>) -> String {
    let keys: Vec<_> = keys.into_iter().map(|(name, value)| format!("{} = {value}", key(name))).collect();
    format!("{{ {} }}", keys.join(", "))
}

/// A time span, in the largest unit that has no decimals.
pub(super) fn span(micros: Micros) -> String {
    if micros.is_multiple_of(1_000_000) {
        format!("\"{}s\"", micros / 1_000_000)
    } else {
        let (whole, fraction) = (micros / 1000, micros % 1000);
        let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:03}") };
        format!("\"{whole}{fraction}ms\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_read_back_as_it_was() {
        for text in ["", "a", "a\"b\\c", "tab\tnew\nline", "\u{7f}\u{0}é\u{85}", "'''", "\"\"\""] {
            let written = format!("{} = {}\n", key(text), quoted(text));
            let read: toml::Table = written.parse().unwrap();
            assert_eq!(read.get(text).and_then(toml::Value::as_str), Some(text), "{written}");
        }
    }

    #[test]
    fn a_span_has_a_unit() {
        let cases = [(0, "\"0s\""), (300_000, "\"300ms\""), (1_000_000, "\"1s\""), (1_000_500, "\"1000.500ms\"")];
        for (micros, expected) in cases {
            assert_eq!(span(micros), expected);
        }
    }
}
