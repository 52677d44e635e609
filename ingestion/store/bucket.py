"""What the buckets of all servers have in common."""

from django.core.files.storage import Storage
from django.utils.functional import cached_property
from storages.utils import clean_name


class BucketPlace:
    """Names in the bucket of one of django-storages' storages, which all lie below its location."""

    def __init__(self, storage: Storage):
        self.storage = storage

    def name(self, key: str) -> str:
        """The key as the bucket knows it."""
        return self.storage._normalize_name(clean_name(key))

    @cached_property
    def location(self) -> str:
        """What all names begin with; '' or something that ends in a slash."""
        return self.name("x")[:-1]
