//! (life)
