"""One channel, one row: what happens when YouTube tells who a channel is."""

from people.models import Channel, ChannelAlias


def settle_identity(channel: Channel, *, external_id: str, title: str) -> Channel:
    """Write down YouTube's id and title of a channel; returns the row that stands for it from now on.

    When another row has that id already, the other one is returned and learns this one's spelling as an alias; the
    caller moves what hangs on the given row and deletes it. A video's or playlist's row keeps the id it has.
    """
    title = title[:300] or channel.title
    if not external_id:
        Channel.objects.filter(pk=channel.pk).update(title=title)
        channel.title = title
        return channel
    twin = Channel.objects.select_for_update().filter(external_id=external_id).exclude(pk=channel.pk).first()
    if twin is None:
        Channel.objects.filter(pk=channel.pk).update(external_id=external_id, title=title)
        channel.external_id, channel.title = external_id, title
        return channel
    ChannelAlias.objects.filter(channel=channel).update(channel=twin)
    ChannelAlias.objects.get_or_create(canonical_url=channel.canonical_url, defaults={"channel": twin})
    return twin
