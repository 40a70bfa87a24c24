//! The words of a line: comments, quotes and escapes, and the braces of blocks.

/// What a line consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A word, without its quotes.
    Word(Word),
    /// `{`
    Open,
    /// `}`
    Close,
}

/// A word, and whether some of it stood in quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) quoted: bool,
}

/// What separates words.
const WHITE_SPACE: [char; 6] = [' ', '\u{c}', '\n', '\r', '\t', '\u{b}'];

/// `line` without its comment, and without white space at both ends.
pub(super) fn without_comment(line: &str) -> String {
    let (mut text, mut quoted) = (String::with_capacity(line.len()), false);
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                let next = chars.next();
                // Of what begins no comment the backslash is left to those words that know escapes.
                if quoted || !matches!(next, Some('#' | '!')) {
                    text.push(char);
                }
                text.extend(next);
                continue;
            }
            '#' | '!' if !quoted => break,
            '"' => quoted = !quoted,
            _ => {}
        }
        text.push(char);
    }
    text.trim().to_owned()
}

/// The tokens of `line`.
pub(super) fn tokens(line: &str) -> Vec<Token> {
    let (mut tokens, mut rest) = (Vec::new(), line);
    while !rest.is_empty() {
        let (statement, after) = rest.split_at(brace(rest).unwrap_or(rest.len()));
        let plain = plain_words(statement);
        let has_command = plain.first().is_some_and(|keyword| has_command(&keyword.text));
        let words = if has_command { escaped_words(statement) } else { plain };
        tokens.extend(words.into_iter().map(Token::Word));
        let mut after = after.chars();
        tokens.extend(after.next().map(|brace| if brace == '{' { Token::Open } else { Token::Close }));
        rest = after.as_str();
    }
    tokens
}

/// Whether a command line follows `keyword`, in which there are escapes, and quotes of both kinds.
fn has_command(keyword: &str) -> bool {
    keyword == "script" || keyword.starts_with("notify") || keyword.ends_with("fifo_script")
}

/// Where `text` has its first brace outside of quotes. A variable that is not defined stays as it is.
fn brace(text: &str) -> Option<usize> {
    let (mut quoted, mut variable, mut before) = (false, false, ' ');
    for (at, char) in text.char_indices() {
        match char {
            '"' => quoted = !quoted,
            '{' if before == '$' => variable = true,
            '}' if variable => variable = false,
            '{' | '}' if !quoted => return Some(at),
            _ if WHITE_SPACE.contains(&char) => variable = false,
            _ => {}
        }
        before = char;
    }
    None
}

/// The words of `text` for most keywords: `"` encloses a word, and nothing else means anything.
fn plain_words(text: &str) -> Vec<Word> {
    let (mut words, mut rest) = (Vec::new(), text.trim_start_matches(WHITE_SPACE));
    while !rest.is_empty() {
        let (text, after, quoted) = if let Some(inside) = rest.strip_prefix('"') {
            // Nor does keepalived read on where a quote is never closed.
            let Some((text, after)) = inside.split_once('"') else { break };
            (text, after, true)
        } else {
            let end = rest.find(|char| char == '"' || WHITE_SPACE.contains(&char)).unwrap_or(rest.len());
            let (text, after) = rest.split_at(end);
            (text, after, false)
        };
        words.push(Word { text: text.to_owned(), quoted });
        rest = after.trim_start_matches(WHITE_SPACE);
    }
    words
}

/// The words of `text` where quotes and escapes are as in a shell.
fn escaped_words(text: &str) -> Vec<Word> {
    let (mut words, mut word, mut quote) = (Vec::new(), None, None);
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                if let Some(escaped) = escaped(&mut chars) {
                    started(&mut word).text.push(escaped);
                }
            }
            _ if quote == Some(char) => quote = None,
            _ if quote.is_some() => started(&mut word).text.push(char),
            '"' | '\'' => {
                started(&mut word).quoted = true;
                quote = Some(char);
            }
            _ if WHITE_SPACE.contains(&char) => words.extend(word.take()),
            _ => started(&mut word).text.push(char),
        }
    }
    words.extend(word);
    words
}

fn started(word: &mut Option<Word>) -> &mut Word {
    word.get_or_insert_with(|| Word { text: String::new(), quoted: false })
}

/// What follows a backslash.
fn escaped(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let first = chars.next()?;
    let mut number = |digits: &mut String, radix: u32, len: usize| {
        while digits.len() < len
            && let Some(digit) = chars.clone().next().filter(|char| char.is_digit(radix))
        {
            digits.push(digit);
            chars.next();
        }
        u32::from_str_radix(digits, radix).ok().and_then(char::from_u32)
    };
    match first {
        'a' => Some('\u{7}'),
        'b' => Some('\u{8}'),
        'E' => Some('\u{1b}'),
        'f' => Some('\u{c}'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\u{b}'),
        'x' => number(&mut String::new(), 16, 2),
        '0'..='7' => number(&mut first.to_string(), 8, 3),
        other => Some(other),
    }
}

/// The words of the command line in a word: of a quoted one those that a shell would make of it.
pub(super) fn command_line(word: &Word) -> Vec<String> {
    if !word.quoted {
        return vec![word.text.clone()];
    }
    escaped_words(&word.text).into_iter().map(|word| word.text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> Vec<String> {
        let shown = tokens(line).into_iter().map(|token| match token {
            Token::Word(Word { text, quoted: false }) => text,
            Token::Word(Word { text, quoted: true }) => format!("<{text}>"),
            Token::Open => "OPEN".to_owned(),
            Token::Close => "CLOSE".to_owned(),
        });
        shown.collect()
    }

    #[test]
    fn most_words_know_one_quote_and_no_escape() {
        let cases: [(&str, &[&str]); 9] = [
            (r#"abcd" efg h jkl "mnop"#, &["abcd", "< efg h jkl >", "mnop"]),
            (r#"abcd "efg 'h" "" mnop"#, &["abcd", "<efg 'h>", "<>", "mnop"]),
            (r"it's 'a b' c\d \", &["it's", "'a", "b'", r"c\d", r"\"]),
            ("group { VI_1 VI_2 }", &["group", "OPEN", "VI_1", "VI_2", "CLOSE"]),
            ("track_interface{", &["track_interface", "OPEN"]),
            ("x ${UNDEFINED}/y } z", &["x", "${UNDEFINED}/y", "CLOSE", "z"]),
            (r#"a "{" b"#, &["a", "<{>", "b"]),
            ("a'{'b", &["a'", "OPEN", "'b"]),
            (r#"a "b { c"#, &["a"]),
        ];
        for (line, words) in cases {
            assert_eq!(shown(line), words, "{line}");
        }
    }

    /// keepalived.conf(5), "Quoted strings".
    #[test]
    fn in_commands_quotes_join_and_escapes_stand_for_characters() {
        let cases: [(&str, &[&str]); 6] = [
            (r#"script abcd" efg h jkl "mnop"#, &["script", "<abcd efg h jkl mnop>"]),
            (r#"notify "efg h jkl" mnop"#, &["notify", "<efg h jkl>", "mnop"]),
            (r#"notify_master a\"b "c\\d" \x41\102"#, &["notify_master", "a\"b", r"<c\d>", "AB"]),
            (r#"vrrp_notify_fifo_script "" 'a "b" c'"#, &["vrrp_notify_fifo_script", "<>", "<a \"b\" c>"]),
            (r"script end\", &["script", "end"]),
            (r"x { script 'a b' } y 'c d'", &["x", "OPEN", "script", "<a b>", "CLOSE", "y", "'c", "d'"]),
        ];
        for (line, words) in cases {
            assert_eq!(shown(line), words, "{line}");
        }
    }

    #[test]
    fn a_comment_ends_the_line_outside_of_quotes() {
        assert_eq!(without_comment("  a b # c"), "a b");
        assert_eq!(without_comment("a!b"), "a");
        assert_eq!(without_comment("script \"a # b\" ! c"), "script \"a # b\"");
        assert_eq!(without_comment(r"a \# b\! c\d # e"), r"a # b! c\d");
        assert_eq!(without_comment(r#""\#" \" # a"#), r#""\#" \""#);
    }

    #[test]
    fn a_quoted_command_line_is_taken_apart() {
        let word = |text: &str, quoted| Word { text: text.to_owned(), quoted };
        assert_eq!(command_line(&word("/bin/a  'b c' d", true)), ["/bin/a", "b c", "d"]);
        assert_eq!(command_line(&word("/bin/a {} b{c}", true)), ["/bin/a", "{}", "b{c}"]);
        assert_eq!(command_line(&word("/bin/a b", false)), ["/bin/a b"]);
    }
}
