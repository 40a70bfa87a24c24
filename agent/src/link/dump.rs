//! What the kernel lists, asked for again where it was changed while it was listed: something may be missing then, and an
//! interface that is missing would be handed over for nothing.

use anyhow::bail;
use futures_util::{Stream, StreamExt};
use rtnetlink::{
    Handle,
    packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload},
    packet_route::RouteNetlinkMessage,
};

use crate::perform::netlink::{NLM_F_DUMP_INTR, QUESTIONS_MAX};

/// What `pick` makes of everything that the kernel lists for `request`.
pub(super) async fn dump<T>(
    handle: &Handle,
    request: &RouteNetlinkMessage,
    pick: impl Fn(RouteNetlinkMessage) -> Option<T>,
) -> anyhow::Result<Vec<T>> {
    for _ in 0..QUESTIONS_MAX {
        let mut message = NetlinkMessage::from(request.clone());
        message.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        if let Some(picked) = whole(handle.clone().request(message)?, &pick).await? {
            return Ok(picked);
        }
    }
    bail!("what is asked changes all the time")
}

/// What `pick` makes of `answers`; `None` where something changed meanwhile, and may be missing.
async fn whole<T>(
    mut answers: impl Stream<Item = NetlinkMessage<RouteNetlinkMessage>> + Unpin,
    pick: impl Fn(RouteNetlinkMessage) -> Option<T>,
) -> anyhow::Result<Option<Vec<T>>> {
    let (mut picked, mut is_whole) = (Vec::new(), true);
    while let Some(answer) = answers.next().await {
        is_whole &= answer.header.flags & NLM_F_DUMP_INTR == 0;
        if let NetlinkPayload::InnerMessage(message) = answer.payload {
            picked.extend(pick(message));
        } else if let NetlinkPayload::Error(error) = answer.payload {
            return Err(error.to_io().into());
        }
    }
    Ok(is_whole.then_some(picked))
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use rtnetlink::packet_route::link::LinkMessage;

    use super::*;

    fn answer(index: u32, flags: u16) -> NetlinkMessage<RouteNetlinkMessage> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        let mut answer = NetlinkMessage::from(RouteNetlinkMessage::NewLink(link));
        answer.header.flags = flags;
        answer
    }

    /// NLM_F_MULTI is 2, NLM_F_DUMP_INTR 0x10.
    #[tokio::test]
    async fn a_list_that_was_changed_meanwhile_is_none() {
        let index =
            |message| if let RouteNetlinkMessage::NewLink(link) = message { Some(link.header.index) } else { None };
        let list = |flags: [u16; 3]| stream::iter((1..).zip(flags).map(|(index, flags)| answer(index, flags)));
        assert_eq!(whole(list([2, 2, 2]), index).await.unwrap(), Some(vec![1, 2, 3]));
        assert_eq!(whole(list([2, 0x12, 2]), index).await.unwrap(), None);
    }
}
