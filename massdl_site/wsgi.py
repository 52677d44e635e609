import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "massdl_site.settings")
application = get_wsgi_application()

from massdl_site.patience import bound_statements  # noqa: E402 - it needs the settings

bound_statements()
