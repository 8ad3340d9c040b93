//! Questions to the person at the terminal. Asked only where both ends are a terminal and `--tty=false` was not given; a question that cannot be
//! asked has the careful answer.

use std::io::{BufRead, IsTerminal, Write};

use super::context::App;

/// Asks whether to start the instance now; no where nobody can answer.
pub fn start_now(app: &App) -> Result<bool, anyhow::Error> {
    if !app.tty || !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    let (stdin, stderr) = (std::io::stdin().lock(), std::io::stderr());
    Ok(confirm(stdin, stderr, "Do you want to start the instance now?", true)?)
}

/// Asks until the answer is yes, no, or nothing, which is `default`. The end of the input is no.
pub fn confirm(
    mut input: impl BufRead,
    mut output: impl Write,
    question: &str,
    default: bool,
) -> std::io::Result<bool> {
    let choice = if default { "Y/n" } else { "y/N" };
    loop {
        write!(output, "? {question} ({choice}) ")?;
        output.flush()?;
        let mut answer = String::new();
        if input.read_line(&mut answer)? == 0 {
            writeln!(output)?;
            return Ok(false);
        }
        match answer.trim().to_ascii_lowercase().as_str() {
            "" => return Ok(default),
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => writeln!(output, "Please answer y or n.")?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(input: &str, default: bool) -> (bool, String) {
        let mut output = Vec::new();
        let answer = confirm(input.as_bytes(), &mut output, "Really?", default).unwrap();
        (answer, String::from_utf8(output).unwrap())
    }

    #[test]
    fn nothing_is_the_default_and_the_end_is_no() {
        assert_eq!(answered("\n", true), (true, "? Really? (Y/n) ".into()));
        assert_eq!(answered("\n", false), (false, "? Really? (y/N) ".into()));
        assert_eq!(answered("", true), (false, "? Really? (Y/n) \n".into()));
    }

    #[test]
    fn other_words_are_asked_again() {
        let (answer, output) = answered("maybe\n YES \n", false);
        assert_eq!((answer, output.matches("? Really?").count()), (true, 2));
        assert!(!answered("no\n", true).0);
    }
}
