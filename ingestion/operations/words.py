"""What an operation asks, does and did, in whole sentences."""

from collections.abc import Mapping

from django.apps import apps

from ingestion.models import Operation
from ingestion.operations.verb import Verb
from ingestion.operations.verbs import find_verb
from videos.cells import number_of

State = Operation.State
IN_BACKGROUND = "It is done in the background: a page shows how far it is."


def noun_of(operation: Operation) -> str:
    """Of its rows."""
    return str(apps.get_model(operation.model)._meta.verbose_name)


def title(operation: Operation) -> str:
    """`Retry: 1,234 videos`."""
    verb = find_verb(operation.model, operation.verb)
    return f"{verb.button if verb else operation.verb}: {number_of(operation.total, noun_of(operation))}"


def question(operation: Operation, verb: Verb) -> str:
    return verb.question.format(rows=number_of(operation.total, noun_of(operation)))


def warning(operation: Operation, verb: Verb, *, at_once: bool) -> str:
    """What will happen; which rows are left alone, and why; whether it can be undone."""
    sentences = [verb.warning]
    if alone := operation.chosen - operation.total:
        is_left = f"{alone:,} {'is' if alone == 1 else 'are'} left alone"
        sentences.append(f"Of the {operation.chosen:,} chosen {is_left}: {_reason(alone, verb)}.")
    sentences += [verb.undo_words] if verb.restored else []
    sentences += [] if at_once else [IN_BACKGROUND]
    return " ".join(sentences)


def nothing_to_do(verb: Verb, noun: str, chosen: int) -> str:
    return f"{number_of(0, verb.noun or noun)} {verb.done}. {chosen:,} left alone: {_reason(chosen, verb)}."


def outcome(operation: Operation, verb: Verb) -> str:
    """What has become of it so far."""
    changed, noun = operation.changed, noun_of(operation)
    if verb.noun:
        alone = operation.chosen - operation.total
        sentences = [f"{number_of(changed, verb.noun)} of {number_of(operation.handled, noun)} {verb.done}."]
    else:
        alone = operation.chosen - changed - (operation.total - operation.handled)
        sentences = [f"{number_of(changed, noun)} {verb.done}."]
    sentences += [f"{alone:,} left alone: {_reason(alone, verb)}."] if alone > 0 else []
    sentences += also(operation.counts)
    if operation.counts.get("files") and not operation.counts.get("differences") and operation.handled == operation.total:
        sentences.append("All of it is as it was stored.")
    return " ".join(sentences)


def undone(operation: Operation) -> str:
    """What an undo has put back so far; what it could not, it says when it is over."""
    noun = noun_of(operation)
    sentence = f"{number_of(operation.restored, noun)} put back as before."
    alone = operation.changed - operation.restored
    if operation.state != State.UNDONE or alone <= 0:
        return sentence
    return f"{sentence} {alone:,} left alone: {'it has' if alone == 1 else 'they have'} changed again meanwhile."


def _reason(count: int, verb: Verb) -> str:
    """Why so many rows are left alone."""
    one, many = verb.left
    return one if count == 1 else many


def also(counts: Mapping[str, int]) -> list[str]:
    """What else came of it, as sentences; `counts` as a verb's work returns them."""
    return [
        sentence.format(words)
        for sentence, names in ALSO.items()
        if (words := in_words(*((counts.get(name, 0), noun) for name, noun in names.items())))
    ]


ALSO = {
    "{} may be tried at once.": {"woken_videos": "waiting video", "woken_assets": "waiting asset"},
    "{} given up.": {"given_up_videos": "video", "given_up_scans": "scan", "given_up_assets": "asset"},
    "{} will stop within seconds.": {"stopped": "running job"},
    "{} may finish.": {
        "running_downloads": "running download",
        "running_scans": "running scan",
        "running_assets": "running job on assets",
    },
    "{} read.": {"files": "file"},
    "{} found.": {"differences": "difference"},
}


def in_words(*counts: tuple[int, str]) -> str:
    """`3 videos and 1 scan`, `1 video, 1 scan and 2 assets`; "" for nothing."""
    *others, last = [number_of(count, noun) for count, noun in counts if count] or [""]
    return " and ".join(filter(None, (", ".join(others), last)))
