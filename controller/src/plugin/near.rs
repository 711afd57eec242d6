//! Names that somebody may have meant.

/// Names told at most.
const MOST: usize = 3;

/// The names that are nearest to `meant`, best first; of names that have nothing in common with it, none.
pub(crate) fn near(meant: &str, known: impl IntoIterator<Item = String>) -> Vec<String> {
    let limit = meant.chars().count().max(3) / 2;
    let mut scored: Vec<_> = known
        .into_iter()
        .map(|name| (score(meant, &name), name))
        .filter(|(score, _)| *score <= limit)
        .collect();
    scored.sort();
    scored.into_iter().take(MOST).map(|(_, name)| name).collect()
}

/// How far two names are from each other; a part of a name is near to it.
fn score(meant: &str, name: &str) -> usize {
    match name.contains(meant) || meant.contains(name) {
        true => 1,
        false => distance(meant, name),
    }
}

/// Letters to insert, remove or replace (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_slip_or_a_part_of_it_are_near_and_others_are_not() {
        let known = ["models", "models-eu", "web", "database"].map(str::to_owned);
        assert_eq!(near("modles", known.clone()), ["models"]);
        assert_eq!(near("model", known.clone()), ["models", "models-eu"]);
        assert_eq!(near("gateway", known), [""; 0]);
        assert_eq!((distance("", "abc"), distance("abc", "abd")), (3, 1));
    }
}
