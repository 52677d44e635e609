import time, pytest
from django.db import connection
from ingestion import dispatch
from ingestion.models import Limits
from tests.factories import *
@pytest.mark.django_db
@pytest.mark.parametrize("channels", [1, 5000])
def test_speed(channels):
    Limits.row()
    s = make_session(); p = make_person()
    cs = [make_channel(person=p) for _ in range(channels)]
    ids = [c.pk for c in cs]
    with connection.cursor() as c:
        c.execute("""INSERT INTO videos_video (uuid, external_id, person_id, channel_id, session_id, title, next_attempt_at)
        SELECT gen_random_uuid(), 'x'||i, %s, (%s::bigint[])[1 + i %% %s], %s, 't', statement_timestamp() - interval '1 minute' FROM generate_series(1, 1000000) i""", [p.pk, ids, channels, s.pk])
        c.execute("ANALYZE videos_video"); c.execute("ANALYZE people_channel")
        def t(what):
            t0=time.time(); n=dispatch.due_videos(); print(channels, what, n, round((time.time()-t0)*1000,1),'ms')
        t('due'); t('due')
        c.execute("update ingestion_downloadsession set state='paused'"); t('paused'); t('paused')
        c.execute("update ingestion_downloadsession set state='running'")
        Limits.objects.update(max_concurrent_videos_per_channel=50, max_concurrent_channels=50); t('50x50')
        c.execute("EXPLAIN ANALYZE "+dispatch.COUNT_DUE, {"channels": 3, "per_channel": 2, "most": 64}); print("\n".join(r[0] for r in c.fetchall()))
