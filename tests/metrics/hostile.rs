//! Clients that are slow, talk nonsense, or come in great numbers, until they are told that it is over.

use std::{
    collections::VecDeque,
    hint,
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use socket2::SockRef;

fn connect() -> Option<TcpStream> {
    TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, 9650).into(), Duration::from_secs(5)).ok()
}

/// Many connections that say nothing.
pub(crate) fn crowd(over: &AtomicBool) {
    let mut held = VecDeque::new();
    while !over.load(Ordering::Relaxed) {
        held.extend(connect());
        if held.len() > 200 {
            held.pop_front();
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// A head without end.
pub(crate) fn endless(over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        if let Some(mut stream) = connect() {
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\n");
            while !over.load(Ordering::Relaxed) && stream.write_all(b"X-Filler: 0123456789abcdef\r\n").is_ok() {
                hint::spin_loop();
            }
        }
    }
}

/// What is no HTTP.
pub(crate) fn garbage(over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        for nonsense in
            [&b"\0\xff\x16\x03\x01\r\n\r\n"[..], b"GET  HTTP/9\r\n\r\n", b"GET /metrics HTTP/1.1\r\nHost\r\n\r\n"]
        {
            if let Some(mut stream) = connect() {
                let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
                let _ = stream.write_all(nonsense);
                let _ = stream.read(&mut [0; 64]);
            }
        }
    }
}

/// Whoever asks and does not read; the receive buffer is as small as can be, so that the answer does not fit.
pub(crate) fn deaf(over: &AtomicBool) {
    let mut held = VecDeque::new();
    while !over.load(Ordering::Relaxed) {
        if let Some(mut stream) = connect() {
            let _ = SockRef::from(&stream).set_recv_buffer_size(1);
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
            held.push_back(stream);
        }
        if held.len() > 40 {
            held.pop_front();
        }
        thread::sleep(Duration::from_millis(5));
    }
}
