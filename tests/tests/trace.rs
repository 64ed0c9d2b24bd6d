//! An auction over three daemons, told from their journals.

use serde_json::{Value, json};
use starling_tests::{Host, place, until};

/// The sentences of a story, without the echoes.
fn story(traced: &Value) -> Vec<String> {
    let lines = traced["data"].as_array().expect("lines").iter();
    let news = lines.filter(|line| line["echo"] == false);
    let text = |line: &Value| {
        let name = line["name"].as_str().unwrap_or("?");
        format!("{name} {}", line["text"].as_str().expect("a text"))
    };
    news.map(text).collect()
}

fn trace(host: &Host, search: &str, journals: &[String]) -> (i32, Value) {
    let mut words = vec!["trace", search, "--format", "json"];
    words.extend(journals.iter().flat_map(|path| ["--file", path]));
    let ran = host.run(&words);
    (ran.code, serde_json::from_str(&ran.out).unwrap_or(Value::Null))
}

#[test]
fn an_auction_is_told_from_the_journals_of_three_daemons() {
    let place = place!().with_daemon(env!("CARGO_BIN_EXE_load-daemon"));
    let [alpha, beta, gamma] = place.mesh(["alpha", "beta", "gamma"]);
    let _ = alpha.start("seller", "seller");
    for (host, name, purse) in [(&beta, "rich", 120), (&gamma, "poor", 80)] {
        let state = json!({ "purse": purse }).to_string();
        let _ = host.run(&["start", "bidder", "--name", name, "--state", &state]).well();
    }
    // Interests travel. What people publish there, no contract takes up.
    until("both are known to listen", || {
        (alpha.data(&["publish", "auction/lot", "{}"])["hosts"] == 2).then_some(())
    });
    let _ = alpha.ask("seller", "auction/sell", &json!({ "least": 50 }));
    let search = until("it is under way", || {
        let seen = alpha.data(&["inspect", "seller"]);
        let mut waits = seen["waits"].as_array()?.iter();
        waits.find_map(|wait| Some(wait["then"]["search"].as_str()?.to_owned()))
    });
    let journals: Vec<String> = [&alpha, &beta, &gamma]
        .map(|host| host.data_dir.join("journal").display().to_string())
        .to_vec();
    // Each host writes its journal in its own time: what one has heard another may not have written.
    let (code, traced) = until("both ends are recorded", || {
        let traced = trace(&alpha, &search[..8], &journals);
        traced.1["data"].as_array()?;
        let told = story(&traced.1);
        let has = |words: &str| told.iter().any(|line| line.contains(words));
        (has("seller acknowledges") && has("rich reports")).then_some(traced)
    });
    assert_eq!((code, &traced["schema"]), (0, &json!("p2p.trace/1")));
    let mut told = story(&traced);
    told[1..3].sort();
    told[3..5].sort();
    assert_eq!(
        told,
        [
            "seller announces auction/lot to all who listen",
            "poor bids -80, to seller@alpha",
            "rich bids -120, to seller@alpha",
            "seller grants it to rich@beta",
            "seller rejects the bid of poor@gamma",
            "rich reports to seller@alpha",
            "seller acknowledges the report of rich@beta",
        ]
    );
    // From one journal alone, those who took part elsewhere are missed.
    let (code, traced) = trace(&alpha, &search, &[]);
    assert_eq!((code, traced["missing"].as_array().map(Vec::len)), (6, Some(2)), "{traced}");
    let told = story(&traced);
    assert!(told.iter().any(|line| line.starts_with("seller has the bid of")), "{told:?}");

    let _ = alpha.run(&["trace", "xyz"]).failed(2, &["hexadecimal"]);
    let _ = alpha.run(&["trace", "00000000000000000000000000000000"]).failed(5, &["recorded"]);
}
