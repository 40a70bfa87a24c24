//! A terminal with a program in it, and what is on its screen.

use std::{
    fs::File,
    io::{Read, Write},
    num::NonZeroU16,
    os::fd::OwnedFd,
    process::{Child, ExitStatus},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::{Context, Result, ensure};
use nix::{
    pty::{OpenptyResult, Winsize, openpty},
    sys::{
        signal::{Signal, kill},
        termios::{Termios, tcgetattr},
    },
    unistd::Pid,
};
use rustix::termios::tcsetwinsize;
use vt100::Parser;

use crate::{GENEROUS, Namespace, until};

/// A pseudo-terminal. The program in it is killed when this is dropped.
pub struct Terminal {
    child: Child,
    status: Option<ExitStatus>,
    keyboard: File,
    /// The program's end, by which is known how it has set the terminal up.
    end: OwnedFd,
    before: Termios,
    emulator: Arc<Mutex<Parser>>,
}

impl Terminal {
    /// Starts `program` in a namespace, on a terminal of `lines` lines of `columns` characters.
    ///
    /// The calling thread must outlive it.
    pub fn start(
        namespace: &Namespace,
        program: &str,
        arguments: &[&str],
        (lines, columns): (u16, u16),
    ) -> Result<Self> {
        let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave: end } = openpty(Some(&size), None).context("failed to open a terminal")?;
        let before = tcgetattr(&end)?;
        // A session of its own, whose terminal this is: Ctrl-C is a signal then.
        let mut command = namespace.command("setsid");
        command.arg("--ctty").arg(program).args(arguments).env("TERM", "xterm-256color").env_remove("NO_COLOR");
        command.stdin(end.try_clone()?).stdout(end.try_clone()?).stderr(end.try_clone()?);
        let child = command.spawn().with_context(|| format!("failed to start {command:?}"))?;
        let emulator = Arc::new(Mutex::new(Parser::new(at_least_one(lines), at_least_one(columns), 0)));
        let keyboard = File::from(master);
        show(keyboard.try_clone()?, Arc::clone(&emulator));
        Ok(Self { child, status: None, keyboard, end, before, emulator })
    }

    /// What is on the screen.
    #[must_use]
    pub fn screen(&self) -> String {
        self.emulator.lock().unwrap_or_else(PoisonError::into_inner).screen().contents()
    }

    /// Waits until the screen satisfies `condition`; the error shows the last one.
    pub fn wait_for(&self, what: &str, condition: impl Fn(&str) -> bool) -> Result<String> {
        let found = until(what, GENEROUS, || Ok(Some(self.screen()).filter(|screen| condition(screen))));
        found.with_context(|| format!("the screen:\n{}", self.screen()))
    }

    /// Types `keys`.
    pub fn press(&mut self, keys: &str) -> Result<()> {
        self.keyboard.write_all(keys.as_bytes()).context("failed to type")
    }

    /// Makes it a terminal of another size, as somebody does who drags its window.
    pub fn resize(&self, lines: u16, columns: u16) -> Result<()> {
        let size = rustix::termios::Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let mut emulator = self.emulator.lock().unwrap_or_else(PoisonError::into_inner);
        emulator.set_size(at_least_one(lines), at_least_one(columns));
        tcsetwinsize(&self.end, size).context("failed to set the size of a terminal")
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).context("failed to send a signal")
    }

    /// Waits until the program has ended by itself.
    pub fn wait_for_end(&mut self) -> Result<ExitStatus> {
        let child = &mut self.child;
        let status = until("the program to end", GENEROUS, || Ok(child.try_wait()?));
        let status = status.with_context(|| format!("the screen:\n{}", self.screen()))?;
        self.status = Some(status);
        Ok(status)
    }

    /// Fails unless the terminal is as it was before the program.
    pub fn ensure_restored(&self) -> Result<()> {
        ensure!(tcgetattr(&self.end)? == self.before, "the modes of the terminal are others than before");
        let usual = || {
            let emulator = self.emulator.lock().unwrap_or_else(PoisonError::into_inner);
            let screen = emulator.screen();
            Ok((!screen.alternate_screen() && !screen.hide_cursor()).then_some(()))
        };
        until("the usual screen and the cursor", GENEROUS, usual)
    }
}

fn at_least_one(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap_or(NonZeroU16::MIN)
}

/// Shows what comes out of the program until nobody holds its end.
fn show(mut output: File, emulator: Arc<Mutex<Parser>>) {
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(len @ 1..) = output.read(&mut bytes) {
            emulator.lock().unwrap_or_else(PoisonError::into_inner).process(&bytes[..len]);
        }
    });
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
