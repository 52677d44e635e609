"""Wake-ups in lists of Redis (or Valkey), each delivered once at most: one that is lost is rung again by the next tick."""

import os
from functools import cache

import redis
from django.conf import settings
from django_q.brokers import Broker
from django_q.conf import Conf
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from ingestion.brokers import mapped

WAIT_SECONDS = 1  # for a message; a cluster that stops waits as long
ANSWER_SECONDS = 3  # longer than WAIT_SECONDS


class Redis(Broker):
    def __init__(self, list_key: str | None = None):
        super().__init__(f"{settings.QUEUE_PREFIX}:{list_key or Conf.CLUSTER_NAME}")

    def enqueue(self, task: str) -> int:
        with mapped(redis.RedisError):
            return self._client.rpush(self.list_key, task)

    def dequeue(self) -> list[tuple[None, str]] | None:
        """No number to acknowledge comes with the message: it is gone from the list."""
        with mapped(redis.RedisError):
            found = self._client.blpop([self.list_key], WAIT_SECONDS)
        return [(None, found[1])] if found else None

    def queue_size(self) -> int:
        with mapped(redis.RedisError):
            return self._client.llen(self.list_key)

    @property
    def _client(self) -> redis.Redis:
        return _client(os.getpid(), settings.REDIS_URL)


@cache
def _client(pid: int, url: str) -> redis.Redis:
    """One for each process. It tries twice: a connection that was idle for long may have been cut on the way."""
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        socket_connect_timeout=ANSWER_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        retry=Retry(ConstantBackoff(0.1), 1),
    )
