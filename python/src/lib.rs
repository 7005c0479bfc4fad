//! `mergan._mergan`: what the Python module `mergan` is made of. The package beside it has the signatures, their
//! defaults and the documentation for users; here values are converted, and the work is handed to the library.

mod arrays;
mod compute;
mod distances;
mod errors;
mod generator;
mod records;
mod training;

use pyo3::prelude::*;

/// The native part of the package.
#[pymodule]
mod _mergan {
    use std::ffi::OsString;
    use std::io::Write;

    use mergan_cli::Call;
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::distances::{distances, noise_network, save_statistics};
    #[pymodule_export]
    use super::errors::MerganError;
    #[pymodule_export]
    use super::generator::Generator;
    #[pymodule_export]
    use super::records::{read_config, read_events, read_scores};
    #[pymodule_export]
    use super::training::{resume, train};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }

    /// Runs the command with these words and returns its exit code. `program` starts it in another process.
    #[pyfunction]
    fn command(py: Python<'_>, program: Vec<OsString>, words: Vec<OsString>) -> u8 {
        py.detach(|| {
            let code = mergan_cli::run(Call { program, words });
            // Python ends without Rust's end of a program, which would do this; a reader that has gone away is no error.
            let _ = std::io::stdout().flush();
            code.0
        })
    }
}
