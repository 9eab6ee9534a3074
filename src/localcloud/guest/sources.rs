//! Which package sources and certificates a guest gets: those of this machine's own distribution, nothing of third parties.

use std::path::Path;

/// What `/etc/os-release` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// `debian` or `ubuntu`.
    pub id: String,
    /// `bookworm`, `noble`, ….
    pub codename: String,
}

impl Distribution {
    /// Reads the text of an os-release file; `None` for distributions that mmdebstrap does not make.
    pub fn parse(text: &str) -> Option<Self> {
        let get = |key: &str| {
            let line = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='))?;
            Some(line.trim_matches('"').to_owned())
        };
        let id = get("ID").filter(|id| id == "debian" || id == "ubuntu")?;
        Some(Self { id, codename: get("VERSION_CODENAME").filter(|c| !c.is_empty())? })
    }

    /// Components of the archive that Debian's and Ubuntu's own images have in their sources.
    pub fn components(&self) -> &'static str {
        if self.id == "ubuntu" { "main,universe" } else { "main" }
    }
}

/// One-line sources for a guest out of this machine's files in `/etc/apt`; none where they name nothing that a guest can use.
pub fn of_this_machine(apt: &Path, distribution: &Distribution) -> Vec<String> {
    let mut files = vec![apt.join("sources.list")];
    if let Ok(entries) = std::fs::read_dir(apt.join("sources.list.d")) {
        files.extend(entries.flatten().map(|e| e.path()));
    }
    files.sort();
    let mut lines = Vec::new();
    for file in files {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let found = match file.extension().and_then(|e| e.to_str()) {
            Some("list") => one_line_style(&text),
            Some("sources") => deb822_style(&text),
            _ => continue,
        };
        lines.extend(found.into_iter().filter_map(|s| s.usable(distribution)));
    }
    lines.dedup();
    lines
}

#[derive(Debug, Default)]
struct Source {
    uri: String,
    suite: String,
    components: Vec<String>,
    signed_by: String,
}

impl Source {
    /// The line for a guest, if this is the distribution's own archive and a guest can reach it.
    fn usable(self, distribution: &Distribution) -> Option<String> {
        let kinds = ["", "-updates", "-security", "-backports"];
        let own_suite = kinds.iter().any(|k| self.suite == format!("{}{k}", distribution.codename));
        let own_key =
            self.signed_by.is_empty() || self.signed_by.contains(&format!("{}-archive-keyring", distribution.id));
        let reachable = self.uri.starts_with("http://") || self.uri.starts_with("https://");
        // user:password@ is a secret of this machine.
        let own_archive = self
            .uri
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .is_some_and(|last| last.starts_with(&distribution.id) && !self.uri.contains('@'));
        if !(own_suite && own_key && reachable && own_archive && self.components.iter().any(|c| c == "main")) {
            return None;
        }
        Some(format!("deb {} {} {}", self.uri, self.suite, self.components.join(" ")))
    }
}

fn one_line_style(text: &str) -> Vec<Source> {
    let each = text.lines().filter_map(|line| {
        let line = line.split('#').next()?.trim();
        let rest = line.strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => ("", rest),
        };
        let mut words = rest.split_whitespace().map(str::to_owned);
        let signed_by = options.split_whitespace().find_map(|o| o.strip_prefix("signed-by=")).unwrap_or_default();
        Some(Source {
            uri: words.next()?,
            suite: words.next()?,
            components: words.collect(),
            signed_by: signed_by.to_owned(),
        })
    });
    each.collect()
}

fn deb822_style(text: &str) -> Vec<Source> {
    let mut found = Vec::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            let lines = stanza.lines().filter(|l| !l.starts_with('#'));
            let value = lines.filter_map(|l| l.split_once(':')).find(|(n, _)| n.eq_ignore_ascii_case(name));
            value.map(|(_, v)| v.trim().to_owned()).unwrap_or_default()
        };
        if !field("Types").split_whitespace().any(|t| t == "deb") || field("Enabled").eq_ignore_ascii_case("no") {
            continue;
        }
        for uri in field("URIs").split_whitespace() {
            for suite in field("Suites").split_whitespace() {
                found.push(Source {
                    uri: uri.to_owned(),
                    suite: suite.to_owned(),
                    components: field("Components").split_whitespace().map(str::to_owned).collect(),
                    signed_by: field("Signed-By"),
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn bookworm() -> Distribution {
        Distribution::parse("NAME=x\nID=debian\nVERSION_CODENAME=bookworm\n").unwrap()
    }

    #[test]
    fn only_the_distribution_itself_reaches_a_guest() {
        let apt = tempfile::tempdir().unwrap();
        let lists = apt.path().join("sources.list.d");
        std::fs::create_dir(&lists).unwrap();
        std::fs::write(
            lists.join("debian.sources"),
            "Types: deb deb-src\n# old\nURIs: http://m/debian\nSuites: bookworm bookworm-updates\nComponents: main contrib\n\
             Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\nTypes: deb\nURIs: http://u:p@m/debian-security\n\
             Suites: bookworm-security\nComponents: main\n",
        )
        .unwrap();
        std::fs::write(
            lists.join("other.list"),
            "deb [arch=amd64 signed-by=/k.gpg] https://download.docker.com/linux/debian bookworm stable\n\
             deb https://deb.nodesource.com/node_18.x bookworm main\n# deb http://m/debian bookworm main\n",
        )
        .unwrap();
        let found = of_this_machine(apt.path(), &bookworm());
        assert_eq!(
            found,
            ["deb http://m/debian bookworm main contrib", "deb http://m/debian bookworm-updates main contrib"]
        );
    }

    #[test]
    fn mirrors_that_only_this_machine_can_read_are_passed_over() {
        let apt = tempfile::tempdir().unwrap();
        let line = "deb mirror+file:/etc/apt/apt-mirrors.txt noble main\ndeb cdrom:[x]/ noble main\n";
        std::fs::write(apt.path().join("sources.list"), line).unwrap();
        let noble = Distribution { id: "ubuntu".into(), codename: "noble".into() };
        assert!(of_this_machine(apt.path(), &noble).is_empty());
        assert_eq!(Distribution::parse("ID=fedora\nVERSION_CODENAME=x\n"), None);
    }
}
