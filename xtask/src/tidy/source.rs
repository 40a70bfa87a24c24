//! Rust text without what only looks like code. Knows literals and comments, no grammar.

/// `text` with comments, strings and characters blanked; every line keeps its number.
pub(super) fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_word = false;
    while let Some(c) = rest.chars().next() {
        let hidden = if after_word { plain_literal(rest) } else { prefixed_raw(rest).or_else(|| plain_literal(rest)) };
        if let Some(len) = hidden {
            let (blank, tail) = rest.split_at(len);
            code.extend(blank.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = tail;
            after_word = false;
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            after_word = c.is_alphanumeric() || c == '_';
        }
    }
    code
}

/// The length in bytes of the comment or literal at the start of `text`.
fn plain_literal(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        Some(text.find('\n').unwrap_or(text.len()))
    } else if text.starts_with("/*") {
        Some(block_comment(text))
    } else if text.starts_with('"') {
        Some(quoted(text, '"'))
    } else if text.starts_with('\'') {
        character(text)
    } else {
        None
    }
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// To the closing quote that no backslash precedes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return at + 1;
        }
    }
    text.len()
}

/// A character, and not the lifetime that begins like one.
fn character(text: &str) -> Option<usize> {
    let mut inside = text.chars().skip(1);
    let first = inside.next()?;
    (first == '\\' || inside.next() == Some('\'')).then(|| quoted(text, '\''))
}

/// `r"…"`, `br#"…"#` and their like.
fn prefixed_raw(text: &str) -> Option<usize> {
    let unprefixed = text.strip_prefix(['b', 'c']).unwrap_or(text).strip_prefix('r')?;
    let body = unprefixed.trim_start_matches('#');
    let hashes = unprefixed.len() - body.len();
    let body = body.strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = body.find(&close).map_or(body.len(), |at| at + close.len());
    Some(text.len() - body.len() + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_looks_like_code_is_blanked() {
        let cases = [
            ("line comment", "a // X\nb", "a \nb"),
            ("doc comment", "/// X\nfn", "\nfn"),
            ("nested block comment", "a/* X /* X */\nX */b", "a\nb"),
            ("string", "f(\"X\", b)", "f(, b)"),
            ("escaped quote", "f(\"\\\"X\", b)", "f(, b)"),
            ("string with a comment", "f(\"// X\") // X", "f() "),
            ("raw string", "f(r\"X\\\", b)", "f(, b)"),
            ("hashed raw string", "f(r##\"X\"#X\"##, b)", "f(, b)"),
            ("byte strings", "f(b\"X\", br#\"X\"#, c)", "f(b, , c)"),
            ("character", "f('X', '\"', '\\'', '\\u{58}', b)", "f(, , , , b)"),
            ("lifetime", "fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
            ("raw identifier", "let r#type = r;", "let r#type = r;"),
            ("word that ends in r", "for\"X\";", "for;"),
            ("unfinished string", "f(\"X", "f("),
            ("unfinished comment", "f(/* X", "f("),
        ];
        for (case, text, expected) in cases {
            let code = code_only(text);
            assert!(!code.contains('X'), "{case}: {code}");
            assert_eq!(code.replace(' ', ""), expected.replace(' ', ""), "{case}");
            assert_eq!(code.lines().count(), text.lines().count(), "{case}: lines");
        }
    }
}
