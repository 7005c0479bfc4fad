//! Packs the PTX of the kernels for a build with the feature `cuda`; other builds hold no PTX.

fn main() {
    println!("cargo::rerun-if-changed=ptx");
    #[cfg(feature = "cuda")]
    kernels::pack().expect("the modules in ptx/ can be packed");
}

#[cfg(feature = "cuda")]
mod kernels {
    use std::io::{Result, Write};
    use std::path::{Path, PathBuf};
    use std::{env, fs};

    use flate2::Compression;
    use flate2::write::DeflateEncoder;

    /// Deflates every `ptx/<set>/<module>.ptx`, and writes `modules.rs`: the value of `MODULES` in `cuda/modules.rs`.
    pub fn pack() -> Result<()> {
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo names a folder for what is made"));
        let mut table = String::from("&[\n");
        for set in entries(Path::new("ptx"))?.iter().filter(|path| path.is_dir()) {
            for module in entries(set)? {
                let (set, name) = (stem(set), stem(&module));
                let file = format!("{set}-{name}.deflate");
                let mut deflated = DeflateEncoder::new(fs::File::create(out.join(&file))?, Compression::best());
                deflated.write_all(&fs::read(&module)?)?;
                deflated.finish()?;
                let inflated = format!("LazyLock::new(|| inflate(include_bytes!({file:?})))");
                let ptx = format!("{{ static PTX: LazyLock<String> = {inflated}; &PTX }}");
                table += &format!("    Module {{ name: {name:?}, set: {set:?}, ptx: {ptx} }},\n");
            }
        }
        fs::write(out.join("modules.rs"), table + "]\n")
    }

    /// Lists a folder, ordered by name.
    fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
        let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    }

    /// Returns the last part of a path without its ending.
    fn stem(path: &Path) -> String {
        path.file_stem().expect("entries of a folder have names").to_string_lossy().into_owned()
    }
}
