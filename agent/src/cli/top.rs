//! `vipd top`: what happens on this node, on the whole terminal.
//!
//! Two threads ask the agent, one for its status and one for events; this one draws and reads keys. None of them decides what is seen:
//! that is [`state`], and how it looks is [`draw`].

mod draw;
mod rates;
mod state;
mod tables;

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event as Input, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM},
    flag,
};

use self::state::{State, View, Wish};
use super::contact::time_of_day;
use crate::{
    clock,
    instance::Instance,
    observe::{
        Snapshot, control,
        event::Event,
        stream::{self, Line},
    },
};

/// How long a key, a signal or news of the agent may wait.
const TICK: Duration = Duration::from_millis(100);
/// News that may wait; who brings more waits.
const NEWS_MAX: usize = 64;
/// How long until an agent that is away is asked for events again.
const RETRY: Duration = Duration::from_secs(1);
/// Rows of a page.
const PAGE: isize = 10;

/// What a thread that asks the agent brings.
enum News {
    /// What came of a look.
    Look(anyhow::Result<Box<Snapshot>>),
    /// What happened.
    Happened(Box<Event>),
}

/// Shows it until somebody wants no more of it.
pub(super) fn run(instance: &Instance, every: Duration) -> anyhow::Result<ExitCode> {
    ensure!(
        io::stdout().is_terminal() && io::stdin().is_terminal(),
        "`vipd top` needs a terminal; without one use `vipd status` and `vipd events`"
    );
    let is_over = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        flag::register(signal, Arc::clone(&is_over)).context("failed to catch signals")?;
    }
    let news = ask(instance, every);
    // That has a panic put the terminal back, too.
    let mut terminal = ratatui::try_init().context("failed to take the terminal over")?;
    let outcome = show(&mut terminal, &news, &is_over);
    ratatui::restore();
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Starts to ask the agent, for as long as somebody listens.
fn ask(instance: &Instance, every: Duration) -> Receiver<News> {
    let (sender, news) = sync_channel(NEWS_MAX);
    let (socket, to) = (instance.socket(), sender.clone());
    thread::spawn(move || {
        while to.send(News::Look(control::ask_status(&socket).map(Box::new))).is_ok() {
            thread::sleep(every);
        }
    });
    let socket = instance.socket();
    thread::spawn(move || follow_events(&socket, &sender));
    news
}

/// Brings what is kept and what happens from now on, whenever the agent is there.
fn follow_events(socket: &std::path::Path, to: &SyncSender<News>) {
    let mut last = Some(0);
    let mut is_heard = true;
    while is_heard {
        let _away = stream::follow(socket, last, |line| {
            if let Line::Event(event) = line {
                last = Some(event.sequence);
                is_heard = to.send(News::Happened(event.clone())).is_ok();
                ensure!(is_heard, "nobody listens");
            }
            Ok(())
        });
        thread::sleep(RETRY);
    }
}

fn show(terminal: &mut DefaultTerminal, news: &Receiver<News>, is_over: &AtomicBool) -> anyhow::Result<()> {
    let (begun, mut state) = (Instant::now(), State::default());
    while !is_over.load(Ordering::Relaxed) {
        terminal.draw(|frame| draw::draw(frame, &mut state, &time_of_day(clock::wall())))?;
        if event::poll(TICK)? {
            match event::read()? {
                Input::Key(key) if key.kind == KeyEventKind::Press => match heed(key) {
                    Heed::End => return Ok(()),
                    Heed::Wish(wish) => state.fulfil(wish),
                    Heed::Nothing => {}
                },
                // The next drawing finds the new size.
                _ => {}
            }
        }
        for news in news.try_iter() {
            match news {
                News::Look(answer) => state.look(answer.map(|known| *known), clock::wall(), begun.elapsed()),
                News::Happened(event) => state.happened(*event),
            }
        }
    }
    Ok(())
}

/// What a key means.
#[derive(Debug, PartialEq, Eq)]
enum Heed {
    End,
    Wish(Wish),
    Nothing,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a keyboard has more keys than this program")]
fn heed(key: KeyEvent) -> Heed {
    Heed::Wish(match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return Heed::End,
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Heed::End,
        KeyCode::Char(digit @ '1'..='5') => {
            let place = digit.to_digit(10).and_then(|digit| usize::try_from(digit).ok()).unwrap_or(1);
            Wish::Show(View::ALL[place - 1])
        }
        KeyCode::Tab | KeyCode::Right => Wish::NextView,
        KeyCode::BackTab | KeyCode::Left => Wish::PreviousView,
        KeyCode::Down | KeyCode::Char('j') => Wish::Scroll(1),
        KeyCode::Up | KeyCode::Char('k') => Wish::Scroll(-1),
        KeyCode::PageDown => Wish::Scroll(PAGE),
        KeyCode::PageUp => Wish::Scroll(-PAGE),
        KeyCode::Home => Wish::First,
        KeyCode::End => Wish::Last,
        KeyCode::Char('s') => Wish::NextOrder,
        KeyCode::Char('r') => Wish::Reverse,
        _ => return Heed::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_last_line_says() {
        let press = |code| heed(KeyEvent::new(code, KeyModifiers::NONE));
        for (code, expected) in [
            (KeyCode::Char('q'), Heed::End),
            (KeyCode::Char('c'), Heed::Nothing),
            (KeyCode::Char('1'), Heed::Wish(Wish::Show(View::Routers))),
            (KeyCode::Char('5'), Heed::Wish(Wish::Show(View::Events))),
            (KeyCode::Char('6'), Heed::Nothing),
            (KeyCode::Tab, Heed::Wish(Wish::NextView)),
            (KeyCode::PageUp, Heed::Wish(Wish::Scroll(-10))),
            (KeyCode::Char('s'), Heed::Wish(Wish::NextOrder)),
        ] {
            assert_eq!(press(code), expected, "{code}");
        }
        assert_eq!(heed(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Heed::End);
    }
}
