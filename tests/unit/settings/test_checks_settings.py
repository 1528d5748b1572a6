from __future__ import annotations

import pytest
from pydantic import ValidationError

from tracker_service.settings.checks import ChecksSettings


def test_one_word_is_enough_to_check_the_cluster():
    assert ChecksSettings.model_validate("cluster").cluster
    assert not ChecksSettings().cluster


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"directories": ["/none"]}, "/none is no directory that can be read"),
        ({"cluster_user": "a"}, "set cluster_user and cluster_password_file, or neither"),
        (
            {"cluster_user": "a", "cluster_password_file": "/none"},
            "cannot read /none",
        ),
        ({"spread_s": 60}, "less than 60"),
        ({"colour": 1}, "Extra inputs are not permitted"),
        ("cluste", "valid dictionary"),
    ],
)
def test_what_cannot_be_used_is_named(settings, message):
    with pytest.raises(ValidationError, match=message):
        ChecksSettings.model_validate(settings)
