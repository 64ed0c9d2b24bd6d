//! Errors of remote calls, with their types: a request whose reply is a `Result`.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use starling_core::agent::prelude::*;
//!
//! /// Takes money out of an account.
//! #[derive(Serialize, Deserialize)]
//! struct Withdraw { amount: u32 }
//! impl Request for Withdraw {
//!     const NAME: &'static str = "bank/withdraw";
//!     type Reply = Result<u32, Denied>;
//! }
//!
//! /// Why nothing was taken out.
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! enum Denied { TooPoor { missing: u32 }, Closed }
//!
//! // One end names what can go wrong…
//! #[derive(Default, Serialize, Deserialize)]
//! struct Account { balance: u32 }
//! impl Account {
//!     fn withdraw(&mut self, amount: u32) -> Result<u32, Denied> {
//!         let missing = amount.saturating_sub(self.balance);
//!         self.balance =
//!             self.balance.checked_sub(amount).ok_or(Denied::TooPoor { missing })?;
//!         Ok(self.balance)
//!     }
//! }
//! impl Agent for Account {
//!     const KIND: &'static str = "account";
//!     type Then = Never;
//!     fn interests(interests: &mut Interests<Self>) { interests.answers::<Withdraw>(); }
//! }
//! impl Answers<Withdraw> for Account {
//!     fn answer(&mut self, _: &mut Cx<'_, Self>, asked: Withdraw) -> Answer<Withdraw> {
//!         self.withdraw(asked.amount).into()
//!     }
//! }
//!
//! // …and the other sees it, beside what can go wrong on the way.
//! #[derive(Default, Serialize, Deserialize)]
//! struct Buyer { says: String }
//! #[derive(Serialize, Deserialize)]
//! enum Then { Paid(Await<Withdraw>) }
//! impl Agent for Buyer {
//!     const KIND: &'static str = "buyer";
//!     type Then = Then;
//!     fn interests(_: &mut Interests<Self>) {}
//!     fn started(&mut self, cx: &mut Cx<'_, Self>) {
//!         let account = cx.address(); // somebody's
//!         cx.request(account, &Withdraw { amount: 5 }, Then::Paid);
//!     }
//! }
//! impl Continuation<Buyer> for Then {
//!     fn resume(self, buyer: &mut Buyer, cx: &mut Cx<'_, Buyer>) {
//!         let Self::Paid(paid) = self;
//!         buyer.says = match cx.take_result(paid) {
//!             Ok(left) => format!("{left} left"),
//!             Err(CallError::Answered(Denied::TooPoor { missing })) => format!("{missing} missing"),
//!             Err(CallError::Answered(Denied::Closed)) => "closed".into(),
//!             Err(CallError::Failed(why)) if why.is_in_doubt() => "paid or not".into(),
//!             Err(CallError::Failed(_)) => "not paid".into(),
//!         };
//!     }
//! }
//!
//! let mut account = Cage::new(Account { balance: 3 });
//! let reply: Result<u32, Denied> = Err(Denied::TooPoor { missing: 2 });
//! assert_eq!(account.ask(Withdraw { amount: 5 }), [Effect::reply(&reply)]);
//! let mut buyer = Cage::new(Buyer::default());
//! buyer.start();
//! buyer.answer::<Withdraw>(buyer.waits()[0], &reply);
//! assert_eq!(buyer.state().says, "2 missing");
//! ```

use starling_protocols::exchange::Failure;

use super::{Agent, Answer, Await, Cx, Request};

/// Why a call whose callee names its errors had no good end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError<E> {
    /// The callee took the call up, and answers with an error of its own, which says what has
    /// become of the call.
    #[error("{0}")]
    Answered(E),
    /// The callee gave no such answer; the failure says whether it may have done something.
    #[error("{0}")]
    Failed(Failure),
}

impl<E> CallError<E> {
    /// Whether nobody knows if the call was carried out. Otherwise it was not, or the callee's own
    /// error says how far.
    #[must_use]
    pub const fn is_in_doubt(&self) -> bool {
        match self {
            Self::Answered(_) => false,
            Self::Failed(why) => why.is_in_doubt(),
        }
    }
}

impl<E> From<Failure> for CallError<E> {
    fn from(why: Failure) -> Self {
        Self::Failed(why)
    }
}

/// What a fallible function gives is an answer.
impl<R, T, E> From<Result<T, E>> for Answer<R>
where
    R: Request<Reply = Result<T, E>>,
{
    fn from(result: Result<T, E>) -> Self {
        Self::now(result)
    }
}

impl<A: Agent> Cx<'_, A> {
    /// As [`take`](Self::take), for a request whose reply is a `Result`: with one `Result` for both
    /// what the callee says and what happens on the way.
    ///
    /// # Errors
    /// [`CallError`]: the callee's own error, or why there is no answer of its.
    ///
    /// # Panics
    /// As [`take`](Self::take).
    pub fn take_result<R, T, E>(&mut self, slot: Await<R>) -> Result<T, CallError<E>>
    where
        R: Request<Reply = Result<T, E>>,
    {
        self.take(slot)?.map_err(CallError::Answered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_whether_the_call_may_have_been_carried_out() {
        let failed = CallError::<&str>::from;
        assert!(failed(Failure::Gone).is_in_doubt() && failed(Failure::TimedOut).is_in_doubt());
        let refused = Failure::Refused("no".into());
        for sure in [failed(refused), failed(Failure::NoAgent), CallError::Answered("closed")] {
            assert!(!sure.is_in_doubt(), "{sure}");
        }
        assert_eq!(CallError::Answered("closed").to_string(), "closed");
        assert_eq!(failed(Failure::NoAgent).to_string(), Failure::NoAgent.to_string());
    }
}
