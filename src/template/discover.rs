//! Which files make up a template.

use image_action_lang::Diagnostic;
use std::path::{Path, PathBuf};

/// The files of a template.
#[derive(Debug, Default)]
pub struct Files {
    /// Configuration, native files before JSON ones, each by name.
    pub config: Vec<PathBuf>,
    /// Variable files that are read by themselves, likewise.
    pub auto_vars: Vec<PathBuf>,
    /// What `path.root` is: the directory as it was typed.
    pub root: String,
}

/// Finds the files of `argument`, a directory or one file, below `cwd`. Paths come out as the user would reach them.
///
/// # Errors
/// Where there is no template.
pub fn discover(argument: &str, cwd: &Path) -> Result<Files, Diagnostic> {
    let path = Path::new(argument);
    let absolute = cwd.join(path);
    if absolute.is_dir() {
        return directory(argument, path, &absolute);
    }
    let is_template = argument.ends_with(".pkr.hcl") || argument.ends_with(".pkr.json");
    if !absolute.exists() {
        return Err(Diagnostic::error(format!("There is no file or directory {argument}"))
            .detail("A template is a directory with *.pkr.hcl or *.pkr.json files, or one such file.")
            .hint(format!("look from the working directory, {}", cwd.display())));
    }
    if !is_template {
        return Err(Diagnostic::error(format!("{argument} is not an HCL2 template"))
            .detail("Templates have names that end in .pkr.hcl or .pkr.json; the JSON templates of before Packer 1.7 are not supported.")
            .hint("rename an HCL2 file; `packer hcl2_upgrade` makes one of an old JSON template"));
    }
    let root = path.parent().map(|p| p.to_string_lossy().into_owned()).filter(|p| !p.is_empty());
    Ok(Files { config: vec![clean(path)], auto_vars: Vec::new(), root: root.unwrap_or_else(|| ".".to_owned()) })
}

fn directory(argument: &str, path: &Path, absolute: &Path) -> Result<Files, Diagnostic> {
    let entries = std::fs::read_dir(absolute)
        .map_err(|e| Diagnostic::error(format!("Cannot read the directory {argument}")).detail(format!("{e}.")))?;
    let mut names: Vec<String> = entries
        .filter_map(|e| e.ok().filter(|e| e.path().is_file()))
        .filter_map(|e| e.file_name().into_string().ok())
        .collect();
    names.sort();
    let ending =
        |end: &str| names.iter().filter(|n| n.ends_with(end)).map(|n| clean(&path.join(n))).collect::<Vec<_>>();
    let config = [ending(".pkr.hcl"), ending(".pkr.json")].concat();
    if config.is_empty() {
        let near = names.iter().find(|n| n.to_lowercase().ends_with(".hcl"));
        let d = Diagnostic::error(format!("Could not find any config file in {argument}"))
            .detail("A template directory holds files whose names end in .pkr.hcl or .pkr.json.");
        return Err(match near {
            Some(name) => d.hint(format!("{name} is passed over: its name does not end in .pkr.hcl")),
            None => d,
        });
    }
    let auto_vars = [ending(".auto.pkrvars.hcl"), ending(".auto.pkrvars.json")].concat();
    Ok(Files { config, auto_vars, root: argument.replace('\\', "/") })
}

/// The path without `.` in it.
pub fn clean(path: &Path) -> PathBuf {
    let cleaned: PathBuf = path.components().filter(|c| !matches!(c, std::path::Component::CurDir)).collect();
    if cleaned.as_os_str().is_empty() { PathBuf::from(".") } else { cleaned }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn native_before_json_and_auto_files_for_directories_only() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.pkr.json", "z.pkr.hcl", "a.pkr.hcl", "v.auto.pkrvars.hcl", "x.hcl", "n.pkrvars.hcl"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        std::fs::create_dir(dir.path().join("sub.pkr.hcl")).unwrap();
        let files = discover(".", dir.path()).unwrap();
        assert_eq!(files.config, ["a.pkr.hcl", "z.pkr.hcl", "b.pkr.json"].map(PathBuf::from));
        assert_eq!((files.auto_vars.len(), files.root.as_str()), (1, "."));
        let one = discover("./a.pkr.hcl", dir.path()).unwrap();
        assert_eq!((one.config, one.auto_vars.len()), (vec![PathBuf::from("a.pkr.hcl")], 0));
        assert!(discover("x.hcl", dir.path()).is_err());
        assert!(discover("none", dir.path()).is_err());
    }
}
