//! What a key file may hold, and who else may touch it.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, fs::symlink, net::UnixListener},
    time::Duration,
};

use nix::{sys::stat::Mode, unistd::mkfifo};

use super::*;
use crate::config::AuthMode;

const TEXT_32: &str = "0123456789abcdef0123456789ABCDEF";
const HEX_32: &str = "hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1B1C1D1E1F";

fn id(number: u8) -> KeyId {
    KeyId::new(number).unwrap()
}

fn write(dir: &Path, name: &str, contents: &[u8], mode: u32) -> PathBuf {
    let file = dir.join(name);
    fs::write(&file, contents).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    file
}

fn said(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

fn auth(files: &[&Path]) -> Auth {
    Auth {
        mode: AuthMode::ReceiveOnly,
        active_key: None,
        keys: (1..).zip(files).map(|(number, file)| KeyFile { id: id(number), file: file.to_path_buf() }).collect(),
        window: Duration::from_secs(5),
        clock_grace: Duration::ZERO,
    }
}

#[test]
fn a_file_holds_a_text_or_hexadecimal_digits() {
    let bytes_32: Vec<u8> = (0..32).collect();
    let text_64 = TEXT_32.repeat(2);
    let hex_64 = format!("hex:{}", "fF".repeat(64));
    let cases: [(&str, &str, &[u8]); 7] = [
        ("text", TEXT_32, TEXT_32.as_bytes()),
        ("text and line end", &format!("{TEXT_32}\n"), TEXT_32.as_bytes()),
        (
            "text of all kinds of characters",
            "!\"# ~ and spaces, in 33 characters",
            b"!\"# ~ and spaces, in 33 characters",
        ),
        ("longest text", &text_64, text_64.as_bytes()),
        ("digits", HEX_32, &bytes_32),
        ("digits and line end", &format!("{HEX_32}\n"), &bytes_32),
        ("most digits", &hex_64, &[0xff; 64]),
    ];
    for (case, contents, expected) in cases {
        assert_eq!(secret(contents.as_bytes()).unwrap().as_slice(), expected, "{case}");
    }
}

#[test]
fn whatever_else_a_file_holds_is_named_without_showing_it() {
    const TEXT: &str = "holds something else than one line of printable ASCII";
    let of_text = |len: usize| format!("holds a text of {len} bytes, and a key has 32 to 64");
    let of_hex = |len: usize| format!("holds {len} hexadecimal digits, and a key has an even number from 64 to 128");
    let cases = [
        ("nothing", String::new(), of_text(0)),
        ("a line end", "\n".to_owned(), of_text(0)),
        ("short text", TEXT_32[1..].to_owned(), of_text(31)),
        ("long text", "x".repeat(65), of_text(65)),
        ("two line ends", format!("{TEXT_32}\n\n"), TEXT.to_owned()),
        ("two lines", format!("{TEXT_32}\n{TEXT_32}"), TEXT.to_owned()),
        ("line end of DOS", format!("{TEXT_32}\r\n"), TEXT.to_owned()),
        ("tab", format!("{TEXT_32}\t"), TEXT.to_owned()),
        ("not ASCII", format!("{TEXT_32}ä"), TEXT.to_owned()),
        ("delete", format!("{TEXT_32}\x7f"), TEXT.to_owned()),
        ("space before", format!(" {TEXT_32}"), "holds a text that begins or ends with a space".to_owned()),
        ("space behind", format!("{TEXT_32} \n"), "holds a text that begins or ends with a space".to_owned()),
        ("no digits", "hex:".to_owned(), of_hex(0)),
        ("few digits", HEX_32[..66].to_owned(), of_hex(62)),
        ("odd digits", format!("{HEX_32}0"), of_hex(65)),
        ("many digits", format!("hex:{}", "0".repeat(130)), of_hex(130)),
        (
            "no digit",
            HEX_32.replace("1F", "1G"),
            "holds other characters than hexadecimal digits after `hex:`".to_owned(),
        ),
    ];
    for (case, contents, expected) in cases {
        let problem = secret(contents.as_bytes()).unwrap_err();
        assert_eq!(problem.to_string(), expected, "{case}");
        assert!(problem.is_serious(), "{case}");
        assert_eq!(problem.remedy(Path::new("/k")), "let it hold one line as `vipd keygen` prints it", "{case}");
    }
}

#[test]
fn nobody_else_may_read_or_change_a_file() {
    // (owner, mode, the agent's user, what is said)
    let cases: [(u32, u32, u32, &[&str]); 12] = [
        (0, 0o100_600, 0, &[]),
        (0, 0o100_400, 0, &[]),
        (0, 0o100_400, 7, &[]),
        (7, 0o100_600, 7, &[]),
        (7, 0o100_600, 0, &["belongs to user 7, who can change it"]),
        (8, 0o100_400, 7, &["belongs to user 8, who can change it"]),
        (0, 0o100_440, 0, &["can be read by its group (mode 0440)"]),
        (0, 0o100_644, 0, &["can be read by everybody (mode 0644)"]),
        (0, 0o100_604, 0, &["can be read by everybody (mode 0604)"]),
        (0, 0o100_620, 0, &["can be written by others than its owner (mode 0620)"]),
        (0, 0o100_602, 0, &["can be written by others than its owner (mode 0602)"]),
        (
            7,
            0o104_666,
            0,
            &[
                "belongs to user 7, who can change it",
                "can be written by others than its owner (mode 4666)",
                "can be read by everybody (mode 4666)",
            ],
        ),
    ];
    for (owner, mode, agent, expected) in cases {
        assert_eq!(said(&access(owner, mode, agent)), expected, "{owner} {mode:o} {agent}");
    }
    let serious = |mode| access(0, mode, 0).iter().map(Problem::is_serious).collect::<Vec<_>>();
    assert_eq!([serious(0o440), serious(0o660), serious(0o604)], [[false], [true], [true]]);
}

#[test]
fn remedies_name_the_file() {
    let remedy = |problem: Problem| problem.remedy(Path::new("/k/1"));
    assert_eq!(remedy(Problem::Owner(7)), "chown root /k/1");
    assert_eq!(remedy(Problem::Writable(0o666)), "chmod 600 /k/1");
    assert_eq!(remedy(Problem::Readable(0o644)), "chmod 600 /k/1");
    assert_eq!(remedy(Problem::GroupReadable(0o440)), "chmod 600 /k/1, unless its group is the agent's alone");
    assert_eq!(
        remedy(Problem::Unreadable(io::ErrorKind::NotFound.into())),
        "make it with `vipd keygen --output /k/1` on one node, and copy it to the others"
    );
    assert_eq!(remedy(Problem::Unreadable(io::ErrorKind::PermissionDenied.into())), "let the agent's user read it");
    assert_eq!(remedy(Problem::NotRegular), "name the file that holds the key");
}

#[test]
fn only_a_regular_file_is_read_and_a_pipe_does_not_block() {
    let dir = tempfile::tempdir().unwrap();
    let (pipe, socket) = (dir.path().join("pipe"), dir.path().join("socket"));
    mkfifo(&pipe, Mode::S_IRUSR).unwrap();
    let _listener = UnixListener::bind(&socket).unwrap();
    for file in [&pipe, dir.path(), Path::new("/dev/null")] {
        assert_eq!(said(&examine(file)), ["is not a regular file"], "{}", file.display());
    }
    assert_eq!(said(&examine(&socket)), ["cannot be read: No such device or address (os error 6)"]);
}

#[test]
fn a_file_of_more_than_1024_bytes_is_not_read_on() {
    let dir = tempfile::tempdir().unwrap();
    let longest = write(dir.path(), "longest", &[b'x'; 1024], 0o600);
    assert_eq!(said(&examine(&longest)), ["holds a text of 1024 bytes, and a key has 32 to 64"]);
    let longer = write(dir.path(), "longer", &[b'x'; 1025], 0o600);
    assert_eq!(said(&examine(&longer)), ["is larger than 1024 bytes"]);
}

/// A Kubernetes Secret is a link to a file below a link to a directory.
#[test]
fn links_are_followed_to_the_file_that_counts() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("..data_1")).unwrap();
    write(dir.path(), "..data_1/key", TEXT_32.as_bytes(), 0o400);
    symlink("..data_1", dir.path().join("..data")).unwrap();
    symlink("..data/key", dir.path().join("key")).unwrap();
    assert_eq!(said(&examine(&dir.path().join("key"))), [""; 0]);

    write(dir.path(), "..data_1/key2", TEXT_32.as_bytes(), 0o444);
    symlink("..data/key2", dir.path().join("key2")).unwrap();
    assert_eq!(said(&examine(&dir.path().join("key2"))), ["can be read by everybody (mode 0444)"]);
}

#[test]
fn keys_are_loaded_in_the_order_of_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let text = write(dir.path(), "text", TEXT_32.as_bytes(), 0o600);
    let group = write(dir.path(), "hex", HEX_32.as_bytes(), 0o440);
    let keys = load(&auth(&[&text, &group])).unwrap();
    assert_eq!(keys.iter().map(Key::id).collect::<Vec<_>>(), [id(1), id(2)]);
}

#[test]
fn one_bad_file_and_no_key_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let good = write(dir.path(), "good", TEXT_32.as_bytes(), 0o600);
    let bad = write(dir.path(), "bad", b"hunter2", 0o622);
    let missing = dir.path().join("missing");
    let error = load(&auth(&[&good, &bad, &missing])).unwrap_err().to_string();
    let (bad, missing) = (bad.display(), missing.display());
    assert_eq!(
        error,
        format!(
            "key 2: `{bad}` can be written by others than its owner (mode 0622); chmod 600 {bad}\n\
             key 2: `{bad}` holds a text of 7 bytes, and a key has 32 to 64; let it hold one line as `vipd keygen` \
             prints it\n\
             key 3: `{missing}` cannot be read: No such file or directory (os error 2); make it with `vipd keygen \
             --output {missing}` on one node, and copy it to the others"
        )
    );
}
