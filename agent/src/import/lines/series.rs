//! `~SEQ(...)` and `~LST(...)`: values that the rest of a line is repeated with.

/// The values that are left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Series {
    Numbers {
        name: String,
        next: Option<i64>,
        step: i64,
        end: i64,
        hexadecimal: bool,
    },
    /// The next ones last.
    List {
        names: Vec<String>,
        values: Vec<Vec<String>>,
    },
}

impl Series {
    /// Reads what stands before the closing parenthesis.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (kind, parameters) = text.split_once('(')?;
        match kind.trim() {
            "~LST" => list(parameters),
            "~SEQ" => numbers(parameters, false),
            "~SEQx" => numbers(parameters, true),
            _ => None,
        }
    }

    /// The variables and what they are next.
    pub(super) fn next(&mut self) -> Option<Vec<(String, String)>> {
        match self {
            Self::Numbers { name, next, step, end, hexadecimal } => {
                let value = next.filter(|value| if *step > 0 { value <= end } else { value >= end })?;
                *next = value.checked_add(*step);
                let shown = if *hexadecimal { format!("{value:x}") } else { value.to_string() };
                Some(vec![(name.clone(), shown)])
            }
            Self::List { names, values } => Some(names.iter().cloned().zip(values.pop()?).collect()),
        }
    }
}

fn numbers(parameters: &str, hexadecimal: bool) -> Option<Series> {
    let mut words = parameters.split(',').map(str::trim);
    let name = words.next().filter(|name| super::is_name(name))?.to_owned();
    let numbers = words.map(number).collect::<Option<Vec<_>>>()?;
    let (start, step, end) = match numbers[..] {
        [end] => (if end > 0 { 1 } else { -1 }, None, end),
        [start, end] => (start, None, end),
        [start, step, end] => (start, Some(step), end),
        _ => return None,
    };
    let step = step.unwrap_or(if end >= start { 1 } else { -1 });
    (step != 0).then_some(Series::Numbers { name, next: Some(start), step, end, hexadecimal })
}

fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn list(parameters: &str) -> Option<Series> {
    let mut items = items(parameters)?.into_iter();
    let names = items.next()?;
    let mut values: Vec<_> = items.collect();
    let is_whole = names.iter().all(|name| super::is_name(name)) && values.iter().all(|it| it.len() == names.len());
    if values.is_empty() || !is_whole {
        return None;
    }
    values.reverse();
    Some(Series::List { names, values })
}

/// What stands between commas: a word, or several in braces.
fn items(text: &str) -> Option<Vec<Vec<String>>> {
    let mut items = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (item, after) = match rest.strip_prefix('{') {
            Some(braced) => {
                let (inside, after) = braced.split_once('}')?;
                (inside.split(',').map(|word| word.trim().to_owned()).collect(), after)
            }
            None => {
                let (word, _) = rest.split_once(',').unwrap_or((rest, ""));
                (vec![word.trim().to_owned()], &rest[word.len()..])
            }
        };
        items.push(item);
        let after = after.trim_start();
        if !after.is_empty() && !after.starts_with(',') {
            return None;
        }
        rest = after.trim_start_matches(',').trim_start();
    }
    Some(items)
}
