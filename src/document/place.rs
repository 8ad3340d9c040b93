//! Where things stand in a YAML text, found by looking at its bytes: blanks and comments between nodes, the comment lines that belong to an
//! entry, the rest of a line. Positions are byte offsets; they come from a text that was parsed, so they are on character boundaries.

/// The first byte at or behind `at` that is no blank, no line break and no comment. `commas`: those are skipped as well (flow collections).
pub fn skip(text: &str, at: usize, commas: bool) -> usize {
    let bytes = text.as_bytes();
    let mut at = at;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            b',' if commas => at += 1,
            b'#' => at += text[at..].find('\n').unwrap_or(text.len() - at),
            _ => break,
        }
    }
    at
}

/// The end of the word at `at`: up to a blank, or to what ends a word in a flow collection.
pub fn word_end(text: &str, at: usize, flow: bool) -> usize {
    let ends = |c: char| c.is_whitespace() || (flow && matches!(c, ',' | ']' | '}' | '[' | '{'));
    text[at..].find(ends).map_or(text.len(), |length| at + length)
}

/// Where the line of `at` begins.
pub fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |index| index + 1)
}

/// Behind the line break of the line of `at`; the end of the text for the last line.
pub fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |index| at + index + 1)
}

/// Characters between the start of the line and `at`.
pub fn column(text: &str, at: usize) -> usize {
    text[line_start(text, at)..at].chars().count()
}

/// Whether nothing but blanks stands before `at` in its line.
pub fn begins_line(text: &str, at: usize) -> bool {
    text[line_start(text, at)..at].bytes().all(|byte| byte == b' ')
}

/// Where the lines of an entry begin whose key or dash is at `lead`: its own line, or the comment lines directly above that stand in the
/// same column. Only for an entry that begins its line.
pub fn head_start(text: &str, lead: usize) -> usize {
    let indent = column(text, lead);
    let mut start = line_start(text, lead);
    while start > 0 {
        let above = line_start(text, start - 1);
        let line = &text[above..start];
        let body = line.trim_start_matches(' ');
        if !body.starts_with('#') || line.len() - body.len() != indent {
            break;
        }
        start = above;
    }
    start
}

/// Where the empty lines and the comments at the left margin begin that stand above the lines of an entry whose key is at `lead`.
pub fn paragraph_start(text: &str, lead: usize) -> usize {
    let mut start = head_start(text, lead);
    while start > 0 {
        let above = line_start(text, start - 1);
        if !text[above..].starts_with('#') && !is_blank_line(text, above) {
            break;
        }
        start = above;
    }
    start
}

/// The comment behind `at` in its line, blanks before it included and the line break not; empty if something else stands there.
pub fn tail(text: &str, at: usize) -> &str {
    let line = &text[at..line_end(text, at)];
    let line = line.trim_end_matches(['\n', '\r']);
    let comment = line.trim_start_matches([' ', '\t']);
    let is_comment = comment.starts_with('#') && (comment.len() < line.len() || at == line_start(text, at));
    if is_comment { line } else { "" }
}

/// Whether only blanks and a comment stand between `at` and the end of its line.
pub fn ends_line(text: &str, at: usize) -> bool {
    let line = text[at..line_end(text, at)].trim();
    line.is_empty() || !tail(text, at).is_empty()
}

/// Whether the line that begins at `at` has nothing in it; also true at the end of the text.
pub fn is_blank_line(text: &str, at: usize) -> bool {
    text[at..line_end(text, at)].trim().is_empty()
}
