//! Settings from a TOML file, each mistake with its place.

use std::{fs::File, io::Read, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Config, Fault,
    setting::{self, SETTINGS, Setting, Shape, Value},
};

const FILE_BYTES_MAX: u64 = 1024 * 1024;

type Item<'a> = Spanned<DeValue<'a>>;

/// Sets what the file says; what it says wrongly becomes a fault.
pub(super) fn apply(path: &Path, config: &mut Config, faults: &mut Vec<Fault>) {
    match read(path) {
        Ok(text) => Reader { path, text: &text, faults }.apply(config),
        Err(why) => faults.push(Fault::new(path.display(), format!("cannot be read: {why}"))),
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let file = File::open(path)?;
    if file.metadata()?.len() > FILE_BYTES_MAX {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    faults: &'a mut Vec<Fault>,
}

impl Reader<'_> {
    fn apply(mut self, config: &mut Config) {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let end = self.text.len();
            self.fault(error.span().unwrap_or(end..end), error.message());
        }
        // After a syntax error the rest is guesswork, and complaints about it would confuse.
        if errors.is_empty() {
            self.apply_table(table.get_ref(), config);
        }
    }

    fn apply_table(&mut self, table: &DeTable<'_>, config: &mut Config) {
        for (key, item) in table {
            let Some(setting) = setting::find(key.get_ref()) else {
                self.unknown(key.get_ref(), key.span());
                continue;
            };
            if let Some(value) = self.value(setting, item) {
                (setting.put)(config, value);
            }
        }
    }

    fn unknown(&mut self, key: &str, span: std::ops::Range<usize>) {
        let keys = SETTINGS.iter().map(|setting| setting.key);
        let help = match setting::suggestion(key, keys.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the keys are {}", keys.collect::<Vec<_>>().join(", ")),
        };
        let message = format!("unknown key `{key}`");
        self.faults.push(Fault::in_file(self.path, self.text, span, message).help(help));
    }

    fn value(&mut self, setting: &Setting, item: &Item<'_>) -> Option<Value> {
        match (setting.shape, item.get_ref()) {
            (Shape::Text, DeValue::String(_)) => Some(Value::Text(self.text(setting, item)?)),
            (Shape::Flag, DeValue::Boolean(flag)) => Some(Value::Flag(*flag)),
            (Shape::List, DeValue::Array(items)) => {
                // Every item is looked at, so that all mistakes are found.
                let items: Vec<_> = items.iter().map(|item| self.text(setting, item)).collect();
                items.into_iter().collect::<Option<_>>().map(Value::List)
            }
            (shape, found) => {
                let found = found.type_str();
                let message =
                    format!("`{}` is {}; this is of type {found}", setting.key, wanted(shape));
                let fault = Fault::in_file(self.path, self.text, item.span(), message);
                self.faults.push(match setting.example {
                    "" => fault,
                    example => fault.help(format!("write it as `{} = {example:?}`", setting.key)),
                });
                None
            }
        }
    }

    fn text(&mut self, setting: &Setting, item: &Item<'_>) -> Option<String> {
        let Some(text) = item.get_ref().as_str() else {
            let found = item.get_ref().type_str();
            self.fault(
                item.span(),
                format!("`{}` takes texts; this is of type {found}", setting.key),
            );
            return None;
        };
        let absolute =
            if setting.key == "data_dir" { setting::check_absolute(text) } else { Ok(()) };
        if let Err(why) = absolute.and_then(|()| (setting.check)(text)) {
            self.fault(item.span(), why);
            return None;
        }
        Some(text.to_owned())
    }

    fn fault(&mut self, span: std::ops::Range<usize>, message: impl Into<String>) {
        self.faults.push(Fault::in_file(self.path, self.text, span, message));
    }
}

const fn wanted(shape: Shape) -> &'static str {
    match shape {
        Shape::Text => "a text in quotes",
        Shape::Flag => "`true` or `false`",
        Shape::List => "a list of texts in brackets",
    }
}
