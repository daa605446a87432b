"""The addresses of the embedded servers follow from CRMSYNC_VAR alone."""

import os
from pathlib import Path
from urllib.parse import unquote

import environ
import pytest
import redis

from crmsync_site.embedded import addresses


def test_a_relative_var_is_below_the_project_whatever_the_working_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRMSYNC_VAR", "var/second")
    assert addresses.var_folder() == addresses.PROJECT / "var" / "second"


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_var_it_is_the_folder_var_of_the_project(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("CRMSYNC_VAR") if value is None else monkeypatch.setenv("CRMSYNC_VAR", value)
    assert addresses.var_folder() == addresses.PROJECT / "var"


@pytest.mark.parametrize("name", ["v", "with-dash", "a+b@c", "x" * 60])
def test_sockets_lie_below_var_where_that_path_does(name: str) -> None:
    assert addresses.socket_folder(Path("/srv") / name) == Path("/srv") / name / "run"


@pytest.mark.parametrize("name", ["x" * 90, "é" * 45, "a,b", 'a"b', "a'b", "a\nb", "a%b", "with space", "a=b"])
def test_sockets_lie_in_a_short_folder_where_that_path_does_not_do(name: str) -> None:
    folder = addresses.socket_folder(Path("/srv") / name)
    assert not folder.is_relative_to("/srv")
    assert len(os.fsencode(folder / "postgres" / ".s.PGSQL.5432")) < 104
    assert folder == addresses.socket_folder(Path("/srv") / name)
    assert folder != addresses.socket_folder(Path("/srv") / (name + "2"))


@pytest.mark.parametrize("name", ["v", "With Space", "a+b=c@d", "é,"])
def test_the_urls_lead_clients_to_the_sockets(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    var = Path("/srv") / name
    client = redis.Redis.from_url(addresses.redis_url(var, 3)).connection_pool.connection_kwargs
    assert (client["path"], client["db"]) == (str(addresses.valkey_socket(var)), 3)
    monkeypatch.setenv("DATABASE_URL", addresses.database_url(var))
    database = environ.Env().db_url("DATABASE_URL")
    assert (unquote(database["HOST"]), database["USER"], database["NAME"]) == (
        str(addresses.postgres_folder(var)),
        "crmsync",
        "crmsync",
    )
