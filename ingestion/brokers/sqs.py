"""Wake-ups in queues of Amazon SQS, which are made when they are first needed."""

import os
import time
from collections import defaultdict, deque
from functools import cache
from typing import Any

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django_q.brokers import Broker
from django_q.conf import Conf

from ingestion.brokers import mapped

ERRORS = (BotoCoreError, ClientError)
WAIT_SECONDS = 10  # without it an idle cluster asks hundreds of times a second; a cluster that stops waits as long
ANSWER_SECONDS = 3  # for everything else: a web request waits for it, twice at most
KEPT_SECONDS = 3600  # a wake-up that nobody took by then says nothing new
COUNT_LAG_SECONDS = 10  # SQS's count of messages comes late
MOST_COUNTED = 64

# When this process sent its last messages to each queue.
_sent: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=MOST_COUNTED))


class Sqs(Broker):
    """Nothing is asked of SQS before the first message: clusters start, and wait, while it is away."""

    _address: str = ""

    def __init__(self, list_key: str | None = None):
        super().__init__(f"{settings.QUEUE_PREFIX}-{list_key or Conf.CLUSTER_NAME}")

    def enqueue(self, task: str) -> str:
        with mapped(*ERRORS):
            answer = self._client.send_message(QueueUrl=self._url, MessageBody=task)
        _sent[self.list_key].append(time.monotonic())
        return answer["MessageId"]

    def dequeue(self) -> list[tuple[str, str]]:
        with mapped(*ERRORS):
            answer = _client(os.getpid(), settings.SQS_ENDPOINT_URL, WAIT_SECONDS + ANSWER_SECONDS).receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=1, WaitTimeSeconds=WAIT_SECONDS, VisibilityTimeout=Conf.RETRY
            )
        return [(message["ReceiptHandle"], message["Body"]) for message in answer.get("Messages", [])]

    def queue_size(self) -> int:
        """About how many messages wait, or what this process sent lately, if that is more: else a caller that tops up to
        a number would send it again and again until SQS counts the first ones."""
        with mapped(*ERRORS):
            answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["ApproximateNumberOfMessages"])
        lately = sum(sent > time.monotonic() - COUNT_LAG_SECONDS for sent in _sent[self.list_key])
        return max(int(answer["Attributes"]["ApproximateNumberOfMessages"]), lately)

    def acknowledge(self, task_id: str) -> None:
        with mapped(*ERRORS):
            self._client.delete_message(QueueUrl=self._url, ReceiptHandle=task_id)

    def fail(self, task_id: str) -> None:
        self.acknowledge(task_id)

    @property
    def _client(self) -> Any:
        return _client(os.getpid(), settings.SQS_ENDPOINT_URL, ANSWER_SECONDS)

    @property
    def _url(self) -> str:
        if not self._address:
            try:
                self._address = self._client.get_queue_url(QueueName=self.list_key)["QueueUrl"]
            except self._client.exceptions.QueueDoesNotExist:
                made = self._client.create_queue(QueueName=self.list_key, Attributes={"MessageRetentionPeriod": str(KEPT_SECONDS)})
                self._address = made["QueueUrl"]
        return self._address


@cache
def _client(pid: int, endpoint_url: str | None, seconds: float) -> Any:
    """One for each process and length of patience; with keys of its own, or the bucket's, or those that boto3 finds by itself."""
    keys = {"aws_access_key_id": settings.SQS_ACCESS_KEY_ID, "aws_secret_access_key": settings.SQS_SECRET_ACCESS_KEY}
    session = Session(region_name=settings.SQS_REGION, **(keys if settings.SQS_ACCESS_KEY_ID else {}))
    config = Config(connect_timeout=ANSWER_SECONDS, read_timeout=seconds, retries={"mode": "standard", "max_attempts": 2})
    return session.client("sqs", endpoint_url=endpoint_url, config=config)
