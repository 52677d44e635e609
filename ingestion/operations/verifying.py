"""Whether what is stored is what the record says, read to the last byte."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from ingestion.audit import asset_name, compare
from ingestion.errors import ArchiveError, DeferredError
from ingestion.operations.verb import Result, note
from ingestion.store import Store
from videos.models import Asset, Video

REMEDY = "Store again downloads it anew."


def verify(videos: Sequence[int], store: Store, check: Callable[[], None]) -> Result:
    """What differs of the stored videos among these, and of what lies beside them. Raises ArchiveError when the storage cannot
    be asked at all."""
    counts, notes = Counter(), []
    for video in Video.objects.stored().filter(pk__in=videos).order_by("pk"):
        files = [video, *Asset.objects.stored().filter(video=video).order_by("pk")]
        wrong = [sentence for file in files for sentence in _look_at(file, store, check)]
        counts += Counter(changed=1, files=len(files), differences=len(wrong))
        notes += [note(video, " ".join(wrong))] if wrong else []
    return Result(counts, notes)


def _look_at(file: Video | Asset, store: Store, check: Callable[[], None]) -> Iterator[str]:
    """Whole sentences. One object that the storage does not give, though it answers otherwise, is a finding as well."""
    name = "The video" if isinstance(file, Video) else f"The {asset_name('', file.kind, file.language, file.ext).removesuffix(' of ')}"
    if store.size(file.storage_key) is None:
        yield f"{name} is not in the storage any more (there is no object {file.storage_key}). {REMEDY}"
        return
    recorded = (file.file_size, file.checksum, file.crc32)
    try:
        found = list(compare(store, file.storage_key, file.part_size, recorded, check=check))
    except DeferredError:
        raise
    except ArchiveError as exc:
        store.check()
        yield f"{name} cannot be read: {exc.message}. Ask who looks after the storage."
        return
    if found:
        yield f"{name} is not what was stored: {'; '.join(found)}. {REMEDY}"
