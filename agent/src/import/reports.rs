//! Who is told of changes: `notify...`, FIFOs and mail to `[[notify]]`.

use lettre::message::Mailbox;

use super::{
    Host,
    checks::{no_user, runnable, user},
    model::{Program, Reports},
    note::{Notes, Place},
    toml::{Keys, Table, array, quoted},
};

/// What is told, and of whom.
struct Target {
    base: String,
    keys: Keys,
    /// Virtual routers and groups; `None` for all.
    about: Option<Vec<String>>,
}

/// What a host says of whom to tell about a virtual router or a group.
pub(super) struct Saying<'h> {
    pub(super) host: &'h Host,
    pub(super) place: &'h Place,
    pub(super) reports: &'h Reports,
}

impl Saying<'_> {
    /// The programs and their keys.
    fn programs(&self) -> Vec<(&Program, Keys)> {
        let programs = self.reports.programs.iter().filter(|program| !program.command.is_empty());
        programs.map(|program| (program, keys(program, self.host))).collect()
    }

    fn is_mailed(&self) -> bool {
        self.reports.mail.unwrap_or(self.host.read.globals.mail.by_default.is_some())
    }

    /// The keys for mail, if there is any.
    fn mail(&self) -> Option<Keys> {
        if self.is_mailed() { mail(self.host) } else { None }
    }
}

/// Collects targets; one that is the same for several virtual routers is one.
#[derive(Default)]
pub(super) struct Targets {
    targets: Vec<Target>,
    /// Who gets mail, added behind the programs.
    mailed: Vec<(String, Keys)>,
}

impl Targets {
    /// Adds what is told about `name`, a virtual router or a group.
    pub(super) fn add<'h>(&mut self, name: &str, sayings: impl Iterator<Item = Saying<'h>>, notes: &mut Notes) {
        let sayings: Vec<_> = sayings.collect();
        let Some((first, others)) = sayings.split_first() else { return };
        for (program, keys) in first.programs() {
            self.program(name, program, keys, first.host, notes);
        }
        if first.is_mailed() {
            mail_notes(first, notes);
            self.mailed.extend(first.mail().map(|keys| (name.to_owned(), keys)));
        }
        let sorted = |saying: &Saying<'_>| {
            let mut keys: Vec<_> = saying.programs().into_iter().map(|(_, keys)| keys).collect();
            keys.sort();
            keys
        };
        for other in others {
            if sorted(other) != sorted(first) {
                let place = other.reports.programs.first().map_or(other.place, |program| &program.place);
                let what = format!(
                    "{name} tells other programs here than at {}, and all nodes of vipd run the same",
                    first.place
                );
                notes.lost(place, what, "make it the same on every host; the latter is imported");
            }
            if other.mail() != first.mail() {
                let what = format!("{name}: mail is sent otherwise here than at {}", first.place);
                notes.changed(
                    other.place,
                    what,
                    "nothing, if the latter will do for all hosts: each message names its node",
                );
            }
        }
    }

    fn program(&mut self, name: &str, program: &Program, keys: Keys, host: &Host, notes: &mut Notes) {
        if program.on.is_some() {
            let what =
                "programs for one state get keepalived's four arguments too: INSTANCE or GROUP, name, state, priority";
            notes.changed(&program.place, what, "see that the program bears them");
        }
        if program.user.is_none() && host.read.globals.script_user.is_none() {
            no_user(&program.place, notes);
        }
        let stem = program.command[0].rsplit('/').next().unwrap_or_default().to_owned();
        self.target(if stem.trim().is_empty() { "program".to_owned() } else { stem }, keys, name);
    }

    fn target(&mut self, base: String, keys: Keys, name: &str) {
        match self.targets.iter_mut().find(|target| target.keys == keys) {
            Some(Target { about: Some(about), .. }) if !about.iter().any(|known| known == name) => {
                about.push(name.to_owned());
            }
            Some(_) => {}
            None => self.targets.push(Target { base, keys, about: Some(vec![name.to_owned()]) }),
        }
    }

    /// The tables; `all` are the names of all virtual routers and groups.
    pub(super) fn into_tables(mut self, all: &[String], hosts: &[Host]) -> Vec<Table> {
        for (name, keys) in std::mem::take(&mut self.mailed) {
            self.target("mail".to_owned(), keys, &name);
        }
        for fifo in hosts.iter().flat_map(|host| &host.read.globals.fifos) {
            let keys = vec![("fifo", quoted(&fifo.value))];
            if !self.targets.iter().any(|target| target.keys == keys) {
                self.targets.push(Target { base: "fifo".to_owned(), keys, about: None });
            }
        }
        let mut names: Vec<String> = Vec::new();
        let tables = self.targets.into_iter().map(|target| {
            let candidates = std::iter::once(target.base.clone());
            let mut candidates = candidates.chain((2_u32..).map(|count| format!("{}-{count}", target.base)));
            let name = candidates.find(|name| !names.contains(name)).unwrap_or_default();
            names.push(name.clone());
            let mut keys = vec![("name", quoted(&name))];
            keys.extend(target.keys);
            if let Some(about) = target.about.filter(|about| !all.iter().all(|name| about.contains(name))) {
                keys.push(("routers", array(&about)));
            }
            Table { heading: "[[notify]]", comments: Vec::new(), keys }
        });
        tables.collect()
    }
}

/// The keys for a program.
fn keys(program: &Program, host: &Host) -> Keys {
    let mut keys = vec![("exec", array(runnable(&program.command)))];
    keys.extend(program.on.map(|on| ("on", array([on]))));
    keys.extend(user(program.user.as_ref().or(host.read.globals.script_user.as_ref())));
    keys
}

fn is_mailbox(text: &str) -> bool {
    text.parse::<Mailbox>().is_ok()
}

/// The keys for mail; `None` where it is not said to whom, or by whom.
fn mail(host: &Host) -> Option<Keys> {
    let mail = &host.read.globals.mail;
    let to: Vec<_> = mail.to.iter().map(|to| &to.value).filter(|to| is_mailbox(to)).collect();
    let from = mail.from.as_ref().filter(|from| is_mailbox(&from.value))?;
    let server = mail.server.as_ref().filter(|_| !to.is_empty())?;
    let mut keys = vec![
        ("mail", array(to)),
        ("from", quoted(&from.value)),
        ("server", quoted(&server.value)),
        ("tls", quoted("off")),
    ];
    if mail.without_faults {
        keys.push(("on", array(["Active", "Backup", "Initialize", "Stopped", "Deleted"])));
    }
    Some(keys)
}

fn mail_notes(saying: &Saying<'_>, notes: &mut Notes) {
    let settings = &saying.host.read.globals.mail;
    for to in settings.to.iter().filter(|to| !is_mailbox(&to.value)) {
        let what = format!("{:?} is no e-mail address, and gets no mail", to.value);
        notes.changed(&to.place, what, "write it as name@domain");
    }
    match (&settings.server, saying.mail()) {
        (Some(server), Some(_)) => {
            let what = "mail has another subject and text, and tells of changes within 2 s together";
            notes.changed(&server.place, what, "nothing");
        }
        _ => {
            let what = "smtp_alert without notification_email, notification_email_from or smtp_server: no mail is sent";
            notes.changed(saying.place, what, "add a [[notify]] with mail, from and server");
        }
    }
}
