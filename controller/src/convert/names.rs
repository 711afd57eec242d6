//! Texts and lists that the objects of thousands of nodes repeat, each kept once.

use std::{collections::HashSet, hash::Hash, sync::Arc};

use crate::planner::{CacheId, Digest, ImageRef, Platform};

/// Fewer are not worth a look for those that nobody uses any more.
const FIRST_SWEEP: usize = 1024;

/// All that has been named. What no object names any more goes in time.
#[derive(Debug, Default)]
pub struct Names {
    texts: Shared<str>,
    refs: Shared<[ImageRef]>,
    caches: Shared<[CacheId]>,
}

#[derive(Debug)]
struct Shared<T: ?Sized> {
    known: HashSet<Arc<T>>,
    /// How many there are at the next look.
    sweep_at: usize,
}

// === impl Names ===

impl Names {
    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        self.texts.get(text)
    }

    pub(super) fn digest(&mut self, text: &str) -> Digest {
        self.text(text).into()
    }

    pub(super) fn platform(&mut self, platform: &Platform) -> Platform {
        self.text(platform.as_str()).into()
    }

    pub(super) fn refs(&mut self, texts: &[String]) -> Arc<[ImageRef]> {
        let refs: Vec<ImageRef> = texts.iter().map(|text| self.text(text).into()).collect();
        self.refs.get(&refs)
    }

    pub(super) fn caches(&mut self, texts: &[String]) -> Arc<[CacheId]> {
        let id = |id: &String| id.split_once('/').map(|(space, name)| CacheId::new(space, name));
        let caches: Vec<CacheId> = texts.iter().filter_map(id).collect();
        self.caches.get(&caches)
    }
}

// === impl Shared ===

impl<T: ?Sized + Eq + Hash> Shared<T> {
    fn get<'a>(&mut self, value: &'a T) -> Arc<T>
    where
        Arc<T>: From<&'a T>,
    {
        if let Some(known) = self.known.get(value) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.sweep_at = FIRST_SWEEP.max(2 * self.known.len());
        }
        let new: Arc<T> = value.into();
        self.known.insert(Arc::clone(&new));
        new
    }
}

impl<T: ?Sized> Default for Shared<T> {
    fn default() -> Self {
        Self { known: HashSet::new(), sweep_at: FIRST_SWEEP }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_twice_is_kept_once_and_what_nobody_names_goes() {
        let mut names = Names::default();
        let kept = names.text("kept");
        assert!(Arc::ptr_eq(&kept, &names.text("kept")));
        for number in 0..10 * FIRST_SWEEP {
            names.text(&format!("{number}"));
        }
        assert!(names.texts.known.len() <= FIRST_SWEEP, "{}", names.texts.known.len());
        assert!(Arc::ptr_eq(&kept, &names.text("kept")));
        let texts = ["r.example/a:v1".to_owned()];
        assert!(Arc::ptr_eq(&names.refs(&texts), &names.refs(&texts)));
    }
}
