//! Foreign text in messages.

/// How much of a foreign text an error or a rejected row shows.
pub const EXCERPT_CHARS: usize = 80;

/// How much is shown of a text that was written for a person.
pub const SENTENCE_CHARS: usize = 400;

/// The first printable characters of a foreign text, blanks and control characters as one blank.
pub fn excerpt(text: &str) -> String {
    printable(text, EXCERPT_CHARS)
}

/// The same with another bound.
pub fn printable(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    let mut chars = 0;
    let mut blank = false;
    for c in text.chars() {
        if c.is_control() || c.is_whitespace() || c == '\u{fffd}' {
            blank = !out.is_empty();
            continue;
        }
        if blank {
            out.push(' ');
            chars += 1;
            blank = false;
        }
        if chars >= chars_max {
            break;
        }
        out.push(c);
        chars += 1;
    }
    if chars > chars_max {
        out.pop();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_printable_and_at_most_80_characters() {
        assert_eq!(excerpt("\r\n <html>\n\t<b>\u{0}x"), "<html> <b> x");
        for text in ["ä".repeat(200), "ä ".repeat(200), " ä".repeat(200)] {
            assert!(excerpt(&text).chars().count() <= EXCERPT_CHARS);
        }
    }
}
