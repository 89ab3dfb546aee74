use crate::World;
use baton_primitives::RecoveredBlock;
use baton_rpc::{Config, decode_feed};
use futures::StreamExt;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{self, Message},
};

#[tokio::test]
async fn a_follower_gets_every_block_from_its_height_on_and_then_live() {
    let world = World::new().await;
    for _ in 0..40 {
        world.chain.seal();
    }
    let (mut socket, _) = connect_async(world.ws_url("/feed?from=3")).await.unwrap();
    let mut expected = 3;
    while expected <= 45 {
        if expected == 41 {
            for _ in 0..5 {
                world.chain.seal();
            }
        }
        let Message::Binary(bytes) = socket.next().await.unwrap().unwrap() else { continue };
        let (certificate, block) = decode_feed(&bytes).unwrap();
        let block = RecoveredBlock::decode(&block).unwrap();
        assert_eq!(block.height().get(), expected);
        assert_eq!(certificate.as_deref(), (expected % 2 == 0).then_some(&b"certificate"[..]));
        expected += 1;
    }
}

#[tokio::test]
async fn feeds_are_bounded_and_need_a_height() {
    let world = World::with(Config { max_feeds: 1, ..Config::default() }).await;
    let first = connect_async(world.ws_url("/feed?from=0")).await.unwrap();
    let refused = connect_async(world.ws_url("/feed?from=0")).await;
    let Err(tungstenite::Error::Http(response)) = refused else { panic!("it was let in") };
    assert_eq!(response.status(), 503);
    drop(first);
    let Err(tungstenite::Error::Http(response)) = connect_async(world.ws_url("/feed")).await else { panic!("let in") };
    assert_eq!(response.status(), 400);
}

#[test]
fn a_short_or_lying_message_is_refused() {
    assert_eq!(decode_feed(&alloy::primitives::Bytes::from_static(&[0, 0, 0]).0), None);
    assert_eq!(decode_feed(&alloy::primitives::Bytes::from_static(&[0, 0, 0, 9, 1]).0), None);
    assert_eq!(decode_feed(&alloy::primitives::Bytes::from_static(&[0xff, 0xff, 0xff, 0xff]).0), None);
}
