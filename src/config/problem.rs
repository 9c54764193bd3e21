//! What is wrong with a configuration, said so that a person can mend it at once.
//!
//! No text in here ever holds a secret: `config::document` decides what of a line may be shown.

use std::fmt::{self, Write as _};
use std::path::PathBuf;

use serde::Serialize;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The configuration cannot be used (exit 78).
    Error,
    /// It can be used; something will be held, or is not as safe as it could be.
    Warning,
}

impl Severity {
    /// The word that starts its report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as it was named.
    pub file: PathBuf,
    /// The line, from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// The column in characters, from 1; 0 where the file as a whole is meant.
    pub column: usize,
    /// The key with its tables, for example `source.realtime.base_url`; empty for a syntax error.
    pub field: String,
    /// Which source or destination, for example `source "main"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What stands there, where it may be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What may stand there: a range with its unit, or the words to choose from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The line with everything masked that may be a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snippet: Option<Snippet>,
}

/// A line of a file, and what of it is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snippet {
    /// The line, masked, with tabs as blanks.
    pub line: String,
    /// Characters before the mark.
    pub caret: usize,
    /// How many characters are marked, at least 1.
    pub width: usize,
}

/// The form of compilers: message, place, the line with a mark, what may stand there, what to do.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.severity.as_str(), self.message)?;
        let gutter = if self.line == 0 {
            1
        } else {
            self.line.to_string().len()
        };
        let pad = " ".repeat(gutter);
        if self.line == 0 {
            write!(f, "{pad}--> {}", self.file.display())?;
        } else {
            write!(
                f,
                "{pad}--> {}:{}:{}",
                self.file.display(),
                self.line,
                self.column
            )?;
        }
        if let Some(snippet) = &self.snippet {
            let carets = "^".repeat(snippet.width);
            let indent = " ".repeat(snippet.caret);
            write!(
                f,
                "\n{pad} |\n{} | {}\n{pad} | {indent}{carets}",
                self.line, snippet.line
            )?;
        }
        if !self.field.is_empty() {
            write!(f, "\n{pad} = field: {}", self.field)?;
            if let Some(subject) = &self.subject {
                write!(f, " ({subject})")?;
            }
        }
        if let Some(value) = &self.value {
            write!(f, "\n{pad} = value: {value}")?;
        }
        if let Some(allowed) = &self.allowed {
            write!(f, "\n{pad} = allowed: {allowed}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n{pad} = help: {hint}")?;
        }
        Ok(())
    }
}

/// Every problem of a configuration that cannot be used, in the order of files and lines;
/// warnings are among them, at least one is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The problems.
    pub problems: Vec<Problem>,
}

impl ConfigErrors {
    /// How many of them are errors.
    pub fn errors(&self) -> usize {
        count(&self.problems, Severity::Error)
    }
}

fn count(problems: &[Problem], severity: Severity) -> usize {
    problems.iter().filter(|p| p.severity == severity).count()
}

/// All problems as `check` prints them, with an empty line between two and a count at the end.
pub fn render(problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{problem}\n");
    }
    let counted = |number: usize, word: &str| match number {
        1 => format!("1 {word}"),
        _ => format!("{number} {word}s"),
    };
    let errors = count(problems, Severity::Error);
    let warnings = count(problems, Severity::Warning);
    match (errors, warnings) {
        (0, 0) => {}
        (_, 0) => text.push_str(&counted(errors, "error")),
        (0, _) => text.push_str(&counted(warnings, "warning")),
        _ => {
            let _ = write!(
                text,
                "{}, {}",
                counted(errors, "error"),
                counted(warnings, "warning")
            );
        }
    }
    text
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&render(&self.problems))
    }
}

impl std::error::Error for ConfigErrors {}
