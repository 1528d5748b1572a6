from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

ID = re.compile(r"<(?:\w+:)?(\w+)>")


@pytest.fixture
def client(documented: FlaskClient) -> FlaskClient:
    return documented


@pytest.fixture
def document(client) -> dict[str, Any]:
    answer = client.get("/openapi.json")
    assert answer.status_code == 200
    return answer.json


def test_the_document_describes_every_call(client, document):
    rules = {
        (ID.sub(r"{\1}", rule.rule), method.lower())
        for rule in client.application.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.endpoint.partition(".")[0] != "openapi"
    }

    described = {(path, method) for path, item in document["paths"].items() for method in item}

    assert described == rules
    assert document["openapi"].startswith("3.1.")


def test_every_call_of_the_api_needs_credentials_and_says_so(client, document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            filled = re.sub(r"{\w+}", "x", path)
            status = client.open(filled, method=method.upper()).status_code
            needs = path.startswith("/api/") and not path.endswith("/{token}")
            assert ("security" in operation) == needs == (status == 401), (method, path)
            assert ("401" in operation["responses"]) == needs
            assert operation["summary"].endswith(".")


def test_every_reference_leads_somewhere(document):
    def references(value) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(references, value))
        if isinstance(value, dict):
            own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*map(references, value.values()))
        return set()

    for reference in references(document):
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def test_refusals_are_described_as_problems(document):
    refusals = [
        response
        for item in document["paths"].values()
        for operation in item.values()
        for status, response in operation["responses"].items()
        if int(status) >= 400
        and status != "414"  # the server itself refuses a URL that is too long
    ]

    assert len(refusals) > 50
    assert all("application/problem+json" in response["content"] for response in refusals)
    assert "status_code" in document["components"]["schemas"]["Problem"]["required"]


def test_the_page_shows_the_document_without_another_site(client):
    page = client.get("/docs")

    assert page.content_type == "text/html; charset=utf-8"
    addresses = re.findall(r'(?:href|src|url)(?:=|: )"([^"]+)"', page.text)
    assert len(addresses) == 4
    for address in addresses:
        assert not address.startswith(("/", "http"))  # so that it works below a prefix
        with client.get(f"/{address}") as answer:
            assert answer.status_code == 200, address
