//! Leader for life: rules F1 to F11.
