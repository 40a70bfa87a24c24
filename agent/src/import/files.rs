//! Where configuration files come from, and which of them a pattern means.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// How many names braces may come to, and how many files a pattern may mean.
const NAMES_MAX: usize = 1000;
/// The longest file that is read, in bytes.
const FILE_LEN_MAX: u64 = 4 << 20;

/// What files can be read.
pub trait Files {
    /// The text of a file.
    fn read(&self, path: &Path) -> io::Result<String>;
    /// The names in a directory, in any order; none where there is no such directory.
    fn names(&self, directory: &Path) -> Vec<String>;
}

/// The files of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<String> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() || metadata.len() > FILE_LEN_MAX {
            return Err(io::Error::other("not a regular file of at most 4 MiB"));
        }
        // A comment may be in any encoding.
        Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
    }

    fn names(&self, directory: &Path) -> Vec<String> {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }
}

/// The files that `pattern` means, seen from `directory`, as `glob(3)` with braces has it: sorted, hidden ones only where the
/// pattern has the dot.
pub(super) fn matching(files: &dyn Files, directory: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for pattern in unbraced(pattern) {
        let mut reached = vec![if pattern.starts_with('/') { PathBuf::from("/") } else { directory.to_owned() }];
        for component in pattern.split('/').filter(|component| !component.is_empty()) {
            reached = reached.iter().flat_map(|path| step(files, path, component)).take(NAMES_MAX).collect();
        }
        found.extend(reached);
    }
    found
}

/// What `component` of a pattern means in `directory`.
fn step(files: &dyn Files, directory: &Path, component: &str) -> Vec<PathBuf> {
    if !component.contains(['*', '?', '[']) {
        return vec![directory.join(component)];
    }
    let pattern: Vec<char> = component.chars().collect();
    let mut names = files.names(directory);
    names.retain(|name| {
        (component.starts_with('.') || !name.starts_with('.')) && is_match(&pattern, &name.chars().collect::<Vec<_>>())
    });
    names.sort();
    names.into_iter().map(|name| directory.join(name)).collect()
}

/// Whether `name` is one that `pattern` means: `*`, `?` and `[...]`.
fn is_match(pattern: &[char], name: &[char]) -> bool {
    // Where to go on after the last `*` if what follows it does not fit.
    let (mut at, mut in_name, mut retry) = (0, 0, None);
    while in_name < name.len() {
        if pattern.get(at) == Some(&'*') {
            at += 1;
            retry = Some((at, in_name));
        } else if let Some(len) = fits(&pattern[at.min(pattern.len())..], name[in_name]) {
            at += len;
            in_name += 1;
        } else if let Some((after, from)) = retry {
            retry = Some((after, from + 1));
            (at, in_name) = (after, from + 1);
        } else {
            return false;
        }
    }
    pattern[at.min(pattern.len())..].iter().all(|&rest| rest == '*')
}

/// How much of `pattern` means the one character `char`.
fn fits(pattern: &[char], char: char) -> Option<usize> {
    match *pattern.first()? {
        '?' => Some(1),
        '[' => {
            let Some(end) = pattern.iter().skip(2).position(|&end| end == ']').map(|end| end + 2) else {
                return (char == '[').then_some(1);
            };
            let negated = matches!(pattern[1], '!' | '^');
            let set = &pattern[if negated { 2 } else { 1 }..end];
            let mut contains = false;
            for (at, &one) in set.iter().enumerate() {
                contains |= one == char;
                if let (Some('-'), Some(&last)) = (set.get(at + 1), set.get(at + 2)) {
                    contains |= (one..=last).contains(&char);
                }
            }
            (contains != negated).then_some(end + 1)
        }
        literal => (literal == char).then_some(1),
    }
}

/// The patterns without braces that `pattern` stands for: `a{b,c}` for `ab` and `ac`.
fn unbraced(pattern: &str) -> Vec<String> {
    let (mut done, mut open) = (Vec::new(), vec![pattern.to_owned()]);
    while let Some(pattern) = open.pop() {
        if done.len() + open.len() >= NAMES_MAX {
            break;
        }
        // The last `{` has no other one inside.
        let braces = pattern.rfind('{').and_then(|start| Some((start, start + pattern[start..].find('}')?)));
        match braces {
            None => done.push(pattern),
            Some((start, end)) => {
                let (before, after) = (&pattern[..start], &pattern[end + 1..]);
                let choices: Vec<_> = pattern[start + 1..end].split(',').collect();
                open.extend(choices.into_iter().rev().map(|choice| format!("{before}{choice}{after}")));
            }
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_names() {
        // (pattern, name, whether it is meant)
        let cases = [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.bak", false),
            ("a*b*c", "aXbXbc", true),
            ("a*b*c", "aXbX", false),
            ("?", "é", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[", "[", true),
            ("", "", true),
            ("*", "", true),
        ];
        for (pattern, name, expected) in cases {
            let (of, in_name): (Vec<_>, Vec<_>) = (pattern.chars().collect(), name.chars().collect());
            assert_eq!(is_match(&of, &in_name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn braces_are_choices() {
        assert_eq!(unbraced("{foo/{,cat,dog},bar}"), ["foo/", "bar", "foo/cat", "bar", "foo/dog", "bar"]);
        assert_eq!(unbraced("a{b"), ["a{b"]);
        assert!(unbraced(&"{a,b}".repeat(40)).len() <= NAMES_MAX);
    }
}
