//! What is left on a disk after a power cut, told from a trace of a program's system calls: what it
//! had not forced to the disk may be there, may be missing, or may be there by half.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use starling_protocols::entropy::Entropy;

/// What a disk writes in one go.
const SECTOR_BYTES: usize = 512;

/// The calls that change files, and those that force them to the disk.
pub const CALLS: &str =
    "openat,close,pwrite64,write,ftruncate,rename,unlink,symlink,mkdir,fsync,fdatasync";

/// What survives of what was not forced to the disk.
#[derive(Debug)]
pub enum Luck<'a> {
    /// Nothing.
    None,
    /// Of each file every sector or not, of the changes of names those before some moment.
    Some(&'a mut Entropy),
}

/// The files of one directory, as a program sees them and as they are on the disk.
#[derive(Debug, Default)]
pub struct Disk {
    /// The directory.
    dir: String,
    files: Vec<File>,
    /// By name: the file.
    names: BTreeMap<String, usize>,
    names_synced: BTreeMap<String, usize>,
    names_since: Vec<BTreeMap<String, usize>>,
    open: HashMap<i64, Open>,
    /// What the program wrote to its standard output.
    pub said: String,
}

#[derive(Debug, Default)]
struct File {
    synced: Vec<u8>,
    since: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Cut(usize),
}

#[derive(Clone, Copy, Debug)]
enum Open {
    File(usize),
    Dir,
}

impl File {
    fn apply(content: &mut Vec<u8>, change: &Change, mut sector: impl FnMut() -> bool) {
        match change {
            Change::Cut(length) => content.resize(*length, 0),
            Change::Write(at, bytes) => {
                content.resize(content.len().max(at + bytes.len()), 0);
                for (number, part) in bytes.chunks(SECTOR_BYTES).enumerate() {
                    let from = at + number * SECTOR_BYTES;
                    if sector() {
                        content[from..from + part.len()].copy_from_slice(part);
                    }
                }
            }
        }
    }

    fn sync(&mut self) {
        for change in self.since.drain(..) {
            Self::apply(&mut self.synced, &change, || true);
        }
    }

    fn after_cut(&self, luck: &mut Luck<'_>) -> Vec<u8> {
        let mut content = self.synced.clone();
        if let Luck::Some(entropy) = luck {
            for change in &self.since {
                // A disk does not keep the order of what it was not told to write.
                if entropy.below(8) > 0 {
                    Self::apply(&mut content, change, || entropy.below(2) == 0);
                }
            }
        }
        content
    }
}

impl Disk {
    /// Nothing is in `dir` yet.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: format!("{}/", dir.display()), ..Self::default() }
    }

    /// Follows one call. Says whether it was one that forces something to the disk; then nothing
    /// was changed yet, and [`force`](Self::force) does it.
    ///
    /// # Panics
    /// When the trace is not one of `strace -xx -s 1000000`.
    pub fn follow(&mut self, call: &Call) -> bool {
        let Some(result) = call.result.filter(|result| *result >= 0) else { return false };
        match call.name.as_str() {
            "openat" => self.opened(call, result),
            "close" => drop(self.open.remove(&call.number(0))),
            "pwrite64" => self.write(call),
            "write" if call.number(0) == 1 => {
                self.said.push_str(&String::from_utf8_lossy(&call.bytes(1)));
            }
            "ftruncate" => {
                if let Some(Open::File(file)) = self.open.get(&call.number(0)) {
                    let length = usize::try_from(call.number(1)).expect("a length");
                    self.files[*file].since.push(Change::Cut(length));
                }
            }
            "rename" => {
                let (from, to) = (self.name(call, 0), self.name(call, 1));
                if let (Some(from), Some(to)) = (from, to)
                    && let Some(file) = self.names.remove(&from)
                {
                    self.names.insert(to, file);
                    self.names_since.push(self.names.clone());
                }
            }
            "unlink" => {
                if let Some(name) = self.name(call, 0) {
                    self.names.remove(&name);
                    self.names_since.push(self.names.clone());
                }
            }
            "fsync" | "fdatasync" => return self.open.contains_key(&call.number(0)),
            _ => {}
        }
        false
    }

    /// Forces to the disk what a call forces.
    pub fn force(&mut self, call: &Call) {
        match self.open.get(&call.number(0)) {
            Some(Open::File(file)) => self.files[*file].sync(),
            Some(Open::Dir) => {
                self.names_synced.clone_from(&self.names);
                self.names_since.clear();
            }
            None => {}
        }
    }

    /// Writes what is left after a power cut now.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn cut(&self, mut luck: Luck<'_>, to: &Path) {
        let mut names = &self.names_synced;
        if let Luck::Some(entropy) = &mut luck {
            let kept = entropy.below(self.names_since.len() as u64 + 1);
            let kept = usize::try_from(kept).expect("a small number");
            names = kept.checked_sub(1).map_or(names, |last| &self.names_since[last]);
        }
        for (name, file) in names {
            let content = self.files[*file].after_cut(&mut luck);
            fs::write(to.join(name), content).expect("there is room");
        }
    }

    fn opened(&mut self, call: &Call, descriptor: i64) {
        let path = call.text(1);
        if path == self.dir.trim_end_matches('/') {
            self.open.insert(descriptor, Open::Dir);
        }
        let Some(name) = self.name(call, 1) else { return };
        // The index of the log is memory that programs share; each makes it anew.
        if name.ends_with("-shm") {
            return;
        }
        let file = self.names.get(&name).copied().unwrap_or_else(|| {
            self.files.push(File::default());
            let file = self.files.len() - 1;
            self.names.insert(name, file);
            self.names_since.push(self.names.clone());
            file
        });
        self.open.insert(descriptor, Open::File(file));
    }

    fn write(&mut self, call: &Call) {
        if let Some(Open::File(file)) = self.open.get(&call.number(0)) {
            let at = usize::try_from(call.number(3)).expect("a place in a file");
            self.files[*file].since.push(Change::Write(at, call.bytes(1)));
        }
    }

    fn name(&self, call: &Call, argument: usize) -> Option<String> {
        let name = call.text(argument).strip_prefix(&self.dir)?.to_owned();
        (!name.contains('/')).then_some(name)
    }
}

/// One system call of a trace.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name.
    pub name: String,
    arguments: Vec<String>,
    /// What it gave back; nothing when the program was killed in it.
    pub result: Option<i64>,
}

impl Call {
    fn parse(line: &str) -> Option<Self> {
        let (name, rest) = line.split_once('(')?;
        let (arguments, result) = rest.rsplit_once(" = ")?;
        let arguments = arguments.trim_end().strip_suffix(')')?;
        // No text has a comma or a bracket in it: they are all written as numbers.
        let arguments = arguments.split(", ").map(str::to_owned).collect();
        let result = result.split_whitespace().next().and_then(|number| number.parse().ok());
        Some(Self { name: name.to_owned(), arguments, result })
    }

    fn number(&self, argument: usize) -> i64 {
        self.arguments[argument].parse().expect("a number")
    }

    fn bytes(&self, argument: usize) -> Vec<u8> {
        let quoted = self.arguments[argument].trim_matches('"');
        let byte = |text| u8::from_str_radix(text, 16).expect("written in hexadecimal");
        quoted.split("\\x").skip(1).map(byte).collect()
    }

    fn text(&self, argument: usize) -> String {
        String::from_utf8(self.bytes(argument)).expect("a path of ours")
    }
}

/// The calls of a trace by `strace -f -xx`, in the order in which they ended.
#[must_use]
pub fn calls(trace: &str) -> Vec<Call> {
    let mut unfinished = HashMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            unfinished.insert(thread, begun.to_owned());
        } else if let Some((_, end)) =
            rest.split_once(" resumed>").filter(|_| rest.starts_with("<..."))
        {
            let begun: String = unfinished.remove(thread).unwrap_or_default();
            calls.extend(Call::parse(&(begun + end)));
        } else {
            calls.extend(Call::parse(rest));
        }
    }
    calls
}
