/// One copy as it is kept: the disk knows its name and nothing of what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The document's name, as text. It is the key: of each name one copy is kept, the last.
    pub name: String,
    /// The copy. Opaque to whoever keeps it.
    pub bytes: Vec<u8>,
}

/// What is to be kept. It is on the disk whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptBatch {
    /// Rising from batch to batch, from 1 in each life of the host.
    pub number: u64,
    /// Copies that take the place of those of the same names, in this order.
    pub put: Vec<Kept>,
    /// After them: names of which nothing is kept any more.
    pub forget: Vec<String>,
}
