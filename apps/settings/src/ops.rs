//! Where a program's operators look: the one setting that a health check needs, without the secrets that serving needs.

use std::{net::SocketAddr, path::Path};

use crate::{Problems, Program, Source, reader::Reader};

/// The address of `/ready` as the program itself would read it from the same settings.
///
/// # Errors
/// The setting is malformed, or its port is 0 and so only the program knows which it took.
pub fn ops_address(program: Program, source: &dyn Source, config_file: Option<&Path>) -> Result<SocketAddr, Problems> {
    let name = match program {
        Program::Gateway => "ADMIN_ADDR",
        Program::Control => "OPS_ADDR",
    };
    let mut reader = Reader::new(program, source, config_file);
    let addr = reader.parsed::<SocketAddr>(name, "must be address:port");
    if addr.is_some_and(|addr| addr.port() == 0) {
        reader.problem(name, "has port 0: the port is chosen at start, and nobody else can know it");
    }
    reader.finish(addr)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::Environment;

    fn read(program: Program, variables: &[(&str, &str)]) -> Result<SocketAddr, String> {
        let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let environment = Environment::new(variables, |_path: &Path| Err::<Zeroizing<String>, _>("no files"));
        ops_address(program, &environment, None).map_err(|problems| problems.to_string())
    }

    #[test]
    fn the_address_is_read_without_what_serving_needs() {
        assert_eq!(read(Program::Gateway, &[]).unwrap().to_string(), "127.0.0.1:9100");
        assert_eq!(read(Program::Control, &[]).unwrap().to_string(), "127.0.0.1:9090");
        let set = [("NOVAGATE_ADMIN_ADDR", "0.0.0.0:1"), ("OPS_ADDR", "[::1]:2")];
        assert_eq!(read(Program::Gateway, &set).unwrap().to_string(), "0.0.0.0:1");
        assert_eq!(read(Program::Control, &set).unwrap().to_string(), "[::1]:2");
    }

    #[test]
    fn what_cannot_be_asked_is_a_problem_that_names_the_setting() {
        for (value, rule) in [("nonsense", "must be address:port"), ("127.0.0.1:0", "has port 0")] {
            let problems = read(Program::Control, &[("OPS_ADDR", value)]).unwrap_err();
            assert!(problems.contains("OPS_ADDR") && problems.contains(rule), "{problems}");
        }
    }
}
