//! The line between an agent and its supervisor: a pair of sockets, whose end is how the supervisor learns of the agent's
//! death, and the few words that are said over it. Nothing here ever waits.
//!
//! A message is a datagram, the first byte its kind; one of an unknown kind is no message. Both ends are the same program,
//! except that an agent may have been replaced by another version in place.

use std::{
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::fcntl::{FcntlArg, fcntl};
use socket2::{Domain, Socket, Type};
use vrrp::auth::{Key, KeyId, Sequence};
use zeroize::Zeroizing;

/// Most slots in one message; others follow in another one.
const SLOTS_MAX: usize = 1_000;
/// Bytes of the longest message.
const LEN_MAX: usize = 1 + size_of::<u64>() + SLOTS_MAX * size_of::<u32>();
/// A descriptor number above all others of an agent, and below the limit that a process usually has, 1,024.
const HIGH: RawFd = 900;
const KIND_WILL: u8 = b'W';
const KIND_DONE: u8 = b'D';
const KIND_COVER: u8 = b'C';
const KIND_RELIEF: u8 = b'R';

/// What an agent tells its supervisor.
#[derive(Debug)]
pub enum Notice {
    /// The will has changed; adverts are signed with this key, if at all.
    Will(Option<Key>),
    /// Another program is about to go on as the agent: until its first sign of life the supervisor sends the adverts.
    Cover,
    /// The agent ends in good order: there is nothing to hand over.
    Done,
}

/// What a supervisor tells its agent: that it has handed over, because the agent seemed hung.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relief {
    /// The slots of the virtual routers.
    pub slots: Vec<u32>,
    /// The last sequence that the goodbye was signed with, if it was.
    pub sequence: Option<Sequence>,
}

/// What came over a [`Line`].
#[derive(Debug)]
pub enum Heard<T> {
    /// A message.
    Message(T),
    /// Nothing waits.
    Nothing,
    /// The other end is closed, and nothing waits.
    End,
}

/// One end.
#[derive(Debug)]
pub struct Line(Socket);

impl Line {
    /// Both ends of a new line. Neither is inherited by other programs.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = Socket::pair(Domain::UNIX, Type::SEQPACKET.nonblocking(), None)?;
        Ok((Self(one), Self(other)))
    }

    /// Gives this end a high descriptor number, where the process may have one.
    ///
    /// The kernel closes the files of a process that was killed from the highest number to the lowest, and waits after each
    /// packet socket until no CPU looks at it any more. Measured from SIGKILL to the end that the supervisor hears, in
    /// milliseconds: 2 to 8 with a high number, 8 to 23 with a low one, and 13 to 47 by a pidfd, which waits for all of it.
    #[must_use]
    pub fn raised(self) -> Self {
        let Ok(raised) = fcntl(&self.0, FcntlArg::F_DUPFD_CLOEXEC(HIGH)) else { return self };
        // SAFETY: the call has just made this descriptor, and nobody else knows of it.
        unsafe { OwnedFd::from_raw_fd(raised) }.into()
    }

    /// Tells the supervisor.
    pub fn notify(&self, notice: &Notice) -> io::Result<()> {
        match notice {
            Notice::Done => self.send(&[KIND_DONE]),
            Notice::Cover => self.send(&[KIND_COVER]),
            Notice::Will(None) => self.send(&[KIND_WILL, 0]),
            Notice::Will(Some(key)) => {
                let secret = key.secret();
                // Room for all of it, so that it never moves and leaves a copy behind.
                let mut message = Zeroizing::new(Vec::with_capacity(2 + secret.len()));
                message.extend([KIND_WILL, key.id().get()]);
                message.extend(secret);
                self.send(&message)
            }
        }
    }

    /// The next notice.
    pub fn notice(&self) -> io::Result<Heard<Notice>> {
        let mut buffer = Zeroizing::new([0; 2 + Key::LEN_MAX]);
        self.receive(&mut *buffer, |message| match message {
            [KIND_DONE] => Some(Notice::Done),
            [KIND_COVER] => Some(Notice::Cover),
            [KIND_WILL, id, secret @ ..] => {
                Some(Notice::Will(KeyId::new(*id).and_then(|id| Key::new(id, secret).ok())))
            }
            _ => None,
        })
    }

    /// Tells the agent.
    pub fn relieve(&self, relief: &Relief) -> io::Result<()> {
        let sequence = relief.sequence.map_or(0, Sequence::get).to_ne_bytes();
        relief.slots.chunks(SLOTS_MAX).try_for_each(|slots| {
            let slots = slots.iter().flat_map(|slot| slot.to_ne_bytes());
            let message: Vec<_> = [KIND_RELIEF].into_iter().chain(sequence).chain(slots).collect();
            self.send(&message)
        })
    }

    /// The next relief.
    pub fn relief(&self) -> io::Result<Heard<Relief>> {
        let mut buffer = [0; LEN_MAX];
        self.receive(&mut buffer, |message| {
            let (sequence, slots) = message.strip_prefix(&[KIND_RELIEF])?.split_first_chunk()?;
            let sequence = Some(u64::from_ne_bytes(*sequence)).filter(|&bits| bits != 0).map(Sequence::new);
            let slots = slots.as_chunks().0.iter().map(|&slot| u32::from_ne_bytes(slot)).collect();
            Some(Relief { slots, sequence })
        })
    }

    fn send(&self, message: &[u8]) -> io::Result<()> {
        (&self.0).write(message).map(drop)
    }

    fn receive<T>(&self, buffer: &mut [u8], read: impl Fn(&[u8]) -> Option<T>) -> io::Result<Heard<T>> {
        loop {
            match (&self.0).read(buffer) {
                Ok(0) => return Ok(Heard::End),
                Ok(len) => {
                    if let Some(message) = buffer.get(..len).and_then(&read) {
                        return Ok(Heard::Message(message));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Heard::Nothing),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The other end was closed with messages in it.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(Heard::End),
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Line {
    /// Readable when there is a message, or none will come any more.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Line {
    fn from(fd: OwnedFd) -> Self {
        Self(fd.into())
    }
}

impl From<Line> for OwnedFd {
    fn from(line: Line) -> Self {
        line.0.into()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn notices_arrive_in_their_order_and_the_end_last() {
        let (agent, supervisor) = Line::pair().unwrap();
        assert!(matches!(supervisor.notice().unwrap(), Heard::Nothing));
        let key = Key::new(KeyId::new(7).unwrap(), &[9; 40]).unwrap();
        for notice in [Notice::Will(Some(key)), Notice::Will(None), Notice::Done] {
            agent.notify(&notice).unwrap();
        }
        drop(agent);
        let Heard::Message(Notice::Will(Some(key))) = supervisor.notice().unwrap() else { panic!("no key") };
        assert_eq!((key.id().get(), &key.secret()[38..42]), (7, &[9, 9, 0, 0][..]));
        assert!(matches!(supervisor.notice().unwrap(), Heard::Message(Notice::Will(None))));
        assert!(matches!(supervisor.notice().unwrap(), Heard::Message(Notice::Done)));
        assert!(matches!(supervisor.notice().unwrap(), Heard::End));
    }

    #[test]
    fn a_relief_arrives_as_it_was_said() {
        let (agent, supervisor) = Line::pair().unwrap();
        for (slots, sequence) in [(vec![0, 1, 70_000], Some(Sequence::new(u64::MAX))), ((0..2_500).collect(), None)] {
            supervisor.relieve(&Relief { slots: slots.clone(), sequence }).unwrap();
            let mut heard = Vec::new();
            while let Heard::Message(relief) = agent.relief().unwrap() {
                assert_eq!(relief.sequence, sequence);
                heard.extend(relief.slots);
            }
            assert_eq!(heard, slots);
        }
    }

    #[test]
    fn a_raised_end_is_the_same_line_under_a_high_number() {
        let (agent, supervisor) = Line::pair().unwrap();
        let agent = agent.raised();
        assert!(agent.as_fd().as_raw_fd() >= HIGH);
        agent.notify(&Notice::Done).unwrap();
        drop(agent);
        assert!(matches!(supervisor.notice().unwrap(), Heard::Message(Notice::Done)));
        assert!(matches!(supervisor.notice().unwrap(), Heard::End), "the low number is open still");
    }

    #[test]
    fn words_of_another_version_are_no_message() {
        let (agent, supervisor) = Line::pair().unwrap();
        agent.send(b"X").unwrap();
        agent.notify(&Notice::Done).unwrap();
        assert!(matches!(supervisor.notice().unwrap(), Heard::Message(Notice::Done)));
    }

    #[test]
    fn an_end_that_was_closed_with_words_unread_is_an_end() {
        let (agent, supervisor) = Line::pair().unwrap();
        supervisor.relieve(&Relief { slots: vec![1], sequence: None }).unwrap();
        drop(agent);
        assert!(matches!(supervisor.notice().unwrap(), Heard::End));
    }
}
