use std::time::Duration;

use crate::limits::{
    DOCUMENTS_ANSWER_BYTES_MAX, DOCUMENTS_ANSWER_TIMEOUT, DOCUMENTS_LIST_MAX,
    DOCUMENTS_NEWS_PASSED_ON_MAX, DOCUMENTS_PRINTS_MAX, DOCUMENTS_TURN_MAX, DOCUMENTS_WINDOW,
    DOCUMENTS_WINDOW_ANSWERS_MAX, DOCUMENTS_WINDOW_QUESTIONS_MAX, HOSTS_MAX,
    ROSTER_ANSWER_BYTES_MAX, ROSTER_ANSWER_TIMEOUT, ROSTER_LIST_MAX, ROSTER_NEWS_PASSED_ON_MAX,
    ROSTER_TURN_MAX, ROSTER_WINDOW, ROSTER_WINDOW_DIGESTS_MAX,
};

/// How much two hosts have to do with each other over one sort of collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Items in a collection that is listed to learn what it lacks. A larger one is compared by
    /// sums first.
    pub list_max: usize,
    /// Prints in one digest. A question with more is asked in parts; one from a peer is malformed.
    pub prints_max: usize,
    /// Bytes of items in one answer, if it is more than one item. What is beyond it is asked for
    /// again.
    pub answer_bytes_max: usize,
    /// How long a peer may take to go on with its answer. Then the next one is asked.
    pub answer_timeout: Duration,
    /// How long one peer is asked before others that wait for it get their turn.
    pub turn_max: Duration,
    /// Items of one message that are passed on when they are news. When there are more, other
    /// peers are told to compare.
    pub news_passed_on_max: usize,
    /// The time in which questions are counted.
    pub window: Duration,
    /// Questions to one peer in one window. What is not asked then is asked in the next.
    pub questions_max: u32,
    /// Questions of one peer that are answered in one window. Those beyond it are refused.
    pub answers_max: u32,
}

impl Limits {
    /// For rosters.
    pub const ROSTER: Self = Self {
        list_max: ROSTER_LIST_MAX,
        prints_max: HOSTS_MAX,
        answer_bytes_max: ROSTER_ANSWER_BYTES_MAX,
        answer_timeout: ROSTER_ANSWER_TIMEOUT,
        turn_max: ROSTER_TURN_MAX,
        news_passed_on_max: ROSTER_NEWS_PASSED_ON_MAX,
        window: ROSTER_WINDOW,
        questions_max: ROSTER_WINDOW_DIGESTS_MAX,
        answers_max: ROSTER_WINDOW_DIGESTS_MAX,
    };

    /// For documents.
    pub const DOCUMENTS: Self = Self {
        list_max: DOCUMENTS_LIST_MAX,
        prints_max: DOCUMENTS_PRINTS_MAX,
        answer_bytes_max: DOCUMENTS_ANSWER_BYTES_MAX,
        answer_timeout: DOCUMENTS_ANSWER_TIMEOUT,
        turn_max: DOCUMENTS_TURN_MAX,
        news_passed_on_max: DOCUMENTS_NEWS_PASSED_ON_MAX,
        window: DOCUMENTS_WINDOW,
        questions_max: DOCUMENTS_WINDOW_QUESTIONS_MAX,
        answers_max: DOCUMENTS_WINDOW_ANSWERS_MAX,
    };
}
