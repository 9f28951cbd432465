//! Who reaches whom: all pairs tried at once, and the table compared with the expected one.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::pod::Pod;
use crate::probe::{Probe, ProbeResult, Protocol};
use crate::site::Site;

/// Something to reach: a column of a truth table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What the column is called.
    pub name: String,
    /// Over which protocol.
    pub protocol: Protocol,
    /// Where.
    pub to: SocketAddr,
    /// Names of the sites that may answer.
    pub by: Vec<String>,
}

impl Target {
    /// A pod's port in both protocols and families, named `namespace.pod:port/tcp4`.
    pub fn of_pod(pod: &Pod, port: u16) -> Vec<Self> {
        let by = vec![pod.site().name().to_owned()];
        Self::dual(pod.site().name(), pod.address().both().map(|address| (address, port).into()), &by)
    }

    /// Both protocols at each address, named `name:port/tcp4` and so on.
    pub fn dual(name: &str, addresses: [SocketAddr; 2], by: &[String]) -> Vec<Self> {
        let mut targets = Vec::new();
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            for to in addresses {
                let family = if to.is_ipv4() { 4 } else { 6 };
                let name = format!("{name}:{}/{protocol}{family}", to.port());
                targets.push(Self { name, protocol, to, by: by.to_vec() });
            }
        }
        targets
    }
}

/// What became of one pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// An answer of one of the target's sites; printed `+`.
    Yes,
    /// Silence, as of a dropped packet; printed `-`.
    No,
    /// Connection refused; printed `x`.
    Refused,
    /// Anything else: another errno, an answer of the wrong site; printed `?` and below the table.
    Other(String),
}

impl Reach {
    fn sign(&self) -> char {
        match self {
            Self::Yes => '+',
            Self::No => '-',
            Self::Refused => 'x',
            Self::Other(_) => '?',
        }
    }

    fn of(result: ProbeResult, target: &Target) -> Self {
        match result {
            ProbeResult::Answered { by, .. } if target.by.contains(&by) => Self::Yes,
            ProbeResult::Answered { by, .. } => Self::Other(format!("answered by {by}")),
            ProbeResult::Silent => Self::No,
            ProbeResult::Failed(errno) if errno == "ECONNREFUSED" => Self::Refused,
            ProbeResult::Failed(reason) => Self::Other(reason),
        }
    }
}

/// A table of sites that ask and targets that are asked. Prints as text, one row a target, one column a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruthTable {
    sources: Vec<String>,
    targets: Vec<String>,
    cells: BTreeMap<(usize, usize), Reach>,
}

impl TruthTable {
    /// Has every site try every target, all at once; a target that says nothing for `limit` is not reached.
    ///
    /// # Errors
    ///
    /// A process in a site died.
    pub fn probe(sources: &[Site], targets: &[Target], limit: Duration) -> Result<Self> {
        let probes: Vec<_> = targets
            .iter()
            .map(|target| match target.protocol {
                Protocol::Tcp => Probe::tcp(target.to),
                Protocol::Udp => Probe::udp(target.to),
            })
            .collect();
        let rows = thread::scope(|scope| {
            let asking: Vec<_> =
                sources.iter().map(|source| scope.spawn(|| source.probe(&probes, limit))).collect();
            asking
                .into_iter()
                .map(|row| row.join().map_err(|_| anyhow!("a probing thread panicked"))?)
                .collect::<Result<Vec<_>>>()
        })?;
        let cells = rows
            .into_iter()
            .enumerate()
            .flat_map(|(source, row)| {
                row.into_iter()
                    .zip(targets)
                    .enumerate()
                    .map(move |(target, (result, of))| ((source, target), Reach::of(result, of)))
            })
            .collect();
        Ok(Self { cells, ..Self::empty(sources, targets) })
    }

    /// The table that should be: `reach` says of each site's name and target what is.
    pub fn expected(sources: &[Site], targets: &[Target], reach: impl Fn(&str, &Target) -> Reach) -> Self {
        let mut table = Self::empty(sources, targets);
        for (source, site) in sources.iter().enumerate() {
            for (target, of) in targets.iter().enumerate() {
                table.cells.insert((source, target), reach(site.name(), of));
            }
        }
        table
    }

    /// Reads what [`fmt::Display`] prints; cells of `?` are no expectation and are refused.
    ///
    /// # Errors
    ///
    /// A row has another number of cells than the head, or a cell is none of `+`, `-` and `x`.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let head = lines.next().context("an empty table")?;
        let sources: Vec<_> = head.split_whitespace().map(str::to_owned).collect();
        let mut table = Self { sources, targets: Vec::new(), cells: BTreeMap::new() };
        for line in lines {
            let mut words = line.split_whitespace();
            let target = table.targets.len();
            table.targets.push(words.next().context("a row without a name")?.to_owned());
            let cells: Vec<_> = words.collect();
            ensure!(cells.len() == table.sources.len(), "{} cells in {line:?}", cells.len());
            for (source, cell) in cells.into_iter().enumerate() {
                let reach = match cell {
                    "+" => Reach::Yes,
                    "-" => Reach::No,
                    "x" => Reach::Refused,
                    other => bail!("{other:?} is no expectation, in {line:?}"),
                };
                table.cells.insert((source, target), reach);
            }
        }
        Ok(table)
    }

    /// What became of a pair, by the names of both.
    pub fn reach(&self, source: &str, target: &str) -> Option<&Reach> {
        let source = self.sources.iter().position(|name| name == source)?;
        let target = self.targets.iter().position(|name| name == target)?;
        self.cells.get(&(source, target))
    }

    /// Makes sure that the table is as expected.
    ///
    /// # Errors
    ///
    /// It is not: the error names the pairs and prints both tables.
    pub fn ensure_is(&self, expected: &Self) -> Result<()> {
        if self == expected {
            return Ok(());
        }
        let mut wrong = Vec::new();
        if (&self.sources, &self.targets) != (&expected.sources, &expected.targets) {
            wrong.push("they are about different sites or targets".to_owned());
        }
        for (pair, reach) in &self.cells {
            match expected.cells.get(pair) {
                Some(wanted) if wanted == reach => {}
                wanted => {
                    let (source, target) = (&self.sources[pair.0], &self.targets[pair.1]);
                    wrong.push(format!("{source} to {target}: {reach:?} instead of {wanted:?}"));
                }
            }
        }
        bail!("{}\nfound\n{self}\nexpected\n{expected}", wrong.join("\n"));
    }

    fn empty(sources: &[Site], targets: &[Target]) -> Self {
        Self {
            sources: sources.iter().map(|site| site.name().to_owned()).collect(),
            targets: targets.iter().map(|target| target.name.clone()).collect(),
            cells: BTreeMap::new(),
        }
    }
}

impl fmt::Display for TruthTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.targets.iter().map(String::len).max().unwrap_or(0);
        write!(f, "{:width$}", "")?;
        self.sources.iter().try_for_each(|source| write!(f, "  {source}"))?;
        let mut notes = Vec::new();
        for (target, name) in self.targets.iter().enumerate() {
            write!(f, "\n{name:width$}")?;
            for (source, of) in self.sources.iter().enumerate() {
                let reach = self.cells.get(&(source, target));
                write!(f, "  {:^1$}", reach.map_or(' ', Reach::sign), of.len())?;
                if let Some(Reach::Other(what)) = reach {
                    notes.push(format!("\n{of} to {name}: {what}"));
                }
            }
        }
        writeln!(f, "{}", notes.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
                   a.x  a.longer
        b.y:80/tcp4  +     -
        b.y:80/udp6  x     +
    ";

    #[test]
    fn a_table_reads_as_it_prints() {
        let table = TruthTable::parse(TEXT).unwrap();
        assert_eq!(TruthTable::parse(&table.to_string()).unwrap(), table);
        assert_eq!(table.reach("a.x", "b.y:80/udp6"), Some(&Reach::Refused));
        assert_eq!(table.reach("a.longer", "b.y:80/tcp4"), Some(&Reach::No));
        assert_eq!(table.reach("a.longer", "b.z:80/tcp4"), None);
        assert!(TruthTable::parse("a b\nt + -\nu +").is_err());
        assert!(TruthTable::parse("a\nt ?").is_err());
    }

    #[test]
    fn a_difference_is_named_and_a_table_about_others_is_one() {
        let expected = TruthTable::parse(TEXT).unwrap();
        expected.ensure_is(&expected.clone()).unwrap();
        let mut found = expected.clone();
        found.cells.insert((1, 0), Reach::Other("EPERM".into()));
        let error = found.ensure_is(&expected).unwrap_err().to_string();
        assert!(error.contains("a.longer to b.y:80/tcp4: Other(\"EPERM\") instead of Some(No)"), "{error}");
        let others = TruthTable::parse("a.x c.z\nb.y:80/tcp4 + -\nb.y:80/udp6 x +").unwrap();
        assert!(expected.ensure_is(&others).is_err());
    }
}
