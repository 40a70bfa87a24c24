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

/// Collects targets; one that is the same for several virtual routers is one.
#[derive(Default)]
pub(super) struct Targets {
    targets: Vec<Target>,
    mailed: Vec<(usize, String, Place)>,
}

impl Targets {
    /// Adds what `name`, a virtual router or a group, tells on the host `at`.
    pub(super) fn add(
        &mut self,
        name: &str,
        place: &Place,
        reports: &Reports,
        at: usize,
        host: &Host,
        notes: &mut Notes,
    ) {
        for program in &reports.programs {
            self.program(name, program, host, notes);
        }
        if reports.mail.unwrap_or(host.read.globals.mail.by_default.is_some()) {
            self.mailed.push((at, name.to_owned(), place.clone()));
        }
    }

    fn program(&mut self, name: &str, program: &Program, host: &Host, notes: &mut Notes) {
        if program.command.is_empty() {
            return;
        }
        if program.on.is_some() {
            let what =
                "programs for one state get keepalived's four arguments too: INSTANCE or GROUP, name, state, priority";
            notes.changed(&program.place, what, "see that the program bears them");
        }
        let who = program.user.as_ref().or(host.read.globals.script_user.as_ref());
        if who.is_none() {
            no_user(&program.place, notes);
        }
        let mut keys = vec![("exec", array(runnable(&program.command)))];
        keys.extend(program.on.map(|on| ("on", array([on]))));
        keys.extend(user(who));
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
    pub(super) fn into_tables(mut self, all: &[String], hosts: &[Host], notes: &mut Notes) -> Vec<Table> {
        let mailed = std::mem::take(&mut self.mailed);
        for (at, name, place) in mailed {
            if let Some(keys) = mail(&hosts[at], &place, notes) {
                self.target("mail".to_owned(), keys, &name);
            }
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

/// The keys for mail; `None` where it is not said to whom, or by whom.
fn mail(host: &Host, place: &Place, notes: &mut Notes) -> Option<Keys> {
    let mail = &host.read.globals.mail;
    let is_mailbox = |text: &str| text.parse::<Mailbox>().is_ok();
    let (to, not): (Vec<_>, Vec<_>) = mail.to.iter().partition(|to| is_mailbox(&to.value));
    for to in not {
        let what = format!("{:?} is no e-mail address, and gets no mail", to.value);
        notes.changed(&to.place, what, "write it as name@domain");
    }
    let from = mail.from.as_ref().filter(|from| is_mailbox(&from.value));
    let (Some(from), Some(server), false) = (from, &mail.server, to.is_empty()) else {
        let what = "smtp_alert without notification_email, notification_email_from or smtp_server: no mail is sent";
        notes.changed(place, what, "add a [[notify]] with mail, from and server");
        return None;
    };
    let mut keys = vec![
        ("mail", array(to.iter().map(|to| &to.value))),
        ("from", quoted(&from.value)),
        ("server", quoted(&server.value)),
        ("tls", quoted("off")),
    ];
    if mail.without_faults {
        keys.push(("on", array(["Active", "Backup", "Initialize", "Stopped", "Deleted"])));
    }
    notes.changed(
        &server.place,
        "mail has another subject and text, and tells of changes within 2 s together",
        "nothing",
    );
    Some(keys)
}
