//! Words for people: those that depend on a number, and text that came from elsewhere.

use std::borrow::Cow;

/// A number with what it counts: `1 host`, `2 hosts`, `1 entry`, `0 lives`.
///
/// `thing` is the word, or words, for one of them. What is too large for 64 bits, or negative, is
/// counted as the most.
///
/// ```
/// use starling_protocols::words::count;
/// assert_eq!(count(1_u64, "virtual minute"), "1 virtual minute");
/// assert_eq!(count(2_usize, "entry"), "2 entries");
/// ```
pub fn count(n: impl TryInto<u64>, thing: &str) -> String {
    match n.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {thing}"),
        n => format!("{n} {}", many(thing)),
    }
}

fn many(thing: &str) -> String {
    let vowel_before_y = ["ay", "ey", "oy", "uy"].iter().any(|end| thing.ends_with(end));
    match thing {
        _ if thing.ends_with("life") => format!("{}ves", thing.trim_end_matches("fe")),
        _ if thing.ends_with('y') && !vowel_before_y => {
            format!("{}ies", thing.trim_end_matches('y'))
        }
        _ => format!("{thing}s"),
    }
}

/// Characters that could steer a terminal or make text look like other text.
#[must_use]
pub fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// `text` on one line, with harmful characters shown instead of obeyed. Nothing happens to text
/// that is plain already.
///
/// ```
/// use starling_protocols::words::plain;
/// assert_eq!(plain("a\u{1b}[31mb\nc"), r"a\u{1b}[31mb\nc");
/// ```
#[must_use]
pub fn plain(text: &str) -> String {
    escape(text, false)
}

/// Like [`plain`], but lines stay lines.
#[must_use]
pub fn plain_lines(text: &str) -> String {
    escape(text, true)
}

/// A text, cut after `chars`.
///
/// ```
/// use starling_protocols::words::cut;
/// assert_eq!((cut("grüße", 5), cut("grüße", 3)), ("grüße".into(), "grü…".into()));
/// ```
#[must_use]
pub fn cut(text: &str, chars: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars) {
        Some((at, _)) => format!("{}…", &text[..at]).into(),
        None => text.into(),
    }
}

fn escape(text: &str, keep_lines: bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' if keep_lines => safe.push(c),
            c if is_harmful(c) => safe.extend(c.escape_default()),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_text_cannot_steer_a_terminal() {
        let safe = r"a\u{1b}[31mb\nc\u{9b}\u{202e}";
        assert_eq!(plain("a\u{1b}[31mb\nc\u{9b}\u{202e}"), safe);
        assert_eq!(plain(safe), safe);
        assert_eq!(plain_lines("a\nb\u{7}"), "a\nb\\u{7}");
        assert_eq!(plain("grüße, 世界"), "grüße, 世界");
    }

    #[test]
    fn one_is_one_and_all_other_numbers_are_many() {
        assert_eq!(count(0_u64, "page"), "0 pages");
        assert_eq!(count(1_usize, "page"), "1 page");
        assert_eq!(count(2_u32, "page"), "2 pages");
        assert_eq!(count(1_u64, "entry"), "1 entry");
        assert_eq!(count(3_u64, "entry"), "3 entries");
        assert_eq!(count(2_u64, "day"), "2 days");
        assert_eq!([count(1_u64, "life"), count(4_u64, "life")], ["1 life", "4 lives"]);
        assert_eq!(count(2_u64, "virtual minute"), "2 virtual minutes");
    }
}
