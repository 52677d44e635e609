"""Pages of big tables: a count that is cheap or honest about being about, and rows read only for the page shown."""

from django.core.paginator import Page, Paginator
from django.db import connection
from django.db.models import QuerySet
from django.utils.functional import cached_property

CAP = 1000
"""Rows that are counted one by one; beyond them only what is counted otherwise."""
LEAFED = 10_000
"""Rows that can be leafed to, of those that are counted: beyond them a filter is quicker for everybody."""


class Count(int):
    """A number of rows that reads as people write it: `1,234`, `1,000+` when counting stopped, `about 2,000,000`."""

    pattern = "{:,}"

    def __str__(self):
        return self.pattern.format(int(self))


class CappedCount(Count):
    """Counting stopped here: there are more."""

    pattern = "{:,}+"


class EstimatedCount(Count):
    """What PostgreSQL's statistics say of the table, in two digits: they are not known to be better."""

    def __str__(self):
        digits = len(str(int(self)))
        return f"about {round(int(self), 2 - digits):,}"


def capped_count(queryset: QuerySet, cap: int = CAP) -> Count:
    """Exact up to `cap`; reads no more rows than that, as long as an index serves the filter."""
    found = queryset.order_by()[: cap + 1].count()
    return CappedCount(cap) if found > cap else Count(found)


def estimated_count(model) -> int:
    """Rows of the model's table by the last ANALYZE; 0 when there was none."""
    with connection.cursor() as cursor:
        table = connection.ops.quote_name(model._meta.db_table)
        cursor.execute("SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(%s)", [table])
        return cursor.fetchone()[0]


class BigTablePaginator(Paginator):
    """Takes the count that the rows bring along (`known_count`), else counts up to CAP and estimates an unfiltered table beyond it;
    joins other tables only for the rows of a page."""

    @cached_property
    def count(self) -> Count:
        if (known := getattr(self.object_list, "known_count", None)) is not None:
            return Count(known)
        counted = capped_count(self.object_list)
        if not isinstance(counted, CappedCount) or self.object_list.query.where:
            return counted
        estimate = estimated_count(self.object_list.model)
        return EstimatedCount(estimate) if estimate > CAP else counted

    @cached_property
    def num_pages(self) -> int:
        return max(1, -(-min(self.count, LEAFED) // self.per_page))

    def page(self, number) -> Page:
        """The page's keys come from an index alone; sorting, joins and wide columns touch its rows only."""
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        keys = list(self.object_list.values_list("pk", flat=True)[first : first + self.per_page])
        return self._get_page(self.object_list.filter(pk__in=keys), number, self)
