use starling_core::story::{BadPrefix, Found, Scan};

use super::Archive;
use crate::api::{Code, Problem};

impl Archive {
    /// What the agents of this host said and heard in the searches whose names begin so.
    ///
    /// # Errors
    /// [`Problem`] when no name begins so, or nothing can be read. What is damaged within is passed
    /// over.
    pub fn trace(&self, prefix: &str) -> Result<Vec<Found>, Problem> {
        let bad = |why: BadPrefix| Problem::new(Code::Usage, why.to_string());
        let mut scan = Scan::new(prefix).map_err(bad)?;
        for told in self.reader.records().flatten() {
            scan.feed(told.era.as_ref(), told.sequence, &told.record);
        }
        Ok(scan.finish())
    }
}
