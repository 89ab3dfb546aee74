//! Why a pool of L1 refuses a transaction. JSON-RPC has no codes for it, so that the texts of the clients are read here
//! and nowhere else.

/// What a refusal means for the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The pool has this very transaction.
    AlreadyKnown,
    /// A transaction with this nonce is on chain.
    NonceTooLow,
    /// Another transaction with this nonce waits and offers about as much.
    Underpriced,
    /// The account cannot pay.
    Unfunded,
    /// The account has a transaction of the other kind (blobs or not) waiting, which must go first.
    Reserved,
    /// Anything else.
    Other,
}

impl Refusal {
    /// Reads the text of a JSON-RPC error to `eth_sendRawTransaction`.
    pub(crate) fn of(message: &str) -> Self {
        let text = message.to_ascii_lowercase();
        let has = |parts: &[&str]| parts.iter().any(|p| text.contains(p));
        if has(&["already known", "already imported", "alreadyknown", "known transaction", "transaction already in"]) {
            Self::AlreadyKnown
        } else if has(&["nonce too low", "nonce is too low", "oldnonce", "old nonce"]) {
            Self::NonceTooLow
        } else if has(&["address already reserved", "already reserved", "account has pending"]) {
            Self::Reserved
        } else if has(&["underpriced", "fee too low to replace", "replacement", "replacementnotallowed"]) {
            Self::Underpriced
        } else if has(&["insufficient funds", "insufficientfunds", "not enough balance"]) {
            Self::Unfunded
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_texts_are_understood() {
        let texts = [
            ("already known", Refusal::AlreadyKnown),
            ("transaction already imported", Refusal::AlreadyKnown),
            ("AlreadyKnown", Refusal::AlreadyKnown),
            ("nonce too low: next nonce 5, tx nonce 4", Refusal::NonceTooLow),
            ("OldNonce, Current nonce: 5, nonce of rejected tx: 4", Refusal::NonceTooLow),
            ("replacement transaction underpriced", Refusal::Underpriced),
            ("transaction underpriced: tip needed 1, tip permitted 0", Refusal::Underpriced),
            ("ReplacementNotAllowed", Refusal::Underpriced),
            ("insufficient funds for gas * price + value: balance 0", Refusal::Unfunded),
            ("Insufficient funds for gas * price + value", Refusal::Unfunded),
            ("address already reserved", Refusal::Reserved),
            ("max fee per gas less than block base fee", Refusal::Other),
        ];
        for (text, meaning) in texts {
            assert_eq!(Refusal::of(text), meaning, "{text}");
        }
    }
}
