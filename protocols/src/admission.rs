//! How a stranger becomes a member: an invite, the token that carries it, the gate where both
//! sides show who they are, and the ledger that counts uses.

mod gate;
mod ledger;
mod token;

pub use gate::{GATE_MAGIC, Knock, Refusal, Welcome};
pub use ledger::{Entry, InviteError, Ledger, Terms};
pub use token::{Invite, InviteId, Token, TokenError};
