import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from people.models import Person
from tests.factories import make_person, make_video
from videos.models import Video
from videos.paginator import BigTablePaginator, CappedCount, Count, EstimatedCount, capped_count, estimated_count

pytestmark = pytest.mark.django_db


@pytest.fixture
def low_cap(monkeypatch):
    monkeypatch.setattr("videos.paginator.CAP", 4)
    monkeypatch.setattr("videos.paginator.LEAFED", 4)
    monkeypatch.setattr("videos.paginator.capped_count.__defaults__", (4,))


@pytest.mark.parametrize(
    ("count", "words"),
    [
        pytest.param(Count(0), "0", id="none"),
        pytest.param(Count(1234), "1,234", id="exact"),
        pytest.param(CappedCount(1000), "1,000+", id="counting stopped"),
        pytest.param(EstimatedCount(1_234_567), "about 1,200,000", id="estimated"),
    ],
)
def test_a_count_says_how_sure_it_is(count, words):
    assert str(count) == words
    assert f"{count + 1}" == str(int(count) + 1), "it is a number all the same"


def test_counting_stops_at_the_cap():
    for _ in range(3):
        make_person()
    people = Person.objects.all()
    assert isinstance(capped_count(people, 2), CappedCount)
    assert type(capped_count(people, 3)) is Count
    with CaptureQueriesContext(
        connection,
    ) as queries:
        capped_count(people, 2)
    assert "LIMIT 3" in queries[0]["sql"]


def test_a_small_table_is_counted_and_no_statistics_are_asked(django_assert_num_queries):
    make_person()
    with django_assert_num_queries(1):
        assert BigTablePaginator(Person.objects.order_by("id"), 2).count == 1


def test_a_big_table_is_estimated_but_a_filtered_one_is_capped(low_cap):
    for _ in range(6):
        make_person(type="teacher")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE people_person")
    assert estimated_count(Person) == 6
    whole = BigTablePaginator(Person.objects.order_by("id"), 2).count
    assert (isinstance(whole, EstimatedCount), int(whole)) == (True, 6)
    filtered = BigTablePaginator(Person.objects.filter(type="teacher").order_by("id"), 2).count
    assert str(filtered) == "4+"


def test_a_table_without_statistics_is_capped(low_cap, monkeypatch):
    monkeypatch.setattr("videos.paginator.estimated_count", lambda model: 0)
    for _ in range(5):
        make_person()
    assert str(BigTablePaginator(Person.objects.order_by("id"), 2).count) == "4+"


def test_nobody_leafs_beyond_the_cap(low_cap):
    for _ in range(6):
        make_person()
    paginator = BigTablePaginator(Person.objects.order_by("id"), 2)
    assert paginator.num_pages == 2
    assert len(paginator.page(2).object_list) == 2


def test_an_empty_list_has_one_page():
    paginator = BigTablePaginator(Person.objects.order_by("id"), 2)
    assert (paginator.num_pages, list(paginator.page(1).object_list)) == (1, [])


def test_pages_keep_order_and_joins_and_join_only_their_own_rows(django_assert_num_queries):
    videos = [make_video(title=f"{n}") for n in range(5)]
    paginator = BigTablePaginator(Video.objects.order_by("-id").select_related("channel"), 2)
    assert paginator.count == 5
    with CaptureQueriesContext(connection) as queries:
        rows = [(video.title, video.channel.title) for video in paginator.page(2).object_list]
    assert rows == [(video.title, video.channel.title) for video in (videos[2], videos[1])]
    keys, page = (query["sql"] for query in queries)
    assert "JOIN" not in keys
    assert "OFFSET 2" in keys
    assert "JOIN" in page
    assert "OFFSET" not in page
