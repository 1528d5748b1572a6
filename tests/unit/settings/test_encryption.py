from __future__ import annotations

import pytest

from tracker_service.errors import ConfigError
from tracker_service.settings import load
from tracker_service.settings.encryption import plain_database_host


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite:////var/lib/tracker.db",
        "postgresql+psycopg://u:p@localhost/tracker",
        "postgresql+psycopg://u:p@127.0.0.1:5432/tracker",
        "postgresql+psycopg://u@/tracker?host=/run/postgresql",
        "postgresql+psycopg://u:p@db.example.com/tracker?sslmode=verify-full",
        "mysql+pymysql://u:p@db.example.com/tracker?ssl_ca=/etc/ca.pem",
        "mysql+pymysql://u:p@/tracker?unix_socket=/run/mysqld/mysqld.sock",
    ],
)
def test_what_stays_here_or_is_encrypted_is_allowed(url):
    assert plain_database_host(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://u:p@db.example.com/tracker",
        "postgresql+psycopg://u:p@localhost:1,db.example.com:2/tracker",
        "postgresql+psycopg://u:p@/tracker?host=db.example.com",
        "postgresql+psycopg://u:p@db.example.com/tracker?sslmode=prefer",
        "mysql+pymysql://u:p@db.example.com:3306/tracker",
        "mariadb+pymysql://u:p@db.example.com/tracker?ssl_disabled=true",
    ],
)
def test_what_travels_in_the_clear_is_named(url):
    assert plain_database_host(url) == "db.example.com"


def test_a_database_elsewhere_is_refused_in_the_clear_unless_that_is_allowed(monkeypatch):
    monkeypatch.setenv("TRACKER_STORE__URL", "postgresql+psycopg://u:p@db.example.com/t")
    with pytest.raises(ConfigError, match="is not encrypted: add sslmode=verify-full"):
        load()
    monkeypatch.setenv("TRACKER_STORE__ALLOW_PLAIN", "true")
    assert load().store.allow_plain
