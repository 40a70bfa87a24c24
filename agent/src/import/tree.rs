//! Lines to statements: words, and the block that belongs to them.

use super::{
    lines::Line,
    note::{Notes, Place},
    words::{Token, Word, tokens},
};

/// How deep blocks may be; keepalived has four levels.
const DEPTH_MAX: usize = 16;

/// A line of words, and the block behind it.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) words: Vec<Word>,
    pub(super) place: Place,
    pub(super) block: Vec<Statement>,
}

impl Statement {
    /// The first word.
    pub(super) fn keyword(&self) -> &str {
        self.word(0).unwrap_or_default()
    }

    /// The word at `index`, if there is one.
    pub(super) fn word(&self, index: usize) -> Option<&str> {
        self.words.get(index).map(|word| word.text.as_str())
    }

    /// The words after the keyword.
    pub(super) fn arguments(&self) -> Vec<&str> {
        self.words.iter().skip(1).map(|word| word.text.as_str()).collect()
    }

    /// Every word of every line of the block.
    pub(super) fn listed(&self) -> impl Iterator<Item = (&str, &Place)> {
        self.block.iter().flat_map(|line| line.words.iter().map(|word| (word.text.as_str(), &line.place)))
    }
}

/// The statements that `lines` are.
pub(super) fn parse(lines: &[Line], notes: &mut Notes) -> Vec<Statement> {
    // The blocks that are open, each in the last statement of the one before; the file itself is the first.
    let mut open: Vec<Vec<Statement>> = vec![Vec::new()];
    for line in lines {
        let mut words = Vec::new();
        for token in tokens(&line.text) {
            match token {
                Token::Word(word) => words.push(word),
                Token::Open => {
                    begin(&mut open, std::mem::take(&mut words), &line.place, notes);
                }
                Token::Close => {
                    conclude(&mut open, std::mem::take(&mut words), &line.place);
                    if open.len() == 1 {
                        notes.lost(&line.place, "this } closes nothing", "check the braces before it");
                    } else {
                        close(&mut open);
                    }
                }
            }
        }
        conclude(&mut open, words, &line.place);
    }
    while open.len() > 1 {
        let place = open.iter().rev().nth(1).and_then(|outer| outer.last()).map(|statement| statement.place.clone());
        if let Some(place) = place {
            notes.lost(&place, "this block is never closed", "add the } that is missing");
        }
        close(&mut open);
    }
    open.pop().unwrap_or_default()
}

/// Opens a block: of `words`, or of the statement before where it stands on a line of its own.
fn begin(open: &mut Vec<Vec<Statement>>, words: Vec<Word>, place: &Place, notes: &mut Notes) {
    if open.len() > DEPTH_MAX {
        notes.lost(place, "blocks are nested deeper than keepalived knows them", "check the braces before it");
        return;
    }
    let Some(innermost) = open.last_mut() else { return };
    let has_owner = innermost.last().is_some_and(|last| last.block.is_empty() && last.place != *place);
    if !words.is_empty() || !has_owner {
        innermost.push(Statement { words, place: place.clone(), block: Vec::new() });
    }
    open.push(Vec::new());
}

fn conclude(open: &mut [Vec<Statement>], words: Vec<Word>, place: &Place) {
    if let Some(innermost) = open.last_mut().filter(|_| !words.is_empty()) {
        innermost.push(Statement { words, place: place.clone(), block: Vec::new() });
    }
}

fn close(open: &mut Vec<Vec<Statement>>) {
    let block = open.pop().unwrap_or_default();
    if let Some(owner) = open.last_mut().and_then(|outer| outer.last_mut()) {
        owner.block = block;
    }
}
