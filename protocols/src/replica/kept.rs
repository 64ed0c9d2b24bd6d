/// One copy as it is kept on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The document's name.
    pub name: String,
    /// The copy; the disk does not look into it.
    pub bytes: Vec<u8>,
}

/// What is to be kept. It is there whole after a crash, or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptBatch {
    /// Counts up from one in each life of the host.
    pub number: u64,
    /// Copies, in place of what was kept by these names.
    pub put: Vec<Kept>,
    /// Names of what is not kept any more.
    pub forget: Vec<String>,
}
