//! More than can be heard.

use super::*;

/// What the Active has sent while it was flooded.
pub(super) struct Flooded {
    /// Adverts.
    pub(super) sent: usize,
    /// Adverts that were due without a flood.
    pub(super) regular: usize,
    /// Announcements.
    pub(super) announcements: usize,
}

/// Floods the Active with `frames` for some seconds.
pub(super) fn of_losing_adverts(siege: &Siege, frames: &[Vec<u8>]) -> Result<Flooded> {
    const SPAN: Duration = Duration::from_secs(4);
    let capture = Capture::start(siege.cluster.client.namespace(), Host::INTERFACE)?;
    let start = Instant::now();
    siege.wire(0)?.flood_until(start + SPAN, frames)?;
    let end = Instant::now();
    let during = |frame: &&Captured| start < frame.at && frame.at < end;
    let sent = genuine(siege, &capture, 0, Family::Ipv4).iter().filter(during).count();
    let n1 = siege.node(0).mac();
    let told = |frame: &&Captured| {
        decode::announcement(&frame.bytes).is_some_and(|told| told.mac == n1 && told.address.is_ipv4())
    };
    let announcements = capture.frames().iter().filter(during).filter(told).count();
    let regular = usize::try_from(end.duration_since(start).as_millis() / 500)?;
    Ok(Flooded { sent, regular, announcements })
}

/// The value that nine of ten do not exceed.
fn percentile_90(sorted: &[Duration]) -> Duration {
    sorted.get((sorted.len() * 9).div_ceil(10).saturating_sub(1)).copied().unwrap_or_default()
}

/// How late each advert of the first node was after the one before it, in order of size.
fn lateness(siege: &Siege, capture: &Capture, interval: Duration) -> Vec<Duration> {
    let mut late: Vec<_> = FAMILIES
        .iter()
        .flat_map(|&family| {
            let adverts = genuine(siege, capture, 0, family);
            adverts.windows(2).map(|pair| (pair[1].at - pair[0].at).saturating_sub(interval)).collect::<Vec<_>>()
        })
        .collect();
    late.sort_unstable();
    late
}

/// Ten seconds of forged adverts as fast as this machine sends, to the Active and to a Backup, half of them with a trailer
/// that only its code betrays: no state changes, and of the Active's adverts nine in ten are less than 100 ms late.
///
/// Prints how late they were; the limit is no lower because whoever floods has the same CPUs.
#[test]
fn row_13_a_flood_of_adverts() -> Result<()> {
    const SPAN: Duration = Duration::from_secs(10);
    const INTERVAL: Duration = Duration::from_millis(10 * Siege::INTERVAL_CS as u64);
    const LATE: Duration = Duration::from_millis(100);
    let lab = lab!();
    let siege = enforcing(&lab, 3)?;
    let [quiet, flooded] = [false, true].map(|is_flooded| -> Result<_> {
        let capture = Capture::start(siege.cluster.client.namespace(), Host::INTERFACE)?;
        let end = Instant::now() + SPAN;
        let sent = if is_flooded { storm(&siege, end)? } else { Vec::new() };
        thread::sleep(end.saturating_duration_since(Instant::now()));
        Ok((lateness(&siege, &capture, INTERVAL), sent))
    });
    let ((quiet, _), (late, sent)) = (quiet?, flooded?);
    for (node, sent) in sent.into_iter().enumerate() {
        let counters = FAMILIES.map(|family| siege.cluster.agent(node)?.counters(family, Siege::VRID));
        let mut bad = 0;
        for counters in counters {
            let counters = counters?;
            bad += counters.auth_missing + counters.auth_code;
            ensure!(counters.would_drop == 0, "{counters:?}");
        }
        let rate = bad / SPAN.as_secs();
        eprintln!("row 13: {rate} forged adverts a second judged on n{}, {sent} sent altogether", node + 1);
        ensure!(bad > 10_000, "{bad} forged adverts are no flood");
    }
    let shown = |late: &[Duration]| (late.len(), percentile_90(late), late.last().copied().unwrap_or_default());
    eprintln!(
        "row 13: adverts, p90 and most of their lateness: {:?} flooded, {:?} before",
        shown(&late),
        shown(&quiet)
    );
    ensure!(late.len() > 30, "{} adverts", late.len());
    ensure!(percentile_90(&late) < LATE, "{late:?}");
    siege.was_in_vain()
}

/// Floods the first two nodes until `end`, over IPv4 and IPv6; says how many frames were sent to each.
fn storm(siege: &Siege, end: Instant) -> Result<Vec<u64>> {
    let forged = |node| {
        let advert = |family| siege.tempting(node, family);
        let guessed = |family| advert(family).signed(1, KEYS[2].as_bytes(), sequence(SystemTime::now()));
        FAMILIES.map(|family| [advert(family).frame(), guessed(family).frame()]).concat()
    };
    at_once([forged(0), forged(1)], siege, end)
}

/// Sends the frames of each node to it until `end`, all at the same time; says how many.
fn at_once(frames: [Vec<Vec<u8>>; 2], siege: &Siege, end: Instant) -> Result<Vec<u64>> {
    let [first, second] = [siege.wire(0)?, siege.wire(1)?];
    let [to_first, to_second] = frames;
    thread::scope(|scope| {
        let threads = [(first, to_first), (second, to_second)]
            .map(|(wire, frames)| scope.spawn(move || wire.flood_until(end, &frames)));
        threads.into_iter().map(|thread| thread.join().ok().context("a sender panicked")?).collect()
    })
}

/// Ordinary traffic to both nodes, as fast as this machine sends.
#[test]
fn row_14_a_flood_of_other_traffic() -> Result<()> {
    let lab = lab!();
    let siege = Siege::lay(&lab, 2, &ClusterConfig::default())?;
    let end = Instant::now() + Duration::from_secs(5);
    let frames = [0, 1].map(|node| {
        // A UDP datagram of 1,400 bytes to the discard port.
        let to = siege.node(node).mac();
        let station = |mac, address| harness::neighbor::Station { mac, address };
        let address = IpAddr::from([10, 77, 0, if node == 0 { 1 } else { 2 }]);
        let from = station(siege.cluster.client.mac(), [10, 77, 0, 50].into());
        harness::neighbor::datagram(from, station(to, address), 9, &[0; 1_372])
    });
    let sent = at_once(frames.map(|frame| vec![frame]), &siege, end)?;
    ensure!(sent.iter().all(|&sent| sent > 10_000), "{sent:?} datagrams are no flood");
    siege.was_in_vain()
}
