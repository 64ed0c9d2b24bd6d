use std::{cmp::Ordering, collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::Short;
use crate::{
    ident::{AgentId, HostId, Incarnation, MeshId, SecretKey, Signable, Signed, SignedError},
    limits::{TENURES_PER_TITLE_MAX, WITNESSES_PER_TENURE_MAX},
    wire,
};

/// Names a tenure: the hash of all that it says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TenureId(pub [u8; 32]);

impl TenureId {
    /// What stands for it where nothing is proved.
    #[must_use]
    pub fn short(&self) -> Short {
        Short::of(&self.0)
    }
}

impl fmt::Debug for TenureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenureId({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// The time that an agent spends on one host, stated by that host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenure {
    /// Whose.
    pub agent: AgentId,
    /// Counts the agent's hosts: zero where it was born (FEAT's `instance_id`).
    pub instance: u64,
    /// Where. It signs this.
    pub host: HostId,
    /// By what right.
    pub right: Right,
}

impl Signable for Tenure {
    const CONTEXT: &'static str = "starling tenure 1";
    const BYTES_MAX: usize = 16 * 1024;
}

/// By what right an agent lives on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Right {
    /// It was born there, as its id shows.
    Birth,
    /// The host before has given it away.
    Gift(Signed<Release>),
    /// The host before is dead.
    Inheritance {
        /// The tenure that death has ended.
        before: TenureId,
        /// Those who say so.
        witnesses: Vec<Signed<Obituary>>,
    },
}

/// A host gives an agent away; it says so before the other takes it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The tenure that ends.
    pub tenure: TenureId,
    /// Whose the agent is to be.
    pub to: HostId,
}

impl Signable for Release {
    const CONTEXT: &'static str = "starling release 1";
    const BYTES_MAX: usize = 256;
}

/// A member's statement that a host is dead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obituary {
    /// Which host.
    pub host: HostId,
    /// Its last life.
    pub incarnation: Incarnation,
}

impl Signable for Obituary {
    const CONTEXT: &'static str = "starling obituary 1";
    const BYTES_MAX: usize = 256;
}

/// Who owns an agent, and by what right: all its tenures from its birth on.
///
/// Whoever holds a title can check it without knowing anything else of the agent, because the id
/// of an agent commits to the host where it was born, and each further tenure to the one before.
/// Whether a witness is a member is for the caller to say.
///
/// Two titles of one agent that differ come of a mesh that was split: each half has taken the agent
/// for dead in the other. All hosts then choose the same one of the two, by
/// [`outranks`](Owner::outranks), and the agent of the other dies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Title(Vec<Signed<Tenure>>);

/// What a good title says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The agent.
    pub agent: AgentId,
    /// Counts its hosts, from zero.
    pub instance: u64,
    /// The host that it lives on.
    pub host: HostId,
    /// Its tenures, the first of all first.
    pub tenures: Vec<TenureId>,
}

/// Why a title is refused, or none could be made. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TitleError {
    /// It has no tenure, or too many.
    #[error("it has {0} tenures; 1 to {TENURES_PER_TITLE_MAX} are allowed")]
    Length(usize),
    /// A tenure is not signed by the host that it names.
    #[error("tenure {0} is not signed by its own host")]
    Forged(usize),
    /// A signature is not good.
    #[error("tenure {0} is not good: {1}")]
    Signature(usize, SignedError),
    /// The agent was not born on the host that says so.
    #[error("the agent was not born where it is said to be")]
    Birth,
    /// A tenure is of another agent, or does not follow the one before it.
    #[error("tenure {0} does not follow the one before it")]
    Broken(usize),
    /// An agent is not given to the host that has taken it up, or not by the one that had it.
    #[error("tenure {0}: the host before did not give the agent to this one")]
    NotGiven(usize),
    /// Nobody says that the host before is dead whose word counts.
    #[error("tenure {0}: no other member says that the host before is dead")]
    NotDead(usize),
}

impl AgentId {
    /// The id of an agent that is born on a host: `salt`, which is random, and 64 bits that only
    /// this host and this salt give. So everybody can tell where an agent was born.
    #[must_use]
    pub fn born(host: HostId, salt: u64) -> Self {
        // No reserved id is as large as this.
        let salt = salt.max(1);
        let mut hasher = blake3::Hasher::new_derive_key("starling agent 1");
        hasher.update(&host.0).update(&salt.to_be_bytes());
        let mut tag = [0; 8];
        hasher.finalize_xof().fill(&mut tag);
        Self(u128::from(salt) << 64 | u128::from(u64::from_be_bytes(tag)))
    }

    /// Whether the agent was born on this host.
    #[must_use]
    pub fn is_born_on(self, host: HostId) -> bool {
        u64::try_from(self.0 >> 64).is_ok_and(|salt| salt > 0 && Self::born(host, salt) == self)
    }
}

impl Tenure {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> TenureId {
        let mut hasher = blake3::Hasher::new_derive_key("starling tenure 1");
        hasher.update(&wire::encode(self));
        TenureId(*hasher.finalize().as_bytes())
    }
}

impl Title {
    /// The title of an agent that was [born](AgentId::born) on the host of this key. It is always
    /// the same.
    #[must_use]
    pub fn of_birth(key: &SecretKey, mesh: MeshId, agent: AgentId) -> Self {
        let tenure = Tenure { agent, instance: 0, host: key.host(), right: Right::Birth };
        Self(vec![Signed::new(key, mesh, &tenure)])
    }

    /// These tenures, unchecked.
    #[cfg(test)]
    pub(super) const fn of(tenures: Vec<Signed<Tenure>>) -> Self {
        Self(tenures)
    }

    /// The title of the same agent when the host of this key takes it up by `right`. The caller
    /// has [opened](Self::open) this one, and gives what it said.
    ///
    /// # Errors
    /// [`TitleError`], when others would refuse it.
    pub fn taken_up(
        &self,
        owner: &Owner,
        key: &SecretKey,
        mesh: MeshId,
        right: Right,
        is_member: impl Fn(HostId) -> bool,
    ) -> Result<Self, TitleError> {
        let (agent, instance) = (owner.agent, owner.instance + 1);
        let tenure = Tenure { agent, instance, host: key.host(), right };
        let mut title = self.clone();
        title.0.push(Signed::new(key, mesh, &tenure));
        title.open(mesh, is_member).map(|_| title)
    }

    /// Checks it all.
    ///
    /// # Errors
    /// [`TitleError`] says what is wrong.
    pub fn open(
        &self,
        mesh: MeshId,
        is_member: impl Fn(HostId) -> bool,
    ) -> Result<Owner, TitleError> {
        if !(1..=TENURES_PER_TITLE_MAX).contains(&self.0.len()) {
            return Err(TitleError::Length(self.0.len()));
        }
        let mut owner: Option<Owner> = None;
        for (place, signed) in self.0.iter().enumerate() {
            let tenure = signed.open(mesh).map_err(|why| TitleError::Signature(place, why))?;
            if signed.signer() != tenure.host {
                return Err(TitleError::Forged(place));
            }
            match &mut owner {
                None => owner = Some(born(&tenure)?),
                Some(owner) => follow(owner, place, &tenure, mesh, &is_member)?,
            }
        }
        owner.ok_or(TitleError::Length(0))
    }

    /// What it says, unchecked: for what has been checked before. `None` when it says nothing.
    #[must_use]
    pub fn unchecked(&self) -> Option<Owner> {
        let mut tenures = Vec::with_capacity(self.0.len());
        let mut last = None;
        for signed in &self.0 {
            let tenure = signed.unchecked().ok()?;
            tenures.push(tenure.id());
            last = Some(tenure);
        }
        let Tenure { agent, instance, host, .. } = last?;
        Some(Owner { agent, instance, host, tenures })
    }

    /// About how many bytes it takes on the wire.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.iter().map(Signed::size).sum()
    }
}

fn born(tenure: &Tenure) -> Result<Owner, TitleError> {
    let Tenure { agent, instance: 0, host, right: Right::Birth } = *tenure else {
        return Err(TitleError::Birth);
    };
    if !agent.is_born_on(host) {
        return Err(TitleError::Birth);
    }
    Ok(Owner { agent, instance: 0, host, tenures: vec![tenure.id()] })
}

/// Adds a tenure to those that are good, if it is.
fn follow(
    owner: &mut Owner,
    place: usize,
    tenure: &Tenure,
    mesh: MeshId,
    is_member: &impl Fn(HostId) -> bool,
) -> Result<(), TitleError> {
    let last = *owner.tenures.last().ok_or(TitleError::Broken(place))?;
    if tenure.agent != owner.agent || tenure.instance != owner.instance + 1 {
        return Err(TitleError::Broken(place));
    }
    match &tenure.right {
        Right::Birth => return Err(TitleError::Broken(place)),
        Right::Gift(release) => {
            let gift = release.open(mesh).map_err(|_| TitleError::NotGiven(place))?;
            if release.signer() != owner.host || gift != (Release { tenure: last, to: tenure.host })
            {
                return Err(TitleError::NotGiven(place));
            }
        }
        Right::Inheritance { before, witnesses } => {
            if *before != last {
                return Err(TitleError::Broken(place));
            }
            if !is_dead(owner.host, witnesses, mesh, is_member) {
                return Err(TitleError::NotDead(place));
            }
        }
    }
    (owner.instance, owner.host) = (tenure.instance, tenure.host);
    owner.tenures.push(tenure.id());
    Ok(())
}

/// Whether a member other than that host says that it is dead, and all who are named do.
fn is_dead(
    host: HostId,
    witnesses: &[Signed<Obituary>],
    mesh: MeshId,
    is_member: &impl Fn(HostId) -> bool,
) -> bool {
    let says_so = |witness: &Signed<Obituary>| {
        let counts = witness.signer() != host && is_member(witness.signer());
        counts && witness.open(mesh).is_ok_and(|obituary| obituary.host == host)
    };
    let names: BTreeSet<HostId> = witnesses.iter().map(Signed::signer).collect();
    (1..=WITNESSES_PER_TENURE_MAX).contains(&witnesses.len())
        && names.len() == witnesses.len()
        && witnesses.iter().all(says_so)
}

impl Owner {
    /// Which of two titles of one agent counts: the longer one; of those of the same length the
    /// one whose tenure has the smaller name where they part. Equal only to itself.
    #[must_use]
    pub fn outranks(&self, other: &Self) -> Ordering {
        let by_length = self.tenures.len().cmp(&other.tenures.len());
        by_length.then_with(|| other.tenures.cmp(&self.tenures))
    }

    /// Where two titles of one agent part: how many tenures they have in common.
    #[must_use]
    pub fn common(&self, other: &Self) -> usize {
        let pairs = self.tenures.iter().zip(&other.tenures);
        pairs.take_while(|(one, another)| one == another).count()
    }
}

#[cfg(test)]
mod tests;
