//! Where the embedded server may answer otherwise than the real one, and why.

/// Lines that are not compared, of both sides.
pub struct Difference {
    /// The area, or `*`.
    pub area: &'static str,
    /// What the case's name contains; empty for all.
    pub case: &'static str,
    /// A regular expression that lines which may differ match.
    pub lines: &'static str,
    /// Why that is well.
    pub why: &'static str,
}

/// All of them. Beyond these `metadata.managedFields` is never looked at: the embedded server
/// does not track who owns a field, which only server-side apply needs.
pub const DIFFERENCES: &[Difference] = &[];
