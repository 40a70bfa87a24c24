//! Rules about one file's text.

use super::Problem;

/// Longest Rust file, in lines: longer ones have more than one job.
const LINES_MAX: usize = 500;

pub(super) fn size(text: &str) -> Option<Problem> {
    let lines = text.lines().count();
    (lines > LINES_MAX).then(|| Problem::new(lines, format!("{lines} lines; more than {LINES_MAX}: split it by job")))
}

pub(super) fn trailing_space(text: &str) -> Vec<Problem> {
    lines_where(text, "trailing white space", |line| line.ends_with([' ', '\t', '\r']))
}

pub(super) fn tabs(text: &str) -> Vec<Problem> {
    lines_where(text, "tab: indent with spaces, write \\t in a string", |line| line.contains('\t'))
}

/// `code` has neither comments nor literals.
pub(super) fn no_unsafe(code: &str) -> Vec<Problem> {
    let what = "`unsafe` in a file that is not on the list in xtask/src/tidy.rs";
    lines_where(code, what, |line| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe"))
}

/// `code` has neither comments nor literals.
pub(super) fn no_repr_c(code: &str) -> Vec<Problem> {
    let what = "`repr(C)` outside abi.rs: what kernel and daemon share lives there";
    lines_where(code, what, |line| {
        let dense: String = line.split_whitespace().collect();
        dense.contains("repr(C)") || dense.contains("repr(C,")
    })
}

fn lines_where(text: &str, what: &str, breaks: impl Fn(&str) -> bool) -> Vec<Problem> {
    let numbered = text.split('\n').zip(1..);
    numbered.filter(|(line, _)| breaks(line)).map(|(_, number)| Problem::new(number, what)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(problems: &[Problem]) -> Vec<usize> {
        problems.iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn five_hundred_lines_are_the_limit() {
        assert_eq!(size(&"x\n".repeat(500)), None);
        assert!(size(&"x\n".repeat(501)).is_some());
    }

    #[test]
    fn white_space_is_found_on_its_line() {
        assert_eq!(lines(&trailing_space("a\nb \n\nc\t\nd\r\n e\n")), [2, 4, 5]);
        assert_eq!(lines(&tabs("a\n\tb\nc d\ne\tf\n")), [2, 4]);
    }

    #[test]
    fn unsafe_is_a_whole_word() {
        let code = "unsafe fn f() {}\n#![deny(unsafe_op_in_unsafe_fn)]\n#[unsafe(no_mangle)]\nlet not_unsafe = 1;\nx{unsafe{}}\n";
        assert_eq!(lines(&no_unsafe(code)), [1, 3, 5]);
    }

    #[test]
    fn only_the_layout_of_c_is_kept_in_one_place() {
        let code = "#[repr(C)]\n#[repr(u8)]\n#[repr( C , align(8))]\n#[repr(Custom)]\n#[repr(transparent)]\n";
        assert_eq!(lines(&no_repr_c(code)), [1, 3]);
    }
}
