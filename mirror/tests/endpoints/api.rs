//! The pull API as a container runtime sees it.

use crate::support::{Node, ask, blob, manifest, noise};
use http::StatusCode;
use onepull_mirror::{metrics::Origin, mirror::Delivery, router::MemoryNetwork, store::READ_CHUNK};

#[tokio::test]
async fn a_local_blob_is_served_whole_and_in_ranges() {
    let node = Node::start(&MemoryNetwork::default()).await;
    let bytes = noise(3 * READ_CHUNK + 5, 1);
    let digest = node.hold(&bytes).await;

    let whole = node.get_blob(&digest).await;
    assert_eq!((whole.status, whole.body == bytes), (StatusCode::OK, true));
    assert_eq!(whole.headers["docker-content-digest"], digest.to_string().as_str());
    assert_eq!(whole.headers["content-type"], "application/octet-stream");
    assert_eq!(whole.headers["accept-ranges"], "bytes");
    assert_eq!(whole.headers["content-length"], bytes.len().to_string().as_str());

    let part = node.get(&blob(&digest), &[("range", "bytes=10-19")]).await;
    assert_eq!((part.status, part.body), (StatusCode::PARTIAL_CONTENT, bytes[10..20].to_vec()));
    let content_range = format!("bytes 10-19/{}", bytes.len());
    assert_eq!(part.headers["content-range"], content_range.as_str());

    let from = node.get(&blob(&digest), &[("range", "bytes=600000-")]).await;
    assert_eq!((from.status, from.body == bytes[600_000..]), (StatusCode::PARTIAL_CONTENT, true));

    let past = node.get(&blob(&digest), &[("range", "bytes=99999999-")]).await;
    assert_eq!(past.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(past.headers["content-range"], format!("bytes */{}", bytes.len()).as_str());

    let absurd = node.get(&blob(&digest), &[("range", "bytes=5-2,-0,x")]).await;
    assert_eq!((absurd.status, absurd.body.len()), (StatusCode::OK, bytes.len()));

    let head = ask(node.mirror, "HEAD", &blob(&digest), &[]).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.headers["content-length"], bytes.len().to_string().as_str());
}

#[tokio::test]
async fn a_manifest_is_served_by_digest_to_get_only() {
    let node = Node::start(&MemoryNetwork::default()).await;
    let json = br#"{"schemaVersion":2,"mediaType":"application/vnd.test+json","layers":[]}"#;
    let digest = node.hold(json).await;

    let get = node.get(&manifest(&digest), &[("accept", "a/b"), ("accept", "c/d")]).await;
    assert_eq!((get.status, get.body), (StatusCode::OK, json.to_vec()));
    assert_eq!(get.headers["content-type"], "application/vnd.test+json");
    assert_eq!(get.headers["docker-content-digest"], digest.to_string().as_str());

    let head = ask(node.mirror, "HEAD", &manifest(&digest), &[]).await;
    assert_eq!(head.status, StatusCode::NOT_FOUND, "the registry's authentication decides first");

    let tag = node.get("/v2/team/app/manifests/latest?ns=registry.example", &[]).await;
    assert_eq!(tag.status, StatusCode::NOT_FOUND);
    let body = String::from_utf8(tag.body).unwrap();
    assert!(body.starts_with(r#"{"errors":[{"code":"MANIFEST_UNKNOWN","#), "{body}");
}

#[tokio::test]
async fn a_blob_and_a_manifest_come_from_a_peer_in_both_path_forms() {
    let network = MemoryNetwork::default();
    let (mut node, holder) = (Node::start(&network).await, Node::start(&network).await);
    let bytes = noise(5 * READ_CHUNK, 2);
    let digest = holder.hold(&bytes).await;
    let json = holder.hold(br#"{"schemaVersion":2,"manifests":[]}"#).await;

    for path in [blob(&digest), format!("/v2/registry.example:5000/app/blobs/{digest}")] {
        let answer = node.get(&path, &[]).await;
        assert_eq!((answer.status, answer.body == bytes), (StatusCode::OK, true), "{path}");
    }
    assert_eq!(node.get(&manifest(&json), &[]).await.status, StatusCode::OK);

    let labels = node.metrics.served(Origin::peer, "registry.example");
    let size = bytes.len() as u64;
    assert_eq!(node.metrics.received.get_or_create(&labels).get(), size + 34);
    assert_eq!(holder.metrics.sent_to_peers.get(), 2 * size + 34);
    let delivery =
        Delivery { digest, registry: Some("registry.example".into()), first: 0, bytes: size };
    assert_eq!(node.deliveries.recv().await, Some(delivery));
}

#[tokio::test]
async fn a_range_from_the_first_byte_is_answered_with_the_whole_when_it_comes_from_a_peer() {
    let network = MemoryNetwork::default();
    let (node, holder) = (Node::start(&network).await, Node::start(&network).await);
    let bytes = noise(3 * READ_CHUNK, 3);
    let digest = holder.hold(&bytes).await;

    let answer = node.get(&blob(&digest), &[("range", "bytes=0-")]).await;
    assert_eq!((answer.status, answer.body == bytes), (StatusCode::OK, true));
    assert!(!answer.headers.contains_key("content-range"));

    for (range, expected) in [
        ("bytes=7-", &bytes[7..]),
        ("bytes=0-1", &bytes[..2]),
        ("bytes=5-1000000000", &bytes[5..]),
        ("bytes=-9", &bytes[bytes.len() - 9..]),
    ] {
        let answer = node.get(&blob(&digest), &[("range", range)]).await;
        assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT, "{range}");
        assert!(answer.body == expected, "{range}");
    }
    let past = node.get(&blob(&digest), &[("range", "bytes=99999999-")]).await;
    assert_eq!(past.status, StatusCode::NOT_FOUND, "left to the registry");
}

#[tokio::test]
async fn what_nobody_holds_is_left_to_the_registry() {
    let network = MemoryNetwork::default();
    let mut node = Node::start(&network).await;
    let digest = onepull_mirror::Digest::sha256(b"nobody has this");
    for path in [blob(&digest), manifest(&digest)] {
        assert_eq!(node.get(&path, &[]).await.status, StatusCode::NOT_FOUND);
        let miss =
            Delivery { digest, registry: Some("registry.example".into()), first: 0, bytes: 0 };
        assert_eq!(node.deliveries.recv().await, Some(miss));
    }
    let label = node.metrics.of_registry("registry.example");
    assert_eq!(node.metrics.misses.get_or_create(&label).get(), 2);
}

#[tokio::test]
async fn a_miss_that_names_no_byte_tells_nothing_of_what_the_runtime_has() {
    let mut node = Node::start(&MemoryNetwork::default()).await;
    let digest = onepull_mirror::Digest::sha256(b"nobody has this");
    let head = ask(node.mirror, "HEAD", &blob(&digest), &[]).await;
    assert_eq!(head.status, StatusCode::NOT_FOUND);
    for range in ["bytes=-5", "bytes=7-"] {
        let answer = node.get(&blob(&digest), &[("range", range)]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
    let told = Delivery { digest, registry: Some("registry.example".into()), first: 7, bytes: 0 };
    assert_eq!(node.deliveries.recv().await, Some(told));
    assert!(node.deliveries.is_empty());
}

#[tokio::test]
async fn bad_requests_get_an_error_of_the_specification() {
    let node = Node::start(&MemoryNetwork::default()).await;
    for (path, status, code) in [
        ("/v2/app/blobs/sha256:abc", 400, "DIGEST_INVALID"),
        ("/v2/app/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", 400, "DIGEST_INVALID"),
        ("/v2/../app/blobs/..%2f..%2fetc%2fpasswd", 400, "NAME_INVALID"),
        ("/v2/app/../../etc/passwd", 404, "UNSUPPORTED"),
        ("/v2/app/tags/list", 404, "UNSUPPORTED"),
        ("/", 404, "UNSUPPORTED"),
    ] {
        let answer = node.get(path, &[]).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert!(String::from_utf8(answer.body).unwrap().contains(code), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let answer = ask(node.mirror, method, "/v2/", &[]).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(answer.headers["allow"], "GET, HEAD");
    }
    let long = "x".repeat(300_000);
    let answer = ask(node.mirror, "GET", "/v2/", &[("x-long", &long)]).await;
    assert_eq!(answer.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(node.get("/v2/", &[]).await.status, StatusCode::OK, "and the mirror still serves");
}

#[tokio::test]
async fn a_peer_endpoint_serves_its_own_store_and_forwards_nothing() {
    let network = MemoryNetwork::default();
    let (node, holder) = (Node::start(&network).await, Node::start(&network).await);
    let digest = holder.hold(b"held by another").await;

    let path = format!("/peer/v1/blobs/{digest}");
    assert_eq!(ask(holder.peer, "GET", &path, &[]).await.body, b"held by another");
    assert_eq!(ask(node.peer, "GET", &path, &[]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ask(holder.peer, "GET", &blob(&digest), &[]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ask(holder.mirror, "GET", &path, &[]).await.status, StatusCode::NOT_FOUND);
    let post = ask(holder.peer, "POST", &path, &[]).await;
    assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED);
}
