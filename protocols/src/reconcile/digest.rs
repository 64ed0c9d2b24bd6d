use serde::{Deserialize, Serialize};

/// What two hosts say to each other to find the items that one of them lacks.
///
/// A *print* is 64 bits that stand for one version of one item; a *sum* is that of prints, modulo
/// 2⁶⁴, of all items or of those of one of 256 *buckets*. What each of the two answers for itself
/// is in none of the sums and lists.
///
/// Sums are not proof against a member that makes up many items with prints chosen to cancel out.
/// It could hide a difference between two hosts, which the next change of any item shows again; it
/// cannot forge an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Digest {
    /// What the sender knows. Told when a lane opens, and when it has learned much.
    State {
        /// The print of the receiver's own item, zero when it has none. The receiver sends its
        /// own item, if it has one, when this is not its print.
        of_you: u64,
        /// The sum of all others. The receiver asks when it has another.
        others: u64,
    },
    /// Asks for all items whose prints are not among these: those of a small collection.
    List(Vec<u64>),
    /// Asks for the items that the sender lacks in a large collection: the sums of all buckets,
    /// 256 of them. Answered by [`Differ`](Self::Differ), or by [`Done`](Self::Done) when there is
    /// nothing to send.
    Sums(Vec<u64>),
    /// Which of the sums differ, in rising order.
    Differ(Vec<u8>),
    /// Asks for the items in these buckets, in rising order, whose prints are not among these.
    Prints(Vec<(u8, Vec<u64>)>),
    /// The items that were asked for have been sent.
    Done {
        /// There are more: ask again.
        more: bool,
    },
}
