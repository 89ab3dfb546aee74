//! Answers that wait for their readers: all connections together may hold a bounded number of bytes.
//!
//! Each connection has an [`Account`], each long answer a [`Share`] of it until it is written. Where a new answer exceeds the
//! limit, the connection that holds the most is cut off; if that is the asker itself, it gets an error instead. So those who ask
//! much and read slowly make room for the others, and not the other way round.

use crate::error::RpcError;
use bytes::Bytes;
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};
use tokio_util::sync::CancellationToken;

/// Answers below this are not counted, so that most calls cost nothing here. Those that can wait are bounded by the number of
/// connections and of messages in a queue.
const UNCOUNTED_BYTES: usize = 1_024;

/// What all connections hold.
pub(crate) struct Unread {
    limit: usize,
    holders: Mutex<Holders>,
    gauge: metrics::Gauge,
}

#[derive(Default)]
struct Holders {
    total: usize,
    next: u64,
    by_id: HashMap<u64, Holder>,
}

struct Holder {
    bytes: usize,
    cut: CancellationToken,
}

impl Unread {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, holders: Mutex::default(), gauge: metrics::gauge!("baton_rpc_unread_bytes") })
    }

    /// A new connection's account.
    pub(crate) fn account(self: &Arc<Self>) -> Arc<Account> {
        let cut = CancellationToken::new();
        let mut holders = self.holders.lock();
        let id = holders.next;
        holders.next += 1;
        holders.by_id.insert(id, Holder { bytes: 0, cut: cut.clone() });
        Arc::new(Account { unread: Arc::clone(self), id, cut })
    }

    /// Bytes that are held.
    #[cfg(test)]
    fn total(&self) -> usize {
        self.holders.lock().total
    }
}

/// What one connection holds.
pub(crate) struct Account {
    unread: Arc<Unread>,
    id: u64,
    /// Cancelled when the connection must go, because it holds the most.
    pub(crate) cut: CancellationToken,
}

impl Account {
    /// Takes a share for an answer of so many bytes.
    ///
    /// # Errors
    /// If there is no room and nobody holds more.
    pub(crate) fn hold(self: &Arc<Self>, bytes: usize) -> Result<Share, RpcError> {
        if bytes < UNCOUNTED_BYTES {
            return Ok(Share { account: None, bytes });
        }
        let limit = self.unread.limit;
        let mut holders = self.unread.holders.lock();
        let Some(own) = holders.by_id.get(&self.id).map(|holder| holder.bytes + bytes) else {
            // Cut off already: what it is still given goes with it.
            return Ok(Share { account: None, bytes });
        };
        while holders.total + bytes > limit {
            let others = holders.by_id.iter().filter(|(id, _)| **id != self.id);
            let most = others.max_by_key(|(_, holder)| holder.bytes).map(|(id, holder)| (*id, holder.bytes));
            let Some((id, held)) = most.filter(|(_, held)| *held >= own) else {
                let message = format!(
                    "server busy: answers of {} bytes wait to be read, limit {limit}; ask for less, or retry later",
                    holders.total
                );
                return Err(RpcError::limit(message));
            };
            if let Some(holder) = holders.by_id.remove(&id) {
                holders.total -= held;
                holder.cut.cancel();
                metrics::counter!("baton_rpc_unread_cut_total").increment(1);
                tracing::debug!(held, "a connection is cut off: it holds the most unread answers");
            }
        }
        holders.total += bytes;
        if let Some(holder) = holders.by_id.get_mut(&self.id) {
            holder.bytes = own;
        }
        self.unread.gauge.set(holders.total as f64);
        drop(holders);
        Ok(Share { account: Some(Arc::clone(self)), bytes })
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        // Its shares are gone: each holds the account.
        self.unread.holders.lock().by_id.remove(&self.id);
    }
}

/// Bytes of one answer, until they are written.
pub(crate) struct Share {
    account: Option<Arc<Account>>,
    bytes: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some(Account { unread, id, .. }) = self.account.as_deref() else { return };
        let mut holders = unread.holders.lock();
        // Not there any more: it was cut off, and its bytes with it.
        if let Some(holder) = holders.by_id.get_mut(id) {
            holder.bytes -= self.bytes;
            holders.total -= self.bytes;
            unread.gauge.set(holders.total as f64);
        }
    }
}

/// An answer with its share.
pub(crate) struct Answer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) share: Share,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<Answer> for Bytes {
    /// The share lives as long as the last part of the bytes.
    fn from(answer: Answer) -> Self {
        Self::from_owner(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::code;

    #[test]
    fn who_holds_the_most_makes_room_and_nobody_for_who_would_hold_more() {
        let unread = Unread::new(100_000);
        let [greedy, modest, late] = [(); 3].map(|()| unread.account());
        let first = greedy.hold(60_000).unwrap();
        let second = modest.hold(30_000).unwrap();
        assert_eq!(late.hold(70_000).err().map(|e| e.code), Some(code::LIMIT), "it would hold the most itself");
        assert!(!greedy.cut.is_cancelled());
        let third = late.hold(20_000).unwrap();
        assert!(greedy.cut.is_cancelled() && !modest.cut.is_cancelled());
        assert_eq!(unread.total(), 50_000);
        // What the one that was cut off still had, or is given, counts no more.
        drop(first);
        drop(greedy.hold(90_000).unwrap());
        drop(greedy);
        assert_eq!(unread.total(), 50_000);
        drop((second, third));
        assert_eq!(unread.total(), 0);
        assert!(unread.holders.lock().by_id.len() == 2);
        drop((modest, late));
        assert!(unread.holders.lock().by_id.is_empty());
    }

    #[test]
    fn bytes_keep_their_share_until_the_last_part_is_gone() {
        let unread = Unread::new(100_000);
        let account = unread.account();
        let answer = Answer { bytes: vec![7; 5_000], share: account.hold(5_000).unwrap() };
        let mut bytes = Bytes::from(answer);
        let rest = bytes.split_off(4_000);
        drop(bytes);
        assert_eq!(unread.total(), 5_000);
        drop(rest);
        assert_eq!(unread.total(), 0);
        assert!(account.hold(1_000).is_ok());
        assert_eq!(unread.total(), 0, "short ones are not counted");
    }
}
