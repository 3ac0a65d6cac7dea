//! What the program ends with when it cannot do what it was asked to: one line that says what to
//! do next, and an exit code.

use std::error::Error;

/// Why the program ends without success.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    text: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// What was asked for makes no sense: exit code 2.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self {
            code: 2,
            text: text.into(),
            cause: None,
        }
    }

    /// It makes sense and did not work: exit code 1.
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self {
            code: 1,
            ..Self::usage(text)
        }
    }

    /// Keep what lies behind it, for `-v`.
    #[must_use]
    pub(crate) fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// With what is to be known besides, in the line that everybody sees.
    #[must_use]
    pub(crate) fn with(mut self, besides: &str) -> Self {
        let end = self.text.find('\n').unwrap_or(self.text.len());
        self.text.insert_str(end, &format!(" ({besides})"));
        self
    }

    /// With this exit code instead.
    #[must_use]
    #[cfg(unix)]
    pub(crate) fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// What a shell gets to see.
    pub(crate) fn exit_code(&self) -> u8 {
        self.code
    }

    /// One line; everything that is known about it where `verbose`.
    pub(crate) fn message(&self, verbose: bool) -> String {
        if !verbose {
            return self.text.lines().next().unwrap_or_default().to_owned();
        }
        let mut message = self.text.clone();
        let mut cause = self.cause.as_deref().map(|cause| cause as &dyn Error);
        while let Some(error) = cause {
            message.push_str("\n  because: ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_message_is_one_line_unless_more_is_asked_for() {
        let failure =
            Failure::failed("it broke; mend it\nlike this").because(io::Error::other("rust"));
        assert_eq!(failure.message(false), "it broke; mend it");
        assert_eq!(
            failure.message(true),
            "it broke; mend it\nlike this\n  because: rust"
        );
    }

    #[test]
    fn usage_is_told_from_failure() {
        assert_eq!(Failure::usage("").exit_code(), 2);
        assert_eq!(Failure::failed("").exit_code(), 1);
    }
}
