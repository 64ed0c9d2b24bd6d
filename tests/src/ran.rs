use std::process::Output;

use serde_json::Value;

/// What became of one call of `p2p`.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The exit code; -1 when it was killed.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
            err: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
        }
    }
}

impl Ran {
    /// It must have succeeded; gives standard output without the line end.
    ///
    /// # Panics
    /// When it has not.
    #[must_use]
    pub fn well(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out.trim_end().to_owned()
    }

    /// It must have failed with this exit code and have said this on standard error.
    ///
    /// # Panics
    /// When it has not.
    pub fn failed(self, code: i32, said: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        for said in said {
            assert!(self.err.contains(said), "it does not say {said:?}: {self:?}");
        }
        self
    }

    /// The data in the envelope of this schema.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn data(&self, schema: &str) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        let mut envelope: Value = serde_json::from_str(&self.out).expect("JSON");
        assert_eq!(envelope["schema"], schema, "{envelope}");
        envelope["data"].take()
    }
}
