//! Certificates on clocks that tests set.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use onepull_agent::peer_tls::peer_tls;
use onepull_mirror::peer::Tls;
use rustls::{
    pki_types::{CertificateDer, UnixTime},
    time_provider::TimeProvider,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::{KEY, OTHER, key, stranger};

const HOUR: u64 = 3600;
const NOW: u64 = 1_800_000_000;

#[derive(Debug)]
struct Clock(AtomicU64);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::Relaxed))))
    }
}

/// What a node has at its start, and its clock.
fn node(text: &str, seconds: u64) -> (Tls, Arc<Clock>) {
    let clock = Arc::new(Clock(AtomicU64::new(seconds)));
    (peer_tls(&key(text), clock.clone()).unwrap(), clock)
}

type Ends = (client::TlsStream<DuplexStream>, server::TlsStream<DuplexStream>);

/// A connection from `asking` to `answering`, over which one byte has come back.
async fn meet(asking: &Tls, answering: &Tls) -> io::Result<Ends> {
    let (near, far) = duplex(64 * 1024);
    let asks = async {
        let connector = TlsConnector::from(Arc::clone(&asking.client));
        let mut near = connector.connect(asking.name.clone(), near).await?;
        near.read_u8().await?;
        Ok(near)
    };
    let answers = async {
        let mut far = TlsAcceptor::from(Arc::clone(&answering.server)).accept(far).await?;
        far.write_u8(1).await?;
        far.flush().await?;
        Ok(far)
    };
    match tokio::join!(asks, answers) {
        (Ok(near), Ok(far)) => Ok((near, far)),
        (_, Err(error)) | (Err(error), _) => Err(error),
    }
}

fn shown(ends: &Ends) -> [CertificateDer<'static>; 2] {
    let of_server = ends.0.get_ref().1.peer_certificates().unwrap()[0].clone();
    [of_server, ends.1.get_ref().1.peer_certificates().unwrap()[0].clone()]
}

#[tokio::test]
async fn nodes_of_one_key_believe_each_other_and_nobody_else() {
    let ((a, _), (b, _), (other, _)) = (node(KEY, NOW), node(KEY, NOW), node(OTHER, NOW));
    let ends = meet(&a, &b).await.unwrap();
    assert_eq!(ends.0.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    let suite = ends.0.get_ref().1.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    assert!(meet(&a, &other).await.is_err());
    assert!(meet(&other, &a).await.is_err());
}

#[tokio::test]
async fn a_clock_may_be_wrong_by_a_day_and_not_by_more() {
    for (ahead, believed) in [(0, true), (23, true), (37, false)] {
        let (slow, fast) = (node(KEY, NOW), node(KEY, NOW + ahead * HOUR));
        assert_eq!(meet(&slow.0, &fast.0).await.is_ok(), believed, "{ahead} h");
        assert_eq!(meet(&fast.0, &slow.0).await.is_ok(), believed, "{ahead} h");
    }
}

#[tokio::test]
async fn a_certificate_is_made_anew_without_a_restart_and_open_connections_go_on() {
    let ((a, clock_a), (b, clock_b)) = (node(KEY, NOW), node(KEY, NOW));
    let mut first = meet(&a, &b).await.unwrap();
    assert_eq!(shown(&first), shown(&meet(&a, &b).await.unwrap()), "the same for hours");
    let mut before = shown(&first);
    for day in 1..4 {
        for clock in [&clock_a, &clock_b] {
            clock.0.store(NOW + day * 24 * HOUR, Ordering::Relaxed);
        }
        let after = shown(&meet(&a, &b).await.unwrap());
        assert!(after[0] != before[0] && after[1] != before[1], "day {day}");
        before = after;
    }
    first.1.write_all(b"still there").await.unwrap();
    first.1.flush().await.unwrap();
    let mut read = [0; 11];
    first.0.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"still there");
}

#[tokio::test]
async fn a_certificate_that_is_over_is_refused_at_both_ends() {
    let (old, now) = (node(KEY, NOW), node(KEY, NOW + 48 * HOUR));
    let error = meet(&now.0, &old.0).await.unwrap_err().to_string();
    assert!(error.contains("CertificateExpired"), "{error}");

    // One that believes anybody, and shows what it has.
    let resolver = Arc::clone(&old.0.client.client_auth_cert_resolver);
    let shows = Tls { client: stranger::client(Some(resolver)), ..old.0.clone() };
    let error = meet(&shows, &now.0).await.unwrap_err().to_string();
    assert!(error.contains("certificate expired"), "{error}");
}
