//! Words for people that depend on a number.

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

#[cfg(test)]
mod tests {
    use super::*;

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
