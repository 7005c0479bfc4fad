//! `--out`: what a path to be written says about the form of the output.

use std::path::Path;

use anyhow::{Result, bail};

/// A form of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A file whose name ends in a dot and this, in any case.
    File(&'static str),
    /// A folder: the path exists as one, or ends in a slash.
    Folder,
}

impl Form {
    /// Returns which of `forms` the path names; `--out` and the path begin the error if it is none of them.
    pub fn of(path: &Path, forms: &[Form]) -> Result<Form> {
        let ending = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let names_a_folder = path.is_dir() || path.to_string_lossy().ends_with(std::path::is_separator);
        let fits = |form: &&Form| match form {
            Form::File(known) => !names_a_folder && ending.eq_ignore_ascii_case(known),
            Form::Folder => names_a_folder,
        };
        let describe = |form: &Form| match form {
            Form::File(known) => format!(".{known}"),
            Form::Folder => "/ for a folder".into(),
        };
        match forms.iter().find(fits) {
            Some(&form) => Ok(form),
            None => {
                let forms = forms.iter().map(describe).collect::<Vec<_>>();
                let known = match &forms[..] {
                    [one] => one.clone(),
                    [first @ .., last] => format!("{} or {last}", first.join(", ")),
                    [] => unreachable!("every command has a form of output"),
                };
                bail!("--out {}: the name must end in {known}", path.display())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_may_have_any_case_and_folders_exist_or_end_in_a_slash() {
        let folder = tempfile::tempdir().unwrap();
        let named = folder.path().join("a.png");
        std::fs::create_dir(&named).unwrap();
        let forms = [Form::File("png"), Form::File("npy"), Form::Folder];
        let form = |path: &str| Form::of(Path::new(path), &forms);
        assert_eq!(form("no/A.PNG").unwrap(), Form::File("png"));
        assert_eq!(form("b.Npy").unwrap(), Form::File("npy"));
        assert_eq!([form("new/").unwrap(), form(named.to_str().unwrap()).unwrap()], [Form::Folder; 2]);
        for path in ["a.jpg", "png", "a", ".png", ""] {
            let error = form(path).unwrap_err().to_string();
            assert_eq!(error, format!("--out {path}: the name must end in .png, .npy or / for a folder"));
        }
        let error = Form::of(&named, &forms[..1]).unwrap_err().to_string();
        assert!(error.ends_with("a.png: the name must end in .png"), "{error}");
    }
}
