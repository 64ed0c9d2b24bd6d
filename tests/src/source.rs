use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// One file of the repository.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its path in the repository.
    pub path: String,
    /// What is in it.
    pub text: String,
}

impl Source {
    /// Its lines, counted from one, up to its tests.
    pub fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().take_while(|line| *line != "#[cfg(test)]");
        (1..).zip(lines)
    }

    /// Whether it consists of tests only.
    #[must_use]
    pub fn is_test(&self) -> bool {
        let in_tests = self.path.starts_with("tests/") || self.path.contains("/tests/");
        in_tests || self.path.ends_with("/tests.rs")
    }
}

/// Where the repository is.
///
/// # Panics
/// When this crate is not in it.
#[must_use]
pub fn repository() -> PathBuf {
    let parent = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    parent.expect("this crate is a folder of the repository").to_owned()
}

/// The paths of all files that are part of the repository, or about to be.
///
/// # Panics
/// When git cannot be asked.
#[must_use]
pub fn tracked() -> Vec<String> {
    let words = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let git = Command::new("git").args(words).current_dir(repository()).output();
    let listed = git.expect("git runs").stdout;
    let listed = String::from_utf8(listed).expect("paths in UTF-8");
    let there = |path: &&str| repository().join(path).is_file();
    let mut paths: Vec<_> = listed.lines().filter(there).map(str::to_owned).collect();
    paths.sort();
    paths.dedup();
    assert!(!paths.is_empty(), "git knows no file here");
    paths
}

/// All Rust sources below one of these folders.
///
/// # Panics
/// When one cannot be read.
#[must_use]
pub fn sources(folders: &[&str]) -> Vec<Source> {
    let within = |path: &String| folders.iter().any(|folder| path.starts_with(folder));
    let rust = tracked().into_iter().filter(|path| path.ends_with(".rs")).filter(within);
    rust.map(|path| {
        let text = fs::read_to_string(repository().join(&path)).expect("a source file");
        Source { path, text }
    })
    .collect()
}
