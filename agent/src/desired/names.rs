//! The names of one image.

use std::iter;

use super::ImageName;

/// At least one name; they all stand for the same digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Names {
    first: ImageName,
    others: Vec<ImageName>,
}

// === impl Names ===

impl Names {
    /// Names that are given twice count once; `None` without any.
    pub fn new(names: impl IntoIterator<Item = ImageName>) -> Option<Self> {
        let mut names = names.into_iter();
        let mut all = Self::from(names.next()?);
        for name in names {
            if !all.iter().any(|known| *known == name) {
                all.others.push(name);
            }
        }
        Some(all)
    }

    /// The one that the image is called by where there is place for one.
    pub fn first(&self) -> &ImageName {
        &self.first
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &ImageName> {
        iter::once(&self.first).chain(&self.others)
    }

    /// The first name of each repository.
    pub fn one_of_each_repository(&self) -> Vec<&ImageName> {
        let mut names: Vec<&ImageName> = Vec::new();
        for name in self.iter() {
            if !names.iter().any(|known| known.repository() == name.repository()) {
                names.push(name);
            }
        }
        names
    }

    /// The repositories that they name, each once.
    pub fn repositories(&self) -> Vec<String> {
        self.one_of_each_repository().into_iter().map(ImageName::repository).collect()
    }
}

impl From<ImageName> for Names {
    fn from(first: ImageName) -> Self {
        Self { first, others: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_order_and_count_once() {
        let of = |names: &[&str]| Names::new(names.iter().map(|name| name.parse().unwrap()));
        let names = of(&["r.example/a:v1", "r.example/a:v2", "s.example/a:v1", "r.example/a:v1"]);
        let names = names.unwrap();
        let shown: Vec<_> = names.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["r.example/a:v1", "r.example/a:v2", "s.example/a:v1"]);
        assert_eq!(names.repositories(), ["r.example/a", "s.example/a"]);
        assert_eq!(of(&[]), None);
    }
}
