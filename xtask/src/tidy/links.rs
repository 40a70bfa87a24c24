//! Links in Markdown to files of the repository.

use super::Problem;

/// The links whose target does not exist, as `exists` says of a path relative to the file.
pub(super) fn broken(text: &str, exists: impl Fn(&str) -> bool) -> Vec<Problem> {
    let mut problems = vec![];
    let mut fenced = false;
    for (line, number) in text.lines().zip(1..) {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if fenced {
            continue;
        }
        let prose = without_code(line);
        let broken = targets(&prose).into_iter().filter_map(file).filter(|target| !exists(target));
        problems.extend(broken.map(|target| Problem::new(number, format!("link to `{target}`, which does not exist"))));
    }
    problems
}

/// `line` without what stands between backquotes.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// What inline links and a reference definition point to.
fn targets(line: &str) -> Vec<&str> {
    let mut targets: Vec<&str> = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()).collect();
    if let Some((_, target)) = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
        targets.extend(target.split_whitespace().next());
    }
    targets
}

/// The path in `target`, unless it leads out of the repository or stays on the page.
fn file(target: &str) -> Option<&str> {
    let outside = target.contains("://") || target.starts_with("mailto:");
    let path = target.split('#').next().unwrap_or_default();
    (!outside && !path.is_empty()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_missing_files_are_found() {
        let text = "\
            [there](README.md) and [gone](docs/a.md) and ![picture](b.svg \"title\")\n\
            [web](https://example.org/x) [mail](mailto:a@example.org) [here](#part)\n\
            [part of a file](README.md#part) [part of none](c.md#part)\n\
            `[code](d.md)` is no link\n\
            ```\n[fenced](e.md)\n```\n\
            [reference]: f.md\n";
        let found: Vec<_> =
            broken(text, |target| target == "README.md").into_iter().map(|p| (p.line, p.what)).collect();
        let expected = [(1, "docs/a.md"), (1, "b.svg"), (3, "c.md"), (8, "f.md")]
            .map(|(line, target)| (line, format!("link to `{target}`, which does not exist")));
        assert_eq!(found, expected);
    }
}
