//! Places in a YAML text, and how an error shows them: the line, its neighbours and a caret under the column.

use std::fmt::Write;

pub use crate::document::Mark;

/// Lines shown on each side of the one that is wrong.
const CONTEXT: usize = 3;
/// Longer lines are cut: a script in flow style may be one line of kilobytes.
const WIDTH: usize = 160;

/// The lines around `mark`, the marked one behind `>` and above a `^`; every line ends with a newline.
pub fn excerpt(text: &str, mark: Mark) -> String {
    let first = mark.line.saturating_sub(CONTEXT).max(1);
    let mut out = String::new();
    for (number, line) in (1..).zip(text.lines()).skip(first - 1) {
        if number > mark.line + CONTEXT {
            break;
        }
        let sign = if number == mark.line { '>' } else { ' ' };
        let shown: String = line.chars().take(WIDTH).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{sign}{number:>3} | {shown}");
        if number == mark.line {
            let before = format!("{sign}{number:>3} | ").len() + mark.column.clamp(1, WIDTH) - 1;
            let _ = writeln!(out, "{:before$}^", "");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_shown_as_upstream_shows_it() {
        let mark = Mark { line: 1, column: 7 };
        assert_eq!(excerpt("cpus: [1\n", mark), ">  1 | cpus: [1\n             ^\n");
    }

    #[test]
    fn three_neighbours_are_shown_on_each_side() {
        let text = "a\nb\nc\nd\ne\nf\ng\nh\ni\n";
        let mark = Mark { line: 5, column: 1 };
        let want = "   2 | b\n   3 | c\n   4 | d\n>  5 | e\n       ^\n   6 | f\n   7 | g\n   8 | h\n";
        assert_eq!(excerpt(text, mark), want);
    }

    #[test]
    fn a_place_outside_the_text_shows_what_there_is() {
        assert_eq!(excerpt("", Mark { line: 9, column: 9 }), "");
    }
}
