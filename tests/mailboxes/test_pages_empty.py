"""An installation without any mailbox."""

from django.test import Client

from tests import scene as scenes


def test_an_empty_installation_tells_an_administrator_what_to_type(client: Client, db: None) -> None:
    client.force_login(scenes.make_person("fina", "Fina", "Mas", administrator=True))
    shown = client.get("/").content.decode()
    for command in ("connect_server", "add_mailbox", "check_mailbox"):
        assert f"manage.py {command}" in shown
