//! What processes cost, from /proc: this one, its supervisor with all actions, and PostgreSQL, each apart.
//!
//! The tricky thing is who is whose: everything descends from us. Actions are waited for by their supervisor, so the kernel
//! adds the time of those that have ended to it; the same holds for the postmaster and its ended connections.

use anyhow::Context as _;
use std::{collections::HashMap, fs, ops::Sub};

/// The unit of /proc/*/stat. It has always been 100 on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds so far. Services that were started as processes count as our own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu {
    pub own: f64,
    pub supervisor: f64,
    /// Ended actions, or ended children of this process in a measure of floors.
    pub actions: f64,
    pub postgres: f64,
}

impl Cpu {
    pub fn now() -> anyhow::Result<Self> {
        let us = std::process::id();
        let all = stats()?;
        let own = all
            .iter()
            .find(|stat| stat.pid == us)
            .context("/proc does not show this process")?;
        let mut cpu = Self {
            own: own.used,
            actions: own.children,
            ..Self::default()
        };
        for (part, stat) in parts(us, &all) {
            match part {
                Part::Postmaster => cpu.postgres += stat.used + stat.children,
                Part::Backend => cpu.postgres += stat.used,
                Part::Service => cpu.own += stat.used,
                Part::Supervisor => {
                    cpu.supervisor += stat.used;
                    cpu.actions += stat.children;
                }
                Part::Action => cpu.actions += stat.used,
            }
        }
        Ok(cpu)
    }

    pub fn total(&self) -> f64 {
        self.own + self.supervisor + self.actions + self.postgres
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            own: self.own - before.own,
            supervisor: self.supervisor - before.supervisor,
            actions: self.actions - before.actions,
            postgres: self.postgres - before.postgres,
        }
    }
}

/// Resident memory in MB (10⁶ bytes): this process, its supervisor, PostgreSQL without what its processes share.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    pub own: f64,
    /// Services that were started as processes of their own.
    pub services: f64,
    pub supervisor: f64,
    pub postgres_private: f64,
}

impl Memory {
    pub fn now() -> anyhow::Result<Self> {
        let us = std::process::id();
        let all = stats()?;
        let mut memory = Self {
            own: field(us, "VmRSS:"),
            ..Self::default()
        };
        for (part, stat) in parts(us, &all) {
            match part {
                Part::Postmaster | Part::Backend => memory.postgres_private += field(stat.pid, "RssAnon:"),
                Part::Supervisor => memory.supervisor += field(stat.pid, "VmRSS:"),
                Part::Service => memory.services += field(stat.pid, "VmRSS:"),
                Part::Action => {}
            }
        }
        Ok(memory)
    }

    /// What one process has, in MB.
    pub fn of(pid: u32) -> f64 {
        field(pid, "VmRSS:")
    }
}

struct Stat {
    pid: u32,
    parent: u32,
    name: String,
    used: f64,
    children: f64,
}

/// What a process that descends from ours belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Postmaster,
    Backend,
    Service,
    Supervisor,
    Action,
}

fn parts(us: u32, all: &[Stat]) -> Vec<(Part, &Stat)> {
    let by_pid: HashMap<u32, &Stat> = all.iter().map(|stat| (stat.pid, stat)).collect();
    let part = |stat: &Stat| {
        let mut child = stat;
        while child.parent != us {
            child = by_pid.get(&child.parent)?;
        }
        Some(match (child.name.starts_with("postgres"), child.pid == stat.pid) {
            (true, true) => Part::Postmaster,
            (true, false) => Part::Backend,
            (false, _) if stat.name.starts_with("action-superv") => Part::Supervisor,
            (false, true) if stat.name.starts_with("attune-") => Part::Service,
            (false, _) => Part::Action,
        })
    };
    all.iter().filter_map(|stat| Some((part(stat)?, stat))).collect()
}

impl Stat {
    /// `pid (name) state ppid …`; the name may hold anything, so it ends at the last parenthesis.
    fn parse(text: &str) -> Option<Self> {
        let (pid, rest) = text.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let seconds = |at: usize| fields.get(at)?.parse().ok().map(|ticks: f64| ticks / TICKS_PER_SECOND);
        Some(Self {
            pid: pid.parse().ok()?,
            name: name.to_owned(),
            parent: fields.get(1)?.parse().ok()?,
            used: seconds(11)? + seconds(12)?,
            children: seconds(13)? + seconds(14)?,
        })
    }
}

fn stats() -> anyhow::Result<Vec<Stat>> {
    let entries = fs::read_dir("/proc").context("failed to read /proc")?;
    // A process that ends meanwhile is simply not there any more.
    Ok(entries
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .bytes()
                .all(|byte| byte.is_ascii_digit())
        })
        .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
        .filter_map(|text| Stat::parse(&text))
        .collect())
}

/// A line of `/proc/PID/status` in MB.
fn field(pid: u32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib: f64 = line
        .and_then(|line| line.split_whitespace().next())
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0.0);
    kib * 1024.0 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let text = "42 (a) b) S 7 1 1 0 -1 4 0 0 0 0 150 50 30 20 20 0 1 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.pid, stat.parent, stat.name.as_str()), (42, 7, "a) b"));
        assert!((stat.used - 2.0).abs() < 1e-9 && (stat.children - 0.5).abs() < 1e-9);
    }

    #[test]
    fn this_process_has_used_something() {
        assert!(Memory::now().unwrap().own > 1.0);
        assert!(Cpu::now().unwrap().own >= 0.0);
    }
}
