"""What a load balancer or a container engine asks: is this process of the site fit to serve?"""

import logging

from django.db import Error, connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

logger = logging.getLogger(__name__)
TEXT = "text/plain; charset=utf-8"


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 and "ok" when the database answers, else 503; the reason goes to the log, not to strangers."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as exc:
        logger.error("The database does not answer: %s", exc)
        return HttpResponse("the database does not answer\n", status=503, content_type=TEXT)
    return HttpResponse("ok\n", content_type=TEXT)
