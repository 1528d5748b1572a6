from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tracker_service.causes import rules
from tracker_service.causes.rules import Place, Rules, load_rules
from tracker_service.domain.causes import Category, Retryable
from tracker_service.errors import ConfigError

OWN = Path(rules.__file__).with_name("rules.yml")
RULE = {
    "id": "lake-frozen",
    "pattern": "lake (?P<lake>[a-z]+) is frozen",
    "category": "dependency-service",
    "summary": "The lake {lake} is frozen.",
    "hint": "Wait for spring.",
    "retryable": "yes",
    "weight": 95,
    "example": "ERROR the lake erie is frozen",
}


@pytest.fixture(scope="module")
def rules_of_package() -> Rules:
    return load_rules()


@pytest.fixture
def site_file(tmp_path):
    def write(*rules: object, **more: object) -> Path:
        path = tmp_path / f"site-{len(list(tmp_path.iterdir()))}.yml"
        path.write_text(yaml.safe_dump({"rules": list(rules), **more}))
        return path

    return write


def test_the_rules_of_the_package_are_sound(rules_of_package):
    assert rules_of_package.rules
    assert len(rules_of_package.by_id) == len(rules_of_package.rules)


@pytest.mark.parametrize("told", yaml.safe_load(OWN.read_bytes())["rules"], ids=lambda r: r["id"])
def test_no_rule_of_the_package_hides_another(rules_of_package, told):
    for place in told.get("where", ["log", "yarn", "oozie"]):
        decides = rules_of_package.match(Place(place), told["example"].encode())
        assert decides is not None
        assert decides.id == told["id"]
    if "log" in told.get("where", ["log"]):
        assert rules_of_package.telling.search(told["example"].encode())


def test_a_site_adds_rules_of_its_own(site_file):
    rules = load_rules([site_file(RULE)])

    rule = rules.match(Place.LOG, b"ERROR: the lake huron is frozen")

    assert rule is not None
    assert (rule.id, rule.category, rule.retryable) == (
        "lake-frozen",
        Category.DEPENDENCY_SERVICE,
        Retryable.YES,
    )
    assert rule.summary_of(rule.groups(b"the lake huron is frozen")) == "The lake huron is frozen."


def test_yes_and_no_need_no_quotes(site_file, tmp_path):
    path = tmp_path / "plain.yml"
    path.write_text(yaml.safe_dump({"rules": [RULE]}).replace("'yes'", "no"))

    assert load_rules([path]).by_id["lake-frozen"].retryable is Retryable.NO


def test_the_first_rule_that_matches_decides(site_file):
    other = {**RULE, "id": "other", "pattern": "(?P<lake>erie)"}
    rules = load_rules([site_file({**RULE, "id": "none", "where": ["yarn"]}, RULE, other)])

    rule = rules.match(Place.LOG, b"the lake erie is frozen")

    assert rule is not None
    assert rule.id == "lake-frozen"


def test_a_rule_looks_only_where_it_is_told_to(site_file):
    rules = load_rules([site_file({**RULE, "where": ["yarn"]})])

    assert rules.match(Place.YARN, b"lake erie is frozen")
    assert rules.match(Place.LOG, b"lake erie is frozen") is None


def test_noise_proves_nothing(site_file):
    rules = load_rules([site_file(RULE, noise={"lines": ["^WEATHER"], "files": ["weather.*"]})])

    assert rules.match(Place.LOG, b"WEATHER: lake erie is frozen") is None
    assert rules.is_noisy_file("weather.log")
    assert not rules.is_noisy_file("old-weather.log")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"patern": "x"}, "patern: Extra inputs"),
        ({"pattern": "lake (?P<lake>[a-z]+"}, "RE2 does not take this pattern: missing"),
        ({"pattern": r"(?P<lake>x)\1"}, "RE2 does not take this pattern: invalid escape"),
        ({"category": "weather"}, "category: Input should be 'memory'"),
        ({"retryable": "maybe"}, "retryable: Input should be"),
        ({"weight": 101}, "weight: Input should be less than or equal to 100"),
        ({"where": ["sky"]}, "where.0: Input should be"),
        ({"example": "nothing of the kind"}, "the pattern does not match the example"),
        ({"summary": "The {sea} is frozen."}, "summary: the pattern has no group sea"),
        ({"summary": "The {lake.x} is frozen."}, "summary: {lake.x} is no name of a group"),
        ({"summary": "The {lake!r} is frozen."}, "is no name of a group"),
        ({"summary": "The {lake is frozen."}, "expected '}'"),
        ({"example": "lake erie is frozen"}, "the example has none of the words"),
    ],
)
def test_an_error_says_file_and_rule_and_what_is_wrong(site_file, change, told):
    path = site_file({**RULE, **change})

    with pytest.raises(ConfigError) as error:
        load_rules([path])

    assert str(error.value).startswith(f"{path}: rule lake-frozen: ")
    assert told in str(error.value)


def test_a_site_adds_words_by_which_its_lines_are_found(site_file):
    rules = load_rules([site_file({**RULE, "example": "lake erie is frozen"}, words=["Frozen"])])

    assert rules.telling.search(b"all is FROZEN")
    assert rules.telling.search(b"all is well") is None


def test_a_rule_without_an_id_is_named_by_its_number(site_file):
    path = site_file(RULE, {"pattern": "x"})

    with pytest.raises(ConfigError, match="rule number 2: id: Field required"):
        load_rules([path])


def test_no_two_rules_have_one_id(site_file):
    first, second = site_file(RULE), site_file(RULE)

    with pytest.raises(ConfigError, match="rule lake-frozen: there is another rule of this id"):
        load_rules([first, second])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rules: [", "cannot read the rules"),
        ("- a list", "the file: Input should be"),
        ("ruls: []", "ruls: Extra inputs"),
        ("noise: {lines: ['(']}", "RE2 does not take this pattern"),
        ("rules: [17]", "rules.0: Input should be a valid dictionary"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, text, told):
    path = tmp_path / "site.yml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=r"site\.yml") as error:
        load_rules([path])

    assert told in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.yml: cannot read the rules"):
        load_rules([tmp_path / "gone.yml"])
