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

/// `line` without its comment, and without white space at both ends.
pub(super) fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let mut chars = line.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => quoted = !quoted,
            '\\' => {
                chars.next();
            }
            '#' | '!' if !quoted => return line[..at].trim(),
            _ => {}
        }
    }
    line.trim()
}

/// The tokens of `line`.
pub(super) fn tokens(line: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote = None;
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        let is_variable = word.as_ref().is_some_and(|word| word.text.contains("${") && !word.text.ends_with('}'));
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
            // A variable that is not defined stays as it is.
            '{' if word.as_ref().is_some_and(|word| word.text.ends_with('$')) => started(&mut word).text.push(char),
            '}' if is_variable => started(&mut word).text.push(char),
            '{' | '}' => {
                tokens.extend(word.take().map(Token::Word));
                tokens.push(if char == '{' { Token::Open } else { Token::Close });
            }
            _ if char.is_whitespace() => tokens.extend(word.take().map(Token::Word)),
            _ => started(&mut word).text.push(char),
        }
    }
    tokens.extend(word.map(Token::Word));
    tokens
}

fn started(word: &mut Option<Word>) -> &mut Word {
    word.get_or_insert_with(|| Word { text: String::new(), quoted: false })
}

/// What follows a backslash.
fn escaped(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    let first = chars.next()?;
    let mut number = |digits: &mut String, radix: u32, len: usize| {
        while digits.len() < len
            && let Some(digit) = chars.peek().copied().filter(|char| char.is_digit(radix))
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
    let words = tokens(&word.text).into_iter().map(|token| match token {
        Token::Word(word) => word.text,
        Token::Open => "{".to_owned(),
        Token::Close => "}".to_owned(),
    });
    words.collect()
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

    /// keepalived.conf(5), "Quoted strings".
    #[test]
    fn quotes_join_and_escapes_stand_for_characters() {
        let cases: [(&str, &[&str]); 8] = [
            (r#"abcd" efg h jkl "mnop"#, &["<abcd efg h jkl mnop>"]),
            (r#"abcd "efg h jkl" mnop"#, &["abcd", "<efg h jkl>", "mnop"]),
            (r#"a\"b "c\\d" \x41\102"#, &["a\"b", r"<c\d>", "AB"]),
            ("group { VI_1 VI_2 }", &["group", "OPEN", "VI_1", "VI_2", "CLOSE"]),
            ("track_interface{", &["track_interface", "OPEN"]),
            ("x ${UNDEFINED}/y", &["x", "${UNDEFINED}/y"]),
            (r#""" 'a "b" c'"#, &["<>", "<a \"b\" c>"]),
            (r"end\", &["end"]),
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
        assert_eq!(without_comment(r"a \# b"), r"a \# b");
    }

    #[test]
    fn a_quoted_command_line_is_taken_apart() {
        let word = |text: &str, quoted| Word { text: text.to_owned(), quoted };
        assert_eq!(command_line(&word("/bin/a  'b c' d", true)), ["/bin/a", "b c", "d"]);
        assert_eq!(command_line(&word("/bin/a b", false)), ["/bin/a b"]);
    }
}
