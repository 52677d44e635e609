"""Importing a sheet in the admin as staff do: upload, look at the preview, confirm it."""

import re
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile

IMPORT = "/admin/people/person/import/"
CONFIRM = "/admin/people/person/process_import/"
LIST = "/admin/people/person/"


def upload(client, data: bytes, name: str = "people.csv"):
    """The page that follows the upload: the preview, or the upload again with what is wrong."""
    return client.post(IMPORT, {"import_file": SimpleUploadedFile(name, data)}, follow=True)


def confirmation(response, **changed: Any) -> dict[str, Any]:
    """What the browser sends when staff confirm this page, with settings `changed`; empty when there is nothing to confirm."""
    if 'id="import-confirmation"' not in response.content.decode():
        return {}
    form = response.context["settings_form"]
    values = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()} | changed
    sent = {form.add_prefix(name): value for name, value in values.items() if value is not None and value is not False}
    return {"upload": str(response.context["upload"].pk), **sent}


def part(response, name: str) -> str:
    """The element with this id, as it stands in the page; "" when it is not there."""
    found = re.search(rf'<(\w+)[^>]*? id="{name}".*?</\1>', response.content.decode(), re.DOTALL)
    return found[0] if found else ""


def numbers(text: str) -> list[int]:
    """The row numbers shown in it."""
    return [int(number) for number in re.findall(r">Row (\d+)<", text)]


def plain(text: str) -> str:
    """Without tags and with single blanks."""
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())
