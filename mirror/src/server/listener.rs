//! Where a server's connections come from: the kernel, or a network that a test simulates.

use std::{io, net::SocketAddr};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

use super::{
    sending::SendFile,
    serving::{STEADY, Serving},
};

/// Accepts connections. Which one a server has is known when it is compiled, so it costs nothing.
pub trait Listener: Send + 'static {
    /// A connection.
    type Stream: SendFile;

    /// Says how the connections to come are paced, where there is something to say.
    fn pace(&self) {}

    /// The next connection, and where it comes from.
    ///
    /// # Cancel safety
    /// No connection is lost when it is dropped.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Makes a connection as `serving` says.
    ///
    /// # Errors
    /// What the operating system said; the connection is served all the same.
    fn prepare(stream: &Self::Stream, serving: &Serving) -> io::Result<()>;
}

// === impl TcpListener ===

impl Listener for TcpListener {
    type Stream = TcpStream;

    /// Connections have it from their listener. One that begins as BBR's is paced by timers for good,
    /// whatever it is told later. Only root may choose another than the host allows to everybody.
    fn pace(&self) {
        let _ = SockRef::from(self).set_tcp_congestion(STEADY.as_bytes());
    }

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        TcpListener::accept(self).await
    }

    fn prepare(stream: &TcpStream, serving: &Serving) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(stream);
        socket.set_tcp_user_timeout(serving.unacknowledged)?;
        // On a listener for both families, IPv4 comes as mapped addresses but leaves as IPv4.
        match (serving.traffic_class, stream.local_addr()?.ip().to_canonical().is_ipv4()) {
            (None, _) => Ok(()),
            (Some(class), true) => socket.set_tos_v4(class),
            (Some(class), false) => socket.set_tclass_v6(class),
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;
    use tokio::time::Duration;

    use super::*;
    use crate::{metrics::Metrics, server::LOWER_EFFORT};

    /// The server's end of a new connection.
    async fn accepted(listener: &TcpListener, from: &str) -> (TcpStream, TcpStream) {
        let at = (from, listener.local_addr().unwrap().port());
        let client = TcpStream::connect(at).await.unwrap();
        (Listener::accept(listener).await.unwrap().0, client)
    }

    #[tokio::test]
    async fn peer_traffic_is_marked_in_both_families_on_one_listener() {
        let Ok(listener) = TcpListener::bind("[::]:0").await else {
            println!("skipped: this machine has no IPv6");
            return;
        };
        let peers = Serving::peers(Metrics::register(&mut Registry::default()), None);
        let (v4, _client) = accepted(&listener, "127.0.0.1").await;
        TcpListener::prepare(&v4, &peers).unwrap();
        assert_eq!(SockRef::from(&v4).tos_v4().unwrap(), LOWER_EFFORT);
        let (v6, _client) = accepted(&listener, "::1").await;
        TcpListener::prepare(&v6, &peers).unwrap();
        assert_eq!(SockRef::from(&v6).tclass_v6().unwrap(), LOWER_EFFORT);
    }

    #[tokio::test]
    async fn what_is_sent_is_paced_as_is_best_for_a_chain_where_that_is_allowed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let paced = |stream: &TcpStream| {
            let name = SockRef::from(stream).tcp_congestion().unwrap();
            String::from_utf8(name).unwrap().trim_end_matches('\0').to_owned()
        };
        let (before, _client) = accepted(&listener, "127.0.0.1").await;
        listener.pace();
        let (stream, _client) = accepted(&listener, "127.0.0.1").await;
        match SockRef::from(&before).set_tcp_congestion(b"cubic") {
            Ok(()) => assert_eq!(paced(&stream), "cubic"),
            Err(_) => assert_eq!(paced(&stream), paced(&before), "what is not allowed is left"),
        }
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_given_up_and_the_runtime_is_not() {
        let metrics = Metrics::register(&mut Registry::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let given_up = async |serving: &Serving| {
            let (stream, _client) = accepted(&listener, "127.0.0.1").await;
            TcpListener::prepare(&stream, serving).unwrap();
            SockRef::from(&stream).tcp_user_timeout().unwrap()
        };
        let peers = Serving::peers(metrics.clone(), None);
        assert_eq!(given_up(&peers).await, Some(Duration::from_secs(120)));
        assert_eq!(given_up(&Serving::runtime(metrics)).await, None);
    }
}
