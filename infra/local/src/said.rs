//! What the command says. Names come from the source: none of them moves the cursor or changes the colour of a terminal.

use std::{
    fmt,
    io::{ErrorKind, Write},
};

use api::text::is_hidden;

/// As what a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
}

/// Prints a line.
macro_rules! say {
    ($($argument:tt)*) => { $crate::said::line(format_args!($($argument)*)) };
}
pub(crate) use say;

/// Prints lines of our own with what is between them from elsewhere. Whoever has read enough closes the pipe: then
/// there is nobody to tell, and the work goes on.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    let printed = writeln!(std::io::stdout(), "{}", harmless(&text.to_string()));
    if let Err(error) = printed.or_else(|error| if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
    {
        tracing::error!(%error, "the result cannot be printed");
    }
}

/// A text from elsewhere as part of a line: what is not to be seen, new lines too, is written as its escape.
pub(crate) fn shown(text: &str) -> String {
    let shown = |letter: char| if is_hidden(letter) { letter.escape_default().to_string() } else { letter.to_string() };
    text.chars().map(shown).collect()
}

/// The same of lines that were put together already.
fn harmless(text: &str) -> String {
    text.split('\n').map(shown).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_neither_colour_a_terminal_nor_begin_a_line() {
        assert_eq!(shown("\u{1b}[31mRed\r\nteam\u{202e}"), "\\u{1b}[31mRed\\r\\nteam\\u{202e}");
        assert_eq!(shown("Köln – 日本"), "Köln – 日本");
        assert_eq!(harmless("one\ntwo\u{7}"), "one\ntwo\\u{7}");
    }
}
