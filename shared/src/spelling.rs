//! What somebody may have meant.

/// `; did you mean …?` with the nearest of `options`, or nothing where none is near.
pub fn did_you_mean<S: AsRef<str>>(given: &str, options: &[S]) -> String {
    let nearest = options
        .iter()
        .map(|option| (strsim::jaro_winkler(given, option.as_ref()), option.as_ref()))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, option)) if likeness > 0.7 => format!("; did you mean `{option}`?"),
        _ => String::new(),
    }
}
