use serde_json::json;

use super::*;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn cache(uid: &str, secret: &str) -> Arc<ImageCache> {
    let object = json!({
        "apiVersion": "onepull.dev/v1alpha1", "kind": "ImageCache",
        "metadata": {"name": "llm", "namespace": "team", "uid": uid, "generation": 1},
        "spec": {
            "cacheSpec": [{"images": ["r.example/app:v1"]}],
            "imagePullSecrets": [{"name": secret}],
        },
    });
    Arc::new(serde_json::from_value(object).unwrap())
}

fn platforms() -> BTreeSet<Platform> {
    [Platform::from("linux/amd64")].into()
}

fn failure(words: &str, wait: Option<SignedDuration>) -> Asked {
    let trouble = Trouble::new(TroubleKind::RateLimited, words);
    Err(Failure { trouble, wait })
}

fn words(book: &Book, cache: &ImageCache) -> Option<String> {
    match book.of(cache, &platforms()).into_values().next()? {
        Resolution::Failed(trouble) => Some(trouble.to_string()),
        Resolution::Resolved(resolved) => Some(resolved.digest.to_string()),
    }
}

#[test]
fn an_answer_for_a_cache_that_was_deleted_and_made_again_is_dropped() {
    let (mut book, old, new) = (Book::default(), cache("1", "old"), cache("2", "new"));
    let mut first = book.due(&[old], &platforms(), NOW);
    let (ticket, question) = first.pop().unwrap();
    assert_eq!((question.secrets, first.len()), (vec!["old".to_owned()], 0));
    // Both happened between two looks.
    let mut second = book.due(std::slice::from_ref(&new), &platforms(), NOW);
    let (current, question) = second.pop().expect("it is asked for anew");
    assert_eq!(question.secrets, ["new"], "with the secrets of the cache that there is");
    book.note(&ticket, failure("of the old", None), NOW);
    assert_eq!(words(&book, &new), None, "the answer is nothing to the new one");
    book.note(&current, failure("of the new", None), NOW);
    assert_eq!(words(&book, &new).as_deref(), Some("of the new"));
}

#[test]
fn what_an_old_cache_was_told_is_not_told_to_one_made_in_its_place() {
    let (mut book, old, new) = (Book::default(), cache("1", "old"), cache("2", "new"));
    let (ticket, _) = book.due(std::slice::from_ref(&old), &platforms(), NOW).pop().unwrap();
    book.note(&ticket, failure("of the old", None), NOW);
    assert_eq!(words(&book, &old).as_deref(), Some("of the old"));
    assert_eq!(book.due(std::slice::from_ref(&new), &platforms(), NOW).len(), 1);
    assert_eq!(words(&book, &new), None);
}

#[test]
fn a_registry_that_asks_for_patience_gets_it_within_limits() {
    let seconds = SignedDuration::from_secs;
    for (asked_for, waited) in [(40, 40), (1, 15), (100_000, 3600)] {
        let (mut book, cache) = (Book::default(), [cache("1", "s")]);
        let (ticket, _) = book.due(&cache, &platforms(), NOW).pop().unwrap();
        assert_eq!(book.again(), None, "an answer is on its way");
        book.note(&ticket, failure("", Some(seconds(asked_for))), NOW);
        assert_eq!(book.again(), Some(NOW + seconds(waited)));
        assert!(book.due(&cache, &platforms(), NOW + seconds(waited - 1)).is_empty());
        assert_eq!(book.due(&cache, &platforms(), NOW + seconds(waited)).len(), 1);
    }
}

#[test]
fn who_takes_over_asks_for_the_digest_that_stands() {
    let (mut book, mut cache) = (Book::default(), cache("1", "s"));
    let (_, question) = book.due(std::slice::from_ref(&cache), &platforms(), NOW).pop().unwrap();
    assert!(!question.image.as_str().contains('@'), "nothing of it has begun");

    let image = json!({"image": "r.example/app:v1", "warm": 0, "desired": 1, "digest": format!("sha256:{:064}", 0)});
    let status = json!({"images": [image]});
    Arc::make_mut(&mut cache).status = serde_json::from_value(status).unwrap();
    let mut book = Book::default();
    let (_, question) = book.due(std::slice::from_ref(&cache), &platforms(), NOW).pop().unwrap();
    assert!(question.image.as_str().contains("@sha256:00"), "what stands in the status");
}

#[test]
fn who_changes_the_cache_after_a_failure_does_not_wait() {
    let (mut book, mut cache) = (Book::default(), cache("1", "s"));
    let (ticket, _) = book.due(std::slice::from_ref(&cache), &platforms(), NOW).pop().unwrap();
    book.note(&ticket, failure("", None), NOW);
    assert!(book.due(std::slice::from_ref(&cache), &platforms(), NOW).is_empty());
    Arc::make_mut(&mut cache).metadata.generation = Some(2);
    assert_eq!(book.due(std::slice::from_ref(&cache), &platforms(), NOW).len(), 1);
    assert!(book.due(&[], &platforms(), NOW).is_empty());
    assert!(book.known.is_empty(), "nobody wants it any more");
}

/// A cache whose status tells of a rollout of `digest`.
fn rolling_out(digest: &str) -> Arc<ImageCache> {
    let mut cache = cache("1", "s");
    let image = json!({"image": "r.example/app:v1", "warm": 0, "desired": 1, "digest": digest});
    let status = json!({"images": [image]});
    Arc::make_mut(&mut cache).status = serde_json::from_value(status).unwrap();
    cache
}

/// The image that is asked for then.
fn asked(book: &mut Book, cache: &Arc<ImageCache>, now: Timestamp) -> Option<(Ticket, String)> {
    let mut due = book.due(std::slice::from_ref(cache), &platforms(), now);
    due.pop().map(|(ticket, question)| (ticket, question.image.to_string()))
}

#[test]
fn who_takes_over_asks_for_the_digest_again_when_the_registry_was_down() {
    let (digest, mut book) = (format!("sha256:{:064}", 0), Book::default());
    let mut cache = rolling_out(&digest);
    let (ticket, first) = asked(&mut book, &cache, NOW).unwrap();
    book.note(&ticket, failure("it is down", None), NOW);
    // Whatever becomes of the status.
    Arc::make_mut(&mut cache).status = None;
    let (_, second) = asked(&mut book, &cache, NOW + FIRST_WAIT).unwrap();
    assert_eq!([first, second], [0, 1].map(|_| format!("r.example/app@{digest}")));
}

#[test]
fn a_digest_that_the_registry_has_no_longer_gives_way_to_its_tag_at_once() {
    let missing = || Err(Failure::new(TroubleKind::ImageNotFound, "there is none"));
    let (cache, mut book) = (rolling_out(&format!("sha256:{:064}", 0)), Book::default());
    let (ticket, first) = asked(&mut book, &cache, NOW).unwrap();
    book.note(&ticket, missing(), NOW);
    assert_eq!(words(&book, &cache), None, "it is not known yet");
    let (ticket, image) = asked(&mut book, &cache, NOW).unwrap();
    assert_eq!(image, "r.example/app:v1");
    book.note(&ticket, missing(), NOW);
    assert_eq!(words(&book, &cache).as_deref(), Some("there is none"));
    assert_eq!(asked(&mut book, &cache, NOW), None, "there is neither: after a while again");
    let (_, image) = asked(&mut book, &cache, NOW + FIRST_WAIT).unwrap();
    assert_eq!(image, first, "the digest comes first again");
}
