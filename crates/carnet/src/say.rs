//! What a command says on standard output.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _};
use std::process::exit;

/// As `println!`, for somebody who may have heard enough.
macro_rules! say {
    () => { $crate::say::line(format_args!("")) };
    ($($words:tt)*) => { $crate::say::line(format_args!($($words)*)) };
}

/// Whoever reads only the beginning (`| head`) closes the pipe. That is no fault, and there is nobody
/// left to tell the rest.
pub(crate) fn line(words: Arguments<'_>) {
    if let Err(error) = writeln!(std::io::stdout(), "{words}") {
        if error.kind() != ErrorKind::BrokenPipe {
            eprintln!("error: cannot write to standard output: {error}");
        }
        exit(1);
    }
}
