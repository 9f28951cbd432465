//! What became of a packet. Every assertion looks at all of it: verdict, each byte, counters.

use abi::DropReason;
use lab::packet::{Packet, bad_checksums};

use crate::counters::Counters;

/// Bytes of an Ethernet header.
const LINK: usize = 14;

/// What a hook said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// `TCX_NEXT`: the packet goes on, other programs see it too.
    Next,
    /// `TC_ACT_SHOT`.
    Shot,
    /// `TC_ACT_REDIRECT`.
    Redirect,
}

impl Verdict {
    /// # Panics
    ///
    /// On any other code: `TC_ACT_OK` would starve other programs.
    pub(super) fn of(code: i32) -> Self {
        match code {
            -1 => Self::Next,
            2 => Self::Shot,
            7 => Self::Redirect,
            other => panic!("a verdict {other}"),
        }
    }
}

/// A packet and everything that it moved.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the hook said.
    pub verdict: Verdict,
    /// The frame that went in.
    pub sent: Vec<u8>,
    /// The frame that came out.
    pub frame: Vec<u8>,
    /// What was counted.
    pub counted: Counters,
    /// Whether any row of flows or fragments is another now.
    pub changed: bool,
}

impl Outcome {
    /// The IP packet that came out.
    pub fn packet(&self) -> &[u8] {
        &self.frame[LINK..]
    }

    /// It went on as it was, and nothing remembers it.
    #[track_caller]
    pub fn untouched(&self) -> &Self {
        assert!(!self.changed, "flows changed");
        self.passed()
    }

    /// It went on as it was.
    #[track_caller]
    pub fn passed(&self) -> &Self {
        self.is(Verdict::Next, &self.sent[LINK..], &Counters::none())
    }

    /// It went on as this one.
    #[track_caller]
    pub fn became(&self, packet: &[u8], counted: &Counters) -> &Self {
        self.is(Verdict::Next, packet, counted)
    }

    /// It left by a redirect, as this one.
    #[track_caller]
    pub fn left_as(&self, packet: &[u8], counted: &Counters) -> &Self {
        self.is(Verdict::Redirect, packet, counted)
    }

    /// It was dropped, for this reason and nothing else counted.
    #[track_caller]
    pub fn dropped(&self, reason: DropReason) -> &Self {
        self.dropped_with(&Counters::none().drops(reason, 1))
    }

    /// It was dropped, and this was counted.
    #[track_caller]
    pub fn dropped_with(&self, counted: &Counters) -> &Self {
        self.is(Verdict::Shot, &self.sent[LINK..], counted)
    }

    /// Its sender got this answer: out by the same interface, to the link address that it came from.
    #[track_caller]
    pub fn answered(&self, packet: &[u8], counted: &Counters) -> &Self {
        let link = [&self.sent[6..12], &self.sent[..6], &self.sent[12..LINK]].concat();
        self.all(Verdict::Redirect, &link, packet, counted)
    }

    #[track_caller]
    fn is(&self, verdict: Verdict, packet: &[u8], counted: &Counters) -> &Self {
        self.all(verdict, &self.sent[..LINK], packet, counted)
    }

    #[track_caller]
    fn all(&self, verdict: Verdict, link: &[u8], packet: &[u8], counted: &Counters) -> &Self {
        assert_eq!((self.verdict, &self.counted), (verdict, counted), "{}", text(self.packet()));
        assert_eq!(&self.frame[..LINK], link, "link header");
        assert_packet(self.packet(), packet);
        self
    }
}

/// Two packets have the same bytes.
#[track_caller]
pub fn assert_packet(is: &[u8], should: &[u8]) {
    let first = is.iter().zip(should).position(|(a, b)| a != b).unwrap_or(is.len().min(should.len()));
    assert!(
        is == should,
        "from byte {first} on\n is     {}\n        {is:02x?}\n should {}\n        {should:02x?}",
        text(is),
        text(should),
    );
}

fn text(packet: &[u8]) -> String {
    match (Packet::parse(packet), bad_checksums(packet)) {
        (Ok(packet), Ok(bad)) => format!("{packet} {bad:?}"),
        (Err(e), _) | (_, Err(e)) => format!("{e:#}"),
    }
}
