//! Where two texts differ.

/// The lines that differ, with the case and the request that they belong to; empty for equal texts.
pub fn difference(golden: &str, heard: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (golden.lines().collect(), heard.lines().collect());
    let mut out = String::new();
    let (mut case, mut request) = ("", "");
    let (mut told_case, mut told_request) = ("", "");
    for (sign, line) in edits(&old, &new) {
        if sign != '+' && line.starts_with("## ") {
            (case, request) = (line, "");
        } else if sign != '+' && !line.starts_with([' ', '-', '(']) && !line.is_empty() {
            request = line;
        }
        if sign == ' ' {
            continue;
        }
        if told_case != case {
            out += &format!("  {case}\n");
            (told_case, told_request) = (case, "");
        }
        if told_request != request && line != request {
            out += &format!("  {request}\n");
            told_request = request;
        }
        out += &format!("{sign} {line}\n");
    }
    out
}

/// The shortest way from one text to the other: kept, removed and added lines.
fn edits<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    // The length of the longest common rest, from each pair of places.
    let mut common = vec![vec![0_u32; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut edits = Vec::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            edits.push((' ', old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            edits.push(('-', old[i]));
            i += 1;
        } else {
            edits.push(('+', new[j]));
            j += 1;
        }
    }
    edits
}
