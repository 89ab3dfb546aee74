//! A TCP link that can be made bad: refused, silent, slow.

use eyre::Result;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// How the link behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Bytes pass at once.
    Good,
    /// Bytes pass after this time.
    Slow(Duration),
    /// Connections stay open, no byte passes.
    Silent,
    /// Connections are closed, new ones too.
    Cut,
}

/// A proxy in front of one address. Dropping it closes every connection.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    link: Arc<watch::Sender<Link>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts a good link to `target` on a free port.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (link, state) = watch::channel(Link::Good);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((client, _)) = accepted else { continue };
                        let state = state.clone();
                        connections.spawn(connection(client, target, state));
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self { address, link: Arc::new(link), task })
    }

    /// Changes the link, for open connections too.
    pub fn set(&self, link: Link) {
        self.link.send_replace(link);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection(client: TcpStream, target: SocketAddr, state: watch::Receiver<Link>) {
    if *state.borrow() == Link::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let mut cut = state.clone();
    tokio::select! {
        () = pump(client_read, server_write, state.clone()) => {}
        () = pump(server_read, client_write, state) => {}
        _ = cut.wait_for(|link| *link == Link::Cut) => {}
    }
}

async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut state: watch::Receiver<Link>) {
    let mut buffer = vec![0u8; 64 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        let link = *state.borrow_and_update();
        match link {
            Link::Good => {}
            Link::Slow(delay) => tokio::time::sleep(delay).await,
            Link::Silent | Link::Cut => {
                if state.wait_for(|link| !matches!(link, Link::Silent)).await.is_err() {
                    return;
                }
            }
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.into_split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn a_silent_link_holds_bytes_back_until_it_is_good_again() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        let mut byte = [0u8; 1];
        client.write_all(b"a").await.unwrap();
        client.read_exact(&mut byte).await.unwrap();
        proxy.set(Link::Silent);
        client.write_all(b"b").await.unwrap();
        let waited = tokio::time::timeout(Duration::from_millis(50), client.read_exact(&mut byte)).await;
        assert!(waited.is_err());
        proxy.set(Link::Good);
        client.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"b");
    }

    #[tokio::test]
    async fn a_cut_link_closes_open_and_new_connections() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut open = TcpStream::connect(proxy.address).await.unwrap();
        let mut byte = [0u8; 1];
        open.write_all(b"a").await.unwrap();
        open.read_exact(&mut byte).await.unwrap();
        proxy.set(Link::Cut);
        assert!(matches!(open.read(&mut byte).await, Ok(0) | Err(_)));
        let mut new = TcpStream::connect(proxy.address).await.unwrap();
        assert!(matches!(new.read(&mut byte).await, Ok(0) | Err(_)));
    }
}
