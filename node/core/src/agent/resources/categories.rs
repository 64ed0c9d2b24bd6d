use serde::{Deserialize, Serialize};

/// What a host is good for beyond its amounts, and what an agent needs of one.
///
/// ```
/// use starling_core::agent::resources::{Access, Categories, Storage};
/// let host = Categories { access: Access::Public, storage: Storage::Static, ..Categories::NONE };
/// assert!(host.suits(&Categories::NONE));
/// assert!(host.suits(&Categories { access: Access::Public, ..Categories::NONE }));
/// assert!(!host.suits(&Categories { storage: Storage::Shared, ..Categories::NONE }));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Categories {
    /// Who can reach it.
    pub access: Access,
    /// What network address it has.
    pub address: Addressing,
    /// What happens to what is stored there.
    pub storage: Storage,
}

/// Who can reach a host.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Nothing is said, or nothing is needed.
    #[default]
    None,
    /// Everybody.
    Public,
    /// Those of its own network.
    Private,
}

/// What network address a host has.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Addressing {
    /// Nothing is said, or nothing is needed.
    #[default]
    None,
    /// One that stays.
    Fixed,
    /// One that may change.
    Dynamic,
}

/// What happens to what is stored on a host.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Storage {
    /// Nothing is said, or nothing is needed.
    #[default]
    None,
    /// It stays, on this host.
    Static,
    /// Other hosts see it too.
    Shared,
    /// It may be lost.
    Volatile,
}

impl Categories {
    /// Nothing is said, or nothing is needed.
    pub const NONE: Self =
        Self { access: Access::None, address: Addressing::None, storage: Storage::None };

    /// Whether a host of these categories has what is needed: a need of none suits everybody, any
    /// other those that say the same.
    #[must_use]
    pub fn suits(&self, need: &Self) -> bool {
        (need.access == Access::None || need.access == self.access)
            && (need.address == Addressing::None || need.address == self.address)
            && (need.storage == Storage::None || need.storage == self.storage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCESS: [Access; 3] = [Access::None, Access::Public, Access::Private];
    const ADDRESS: [Addressing; 3] = [Addressing::None, Addressing::Fixed, Addressing::Dynamic];
    const STORAGE: [Storage; 4] =
        [Storage::None, Storage::Static, Storage::Shared, Storage::Volatile];

    fn all() -> Vec<(Categories, [usize; 3])> {
        let places = (0..36).map(|n| [n % 3, n / 3 % 3, n / 9]);
        let one = |[a, b, c]: [usize; 3]| Categories {
            access: ACCESS[a],
            address: ADDRESS[b],
            storage: STORAGE[c],
        };
        places.map(|places| (one(places), places)).collect()
    }

    #[test]
    fn a_need_of_none_suits_everybody_and_any_other_its_equal() {
        for (host, has) in all() {
            for (need, needs) in all() {
                let suits = (0..3).all(|at| needs[at] == 0 || needs[at] == has[at]);
                assert_eq!(host.suits(&need), suits, "{host:?} for {need:?}");
            }
        }
    }

    #[test]
    fn what_is_left_out_of_json_is_none() {
        let read = serde_json::from_str::<Categories>;
        let storage = Categories { storage: Storage::Volatile, ..Categories::NONE };
        assert_eq!(read(r#"{"storage":"volatile"}"#).expect("it is whole"), storage);
        assert_eq!(read("{}").expect("it is whole"), Categories::NONE);
        assert!(read(r#"{"store":"volatile"}"#).is_err());
    }
}
