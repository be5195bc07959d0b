//! Where raw settings come from.

use std::{collections::BTreeMap, fmt, path::Path};

use zeroize::Zeroizing;

/// A cause from outside. Its text must not contain what was read.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// The outside world of the settings: an argument, so that no test changes the environment of the process.
pub trait Source {
    /// The value of an environment variable.
    fn get(&self, key: &str) -> Option<String>;

    /// The names of all environment variables.
    fn keys(&self) -> Vec<String>;

    /// The content of a text file.
    fn read_file(&self, path: &Path) -> Result<Zeroizing<String>, BoxError>;
}

type ReadFile = dyn Fn(&Path) -> Result<Zeroizing<String>, BoxError> + Send + Sync;

/// Variables and a way to read files: `Environment::new(novagate_system::environment(),
/// novagate_system::read_secret_file)` in a binary, fixed ones in a test or in a program that starts another one inside.
pub struct Environment {
    variables: BTreeMap<String, String>,
    read: Box<ReadFile>,
}

impl Environment {
    /// An environment of these variables; a later one of the same name wins.
    pub fn new<E: Into<BoxError>>(
        variables: impl IntoIterator<Item = (String, String)>,
        read: impl Fn(&Path) -> Result<Zeroizing<String>, E> + Send + Sync + 'static,
    ) -> Self {
        Self { variables: variables.into_iter().collect(), read: Box::new(move |path| read(path).map_err(Into::into)) }
    }
}

impl Source for Environment {
    fn get(&self, key: &str) -> Option<String> {
        self.variables.get(key).cloned()
    }

    fn keys(&self) -> Vec<String> {
        self.variables.keys().cloned().collect()
    }

    fn read_file(&self, path: &Path) -> Result<Zeroizing<String>, BoxError> {
        (self.read)(path)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Environment({} variables)", self.variables.len())
    }
}
