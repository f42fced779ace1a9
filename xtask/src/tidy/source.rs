//! A Rust file as the checks see it: code apart from comments, strings and tests.

/// What a character of the source belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Code,
    Comment,
    Text,
}

/// One Rust file, lexed just far enough to tell code from words.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    /// The lines as they stand.
    pub(crate) raw: Vec<String>,
    /// The lines with comments and the insides of literals blanked out.
    pub(crate) code: Vec<String>,
    /// The lines without the insides of literals: code and comments.
    pub(crate) said: Vec<String>,
    /// Per line: whether it belongs to tests.
    pub(crate) test: Vec<bool>,
}

impl Source {
    /// Lexes the text of the file at `path`.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let classes = classify(&chars);
        let blanked: String = blank(&chars, &classes, |class| class == Class::Code);
        let said: String = chars
            .iter()
            .zip(&classes)
            .filter(|(char, class)| **class != Class::Text || **char == '\n')
            .map(|(char, _)| *char)
            .collect();
        let code: Vec<String> = blanked.split('\n').map(str::to_owned).collect();
        let test = test_lines(path, &code);
        Self {
            path: path.to_owned(),
            raw: text.split('\n').map(str::to_owned).collect(),
            said: said.split('\n').map(str::to_owned).collect(),
            code,
            test,
        }
    }

    /// The crate's folder: the part before `src/`, `tests/` and the like; empty for the root's.
    pub(crate) fn package(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        match first {
            "src" | "examples" | "tests" => "",
            other => other,
        }
    }

    /// The path of modules below `src/`: `src/scan/plan.rs` is `["scan", "plan"]`.
    pub(crate) fn modules(&self) -> Vec<&str> {
        let below = self.path.strip_prefix(self.package()).unwrap_or(&self.path);
        let Some(below) = below.trim_start_matches('/').strip_prefix("src/") else {
            return Vec::new();
        };
        let stem = below.strip_suffix(".rs").unwrap_or(below);
        if stem == "lib" || stem == "main" {
            return Vec::new();
        }
        stem.split('/').collect()
    }

    /// Lines outside tests; all lines of a file that is a test as a whole.
    pub(crate) fn lines_counted(&self) -> usize {
        let production = self.test.iter().filter(|test| !**test).count();
        let total = self.raw.len();
        if production == 0 { total } else { production }
    }

    /// Whether the file is part of what users run.
    pub(crate) fn is_production(&self) -> bool {
        self.test.iter().any(|test| !*test) && !self.path.starts_with("examples/")
    }
}

fn blank(chars: &[char], classes: &[Class], keep: impl Fn(Class) -> bool) -> String {
    let kept = |(char, class): (&char, &Class)| {
        if *char == '\n' || keep(*class) {
            *char
        } else {
            ' '
        }
    };
    chars.iter().zip(classes).map(kept).collect()
}

/// The class of each character; quotes themselves count as code.
fn classify(chars: &[char]) -> Vec<Class> {
    let mut classes = vec![Class::Code; chars.len()];
    let mut at = 0;
    while at < chars.len() {
        let (class, end) = match (chars[at], chars.get(at + 1)) {
            ('/', Some('/')) => (Class::Comment, line_end(chars, at)),
            ('/', Some('*')) => (Class::Comment, block_end(chars, at)),
            ('"', _) => (Class::Text, string_end(chars, at, raw_hashes(chars, at))),
            ('\'', _) => (Class::Text, char_end(chars, at)),
            _ => (Class::Code, at + 1),
        };
        match class {
            Class::Code => {}
            Class::Comment => classes[at..end].fill(Class::Comment),
            Class::Text if end > at + 1 => classes[at + 1..end - 1].fill(Class::Text),
            Class::Text => {}
        }
        at = end;
    }
    classes
}

fn line_end(chars: &[char], at: usize) -> usize {
    let rest = chars[at..].iter().position(|char| *char == '\n');
    rest.map_or(chars.len(), |length| at + length)
}

fn block_end(chars: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0_usize, start);
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => {
                depth += 1;
                at += 2;
            }
            ('*', '/') => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    chars.len()
}

/// The number of `#` before a raw string's quote; `None` if the string is not raw.
fn raw_hashes(chars: &[char], quote: usize) -> Option<usize> {
    let hashes = chars[..quote]
        .iter()
        .rev()
        .take_while(|char| **char == '#')
        .count();
    let before = quote.checked_sub(hashes + 1)?;
    let word = before.checked_sub(1).map(|at| chars[at]);
    let inside_word = word.is_some_and(|char| char.is_alphanumeric() && !matches!(char, 'b' | 'c'));
    (chars[before] == 'r' && !inside_word).then_some(hashes)
}

/// The place behind a string's closing quote.
fn string_end(chars: &[char], quote: usize, raw: Option<usize>) -> usize {
    let mut at = quote + 1;
    while at < chars.len() {
        match (chars[at], raw) {
            ('\\', None) => at += 2,
            ('"', None) => return at + 1,
            ('"', Some(hashes)) => {
                let closing = chars[at + 1..]
                    .iter()
                    .take_while(|char| **char == '#')
                    .count();
                if closing >= hashes {
                    return at + 1;
                }
                at += 1;
            }
            _ => at += 1,
        }
    }
    chars.len()
}

/// The place behind a character literal, or behind the quote alone if it opens a lifetime.
fn char_end(chars: &[char], quote: usize) -> usize {
    match (chars.get(quote + 1), chars.get(quote + 2)) {
        (Some('\\'), _) => {
            let rest = chars[quote + 3..].iter().position(|char| *char == '\'');
            rest.map_or(chars.len(), |length| quote + 3 + length + 1)
        }
        (Some(_), Some('\'')) => quote + 3,
        _ => quote + 1,
    }
}

/// Which lines are tests: whole test files, and what `#[cfg(test)]` stands before.
fn test_lines(path: &str, code: &[String]) -> Vec<bool> {
    let parts: Vec<&str> = path.split('/').collect();
    let whole = parts.contains(&"tests")
        || path.ends_with("/tests.rs")
        || parts.first() == Some(&"lakehouse-testkit");
    let mut test = vec![whole; code.len()];
    let mut line = 0;
    while line < code.len() {
        if code[line].trim_start().starts_with("#[cfg(test)]") {
            let end = item_end(code, line);
            test[line..end].fill(true);
            line = end;
        } else {
            line += 1;
        }
    }
    test
}

/// The line behind the item that starts at `line`: behind its closing brace or its semicolon.
pub(crate) fn item_end(code: &[String], line: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, text) in code[line..].iter().enumerate() {
        for char in text.chars() {
            match char {
                '{' | '(' | '[' => depth += 1,
                '}' | ')' | ']' => {
                    depth = depth.saturating_sub(1);
                    if char == '}' && depth == 0 {
                        return line + offset + 1;
                    }
                }
                ';' if depth == 0 => return line + offset + 1,
                _ => {}
            }
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Source::new("src/a.rs", text).code.join("\n")
    }

    #[test]
    fn words_are_not_code() {
        assert_eq!(code("a // b\nc"), "a     \nc");
        assert_eq!(code("x(\"b\\\"{\")"), "x(\"    \")");
        assert_eq!(code("r#\"a\"b\"#; y"), "r#\"   \"#; y");
        assert_eq!(code("/* a /* b */ c */ d"), "                  d");
        assert_eq!(code("f('{', '\\'', 'a)"), "f(' ', '  ', 'a)");
    }

    #[test]
    fn tests_are_told_from_production() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}";
        let source = Source::new("src/a.rs", text);
        assert_eq!(source.test, [false, true, true, true, true, false]);
        assert_eq!(source.lines_counted(), 2);
        assert!(Source::new("lakehouse-core/tests/it/a.rs", text).test[0]);
    }

    #[test]
    fn modules_follow_the_folders() {
        let modules = |path: &str| {
            let source = Source::new(path, "");
            (source.package().to_owned(), source.modules().join("::"))
        };
        assert_eq!(modules("src/lib.rs"), (String::new(), String::new()));
        assert_eq!(modules("src/a.rs"), (String::new(), "a".to_owned()));
        let nested = modules("lakehouse-core/src/scan/plan.rs");
        assert_eq!(
            nested,
            ("lakehouse-core".to_owned(), "scan::plan".to_owned())
        );
    }
}
