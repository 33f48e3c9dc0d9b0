"""Each refused feature is named once, in words that can stand behind a member."""

from ecscope.model.refused import ALL


def test_each_feature_has_a_name_of_its_own_and_a_sentence() -> None:
    assert len({feature.name for feature in ALL}) == len(ALL) > 20
    for feature in ALL:
        assert not feature.why.endswith(".")
        assert "not supported" in feature.why or "from a control plane" in feature.why
