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

/// What to do with the text of a new instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    Proceed,
    Edit,
    OtherTemplate,
    Leave,
}

/// Asks what to do with a new instance; proceeds, with a warning, where nobody can answer.
pub fn creation(name: &str) -> Result<Choice, anyhow::Error> {
    const CHOICES: [(&str, Choice); 4] = [
        ("Proceed with the current configuration", Choice::Proceed),
        ("Open an editor to look at the current configuration or change it", Choice::Edit),
        ("Choose another template", Choice::OtherTemplate),
        ("Exit", Choice::Leave),
    ];
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        tracing::warn!("Standard input is not a terminal, proceeding without a menu");
        return Ok(Choice::Proceed);
    }
    let items = CHOICES.map(|(text, _)| text);
    let chosen = select(&format!("Creating an instance \"{name}\""), &items)?;
    Ok(chosen.map_or(Choice::Leave, |index| CHOICES[index].1))
}

/// Asks for one of the templates; `None` for none of them.
pub fn template(names: &[String]) -> Result<Option<String>, anyhow::Error> {
    Ok(select("Choose a template", names)?.map(|index| names[index].clone()))
}

/// What to do with the changes of `shell --sync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Review {
    Accept,
    Discard,
    View,
}

/// Asks what to do with changes, of which `summary` is a line; `None` without an answer.
pub fn review(summary: &str) -> Result<Option<Review>, anyhow::Error> {
    const CHOICES: [(&str, Review); 3] =
        [("Yes", Review::Accept), ("No", Review::Discard), ("View the changed contents", Review::View)];
    let items = CHOICES.map(|(text, _)| text);
    let chosen = select(&format!("Accept the changes? ({summary})"), &items)?;
    Ok(chosen.map(|index| CHOICES[index].1))
}

/// A menu for the arrow keys. `None` if it was left with Escape; Ctrl-C is an error.
fn select(question: &str, items: &[impl std::fmt::Display]) -> Result<Option<usize>, anyhow::Error> {
    let menu = dialoguer::Select::new().with_prompt(question).items(items).default(0).max_length(12);
    match menu.interact_opt() {
        Ok(chosen) => Ok(chosen),
        Err(dialoguer::Error::IO(error)) if error.kind() == std::io::ErrorKind::Interrupted => {
            anyhow::bail!("Interrupted by user")
        }
        Err(error) => Err(anyhow::Error::new(error).context("cannot show the menu")),
    }
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
