//! Metrics of an agent, as a scraper gets them.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    runtime::Builder,
    time::timeout,
};
use vipd::client::Server;

use crate::{GENEROUS, Host};

/// The answer to a request over HTTP.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its head.
    pub head: String,
    /// Its body.
    pub body: String,
}

/// Asks `server` for `path` on `host`, with more `headers`, a line each.
pub fn get(host: &Host, server: &Server, path: &str, headers: &[&str]) -> Result<Answer> {
    let lines = headers.iter().flat_map(|header| [*header, "\r\n"]).collect::<Vec<_>>().concat();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{lines}\r\n", server.endpoint);
    let ask = async {
        let mut stream = server.connect(b"http/1.1").await.map_err(|error| anyhow!(error))?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, anyhow::Error>(answer)
    };
    let limit = Duration::from_secs(20);
    let answer = host.namespace().enter(|| {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async { timeout(limit, ask).await.context("no answer")? })
    })??;
    let text = String::from_utf8(answer).context("the answer is no text")?;
    let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("`{text}` is no answer"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("`{head}` has no status"))?;
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

/// Every series and its value.
#[derive(Clone, Debug)]
pub struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    /// Those of a page in a text format.
    pub fn parse(page: &str) -> Result<Self> {
        let mut series = BTreeMap::new();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').with_context(|| format!("`{line}` is no sample"))?;
            let value: f64 = value.parse().with_context(|| format!("`{line}` has no value"))?;
            ensure!(series.insert(name.to_owned(), value).is_none(), "`{name}` is there twice");
        }
        Ok(Self(series))
    }

    /// The value of the series called `name` that has all of `labels`, such as `state="Active"`; `None` unless it is one.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let mut found = self.all(name, labels);
        found.next().filter(|_| found.next().is_none())
    }

    /// The values of all series called `name` that have all of `labels`.
    pub fn all<'a>(&'a self, name: &'a str, labels: &'a [&'a str]) -> impl Iterator<Item = f64> + 'a {
        let is_of_it = move |series: &str| {
            let (found, rest) = series.split_once('{').unwrap_or((series, ""));
            found == name && labels.iter().all(|label| rest.contains(label))
        };
        self.0.iter().filter(move |(series, _)| is_of_it(series)).map(|(_, &value)| value)
    }

    /// How many series there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Host {
    /// What the agent that listens on this host's loopback tells now, waiting for it to listen.
    pub fn scrape(&self) -> Result<Scrape> {
        let server = plain("http://127.0.0.1:9650")?;
        let page = crate::until("an agent to tell metrics", GENEROUS, || {
            Ok(get(self, &server, "/metrics", &[]).ok().filter(|answer| answer.status == 200))
        })?;
        Scrape::parse(&page.body)
    }
}

fn plain(url: &str) -> Result<Server> {
    Server::of(&url.parse()?, vipd::client::Trust::Host).context("no server")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_found_by_name_and_labels() {
        let page = "# HELP a x\na_total{b=\"1\",c=\"x y\"} 3\na_total{b=\"2\",c=\"x y\"} 4.5\nd 1\n# EOF\n";
        let scrape = Scrape::parse(page).unwrap();
        assert_eq!(scrape.value("a_total", &["b=\"2\""]), Some(4.5));
        assert_eq!(scrape.value("a_total", &["c=\"x y\""]), None);
        assert_eq!(scrape.all("a_total", &[]).map(|value| value.to_string()).collect::<Vec<_>>(), ["3", "4.5"]);
        assert_eq!((scrape.value("d", &[]), scrape.len()), (Some(1.0), 3));
        assert!(Scrape::parse("d 1\nd 2\n").is_err());
    }
}
