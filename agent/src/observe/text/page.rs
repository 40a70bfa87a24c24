//! Lines of text with colours, folded to the width of a terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

/// What a piece of text means, which is what its colour shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing in particular.
    #[default]
    Plain,
    /// What a table's columns are.
    Head,
    /// As it should be.
    Good,
    /// Worth a look.
    Warning,
    /// Worth a page.
    Bad,
    /// For whoever wants to know more.
    Detail,
}

impl Tone {
    const fn style(self) -> Style {
        let style = Style::new();
        match self {
            Self::Plain => style,
            Self::Head => style.bold(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warning => AnsiColor::Yellow.on_default().bold(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Detail => style.dimmed(),
        }
    }
}

/// How a page is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paper {
    /// Characters in a line; `None`: as many as it takes.
    pub width: Option<usize>,
    /// Whether it has colours.
    pub has_colours: bool,
}

/// Text for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    lines: Vec<Line>,
}

/// A line before it is folded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Line {
    /// How far its second and further parts are indented.
    hang: usize,
    pieces: Vec<(Tone, String)>,
}

impl Page {
    /// Adds a line of `pieces`, whose further parts are indented by `hang` characters where it must be folded.
    pub fn line<T: Into<String>>(&mut self, hang: usize, pieces: impl IntoIterator<Item = (Tone, T)>) {
        let pieces = pieces.into_iter().map(|(tone, text)| (tone, text.into())).collect();
        self.lines.push(Line { hang, pieces });
    }

    /// Adds an empty line.
    pub fn gap(&mut self) {
        self.lines.push(Line::default());
    }

    /// Puts lines before all others, each of one tone.
    pub fn begin_with(&mut self, lines: &[(Tone, String)]) {
        let lines = lines.iter().map(|piece| Line { hang: 0, pieces: vec![piece.clone()] });
        self.lines.splice(0..0, lines);
    }

    /// The text, each line with its end.
    #[must_use]
    pub fn text(&self, paper: Paper) -> String {
        let mut text = String::new();
        for line in &self.lines {
            line.write(&mut text, paper);
        }
        text
    }
}

impl Line {
    fn write(&self, text: &mut String, paper: Paper) {
        // What a server has said must not move the cursor of whoever reads it.
        let shown = |char: char| if char.is_control() { '\u{fffd}' } else { char };
        let tones = self.pieces.iter().flat_map(|(tone, piece)| piece.chars().map(|char| (shown(char), *tone)));
        let mut rest: &[(char, Tone)] = &tones.collect::<Vec<_>>();
        let width = paper.width.unwrap_or(usize::MAX);
        // Where next to nothing would fit beside the indentation, there is none.
        let hang = if self.hang + 10 < width { self.hang } else { 0 };
        let mut room = width;
        loop {
            let (part, after) = rest.split_at(part_len(rest, room));
            write_part(text, part, paper.has_colours);
            text.push('\n');
            let skipped = after.iter().take_while(|(char, _)| *char == ' ').count();
            rest = &after[skipped..];
            if rest.is_empty() {
                return;
            }
            text.extend(std::iter::repeat_n(' ', hang));
            room = width - hang;
        }
    }
}

/// How many characters go on a line with `room` for so many: whole words, where there is a space to part them at.
fn part_len(chars: &[(char, Tone)], room: usize) -> usize {
    if chars.len() <= room {
        return chars.len();
    }
    let is_first_word = |at: usize| chars[..at].iter().all(|(char, _)| *char == ' ');
    let space = (1..=room).rev().find(|&at| chars[at].0 == ' ' && !is_first_word(at));
    space.unwrap_or(room.max(1))
}

fn write_part(text: &mut String, part: &[(char, Tone)], has_colours: bool) {
    for run in part.chunk_by(|(_, one), (_, next)| one == next) {
        let style = run[0].1.style();
        let is_styled = has_colours && style != Style::new();
        // Writing to a string cannot fail.
        if is_styled {
            let _ = write!(text, "{style}");
        }
        text.extend(run.iter().map(|(char, _)| char));
        if is_styled {
            let _ = write!(text, "{style:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let mut page = Page::default();
        page.line(4, [(Tone::Bad, "FAULT"), (Tone::Plain, " web-a/IPv4: the interface is gone")]);
        page.gap();
        page.line(0, [(Tone::Good, "Active")]);
        page
    }

    #[test]
    fn lines_are_folded_between_words() {
        let text = |width| page().text(Paper { width, has_colours: false });
        assert_eq!(text(None), "FAULT web-a/IPv4: the interface is gone\n\nActive\n");
        assert_eq!(text(Some(39)), "FAULT web-a/IPv4: the interface is gone\n\nActive\n");
        assert_eq!(text(Some(38)), "FAULT web-a/IPv4: the interface is\n    gone\n\nActive\n");
        assert_eq!(text(Some(21)), "FAULT web-a/IPv4: the\n    interface is gone\n\nActive\n");
        assert_eq!(text(Some(12)), "FAULT\nweb-a/IPv4:\nthe\ninterface is\ngone\n\nActive\n");
    }

    #[test]
    fn a_word_that_is_too_long_is_cut() {
        let mut page = Page::default();
        page.line(4, [(Tone::Plain, "    fe80::200:5eff:fe00:233/64, fd77::101/64")]);
        let text = page.text(Paper { width: Some(20), has_colours: false });
        assert_eq!(text, "    fe80::200:5eff:f\n    e00:233/64,\n    fd77::101/64\n");
        assert_eq!(page.text(Paper { width: Some(0), has_colours: false }).lines().count(), 40);
    }

    #[test]
    fn colours_end_with_the_line() {
        let text = page().text(Paper { width: Some(21), has_colours: true });
        let red = "\u{1b}[1m\u{1b}[31mFAULT\u{1b}[0m web-a/IPv4: the\n    interface is gone\n";
        assert_eq!(text, format!("{red}\n\u{1b}[32mActive\u{1b}[0m\n"));
    }
}
