use super::*;

const NOW: WallTime = WallTime::from_millis(1_000_000);

fn key(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number; 32])
}

fn genesis(founder: &SecretKey) -> Genesis {
    let name = "m".to_owned();
    Genesis { version: 1, name, founder: founder.host(), created: NOW, nonce: [3; 16] }
}

fn root() -> Credential {
    Credential::of_founder(&key(0), genesis(&key(0)), NOW)
}

fn admit(by: u8, holder: &Credential, subject: u8, may_admit: bool) -> Credential {
    holder.admit(&key(by), key(subject).host(), may_admit, NOW).expect("the chain has room")
}

fn verify(credential: &Credential, of: u8, now: WallTime) -> Result<Certificate, CredentialError> {
    credential.verify(root().mesh(), key(of).host(), now)
}

#[test]
fn the_founder_and_all_below_are_members_up_to_the_depth() {
    let mut credential = root();
    assert!(verify(&credential, 0, NOW).is_ok_and(|own| own.may_admit));
    for depth in 1..=4 {
        credential = admit(depth - 1, &credential, depth, true);
        assert_eq!(credential.chain.len(), depth as usize);
        assert_eq!(verify(&credential, depth, NOW), Ok(credential.own().expect("it has one")));
    }
    assert_eq!(credential.admit(&key(4), key(5).host(), true, NOW), None, "too deep");
    let forged = Signed::new(&key(4), root().mesh(), &certificate(key(5).host(), NOW, true));
    credential.chain.push(forged);
    assert_eq!(verify(&credential, 5, NOW), Err(CredentialError::ChainLength(5)));
    credential.chain.clear();
    assert_eq!(verify(&credential, 5, NOW), Err(CredentialError::ChainLength(0)));
}

#[test]
fn who_may_not_admit_admits_nobody() {
    let member = admit(0, &root(), 1, false);
    let guest = admit(1, &member, 2, false);
    assert_eq!(verify(&guest, 2, NOW), Err(CredentialError::MayNotAdmit(1)));
}

#[test]
fn a_credential_is_good_for_its_host_and_its_mesh_only() {
    let member = admit(0, &root(), 1, true);
    let wrong = CredentialError::WrongSubject { found: key(1).host(), wanted: key(2).host() };
    assert_eq!(verify(&member, 2, NOW), Err(wrong));
    let other = MeshId([9; 32]);
    let foreign = CredentialError::ForeignMesh { found: member.mesh(), wanted: other };
    assert_eq!(member.verify(other, key(1).host(), NOW), Err(foreign));
}

#[test]
fn nobody_else_is_the_founder() {
    // A genesis that names another founder makes another mesh.
    let usurper = Credential::of_founder(&key(7), genesis(&key(7)), NOW);
    assert!(matches!(verify(&usurper, 7, NOW), Err(CredentialError::ForeignMesh { .. })));
    // The right genesis with a first certificate by somebody else is a broken chain.
    let own = certificate(key(7).host(), NOW, true);
    let chain = vec![Signed::new(&key(7), root().mesh(), &own)];
    let stolen = Credential { genesis: genesis(&key(0)), chain };
    assert_eq!(verify(&stolen, 7, NOW), Err(CredentialError::BrokenChain(0)));
}

#[test]
fn a_link_by_the_wrong_host_breaks_the_chain() {
    let member = admit(0, &root(), 1, true);
    let by_another = admit(2, &member, 3, true);
    assert_eq!(verify(&by_another, 3, NOW), Err(CredentialError::BrokenChain(1)));
    let mut cut = admit(1, &member, 2, true);
    cut.chain.remove(0);
    assert_eq!(verify(&cut, 2, NOW), Err(CredentialError::BrokenChain(0)));
}

#[test]
fn a_signature_of_another_mesh_or_an_altered_one_is_refused() {
    let elsewhere = MeshId([9; 32]);
    let own = certificate(key(1).host(), NOW, true);
    let chain = vec![Signed::new(&key(0), elsewhere, &own)];
    let moved = Credential { genesis: genesis(&key(0)), chain };
    assert!(matches!(verify(&moved, 1, NOW), Err(CredentialError::Signature(0, _))));
    let bytes = wire::encode(&admit(0, &root(), 1, true));
    for place in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[place] ^= 1;
        let good = wire::decode::<Credential>(&altered, bytes.len())
            .is_ok_and(|credential| verify(&credential, 1, NOW).is_ok());
        assert!(!good, "byte {place} is not covered");
    }
}

#[test]
fn membership_ends_and_never_outlives_that_of_the_host_above() {
    let later = NOW + CERTIFICATE_LIFE;
    let member = admit(0, &root(), 1, true);
    assert!(verify(&member, 1, later).is_ok());
    let after = later + std::time::Duration::from_millis(1);
    assert_eq!(verify(&member, 1, after), Err(CredentialError::Expired(0)));
    let halfway = NOW + CERTIFICATE_LIFE / 2;
    let guest = member.admit(&key(1), key(2).host(), false, halfway).expect("there is room");
    assert_eq!(guest.own().map(|own| own.not_after), Some(later));
}
